//! Codes of a byte with a scale a row: EETQ, LLM.int8. Their plain references are `expand` of `codec/eetq.rs` and
//! `codec/llm_int8.rs`.

use super::{scaled, Runs, RUN};
use crate::codec::{Codec, Coded};
use crate::cpu::simd::Simd;

#[derive(Clone, Copy)]
pub struct Scaled<'a> {
    codes: &'a [[u8; RUN]],
    scales: Scales<'a>,
    /// Of a row.
    runs: u32,
}

#[derive(Clone, Copy)]
enum Scales<'a> {
    /// f16
    Eetq(&'a [[u8; 2]]),
    /// 127 of them, in f32
    LlmInt8(&'a [[u8; 4]]),
}

impl<'a> Scaled<'a> {
    /// A matrix of such codes whose rows are whole runs.
    #[inline(always)]
    pub fn new(coded: Coded<'a>) -> Option<Scaled<'a>> {
        let columns = coded.extent.columns;
        let whole = columns > 0 && columns.is_multiple_of(RUN);
        let runs = u32::try_from(columns / RUN).ok().filter(|_| whole)?;
        let (codes, scales) = coded.bytes.split_at_checked(coded.extent.elements)?;
        let scales = match coded.codec {
            Codec::Eetq(_) => Scales::Eetq(scales.as_chunks().0),
            Codec::LlmInt8(_) => Scales::LlmInt8(scales.as_chunks().0),
            _ => return None,
        };
        Some(Scaled { codes: codes.as_chunks().0, scales, runs })
    }
}

impl Runs for Scaled<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S, run: usize) -> [S::Sixteen; 2] {
        let row = (run as u32 / self.runs) as usize;
        let scale = match self.scales {
            Scales::Eetq(scales) => s.half(scales[row]),
            Scales::LlmInt8(scales) => s.splat(f32::from_le_bytes(scales[row]) * (1.0 / 127.0)),
        };
        let codes = self.codes[run].as_chunks::<16>().0;
        [scaled(s, s.signed(s.bytes(&codes[0])), scale), scaled(s, s.signed(s.bytes(&codes[1])), scale)]
    }
}
