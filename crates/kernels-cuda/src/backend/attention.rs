//! Attention by a plan of its layout, which lies on the device and serves all layers of a step.

use kernels::backend::{Attend, Attention};
use kernels::check::{self, AttentionInputs};
use kernels::dtype::DType;
use kernels::error::{KernelError, Result};
use kernels::maths::{AttentionShape, Segment};
use kernels::store::Slot;
use std::rc::Rc;

use super::{single, Cuda, Tensored};
use crate::launch::{arg, blocks, Shape};
use crate::memory::Buffer;
use crate::sources::ATTENTION;

/// Of cu/attention.cu.
const WARPS: usize = 4;
const MOST_HEAD_DIM: usize = 512;

/// `Query`, key rows, and `Use` by key row, of cu/attention.cu.
struct Lists {
    queries: Vec<[i32; 2]>,
    keys: Vec<i32>,
    starts: Vec<i32>,
    uses: Vec<[i32; 4]>,
}

impl Lists {
    fn new(segments: &[Segment], queries: usize, key_rows: usize) -> Lists {
        let mut lists =
            Lists { queries: vec![[0, 0]; queries], keys: Vec::new(), starts: Vec::new(), uses: Vec::new() };
        let mut of_row: Vec<Vec<[i32; 4]>> = vec![Vec::new(); key_rows];
        for segment in segments {
            let first = lists.keys.len();
            lists.keys.extend(segment.ranges.iter().flat_map(|&(start, n)| start as i32..(start + n) as i32));
            let (count, length) = (lists.keys.len() - first, segment.query_length);
            let before = count - length;
            for i in 0..length {
                lists.queries[segment.query_start + i] = [first as i32, (before + 1 + i) as i32];
            }
            for (place, &row) in lists.keys[first..].iter().enumerate() {
                let places = [place, segment.query_start, length, before].map(|number| number as i32);
                of_row[row as usize].push(places);
            }
        }
        lists.starts.push(0);
        for uses in of_row {
            lists.uses.extend(uses);
            lists.starts.push(lists.uses.len() as i32);
        }
        lists
    }
}

/// `Lists` on the device, and the numbers of the call.
struct Plan {
    queries: Buffer,
    keys: Buffer,
    starts: Buffer,
    uses: Buffer,
}

struct Inputs {
    q: Tensored,
    k: Tensored,
    v: Tensored,
    plan: Rc<Plan>,
    shape: AttentionShape,
    dtype: DType,
}

/// head_dim, query_heads, key_heads, window, scale, cap
fn shape_arguments(shape: AttentionShape) -> [u64; 6] {
    let AttentionShape { query_heads, key_heads, head_dim, scale, window, soft_cap, .. } = shape;
    let window = arg::int(i32::try_from(window).unwrap_or(i32::MAX / 2).min(i32::MAX / 2));
    let [head_dim, query_heads, key_heads] = [head_dim, query_heads, key_heads].map(|n| arg::int(n as i32));
    [head_dim, query_heads, key_heads, window, arg::float(scale), arg::float(soft_cap)]
}

/// A warp for each task.
fn warps(tasks: usize) -> Shape {
    blocks(tasks.div_ceil(WARPS), 32 * WARPS as u32)
}

fn rows_fit(op: &'static str, shape: AttentionShape) -> Result<()> {
    if shape.head_dim > MOST_HEAD_DIM {
        let message = format!("heads of {} numbers; the cuda backend has room for {MOST_HEAD_DIM}", shape.head_dim);
        return Err(KernelError::shape(op, message));
    }
    Ok(())
}

impl Cuda {
    fn attention_plan(&self, op: &'static str, segments: &[Segment], shape: AttentionShape) -> Result<Plan> {
        let lists = Lists::new(segments, shape.queries, shape.keys);
        Ok(Plan {
            queries: self.sent(op, &lists.queries)?,
            keys: self.sent(op, &lists.keys)?,
            starts: self.sent(op, &lists.starts)?,
            uses: self.sent(op, &lists.uses)?,
        })
    }

    fn attention_inputs(&self, op: &'static str, inputs: Attention) -> Result<Inputs> {
        let Attention { head_dim, scale, window, soft_cap, .. } = inputs;
        let (q, k, v) = (self.get(op, inputs.q)?, self.get(op, inputs.k)?, self.get(op, inputs.v)?);
        let layout = self.get(op, inputs.layout)?;
        let numbers = self.integers(op, "layout", &layout)?;
        let options = AttentionInputs { head_dim, scale, window, soft_cap };
        let (dtype, segments, shape) = check::attention(op, [&q, &k, &v, &layout], &numbers, options)?;
        single(op, dtype)?;
        rows_fit(op, shape)?;
        let make = || self.attention_plan(op, &segments, shape);
        let plan = layout.storage().plan(&[shape.queries, shape.keys], make)?;
        Ok(Inputs { q, k, v, plan, shape, dtype })
    }
}

impl Attend for Cuda {
    fn attention(&mut self, inputs: Attention) -> Result<[Slot; 2]> {
        let op = "attention";
        let Inputs { q, k, v, plan, shape, dtype } = self.attention_inputs(op, inputs)?;
        single(op, dtype)?;
        let (o, lse) = (self.unset(op, q.shape())?, self.unset(op, &[shape.queries, shape.query_heads])?);
        let (q, k, v) = (self.reals(op, &q)?, self.reals(op, &k)?, self.reals(op, &v)?);
        let own = [q.at(), k.at(), v.at(), plan.queries.at(), plan.keys.at(), arg::int(shape.queries as i32)];
        let numbers = shape_arguments(shape);
        let mut arguments = [own.as_slice(), &numbers, &[o.at(), lse.at()]].concat();
        self.kernels.launch(op, &ATTENTION, "attention", warps(shape.queries * shape.query_heads), &mut arguments)?;
        self.keep_array(op, [o, lse])
    }

    fn attention_backward(&mut self, g: Slot, inputs: Attention, o: Slot, lse: Slot) -> Result<[Slot; 3]> {
        let op = "attentionBackward";
        let Inputs { q, k, v, plan, shape, .. } = self.attention_inputs(op, inputs)?;
        let (g, o, lse) = (self.get(op, g)?, self.get(op, o)?, self.get(op, lse)?);
        single(op, check::attention_backward([&g, &q, &k, &v, &o, &lse], shape)?)?;
        let (dq, dk) = (self.unset(op, q.shape())?, self.unset(op, k.shape())?);
        let dv = self.unset(op, v.shape())?;
        let tasks = shape.queries * shape.query_heads;
        let delta = self.scratch(op, 4 * tasks)?;
        let numbers = shape_arguments(shape);
        let [g, q, k, v, o, lse] = [&g, &q, &k, &v, &o, &lse].map(|x| self.reals(op, x));
        let (g, q, k, v, o, lse) = (g?, q?, k?, v?, o?, lse?);
        let own = [g.at(), q.at(), k.at(), v.at(), o.at(), lse.at(), plan.queries.at(), plan.keys.at()];
        let rest = [delta.at(), dq.at()];
        let mut arguments = [own.as_slice(), &[arg::int(shape.queries as i32)], &numbers, &rest].concat();
        self.kernels.launch(op, &ATTENTION, "attention_dq", warps(tasks), &mut arguments)?;
        let own = [g.at(), q.at(), k.at(), v.at(), lse.at(), delta.at(), plan.starts.at(), plan.uses.at()];
        let rest = [dk.at(), dv.at()];
        let mut arguments = [own.as_slice(), &[arg::int(shape.keys as i32)], &numbers, &rest].concat();
        self.kernels.launch(op, &ATTENTION, "attention_dkv", warps(shape.keys * shape.key_heads), &mut arguments)?;
        self.keep_array(op, [dq, dk, dv])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_listed_for_each_row_behind_it_and_used_by_both() {
        let segment =
            |query_start, ranges: &[(usize, usize)]| Segment { query_start, query_length: 2, ranges: ranges.to_vec() };
        let lists = Lists::new(&[segment(0, &[(0, 2)]), segment(2, &[(0, 2), (2, 2)])], 5, 4);
        assert_eq!(lists.keys, [0, 1, 0, 1, 2, 3]);
        assert_eq!(lists.queries, [[0, 1], [0, 2], [2, 3], [2, 4], [0, 0]]);
        assert_eq!(lists.starts, [0, 2, 4, 5, 6]);
        assert_eq!(lists.uses[1], [0, 2, 2, 2]);
    }
}
