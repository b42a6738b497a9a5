//! LLM.int8 (Dettmers et al. 2022) as bitsandbytes does it: each row of a weight in codes −127 … 127 of its largest
//! magnitude, w = code · absmax / 127. A linear layer quantises the rows of its activations too and multiplies integers;
//! columns of the activations with a number of at least `threshold` (0: none) are left out there and multiplied as floats.
//! Codes and absmax are those of bitsandbytes for the same f32 numbers, which it rounds to f16 first.
//!
//! Bytes: codes `[rows, columns]`, then absmax of each row as f32.

use half::f16;

use super::{absmax, each_run, f32_at, put_f32, Codec, Coded, Extent, Format, Values};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LlmInt8 {
    /// Bits of an f32.
    threshold: u32,
}

/// Columns whose products cannot leave an i32: 127² · 2¹⁷ < 2³¹.
const COLUMNS: usize = 1 << 17;

impl LlmInt8 {
    /// "llm_int8/6"
    pub fn from_name(name: &str) -> Option<LlmInt8> {
        let threshold: f32 = name.strip_prefix("llm_int8/")?.parse().ok()?;
        let sign = threshold.is_sign_positive() && threshold.is_finite();
        sign.then_some(LlmInt8 { threshold: threshold.to_bits() })
    }

    pub fn threshold(&self) -> f32 {
        f32::from_bits(self.threshold)
    }
}

impl Format for LlmInt8 {
    fn name(&self) -> String {
        format!("llm_int8/{}", self.threshold())
    }

    fn bytes(&self, extent: Extent) -> Option<usize> {
        (extent.columns <= COLUMNS).then(|| extent.elements.checked_add(4 * extent.rows())).flatten()
    }

    fn expand(&self, bytes: &[u8], Extent { elements, columns }: Extent, start: usize, out: &mut [f32]) {
        let (codes, scales) = bytes.split_at(elements);
        each_run(start, out, columns, |at, out| {
            let step = f32_at(scales, at / columns) * (1.0 / 127.0);
            out.iter_mut().zip(&codes[at..]).for_each(|(w, &code)| *w = f32::from(code as i8) * step);
        });
    }

    fn encode(&self, values: &Values, Extent { elements, columns }: Extent, out: &mut [u8]) -> bool {
        let (codes, scales) = out.split_at_mut(elements);
        let mut row = vec![0.0; columns];
        let rows = bytemuck::cast_slice_mut(codes).chunks_mut(columns.max(1)).enumerate();
        let most = rows.map(|(i, codes)| {
            values(i * columns, &mut row);
            row.iter_mut().for_each(|x| *x = to_half(*x));
            quantize(&row, codes)
        });
        put_f32(scales, most);
        true
    }
}

pub fn to_half(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

/// Codes of one row; returns its largest magnitude. A row of zeros has the codes 0: 0 · ∞ is no number, which casts to 0.
fn quantize(values: &[f32], codes: &mut [i8]) -> f32 {
    let most = absmax(values);
    // As torch divides a number by a tensor; the quotient would round some codes the other way.
    let factor = 1.0 / most * 127.0;
    codes.iter_mut().zip(values).for_each(|(code, x)| *code = (x * factor).round_ties_even() as i8);
    most
}

/// One row of activations: codes into `codes`; returns its largest magnitude below `threshold`, and adds the columns of
/// those at it to `outliers`. `values` are halves and are overwritten.
pub fn quantize_activations(values: &mut [f32], threshold: f32, codes: &mut [i8], outliers: &mut Vec<usize>) -> f32 {
    if threshold > 0.0 {
        for (column, x) in values.iter_mut().enumerate().filter(|(_, x)| x.abs() >= threshold) {
            *x = 0.0;
            outliers.push(column);
        }
    }
    quantize(values, codes)
}

/// 1/127², with the digits bitsandbytes has.
const PRODUCT: f32 = 6.200_124e-5;

/// A product of codes as the number it stands for.
pub fn product(integer: i32, row_scale: f32, column_scale: f32) -> f32 {
    integer as f32 * (row_scale * column_scale) * PRODUCT
}

/// A weight whose linear layer multiplies integers.
#[derive(Clone, Copy)]
pub struct RowCodes<'a> {
    /// `[rows, columns]`
    pub codes: &'a [i8],
    pub columns: usize,
    pub threshold: f32,
    scales: &'a [u8],
}

impl<'a> RowCodes<'a> {
    /// The weight, where it is in this codec.
    pub fn of(weight: &Coded<'a>) -> Option<RowCodes<'a>> {
        let Codec::LlmInt8(codec) = weight.codec else { return None };
        let (codes, scales) = weight.bytes.split_at(weight.extent.elements);
        let codes = bytemuck::cast_slice(codes);
        Some(RowCodes { codes, columns: weight.extent.columns, threshold: codec.threshold(), scales })
    }

    /// absmax of a row.
    pub fn scale(&self, row: usize) -> f32 {
        f32_at(self.scales, row)
    }

    pub fn get(&self, row: usize, column: usize) -> f32 {
        f32::from(self.codes[row * self.columns + column]) * (self.scale(row) * (1.0 / 127.0))
    }
}
