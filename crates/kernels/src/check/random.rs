use super::{compute_dtype, finite, within};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::store::Tensor;

pub fn dropout<B>(x: &Tensor<B>, p: f64) -> Result<DType> {
    within("dropout", "p", p, 0.0, 1.0)?;
    compute_dtype("dropout", &[x])
}

/// The first and the last f32 in [low, high).
pub fn uniform(low: f64, high: f64) -> Result<[f32; 2]> {
    let op = "uniform";
    finite(op, "low", low)?;
    finite(op, "high", high)?;
    let (first, last) = (low as f32, (high as f32).next_down());
    if first > last {
        return Err(KernelError::argument(op, format!("no f32 lies in [{low}, {high})")));
    }
    Ok([first, last])
}

pub fn normal(mean: f64, std: f64) -> Result<()> {
    finite("normal", "mean", mean)?;
    within("normal", "std", std, 0.0, f64::INFINITY).map(drop)
}
