use super::{apart, compute_dtype, dtype_is, finite, matrix, same_shape, shape_is, within};
use crate::dtype::{DType, Element};
use crate::error::{KernelError, Result};
use crate::store::Tensor;
use crate::with_dtype;

/// `value` as an element of x; an integer tensor holds only values of its own.
pub fn fitting<T: Element>(dtype: DType, value: f64) -> Result<T> {
    let element = T::narrow(value);
    if !T::DTYPE.is_float() && element.widen() != value {
        return Err(KernelError::argument("fill", format!("{value} is no {}", dtype.name())));
    }
    Ok(element)
}

/// The bytes of one element of x that holds `value`.
pub fn fill<B>(x: &Tensor<B>, value: f64) -> Result<Vec<u8>> {
    with_dtype!(x.dtype(), T => {
        Ok(bytemuck::bytes_of(&fitting::<T>(x.dtype(), value)?).to_vec())
    }, codec => Err(KernelError::dtype("fill", format!("a {} weight cannot be written", codec.name()))))
}

/// Same shapes, or b [D] over the rows of a […, D].
pub fn binary<B>(a: &Tensor<B>, b: &Tensor<B>) -> Result<DType> {
    let row = b.shape().len() == 1 && a.shape().last() == b.shape().first();
    if a.shape() != b.shape() && !row {
        let message = format!("b {:?} must have the shape of a {:?} or of its rows", b.shape(), a.shape());
        return Err(KernelError::shape("binary", message));
    }
    compute_dtype("binary", &[a, b])
}

pub fn scale<B>(x: &Tensor<B>, factor: f64) -> Result<DType> {
    finite("scale", "factor", factor)?;
    compute_dtype("scale", &[x])
}

pub fn scale_by<B>(x: &Tensor<B>, s: &Tensor<B>) -> Result<DType> {
    compute_dtype("scaleBy", &[s])?;
    shape_is("scaleBy", "s", s, &[1])?;
    compute_dtype("scaleBy", &[x, s])
}

pub fn soft_cap<B>(x: &Tensor<B>, cap: f64) -> Result<DType> {
    within("softCap", "cap", cap, f64::from(f32::MIN_POSITIVE), f64::INFINITY)?;
    compute_dtype("softCap", &[x])
}

pub fn accumulate<B>(acc: &Tensor<B>, x: &Tensor<B>, factor: f64) -> Result<DType> {
    let op = "accumulate";
    finite(op, "factor", factor)?;
    same_shape(op, ["acc", "x"], acc, x)?;
    apart(op, ["acc", "x"], acc, x)?;
    let dtype = compute_dtype(op, &[acc, x])?;
    dtype_is(op, "acc", acc, dtype)?;
    Ok(dtype)
}

/// The dtype and the columns.
pub fn sum_rows<B>(x: &Tensor<B>) -> Result<(DType, usize)> {
    let (_, d) = matrix("sumRows", "x", x)?;
    Ok((compute_dtype("sumRows", &[x])?, d))
}

/// The dtype and the columns.
pub fn argmax<B>(x: &Tensor<B>) -> Result<(DType, usize)> {
    let op = "argmax";
    let (_, d) = matrix(op, "x", x)?;
    if !(1..=i32::MAX as usize).contains(&d) {
        return Err(KernelError::shape(op, format!("rows of x {:?} must have 1 … 2³¹ − 1 columns", x.shape())));
    }
    Ok((compute_dtype(op, &[x])?, d))
}
