//! GGUF block codecs → f32: blocks of 32 weights behind one or two half-precision numbers.
//! Source: ggml-quants.c (llama.cpp); equal bit for bit to `gguf.dequantize` of Python's gguf package.

use half::f16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
}

/// Weights of one block.
pub const BLOCK: usize = 32;

impl Codec {
    pub const ALL: [Codec; 5] = [Codec::Q4_0, Codec::Q4_1, Codec::Q5_0, Codec::Q5_1, Codec::Q8_0];

    pub fn name(self) -> &'static str {
        match self {
            Codec::Q4_0 => "q4_0",
            Codec::Q4_1 => "q4_1",
            Codec::Q5_0 => "q5_0",
            Codec::Q5_1 => "q5_1",
            Codec::Q8_0 => "q8_0",
        }
    }

    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Bytes of one block.
    pub fn size(self) -> usize {
        match self {
            Codec::Q4_0 => 18,
            Codec::Q4_1 => 20,
            Codec::Q5_0 => 22,
            Codec::Q5_1 => 24,
            Codec::Q8_0 => 34,
        }
    }

    /// `bytes` holds as many blocks as `out` has runs of 32.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        let decode_block = match self {
            Codec::Q4_0 => q4_0,
            Codec::Q4_1 => q4_1,
            Codec::Q5_0 => q5_0,
            Codec::Q5_1 => q5_1,
            Codec::Q8_0 => q8_0,
        };
        for (block, weights) in bytes.chunks_exact(self.size()).zip(out.chunks_exact_mut(BLOCK)) {
            decode_block(block, weights);
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
