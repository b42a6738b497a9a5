use super::{compute_dtype_with, matrix, positive, same_shape, shape_is, within};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::store::Tensor;

/// Rows with this label count for nothing.
pub const IGNORED: i32 = -100;

/// Of a head h `[N,D]` · w `[V,D]`.
#[derive(Clone, Copy)]
pub struct HeadShape {
    pub d: usize,
    pub vocab: usize,
    pub soft_cap: f64,
    pub dtype: DType,
}

fn labels_in(op: &'static str, labels: &[i32], vocab: usize) -> Result<()> {
    let fits = |&label: &i32| label == IGNORED || usize::try_from(label).is_ok_and(|label| label < vocab);
    match labels.iter().position(|label| !fits(label)) {
        Some(at) => {
            let message = format!("labels[{at}] is {}, must be {IGNORED} or 0 … {}", labels[at], vocab - 1);
            Err(KernelError::range(op, message))
        }
        None => Ok(()),
    }
}

/// `values` are those of `labels`.
pub fn head<B>(op: &'static str, [h, w, labels]: [&Tensor<B>; 3], values: &[i32], soft_cap: f64) -> Result<HeadShape> {
    let (n, d) = matrix(op, "h", h)?;
    let (vocab, columns) = matrix(op, "w", w)?;
    positive(op, "the row length", d)?;
    positive(op, "the vocabulary", vocab)?;
    if columns != d {
        let message = format!("h {:?} and w {:?} must have rows of one length", h.shape(), w.shape());
        return Err(KernelError::shape(op, message));
    }
    shape_is(op, "labels", labels, &[n])?;
    labels_in(op, values, vocab)?;
    let soft_cap = within(op, "softCap", soft_cap, 0.0, f64::INFINITY)?;
    Ok(HeadShape { d, vocab, soft_cap, dtype: compute_dtype_with(op, &[h], w)? })
}

/// The dtype of the backward pass; the head has been checked.
pub fn log_prob_backward<B>([g, h, w, labels, lse]: [&Tensor<B>; 5]) -> Result<DType> {
    let op = "linearLogProbBackward";
    same_shape(op, ["g", "labels"], g, labels)?;
    same_shape(op, ["lse", "labels"], lse, labels)?;
    compute_dtype_with(op, &[g, h, lse], w)
}
