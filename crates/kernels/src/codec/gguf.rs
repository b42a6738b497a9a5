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

/// What codes of IQ4_NL stand for.
pub const IQ4_NL: [f32; 16] =
    [-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0];

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

    /// Place in `ALL`, and runs and bytes of a block.
    pub fn place(self) -> (usize, usize, usize) {
        let (_, runs, bytes) = self.layout();
        (self as usize, runs, bytes)
    }

    #[inline(always)]
    fn expand_run(self, block: &[u8], run: usize, out: &mut [f32; RUN]) {
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

    /// Inlined, as all below, into callers that are compiled for more instructions.
    #[inline(always)]
    fn expand(&self, bytes: &[u8], _: Extent, start: usize, out: &mut [f32]) {
        let (_, runs, size) = self.layout();
        each_run(start, out, RUN, |at, out| {
            let run = at / RUN;
            let block = &bytes[run / runs * size..][..size];
            let mut whole = [0.0; RUN];
            self.expand_run(block, run % runs, &mut whole);
            out.copy_from_slice(&whole[at % RUN..][..out.len()]);
        });
    }
}

pub(super) fn half_at(block: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([block[offset], block[offset + 1]]).to_f32()
}

/// Low nibbles are weights 0 … 15, high nibbles 16 … 31.
#[inline(always)]
fn nibbles(codes: &[u8]) -> [u8; RUN] {
    let mut all = [0; RUN];
    let (low, high) = all.split_at_mut(RUN / 2);
    for ((low, high), code) in low.iter_mut().zip(high).zip(codes) {
        (*low, *high) = (code & 15, code >> 4);
    }
    all
}

/// Nibbles with the fifth bits before them.
#[inline(always)]
fn five_bits(bits: &[u8], codes: &[u8]) -> [u8; RUN] {
    let mut all = nibbles(codes);
    for (i, code) in all.iter_mut().enumerate() {
        *code |= (bits[i / 8] >> (i % 8) & 1) << 4;
    }
    all
}

/// d, 16 bytes of nibbles: w = d · (code − 8)
#[inline(always)]
fn q4_0(block: &[u8], out: &mut [f32; RUN]) {
    let d = half_at(block, 0);
    for (w, code) in out.iter_mut().zip(nibbles(&block[2..18])) {
        *w = d * f32::from(code as i8 - 8);
    }
}

/// d, m, 16 bytes of nibbles: w = d · code + m
#[inline(always)]
fn q4_1(block: &[u8], out: &mut [f32; RUN]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (w, code) in out.iter_mut().zip(nibbles(&block[4..20])) {
        *w = d * f32::from(code) + m;
    }
}

/// d, 4 bytes of fifth bits, 16 bytes of nibbles: w = d · (code − 16)
#[inline(always)]
fn q5_0(block: &[u8], out: &mut [f32; RUN]) {
    let d = half_at(block, 0);
    for (w, code) in out.iter_mut().zip(five_bits(&block[2..6], &block[6..22])) {
        *w = d * f32::from(code as i8 - 16);
    }
}

/// d, m, 4 bytes of fifth bits, 16 bytes of nibbles: w = d · code + m
#[inline(always)]
fn q5_1(block: &[u8], out: &mut [f32; RUN]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (w, code) in out.iter_mut().zip(five_bits(&block[4..8], &block[8..24])) {
        *w = d * f32::from(code) + m;
    }
}

/// d, 32 signed bytes: w = d · code
#[inline(always)]
fn q8_0(block: &[u8], out: &mut [f32; RUN]) {
    let d = half_at(block, 0);
    for (w, &code) in out.iter_mut().zip(&block[2..34]) {
        *w = d * f32::from(code as i8);
    }
}

/// d, 16 bytes of nibbles that choose from a table: w = d · value
#[inline(always)]
fn iq4_nl(block: &[u8], out: &mut [f32; RUN]) {
    let d = half_at(block, 0);
    for (w, code) in out.iter_mut().zip(nibbles(&block[2..18])) {
        *w = d * IQ4_NL[usize::from(code)];
    }
}
