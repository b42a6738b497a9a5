//! GGUF block codecs: blocks of 32 weights behind one or two half-precision numbers. They are read, not written.
//! Source: ggml-quants.c (llama.cpp); equal bit for bit to `gguf.dequantize` of Python's gguf package.

use half::f16;

use super::{Extent, Format};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocks {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
}

/// Weights of one block.
const BLOCK: usize = 32;

impl Blocks {
    pub const ALL: [Blocks; 5] = [Blocks::Q4_0, Blocks::Q4_1, Blocks::Q5_0, Blocks::Q5_1, Blocks::Q8_0];

    pub fn from_name(name: &str) -> Option<Blocks> {
        Blocks::ALL.into_iter().find(|blocks| blocks.name() == name)
    }

    /// Bytes of one block.
    fn size(self) -> usize {
        match self {
            Blocks::Q4_0 => 18,
            Blocks::Q4_1 => 20,
            Blocks::Q5_0 => 22,
            Blocks::Q5_1 => 24,
            Blocks::Q8_0 => 34,
        }
    }

    fn expand_block(self, block: &[u8], out: &mut [f32]) {
        match self {
            Blocks::Q4_0 => q4_0(block, out),
            Blocks::Q4_1 => q4_1(block, out),
            Blocks::Q5_0 => q5_0(block, out),
            Blocks::Q5_1 => q5_1(block, out),
            Blocks::Q8_0 => q8_0(block, out),
        }
    }
}

impl Format for Blocks {
    fn name(&self) -> String {
        let name = match self {
            Blocks::Q4_0 => "q4_0",
            Blocks::Q4_1 => "q4_1",
            Blocks::Q5_0 => "q5_0",
            Blocks::Q5_1 => "q5_1",
            Blocks::Q8_0 => "q8_0",
        };
        name.into()
    }

    fn bytes(&self, extent: Extent) -> Option<usize> {
        extent.columns.is_multiple_of(BLOCK).then(|| (extent.elements / BLOCK).checked_mul(self.size()))?
    }

    fn expand(&self, bytes: &[u8], _: Extent, start: usize, out: &mut [f32]) {
        let block = |i: usize| &bytes[i * self.size()..][..self.size()];
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let skipped = at % BLOCK;
            let count = (BLOCK - skipped).min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            if count == BLOCK {
                self.expand_block(block(at / BLOCK), now);
            } else {
                let mut whole = [0.0; BLOCK];
                self.expand_block(block(at / BLOCK), &mut whole);
                now.copy_from_slice(&whole[skipped..][..count]);
            }
            (at, rest) = (at + count, later);
        }
    }
}

fn half_at(block: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([block[offset], block[offset + 1]]).to_f32()
}

/// Low nibbles are weights 0 … 15, high nibbles 16 … 31.
fn nibble(codes: &[u8], i: usize) -> u8 {
    codes[i % 16] >> (4 * (i / 16)) & 0x0F
}

/// The fifth bit of weight i, in place.
fn fifth_bit(bits: &[u8], i: usize) -> u8 {
    (bits[i / 8] >> (i % 8) & 1) << 4
}

/// d, 16 bytes of nibbles: w = d · (code − 8)
fn q4_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (i, w) in out.iter_mut().enumerate() {
        *w = d * f32::from(nibble(&block[2..], i) as i8 - 8);
    }
}

/// d, m, 16 bytes of nibbles: w = d · code + m
fn q4_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (i, w) in out.iter_mut().enumerate() {
        *w = d * f32::from(nibble(&block[4..], i)) + m;
    }
}

/// d, 4 bytes of fifth bits, 16 bytes of nibbles: w = d · (code − 16)
fn q5_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (i, w) in out.iter_mut().enumerate() {
        let code = nibble(&block[6..], i) | fifth_bit(&block[2..6], i);
        *w = d * f32::from(code as i8 - 16);
    }
}

/// d, m, 4 bytes of fifth bits, 16 bytes of nibbles: w = d · code + m
fn q5_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (i, w) in out.iter_mut().enumerate() {
        let code = nibble(&block[8..], i) | fifth_bit(&block[4..8], i);
        *w = d * f32::from(code) + m;
    }
}

/// d, 32 signed bytes: w = d · code
fn q8_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (w, &code) in out.iter_mut().zip(&block[2..]) {
        *w = d * f32::from(code as i8);
    }
}
