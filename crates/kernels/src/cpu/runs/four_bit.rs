//! bitsandbytes' 4-bit codes. The plain reference is `expand` of `codec/four_bit.rs`.

use super::{chosen, Runs, Table, RUN};
use crate::codec::four_bit::Parts;
use crate::cpu::simd::Simd;

#[derive(Clone, Copy)]
pub struct Nibbles<'a> {
    parts: Parts<'a>,
    table: Table,
    codes: &'a [[u8; 16]],
}

impl<'a> Nibbles<'a> {
    /// Blocks are whole runs.
    pub fn new(parts: Parts<'a>) -> Nibbles<'a> {
        Nibbles { parts, table: Table::of(parts.table), codes: parts.codes.as_chunks().0 }
    }
}

impl Runs for Nibbles<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let codes = s.bytes(&self.codes[run]);
        let scale = s.splat(self.parts.scale_at(run * RUN));
        chosen(s, self.table, scale, s.alternate(s.bits(codes, 4, 15), s.bits(codes, 0, 15)))
    }
}
