//! Reads and checks the attention layout: see `AttentionLayout` in packages/kernels/src/backend.ts.

use super::views::reals;
use super::{check, in_compute_dtype, integers, Compute, Host};
use crate::backend::{Attend, Attention};
use crate::error::{KernelError, Result};
use crate::maths::{AttentionShape, Segment};
use crate::store::{Slot, Tensor};

struct Inputs {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    segments: Vec<Segment>,
    shape: AttentionShape,
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

impl Host {
    fn attention_inputs(&self, op: &'static str, inputs: Attention) -> Result<Inputs> {
        let Attention { head_dim, scale, window, soft_cap, .. } = inputs;
        let (q, k, v) = (self.get(op, inputs.q)?, self.get(op, inputs.k)?, self.get(op, inputs.v)?);
        let layout = self.get(op, inputs.layout)?;
        let (queries, columns) = check::matrix(op, "q", &q)?;
        let (keys, key_columns) = check::matrix(op, "k", &k)?;
        check::same_shape(op, ["k", "v"], &k, &v)?;
        check::finite(op, "scale", scale)?;
        check::within(op, "softCap", soft_cap, 0.0, f64::INFINITY)?;
        check::vector(op, "layout", &layout)?;
        let query_heads = heads(op, "q", columns, head_dim)?;
        let key_heads = heads(op, "k", key_columns, head_dim)?;
        if query_heads % key_heads != 0 {
            let message = format!("{query_heads} query heads cannot share {key_heads} key heads evenly");
            return Err(KernelError::shape(op, message));
        }
        let segments = segments(op, &integers(op, "layout", &layout)?, queries, keys)?;
        let shape = AttentionShape { queries, keys, query_heads, key_heads, head_dim, scale, window, soft_cap };
        Ok(Inputs { q, k, v, segments, shape })
    }

    fn attention_in<R: Compute>(&mut self, inputs: &Inputs) -> Result<[Slot; 2]> {
        let op = "attention";
        let maths = R::maths(self, op)?;
        let Inputs { q, k, v, segments, shape } = inputs;
        let mut o = self.zeros::<R>(op, q.shape())?;
        let mut lse = self.zeros::<R>(op, &[shape.queries, shape.query_heads])?;
        if !segments.is_empty() {
            let (q, k, v) = (reals(op, q)?, reals(op, k)?, reals(op, v)?);
            maths.attention(&q, &k, &v, segments, *shape, o.view_mut(), lse.view_mut());
        }
        self.keep_array(op, [o, lse])
    }

    fn attention_backward_in<R: Compute>(
        &mut self,
        g: &Tensor,
        inputs: &Inputs,
        o: &Tensor,
        lse: &Tensor,
    ) -> Result<[Slot; 3]> {
        let op = "attentionBackward";
        let maths = R::maths(self, op)?;
        let Inputs { q, k, v, segments, shape } = inputs;
        let mut dq = self.zeros::<R>(op, q.shape())?;
        let mut dk = self.zeros::<R>(op, k.shape())?;
        let mut dv = self.zeros::<R>(op, v.shape())?;
        if !segments.is_empty() {
            let (q, k, v) = (reals(op, q)?, reals(op, k)?, reals(op, v)?);
            let (g, o, lse) = (reals(op, g)?, reals(op, o)?, reals(op, lse)?);
            let (dq, dk, dv) = (dq.view_mut(), dk.view_mut(), dv.view_mut());
            maths.attention_backward(&g, &q, &k, &v, &o, &lse, segments, *shape, dq, dk, dv);
        }
        self.keep_array(op, [dq, dk, dv])
    }
}

impl Attend for Host {
    fn attention(&mut self, inputs: Attention) -> Result<[Slot; 2]> {
        let inputs = self.attention_inputs("attention", inputs)?;
        in_compute_dtype!(self, "attention", [&inputs.q, &inputs.k, &inputs.v], attention_in(&inputs))
    }

    fn attention_backward(&mut self, g: Slot, inputs: Attention, o: Slot, lse: Slot) -> Result<[Slot; 3]> {
        let op = "attentionBackward";
        let inputs = self.attention_inputs(op, inputs)?;
        let (g, o, lse) = (self.get(op, g)?, self.get(op, o)?, self.get(op, lse)?);
        check::same_shape(op, ["g", "q"], &g, &inputs.q)?;
        check::same_shape(op, ["o", "q"], &o, &inputs.q)?;
        check::shape_is(op, "lse", &lse, &[inputs.shape.queries, inputs.shape.query_heads])?;
        let floats = [&g, &inputs.q, &inputs.k, &inputs.v, &o, &lse];
        let [a, b, c, d, e, f] = floats;
        in_compute_dtype!(self, op, [a, b, c, d, e, f], attention_backward_in(&g, &inputs, &o, &lse))
    }
}
