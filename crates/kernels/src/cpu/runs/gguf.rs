//! GGUF's blocks of 32. The plain reference of each is the function of its name in `codec/gguf.rs`.

use super::{chosen, raised, rising, scaled, Runs, Table};
use crate::codec::gguf::IQ4_NL;
use crate::cpu::simd::Simd;

/// −8 … 7
const AROUND_ZERO: [f32; 16] = [-8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];

/// The low nibbles, then the high ones.
#[inline(always)]
fn nibbles<S: Simd>(s: S, codes: &[u8; 16]) -> [S::B; 2] {
    let codes = s.bytes(codes);
    [s.bits(codes, 0, 15), s.bits(codes, 4, 15)]
}

/// Nibbles with the fifth bits before them, less `offset`.
#[inline(always)]
fn five_bits<S: Simd>(s: S, nibbles: S::B, bits: [u8; 2], offset: u8) -> S::Sixteen {
    let fifth = s.bits(s.spread(u16::from_le_bytes(bits)), 0, 16);
    s.signed(s.plus(s.plus(nibbles, fifth), s.repeat(offset.wrapping_neg())))
}

#[derive(Clone, Copy)]
pub struct Q4_0<'a>(pub &'a [[u8; 18]]);

impl Runs for Q4_0<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let [d0, d1, codes @ ..] = &self.0[run];
        let (d, [low, high]) = (s.half([*d0, *d1]), nibbles(s, codes));
        if S::CHOOSES {
            return chosen(s, const { Table::of(&AROUND_ZERO) }, d, [low, high]);
        }
        let offset = s.repeat(8u8.wrapping_neg());
        [scaled(s, s.signed(s.plus(low, offset)), d), scaled(s, s.signed(s.plus(high, offset)), d)]
    }
}

#[derive(Clone, Copy)]
pub struct Q4_1<'a>(pub &'a [[u8; 20]]);

impl Runs for Q4_1<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let [d0, d1, m0, m1, codes @ ..] = &self.0[run];
        let (d, m) = (s.half([*d0, *d1]), s.half([*m0, *m1]));
        let [low, high] = nibbles(s, codes);
        [rising(s, low, d, m), rising(s, high, d, m)]
    }
}

#[derive(Clone, Copy)]
pub struct Q5_0<'a>(pub &'a [[u8; 22]]);

impl Runs for Q5_0<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let [d0, d1, b0, b1, b2, b3, codes @ ..] = &self.0[run];
        let (d, codes) = (s.half([*d0, *d1]), s.bytes(codes));
        let low = five_bits(s, s.bits(codes, 0, 15), [*b0, *b1], 16);
        let high = five_bits(s, s.bits(codes, 4, 15), [*b2, *b3], 16);
        [scaled(s, low, d), scaled(s, high, d)]
    }
}

#[derive(Clone, Copy)]
pub struct Q5_1<'a>(pub &'a [[u8; 24]]);

impl Runs for Q5_1<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let [d0, d1, m0, m1, b0, b1, b2, b3, codes @ ..] = &self.0[run];
        let (d, m, codes) = (s.half([*d0, *d1]), s.half([*m0, *m1]), s.bytes(codes));
        let low = five_bits(s, s.bits(codes, 0, 15), [*b0, *b1], 0);
        let high = five_bits(s, s.bits(codes, 4, 15), [*b2, *b3], 0);
        [raised(s, low, d, m), raised(s, high, d, m)]
    }
}

#[derive(Clone, Copy)]
pub struct Q8_0<'a>(pub &'a [[u8; 34]]);

impl Runs for Q8_0<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let [d0, d1, codes @ ..] = &self.0[run];
        let (d, codes) = (s.half([*d0, *d1]), codes.as_chunks::<16>().0);
        [scaled(s, s.signed(s.bytes(&codes[0])), d), scaled(s, s.signed(s.bytes(&codes[1])), d)]
    }
}

#[derive(Clone, Copy)]
pub struct Iq4Nl<'a>(pub &'a [[u8; 18]]);

impl Runs for Iq4Nl<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let [d0, d1, codes @ ..] = &self.0[run];
        chosen(s, const { Table::of(&IQ4_NL) }, s.half([*d0, *d1]), nibbles(s, codes))
    }
}
