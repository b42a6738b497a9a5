//! Checks of arguments, each with a message that names the op, what was wanted and what came. They ask nothing of where
//! a tensor's memory lies: every backend that works on slots calls these and only these.

mod attention;
mod elementwise;
mod layers;
mod losses;
mod memory;
mod optimizers;
mod random;
mod rotations;
mod rows;

pub use attention::{attention, attention_backward, AttentionInputs};
pub use elementwise::{accumulate, argmax, binary, fill, fitting, scale, scale_by, soft_cap, sum_rows};
pub use layers::{
    add_rms_norm, add_rms_norm_backward, gated, gated_backward, groups, matmul, matmul_into, matmul_low_rank, rms_norm,
    rms_norm_backward, rope, rope_table, two, Product,
};
pub use losses::{head, log_prob_backward, HeadShape, IGNORED};
pub use memory::{bytes_fit, reshape};
pub use optimizers::{adafactor, adamw, adamw_8bit, clip_factor, control, group, lion, sgd, Group, Rounds, State};
pub use random::{dropout, normal, uniform};
pub use rotations::{cayley_blocks, matmul_blocks, permutation, permute_columns, skew_blocks, skew_blocks_backward};
pub use rows::{join_columns, scatter_add_rows, split_columns, svd, take_rows, write_rows};

use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::store::Tensor;

/// f64 where an input is f64, else f32; all inputs must be floats.
pub fn compute_dtype<B>(op: &'static str, inputs: &[&Tensor<B>]) -> Result<DType> {
    for x in inputs {
        if !x.dtype().is_float() {
            return Err(KernelError::dtype(op, format!("needs float tensors, got {}", x.describe())));
        }
    }
    let any_f64 = inputs.iter().any(|x| x.dtype() == DType::F64);
    Ok(if any_f64 { DType::F64 } else { DType::F32 })
}

/// As `compute_dtype`, for an op that expands its weight piece by piece: that one may be in a codec.
pub fn compute_dtype_with<B>(op: &'static str, inputs: &[&Tensor<B>], weight: &Tensor<B>) -> Result<DType> {
    match weight.dtype() {
        DType::Coded(_) => compute_dtype(op, inputs),
        _ => compute_dtype(op, &[inputs, &[weight]].concat()),
    }
}

/// In-place outputs are not converted: they must have the compute dtype.
pub fn dtype_is<B>(op: &'static str, what: &str, x: &Tensor<B>, dtype: DType) -> Result<()> {
    if x.dtype() != dtype {
        let message = format!("{what} must be {}, got {}", dtype.name(), x.describe());
        return Err(KernelError::dtype(op, message));
    }
    Ok(())
}

pub fn same_shape<B>(op: &'static str, names: [&str; 2], a: &Tensor<B>, b: &Tensor<B>) -> Result<()> {
    if a.shape() != b.shape() {
        let [first, second] = names;
        let message = format!("{first} {:?} and {second} {:?} must have one shape", a.shape(), b.shape());
        return Err(KernelError::shape(op, message));
    }
    Ok(())
}

pub fn shape_is<B>(op: &'static str, what: &str, x: &Tensor<B>, shape: &[usize]) -> Result<()> {
    if x.shape() != shape {
        return Err(KernelError::shape(op, format!("{what} must be {shape:?}, got {:?}", x.shape())));
    }
    Ok(())
}

pub fn matrix<B>(op: &'static str, what: &str, x: &Tensor<B>) -> Result<(usize, usize)> {
    match *x.shape() {
        [rows, columns] => Ok((rows, columns)),
        _ => Err(KernelError::shape(op, format!("{what} must have 2 axes, got {:?}", x.shape()))),
    }
}

pub fn vector<B>(op: &'static str, what: &str, x: &Tensor<B>) -> Result<usize> {
    match *x.shape() {
        [length] => Ok(length),
        _ => Err(KernelError::shape(op, format!("{what} must have 1 axis, got {:?}", x.shape()))),
    }
}

pub fn positive(op: &'static str, what: &str, extent: usize) -> Result<usize> {
    if extent == 0 {
        return Err(KernelError::shape(op, format!("{what} must be at least 1, got 0")));
    }
    Ok(extent)
}

pub fn finite(op: &'static str, what: &str, value: f64) -> Result<f64> {
    if !value.is_finite() {
        return Err(KernelError::argument(op, format!("{what} must be finite, got {value}")));
    }
    Ok(value)
}

/// A finite number in [low, high).
pub fn within(op: &'static str, what: &str, value: f64, low: f64, high: f64) -> Result<f64> {
    if !(value >= low && value < high) {
        let message = format!("{what} must be in [{low}, {high}), got {value}");
        return Err(KernelError::argument(op, message));
    }
    Ok(value)
}

/// Every id in 0 … rows − 1.
pub fn ids_in(op: &'static str, what: &str, ids: &[i32], rows: usize) -> Result<()> {
    let outside = ids.iter().position(|&id| usize::try_from(id).map_or(true, |id| id >= rows));
    match outside {
        Some(at) => {
            Err(KernelError::range(op, format!("{what}[{at}] is {}, must be 0 … {}", ids[at], rows as i64 - 1)))
        }
        None => Ok(()),
    }
}

/// An in-place output must not lie on the memory of an input.
pub fn apart<B>(op: &'static str, names: [&str; 2], output: &Tensor<B>, input: &Tensor<B>) -> Result<()> {
    if output.shares_memory_with(input) {
        let [output, input] = names;
        return Err(KernelError::argument(op, format!("{output} shares memory with {input}")));
    }
    Ok(())
}

/// i32 tensors hold ids, labels, positions and layouts.
pub fn integers<B>(op: &'static str, what: &str, x: &Tensor<B>) -> Result<()> {
    if x.dtype() != DType::I32 {
        return Err(KernelError::dtype(op, format!("{what} must be i32, got {}", x.describe())));
    }
    Ok(())
}
