//! Reading a tensor of any float dtype as the compute type.

use std::cell::Ref;
use std::ops::Deref;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::Compute;
use crate::check::shape_is;
use crate::codec::{Codec, Coded, Extent};
use crate::dtype::{DType, Element};
use crate::error::{KernelError, Result};
use crate::maths::Floats;
use crate::store::Tensor;
use crate::with_dtype;

/// All elements in another type.
pub fn convert<T: Element>(x: &Tensor, out: &mut [T]) {
    if x.dtype() == T::DTYPE {
        out.copy_from_slice(&x.view::<T>());
        return;
    }
    match (x.dtype(), T::DTYPE) {
        (DType::Coded(codec), DType::F32) => {
            Coded { codec, bytes: &x.bytes(), extent: x.extent() }.expand(0, bytemuck::cast_slice_mut(out));
        }
        (DType::Bf16, DType::F32) => x.view::<bf16>().convert_to_f32_slice(bytemuck::cast_slice_mut(out)),
        (DType::F16, DType::F32) => x.view::<f16>().convert_to_f32_slice(bytemuck::cast_slice_mut(out)),
        (DType::F32, DType::Bf16) => from_f32::<bf16>(&x.view::<f32>(), bytemuck::cast_slice_mut(out)),
        (DType::F32, DType::F16) => from_f32::<f16>(&x.view::<f32>(), bytemuck::cast_slice_mut(out)),
        _ => with_dtype!(x.dtype(), S => {
            for (to, from) in out.iter_mut().zip(x.view::<S>().iter()) {
                *to = T::narrow(from.widen());
            }
        }, codec => expand(Coded { codec, bytes: &x.bytes(), extent: x.extent() }, out)),
    }
}

fn from_f32<H>(values: &[f32], out: &mut [H])
where
    [H]: HalfFloatSliceExt,
{
    out.convert_from_f32_slice(values);
}

/// Through f32, in pieces that stay in a cache.
fn expand<T: Element>(weight: Coded, out: &mut [T]) {
    let mut values = [0.0f32; 1024];
    for (i, out) in out.chunks_mut(1024).enumerate() {
        weight.expand(i * 1024, &mut values[..out.len()]);
        out.iter_mut().zip(values).for_each(|(to, from)| *to = T::narrow(from.widen()));
    }
}

/// The elements of a tensor as `R`: borrowed where that is its dtype, else expanded.
pub enum View<'a, R> {
    Borrowed(Ref<'a, [R]>),
    Expanded(Vec<R>),
}

impl<R> Deref for View<'_, R> {
    type Target = [R];
    fn deref(&self) -> &[R] {
        match self {
            View::Borrowed(values) => values,
            View::Expanded(values) => values,
        }
    }
}

pub fn reals<'a, R: Compute>(op: &'static str, x: &'a Tensor) -> Result<View<'a, R>> {
    if x.dtype() == R::DTYPE {
        return Ok(View::Borrowed(x.view::<R>()));
    }
    let mut values = Vec::new();
    values
        .try_reserve_exact(x.len())
        .map_err(|_| KernelError::memory(op, format!("no memory to expand {}", x.describe())))?;
    values.resize(x.len(), R::zero());
    convert(x, &mut values);
    Ok(View::Expanded(values))
}

/// Keeps the memory of a stored matrix borrowed while maths expands it piece by piece.
pub enum Stored<'a, R> {
    Real(Ref<'a, [R]>),
    F32(Ref<'a, [f32]>),
    Bf16(Ref<'a, [bf16]>),
    F16(Ref<'a, [f16]>),
    Coded(Codec, Extent, Ref<'a, [u8]>),
}

impl<R: Compute> Stored<'_, R> {
    pub fn floats(&self) -> Floats<'_, R> {
        match self {
            Stored::Real(values) => Floats::Real(values),
            Stored::F32(values) => Floats::F32(values),
            Stored::Bf16(values) => Floats::Bf16(values),
            Stored::F16(values) => Floats::F16(values),
            Stored::Coded(codec, extent, bytes) => Floats::Coded(Coded { codec: *codec, bytes, extent: *extent }),
        }
    }
}

/// `x` is in a codec or of a float dtype no wider than `R` (`check::compute_dtype_with`).
pub fn stored<'a, R: Compute>(x: &'a Tensor) -> Stored<'a, R> {
    match x.dtype() {
        dtype if dtype == R::DTYPE => Stored::Real(x.view::<R>()),
        DType::Bf16 => Stored::Bf16(x.view::<bf16>()),
        DType::F16 => Stored::F16(x.view::<f16>()),
        DType::Coded(codec) => Stored::Coded(codec, x.extent(), x.bytes()),
        _ => Stored::F32(x.view::<f32>()),
    }
}

/// The element of a [1] tensor.
pub fn scalar<R: Compute>(op: &'static str, what: &str, x: &Tensor) -> Result<R> {
    shape_is(op, what, x, &[1])?;
    Ok(reals::<R>(op, x)?[0])
}
