//! Attention by a plan of its layout, which lies on the device and serves all layers of a step.

use kernels::backend::{Attend, Attention};
use kernels::check::{self, AttentionInputs};
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

/// `Query`, key rows, and `Use` by key row, of cu/attention.cu; where the places of each use lie among all keys.
pub(super) struct Lists {
    queries: Vec<[i32; 2]>,
    pub keys: Vec<i32>,
    pub starts: Vec<i32>,
    uses: Vec<[i32; 4]>,
    pub places: Vec<i32>,
}

impl Lists {
    pub fn new(segments: &[Segment], queries: usize, key_rows: usize) -> Lists {
        let mut lists = Lists {
            queries: vec![[0, 0]; queries],
            keys: Vec::new(),
            starts: Vec::new(),
            uses: Vec::new(),
            places: Vec::new(),
        };
        let mut of_row: Vec<Vec<(i32, [i32; 4])>> = vec![Vec::new(); key_rows];
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
                of_row[row as usize].push(((first + place) as i32, places));
            }
        }
        lists.starts.push(0);
        for uses in of_row {
            lists.places.extend(uses.iter().map(|&(place, _)| place));
            lists.uses.extend(uses.iter().map(|&(_, place)| place));
            lists.starts.push(lists.uses.len() as i32);
        }
        lists
    }
}

/// `Lists` on the device.
struct Plan {
    queries: Buffer,
    keys: Buffer,
    starts: Buffer,
    uses: Buffer,
}

pub(super) struct Inputs {
    pub q: Tensored,
    pub k: Tensored,
    pub v: Tensored,
    layout: Tensored,
    pub segments: Vec<Segment>,
    pub shape: AttentionShape,
}

impl Inputs {
    /// What was made of the layout for `kind`, kept as long as the layout stays.
    pub fn plan<T: 'static>(&self, kind: usize, make: impl FnOnce() -> Result<T>) -> Result<Rc<T>> {
        self.layout.storage().plan(&[self.shape.queries, self.shape.keys, kind], make)
    }
}

/// head_dim, query_heads, key_heads, window, scale, cap
pub(super) fn shape_arguments(shape: AttentionShape) -> [u64; 6] {
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
        Ok(Inputs { q, k, v, layout, segments, shape })
    }

    fn plain(&mut self, op: &'static str, inputs: &Inputs) -> Result<[Slot; 2]> {
        let shape = inputs.shape;
        rows_fit(op, shape)?;
        let plan = inputs.plan(0, || self.attention_plan(op, &inputs.segments, shape))?;
        let (o, lse) = (self.unset(op, inputs.q.shape())?, self.unset(op, &[shape.queries, shape.query_heads])?);
        let (q, k, v) = (self.reals(op, &inputs.q)?, self.reals(op, &inputs.k)?, self.reals(op, &inputs.v)?);
        let own = [q.at(), k.at(), v.at(), plan.queries.at(), plan.keys.at(), arg::int(shape.queries as i32)];
        let numbers = shape_arguments(shape);
        let mut arguments = [own.as_slice(), &numbers, &[o.at(), lse.at()]].concat();
        self.kernels.launch(op, &ATTENTION, "attention", warps(shape.queries * shape.query_heads), &mut arguments)?;
        self.keep_array(op, [o, lse])
    }

    fn plain_backward(&mut self, op: &'static str, inputs: &Inputs, [g, o, lse]: [&Tensored; 3]) -> Result<[Slot; 3]> {
        let shape = inputs.shape;
        rows_fit(op, shape)?;
        let plan = inputs.plan(0, || self.attention_plan(op, &inputs.segments, shape))?;
        let Inputs { q, k, v, .. } = inputs;
        let (dq, dk, dv) = (self.unset(op, q.shape())?, self.unset(op, k.shape())?, self.unset(op, v.shape())?);
        let tasks = shape.queries * shape.query_heads;
        let delta = self.scratch(op, 4 * tasks)?;
        let numbers = shape_arguments(shape);
        let (g, o, lse) = (self.reals(op, g)?, self.reals(op, o)?, self.reals(op, lse)?);
        let (q, k, v) = (self.reals(op, q)?, self.reals(op, k)?, self.reals(op, v)?);
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

impl Attend for Cuda {
    fn attention(&mut self, inputs: Attention) -> Result<[Slot; 2]> {
        let op = "attention";
        let inputs = self.attention_inputs(op, inputs)?;
        match self.flash(inputs.shape) {
            Some(flash) => self.flash_forward(op, flash, &inputs),
            None => self.plain(op, &inputs),
        }
    }

    fn attention_backward(&mut self, g: Slot, inputs: Attention, o: Slot, lse: Slot) -> Result<[Slot; 3]> {
        let op = "attentionBackward";
        let inputs = self.attention_inputs(op, inputs)?;
        let (g, o, lse) = (self.get(op, g)?, self.get(op, o)?, self.get(op, lse)?);
        single(op, check::attention_backward([&g, &inputs.q, &inputs.k, &inputs.v, &o, &lse], inputs.shape)?)?;
        match self.flash(inputs.shape) {
            Some(flash) => self.flash_backward(op, flash, &inputs, [&g, &o, &lse]),
            None => self.plain_backward(op, &inputs, [&g, &o, &lse]),
        }
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
        assert_eq!(lists.places, [0, 2, 1, 3, 4, 5]);
    }
}
