//! Weights in a codec become f32: the codec's own lines compiled for the CPU's vectors, and four-bit codes looked up in a
//! register. The numbers are those of `Coded::expand`.

use super::simd::{kernel, Simd};
use crate::codec::four_bit::expand_block;
use crate::codec::{Codec, Coded, Format};

kernel! {
    /// y = elements from `start` on.
    pub fn expand<S>(s, x: Coded, start: usize, y: &mut [f32]) {
        match x.codec {
            Codec::Gguf(blocks) => blocks.expand(x.bytes, x.extent, start, y),
            Codec::FourBit(codes) => codes.each_block(x.bytes, x.extent, start, y, |table, codes, at, scale, y| {
                let whole = if at % 2 == 0 { look_up(s, table, &codes[at / 2..], scale, y) } else { 0 };
                expand_block(table, codes, at + whole, scale, &mut y[whole..]);
            }),
            _ => x.expand(start, y),
        }
    }
}

/// Whole vectors of y = scale · table[code]; returns their elements.
#[inline(always)]
fn look_up<S: Simd>(s: S, table: &[f32; 16], codes: &[u8], scale: f32, y: &mut [f32]) -> usize {
    let scale = s.splat(scale);
    let whole = y.len() / S::LANES * S::LANES;
    for (y, codes) in y[..whole].chunks_exact_mut(S::LANES).zip(codes.chunks_exact(S::LANES / 2)) {
        s.store(s.mul(s.look_up(table, codes), scale), y);
    }
    whole
}
