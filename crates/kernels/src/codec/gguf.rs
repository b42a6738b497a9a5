//! GGUF block codecs: blocks of 32 weights behind one or two half-precision numbers, and the k-quants. Read, not written.
//! Source: ggml-quants.c (llama.cpp); equal bit for bit to `gguf.dequantize` of Python's gguf package.

use half::f16;

use super::{each_run, gguf_k, Extent, Format};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocks {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Iq4Nl,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

/// Weights that are expanded at a time: a block, or the eighth of a super-block of 256.
const RUN: usize = 32;

impl Blocks {
    pub const ALL: [Blocks; 11] = [
        Blocks::Q4_0,
        Blocks::Q4_1,
        Blocks::Q5_0,
        Blocks::Q5_1,
        Blocks::Q8_0,
        Blocks::Iq4Nl,
        Blocks::Q2K,
        Blocks::Q3K,
        Blocks::Q4K,
        Blocks::Q5K,
        Blocks::Q6K,
    ];

    pub fn from_name(name: &str) -> Option<Blocks> {
        Blocks::ALL.into_iter().find(|blocks| blocks.name() == name)
    }

    /// Name, runs and bytes of a block.
    fn layout(self) -> (&'static str, usize, usize) {
        match self {
            Blocks::Q4_0 => ("q4_0", 1, 18),
            Blocks::Q4_1 => ("q4_1", 1, 20),
            Blocks::Q5_0 => ("q5_0", 1, 22),
            Blocks::Q5_1 => ("q5_1", 1, 24),
            Blocks::Q8_0 => ("q8_0", 1, 34),
            Blocks::Iq4Nl => ("iq4_nl", 1, 18),
            Blocks::Q2K => ("q2_k", 8, 84),
            Blocks::Q3K => ("q3_k", 8, 110),
            Blocks::Q4K => ("q4_k", 8, 144),
            Blocks::Q5K => ("q5_k", 8, 176),
            Blocks::Q6K => ("q6_k", 8, 210),
        }
    }

    fn expand_run(self, block: &[u8], run: usize, out: &mut [f32]) {
        match self {
            Blocks::Q4_0 => q4_0(block, out),
            Blocks::Q4_1 => q4_1(block, out),
            Blocks::Q5_0 => q5_0(block, out),
            Blocks::Q5_1 => q5_1(block, out),
            Blocks::Q8_0 => q8_0(block, out),
            Blocks::Iq4Nl => iq4_nl(block, out),
            Blocks::Q2K => gguf_k::q2_k(block, run, out),
            Blocks::Q3K => gguf_k::q3_k(block, run, out),
            Blocks::Q4K => gguf_k::q4_k(block, run, out),
            Blocks::Q5K => gguf_k::q5_k(block, run, out),
            Blocks::Q6K => gguf_k::q6_k(block, run, out),
        }
    }
}

impl Format for Blocks {
    fn name(&self) -> String {
        self.layout().0.into()
    }

    fn bytes(&self, extent: Extent) -> Option<usize> {
        let (_, runs, bytes) = self.layout();
        let weights = runs * RUN;
        extent.columns.is_multiple_of(weights).then(|| (extent.elements / weights).checked_mul(bytes))?
    }

    fn expand(&self, bytes: &[u8], _: Extent, start: usize, out: &mut [f32]) {
        let (_, runs, size) = self.layout();
        each_run(start, out, RUN, |at, out| {
            let run = at / RUN;
            let block = &bytes[run / runs * size..][..size];
            if out.len() == RUN {
                self.expand_run(block, run % runs, out);
            } else {
                let mut whole = [0.0; RUN];
                self.expand_run(block, run % runs, &mut whole);
                out.copy_from_slice(&whole[at % RUN..][..out.len()]);
            }
        });
    }
}

pub(super) fn half_at(block: &[u8], offset: usize) -> f32 {
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

/// d, 16 bytes of nibbles that choose from a table: w = d · value
fn iq4_nl(block: &[u8], out: &mut [f32]) {
    const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    let d = half_at(block, 0);
    for (i, w) in out.iter_mut().enumerate() {
        *w = d * f32::from(VALUES[usize::from(nibble(&block[2..], i))]);
    }
}
