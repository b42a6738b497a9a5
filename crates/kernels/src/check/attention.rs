//! Reads and checks the attention layout: see `AttentionLayout` in packages/kernels/src/backend.ts.

use super::{compute_dtype, finite, matrix, same_shape, shape_is, vector, within};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::{AttentionShape, Segment};
use crate::store::Tensor;

/// Numbers of an attention call, as `backend::Attention` has them.
#[derive(Clone, Copy)]
pub struct AttentionInputs {
    pub head_dim: usize,
    pub scale: f64,
    pub window: usize,
    pub soft_cap: f64,
}

/// Takes the numbers of a layout one by one.
struct Reader<'a> {
    op: &'static str,
    numbers: std::iter::Enumerate<std::slice::Iter<'a, i32>>,
}

impl Reader<'_> {
    fn next(&mut self, what: &str) -> Result<usize> {
        let (at, &number) = self
            .numbers
            .next()
            .ok_or_else(|| KernelError::argument(self.op, format!("the layout ends where {what} should be")))?;
        usize::try_from(number).map_err(|_| {
            KernelError::range(self.op, format!("layout[{at}], {what}, is {number}, must not be negative"))
        })
    }

    /// A start and a length inside `rows`.
    fn range(&mut self, what: &str, rows: usize) -> Result<(usize, usize)> {
        let (start, length) = (self.next(what)?, self.next(what)?);
        if start + length > rows {
            let message = format!("{what} {start}+{length} of the layout ends after the last of {rows} rows");
            return Err(KernelError::range(self.op, message));
        }
        Ok((start, length))
    }

    fn segment(&mut self, queries: usize, keys: usize) -> Result<Segment> {
        let (query_start, query_length) = self.range("query range", queries)?;
        let count = self.next("number of key ranges")?;
        let ranges = (0..count).map(|_| self.range("key range", keys)).collect::<Result<Vec<_>>>()?;
        let visible: usize = ranges.iter().map(|range| range.1).sum();
        if visible < query_length {
            let message =
                format!("the layout gives {visible} keys to {query_length} queries; each sees at least itself");
            return Err(KernelError::argument(self.op, message));
        }
        Ok(Segment { query_start, query_length, ranges })
    }
}

fn segments(op: &'static str, layout: &[i32], queries: usize, keys: usize) -> Result<Vec<Segment>> {
    let mut reader = Reader { op, numbers: layout.iter().enumerate() };
    let mut segments = Vec::new();
    while reader.numbers.len() > 0 {
        segments.push(reader.segment(queries, keys)?);
    }
    each_query_once(op, &segments)?;
    segments.retain(|segment| segment.query_length > 0);
    Ok(segments)
}

fn each_query_once(op: &'static str, segments: &[Segment]) -> Result<()> {
    let mut ranges: Vec<_> = segments.iter().map(|s| (s.query_start, s.query_length)).filter(|r| r.1 > 0).collect();
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
        Some(pair) => Err(KernelError::argument(op, format!("the layout names query row {} twice", pair[1].0))),
        None => Ok(()),
    }
}

/// Heads of a matrix [rows, heads · headDim].
fn heads(op: &'static str, what: &str, columns: usize, head_dim: usize) -> Result<usize> {
    if head_dim == 0 || columns == 0 || !columns.is_multiple_of(head_dim) {
        let message = format!("{what} has {columns} columns, no whole number of heads of {head_dim}");
        return Err(KernelError::shape(op, message));
    }
    Ok(columns / head_dim)
}

/// `numbers` are those of `layout`. The dtype is that of q, k and v.
pub fn attention<B>(
    op: &'static str,
    [q, k, v, layout]: [&Tensor<B>; 4],
    numbers: &[i32],
    inputs: AttentionInputs,
) -> Result<(DType, Vec<Segment>, AttentionShape)> {
    let AttentionInputs { head_dim, scale, window, soft_cap } = inputs;
    let (queries, columns) = matrix(op, "q", q)?;
    let (keys, key_columns) = matrix(op, "k", k)?;
    same_shape(op, ["k", "v"], k, v)?;
    finite(op, "scale", scale)?;
    within(op, "softCap", soft_cap, 0.0, f64::INFINITY)?;
    vector(op, "layout", layout)?;
    let query_heads = heads(op, "q", columns, head_dim)?;
    let key_heads = heads(op, "k", key_columns, head_dim)?;
    if query_heads % key_heads != 0 {
        let message = format!("{query_heads} query heads cannot share {key_heads} key heads evenly");
        return Err(KernelError::shape(op, message));
    }
    let segments = segments(op, numbers, queries, keys)?;
    let shape = AttentionShape { queries, keys, query_heads, key_heads, head_dim, scale, window, soft_cap };
    Ok((compute_dtype(op, &[q, k, v])?, segments, shape))
}

/// The dtype of the backward pass; q, k and v have been checked.
pub fn attention_backward<B>([g, q, k, v, o, lse]: [&Tensor<B>; 6], shape: AttentionShape) -> Result<DType> {
    let op = "attentionBackward";
    same_shape(op, ["g", "q"], g, q)?;
    same_shape(op, ["o", "q"], o, q)?;
    shape_is(op, "lse", lse, &[shape.queries, shape.query_heads])?;
    compute_dtype(op, &[g, q, k, v, o, lse])
}
