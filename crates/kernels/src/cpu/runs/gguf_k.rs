//! GGUF's super-blocks of 256, eight runs each. The plain reference of each is the function of its name in
//! `codec/gguf_k.rs`.

use super::{lowered, rising, scaled, Runs};
use crate::codec::gguf_k::{q3_k_scale, six_bits};
use crate::cpu::simd::Simd;

/// Where two bits of the weights of a run lie: from which sixteen bytes on, and how far up.
#[inline(always)]
fn two_bits_at(run: usize) -> (usize, u32) {
    (run / 4 * 2, 2 * (run % 4) as u32)
}

/// As `two_bits_at`, of four bits.
#[inline(always)]
fn four_bits_at(run: usize) -> (usize, u32) {
    (run / 2 * 2, 4 * (run % 2) as u32)
}

#[derive(Clone, Copy)]
pub struct Q2K<'a>(pub &'a [[u8; 84]]);

impl Q2K<'_> {
    #[inline(always)]
    fn half<S: Simd>(s: S, block: &[u8; 84], run: usize, half: usize) -> S::Sixteen {
        let codes = block[16..80].as_chunks::<16>().0;
        let (d, dmin) = (s.half([block[80], block[81]]), s.half([block[82], block[83]]));
        let (from, shift) = two_bits_at(run);
        let scales = block[2 * run + half];
        let scale = s.mul(d, s.splat(f32::from(scales & 15)));
        let min = s.mul(dmin, s.splat(f32::from(scales >> 4)));
        lowered(s, s.signed(s.bits(s.bytes(&codes[from + half]), shift, 3)), scale, min)
    }
}

impl Runs for Q2K<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let (block, run) = (&self.0[run / 8], run % 8);
        [Self::half(s, block, run, 0), Self::half(s, block, run, 1)]
    }
}

#[derive(Clone, Copy)]
pub struct Q3K<'a>(pub &'a [[u8; 110]]);

impl Q3K<'_> {
    #[inline(always)]
    fn half<S: Simd>(s: S, block: &[u8; 110], run: usize, half: usize) -> S::Sixteen {
        let (thirds, codes) = (block[..32].as_chunks::<16>().0, block[32..96].as_chunks::<16>().0);
        let d = s.half([block[108], block[109]]);
        let (from, shift) = two_bits_at(run);
        let scale = s.mul(d, s.splat(q3_k_scale(&block[96..108], 2 * run + half)));
        let third = s.up(s.bits(s.bytes(&thirds[half]), run as u32, 1), 2);
        let code = s.plus(s.bits(s.bytes(&codes[from + half]), shift, 3), third);
        scaled(s, s.signed(s.plus(code, s.repeat(4u8.wrapping_neg()))), scale)
    }
}

impl Runs for Q3K<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let (block, run) = (&self.0[run / 8], run % 8);
        [Self::half(s, block, run, 0), Self::half(s, block, run, 1)]
    }
}

/// d · scale and dmin · min of a run.
#[inline(always)]
fn scale_and_min<S: Simd>(s: S, block: &[u8], run: usize) -> [S::V; 2] {
    let [scale, min] = six_bits(&block[4..16], run);
    let (d, dmin) = (s.half([block[0], block[1]]), s.half([block[2], block[3]]));
    [s.mul(d, s.splat(f32::from(scale))), s.mul(dmin, s.splat(f32::from(min)))]
}

#[derive(Clone, Copy)]
pub struct Q4K<'a>(pub &'a [[u8; 144]]);

impl Runs for Q4K<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let (block, run) = (&self.0[run / 8], run % 8);
        let codes = block[16..].as_chunks::<16>().0;
        let [scale, min] = scale_and_min(s, block, run);
        let (from, shift) = four_bits_at(run);
        let (first, second) = (s.bytes(&codes[from]), s.bytes(&codes[from + 1]));
        let (first, second) = (s.bits(first, shift, 15), s.bits(second, shift, 15));
        // x − min, zeros' signs included.
        let offset = s.mul(min, s.splat(-1.0));
        [rising(s, first, scale, offset), rising(s, second, scale, offset)]
    }
}

#[derive(Clone, Copy)]
pub struct Q5K<'a>(pub &'a [[u8; 176]]);

impl Q5K<'_> {
    #[inline(always)]
    fn half<S: Simd>(s: S, block: &[u8; 176], run: usize, half: usize) -> S::Sixteen {
        let (fifths, codes) = (block[16..48].as_chunks::<16>().0, block[48..].as_chunks::<16>().0);
        let [scale, min] = scale_and_min(s, block, run);
        let (from, shift) = four_bits_at(run);
        let fifth = s.up(s.bits(s.bytes(&fifths[half]), run as u32, 1), 4);
        let code = s.plus(s.bits(s.bytes(&codes[from + half]), shift, 15), fifth);
        lowered(s, s.signed(code), scale, min)
    }
}

impl Runs for Q5K<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let (block, run) = (&self.0[run / 8], run % 8);
        [Self::half(s, block, run, 0), Self::half(s, block, run, 1)]
    }
}

#[derive(Clone, Copy)]
pub struct Q6K<'a>(pub &'a [[u8; 210]]);

impl Q6K<'_> {
    #[inline(always)]
    fn half<S: Simd>(s: S, block: &[u8; 210], run: usize, half: usize) -> S::Sixteen {
        let (low, high) = (block[..128].as_chunks::<16>().0, block[128..192].as_chunks::<16>().0);
        let d = s.half([block[208], block[209]]);
        let (from, shift) = two_bits_at(run);
        let scale = s.mul(d, s.splat(f32::from(block[192 + 2 * run + half] as i8)));
        let low = s.bits(s.bytes(&low[run / 4 * 4 + run % 2 * 2 + half]), (run % 4 / 2 * 4) as u32, 15);
        let high = s.up(s.bits(s.bytes(&high[from + half]), shift, 3), 4);
        scaled(s, s.signed(s.plus(s.plus(low, high), s.repeat(32u8.wrapping_neg()))), scale)
    }
}

impl Runs for Q6K<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let (block, run) = (&self.0[run / 8], run % 8);
        [Self::half(s, block, run, 0), Self::half(s, block, run, 1)]
    }
}
