//! EETQ's int8 (NetEase Fuxi; `symmetric_quantize` of FasterTransformer): w = code · scale of its row, an output channel.
//! scale = max |w| / 128, so that the largest positive number is clamped to 127 of them. Codes belong to the scale in f32,
//! which is kept as f16. EETQ stores Wᵀ with 128 added, in the order its GPU kernel wants, and takes a NaN for 127; here
//! codes lie as in W, and a NaN spoils its row.
//!
//! Bytes: codes, row-major, one a byte; then scales as f16, one a row.

use half::f16;

use super::gguf::half_at;
use super::{absmax, each_run, Extent, Format, Values};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Eetq;

impl Eetq {
    pub fn from_name(name: &str) -> Option<Eetq> {
        (name == "eetq").then_some(Eetq)
    }
}

impl Format for Eetq {
    fn name(&self) -> String {
        "eetq".into()
    }

    fn bytes(&self, extent: Extent) -> Option<usize> {
        Some(extent.elements + 2 * extent.rows())
    }

    fn expand(&self, bytes: &[u8], extent: Extent, start: usize, out: &mut [f32]) {
        let (codes, scales) = bytes.split_at(extent.elements);
        each_run(start, out, extent.columns, |at, out| {
            let scale = half_at(scales, 2 * (at / extent.columns));
            for (w, &code) in out.iter_mut().zip(&codes[at..]) {
                *w = f32::from(code as i8) * scale;
            }
        });
    }

    fn encode(&self, values: &Values, extent: Extent, out: &mut [u8]) -> bool {
        let (codes, scales) = out.split_at_mut(extent.elements);
        let columns = extent.columns.max(1);
        let mut row = vec![0.0; columns];
        for (i, (codes, bytes)) in codes.chunks_mut(columns).zip(scales.chunks_exact_mut(2)).enumerate() {
            values(i * columns, &mut row);
            let scale = absmax(&row) / 128.0;
            for (code, w) in codes.iter_mut().zip(&row) {
                // Halves away from zero; 0/0 in a row of zeros becomes 0.
                *code = (w / scale).round().clamp(-128.0, 127.0) as i8 as u8;
            }
            bytes.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        }
        true
    }
}
