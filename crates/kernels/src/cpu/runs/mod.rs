//! Weights in codes, thirty-two at a time in registers: what dot products multiply at once and `expand` stores. The numbers
//! are those of `Coded::expand`, to the bit: a run's scale goes into its table of sixteen values, or is multiplied by its
//! codes, in the order of the codec's own lines.

pub mod four_bit;
pub mod gguf;
pub mod gguf_k;
pub mod rows;

use super::simd::Simd;

/// Weights of a run.
pub const RUN: usize = 32;

/// A matrix in a codec whose weights, counted over all of it, form runs.
pub trait Runs: Copy {
    /// The weights of a run, the first half and the second.
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2];
}

/// `$body` with the runs of a `Coded` matrix; `$otherwise` where it has none. Whole runs only: those of the elements / 32.
macro_rules! with_runs {
    ($coded:expr, $runs:ident => $body:expr, $otherwise:expr) => {{
        use crate::codec::{Blocks, Codec};
        use crate::cpu::runs::{four_bit, gguf, gguf_k, rows};
        macro_rules! of {
            ($found:expr) => {{
                let $runs = $found;
                $body
            }};
        }
        let bytes = $coded.bytes;
        match $coded.codec {
            Codec::Gguf(Blocks::Q4_0) => of!(gguf::Q4_0(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q4_1) => of!(gguf::Q4_1(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q5_0) => of!(gguf::Q5_0(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q5_1) => of!(gguf::Q5_1(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q8_0) => of!(gguf::Q8_0(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Iq4Nl) => of!(gguf::Iq4Nl(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q2K) => of!(gguf_k::Q2K(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q3K) => of!(gguf_k::Q3K(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q4K) => of!(gguf_k::Q4K(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q5K) => of!(gguf_k::Q5K(bytes.as_chunks().0)),
            Codec::Gguf(Blocks::Q6K) => of!(gguf_k::Q6K(bytes.as_chunks().0)),
            Codec::FourBit(codec) => of!(four_bit::Nibbles::new(codec.parts(bytes, $coded.extent))),
            _ => match rows::Scaled::new($coded) {
                Some(found) => of!(found),
                None => $otherwise,
            },
        }
    }};
}
pub(crate) use with_runs;

// Loops and functions that are always inlined: what a closure of the compiler's choice calls would not be compiled for more
// instructions than the plain build has.

/// x · scale
#[inline(always)]
fn scaled<S: Simd>(s: S, mut x: S::Sixteen, scale: S::V) -> S::Sixteen {
    for x in x.as_mut() {
        *x = s.mul(*x, scale);
    }
    x
}

/// x · scale + offset, rounded twice as the codecs' lines are.
#[inline(always)]
fn raised<S: Simd>(s: S, mut x: S::Sixteen, scale: S::V, offset: S::V) -> S::Sixteen {
    for x in x.as_mut() {
        *x = s.add(s.mul(*x, scale), offset);
    }
    x
}

/// x · scale − offset
#[inline(always)]
fn lowered<S: Simd>(s: S, mut x: S::Sixteen, scale: S::V, offset: S::V) -> S::Sixteen {
    for x in x.as_mut() {
        *x = s.sub(s.mul(*x, scale), offset);
    }
    x
}

/// scale · code + offset for codes below 16: from a table of them, or each made on its own.
#[inline(always)]
fn rising<S: Simd>(s: S, codes: S::B, scale: S::V, offset: S::V) -> S::Sixteen {
    if S::CHOOSES {
        s.choose(raised(s, s.sixteen(&COUNT), scale, offset), codes)
    } else {
        raised(s, s.signed(codes), scale, offset)
    }
}

/// scale · what codes below 16 choose from a table.
#[inline(always)]
fn chosen<S: Simd>(s: S, table: Table, scale: S::V, [first, second]: [S::B; 2]) -> [S::Sixteen; 2] {
    if S::CHOOSES {
        let table = scaled(s, s.sixteen(table.numbers), scale);
        return [s.choose(table, first), s.choose(table, second)];
    }
    let [first, second] = s.look_up(&table.bytes, first, second);
    [scaled(s, first, scale), scaled(s, second, scale)]
}

/// Sixteen numbers, and the same byte by byte, the lowest bytes first.
#[derive(Clone, Copy)]
struct Table {
    numbers: &'static [f32; 16],
    bytes: [[u8; 16]; 4],
}

impl Table {
    const fn of(numbers: &'static [f32; 16]) -> Table {
        let mut bytes = [[0; 16]; 4];
        let mut at = 0;
        while at < 64 {
            bytes[at % 4][at / 4] = numbers[at / 4].to_le_bytes()[at % 4];
            at += 1;
        }
        Table { numbers, bytes }
    }
}

/// 0 … 15
const COUNT: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
