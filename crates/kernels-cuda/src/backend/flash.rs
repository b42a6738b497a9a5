//! Attention on tensor cores, where products may be of 16 bits and a block's shared memory holds its tiles.

use kernels::error::Result;
use kernels::maths::{AttentionShape, Segment};
use kernels::store::Slot;

use super::attention::{shape_arguments, Inputs, Lists};
use super::{Cuda, Half, Tensored};
use crate::launch::{arg, blocks, over, Shape};
use crate::memory::Buffer;
use crate::sources::{Source, FLASH, FLASH_F16};

/// Keys, or queries, that a tile meets at a time, and the padding of rows: as in cu/flash.cu.
const STEP: usize = 32;
const PAD: usize = 8;
/// Keys of a tile of `flash_dkv`.
const KEY_ROWS: usize = 32;

/// The kernels of a head size.
pub struct Flash {
    head_dim: usize,
    /// Query rows of a tile.
    rows: usize,
    forward: &'static str,
    queries: &'static str,
    keys: &'static str,
}

const SIZES: [Flash; 4] = [
    Flash { head_dim: 64, rows: 64, forward: "flash_64", queries: "flash_dq_64", keys: "flash_dkv_64" },
    Flash { head_dim: 96, rows: 64, forward: "flash_96", queries: "flash_dq_96", keys: "flash_dkv_96" },
    Flash { head_dim: 128, rows: 64, forward: "flash_128", queries: "flash_dq_128", keys: "flash_dkv_128" },
    Flash { head_dim: 256, rows: 32, forward: "flash_256", queries: "flash_dq_256", keys: "flash_dkv_256" },
];

/// Shared memory of matrices, each on a boundary of 128 bytes.
fn sum(bytes: &[usize]) -> usize {
    bytes.iter().map(|bytes| bytes.next_multiple_of(128)).sum()
}

impl Flash {
    fn halves(&self, rows: usize) -> usize {
        2 * rows * (self.head_dim + PAD)
    }

    fn sums(&self, rows: usize) -> usize {
        4 * rows * (self.head_dim + 4)
    }

    fn forward_bytes(&self) -> usize {
        let (own, met) = (self.halves(self.rows), self.halves(STEP));
        sum(&[own, met, met, scores(self.rows), weights(self.rows), self.sums(self.rows)])
    }

    fn queries_bytes(&self) -> usize {
        let (own, met, scores) = (self.halves(self.rows), self.halves(STEP), scores(self.rows));
        sum(&[own, own, met, met, scores, scores, weights(self.rows), self.sums(self.rows)])
    }

    fn keys_bytes(&self) -> usize {
        let (own, met, scores, weights) =
            (self.halves(KEY_ROWS), self.halves(STEP), scores(KEY_ROWS), weights(KEY_ROWS));
        let sums = self.sums(KEY_ROWS);
        sum(&[own, own, met, met, scores, scores, weights, weights, sums, sums])
    }
}

fn scores(rows: usize) -> usize {
    4 * rows * (STEP + 4)
}

fn weights(rows: usize) -> usize {
    2 * rows * (STEP + PAD)
}

/// `QueryTile` and `KeyTile` of cu/flash.cu, and the places of each key row.
struct Plan {
    queries: Buffer,
    query_tiles: usize,
    keys: Buffer,
    key_tiles: usize,
    list: Buffer,
    starts: Buffer,
    places: Buffer,
    count: usize,
}

/// A launch of a tile and head a block, two threads a row.
fn tiles(count: usize, heads: usize, rows: usize, shared: usize) -> Shape {
    Shape { grid: [count as u32, heads as u32, 1], block: 2 * rows as u32, shared: shared as u32 }
}

fn query_tiles(segments: &[Segment], rows: usize) -> Vec<[i32; 4]> {
    let mut first = 0;
    let mut tiles = Vec::new();
    for Segment { query_start, query_length, ranges } in segments {
        let count: usize = ranges.iter().map(|range| range.1).sum();
        for start in (0..*query_length).step_by(rows) {
            let (row, many) = (query_start + start, rows.min(query_length - start));
            tiles.push([row, many, first, count - query_length + 1 + start].map(|number| number as i32));
        }
        first += count;
    }
    tiles
}

fn key_tiles(segments: &[Segment]) -> Vec<[i32; 6]> {
    let mut first = 0;
    let mut tiles = Vec::new();
    for Segment { query_start, query_length, ranges } in segments {
        let count: usize = ranges.iter().map(|range| range.1).sum();
        for inner in (0..count).step_by(KEY_ROWS) {
            let (many, before) = (KEY_ROWS.min(count - inner), count - query_length);
            let numbers = [first + inner, many, inner, *query_start, *query_length, before];
            tiles.push(numbers.map(|number| number as i32));
        }
        first += count;
    }
    tiles
}

impl Cuda {
    /// The kernels for a shape, where they may be taken.
    pub(super) fn flash(&self, shape: AttentionShape) -> Option<&'static Flash> {
        let fits = |flash: &&Flash| {
            let most = flash.forward_bytes().max(flash.queries_bytes()).max(flash.keys_bytes());
            flash.head_dim == shape.head_dim && most <= self.device.shared_memory
        };
        let heads = shape.query_heads < 1 << 16;
        SIZES.iter().find(fits).filter(|_| self.half.is_some() && heads)
    }

    fn flash_source(&self) -> &'static Source {
        if self.half == Some(Half::F16) {
            &FLASH_F16
        } else {
            &FLASH
        }
    }

    fn flash_plan(&self, op: &'static str, flash: &Flash, inputs: &Inputs) -> Result<Plan> {
        let AttentionShape { queries, keys, .. } = inputs.shape;
        let lists = Lists::new(&inputs.segments, queries, keys);
        let (of_queries, of_keys) = (query_tiles(&inputs.segments, flash.rows), key_tiles(&inputs.segments));
        Ok(Plan {
            queries: self.sent(op, &of_queries)?,
            query_tiles: of_queries.len(),
            keys: self.sent(op, &of_keys)?,
            key_tiles: of_keys.len(),
            list: self.sent(op, &lists.keys)?,
            starts: self.sent(op, &lists.starts)?,
            places: self.sent(op, &lists.places)?,
            count: lists.keys.len(),
        })
    }

    pub(super) fn flash_forward(&mut self, op: &'static str, flash: &Flash, inputs: &Inputs) -> Result<[Slot; 2]> {
        let shape = inputs.shape;
        let plan = inputs.plan(flash.rows, || self.flash_plan(op, flash, inputs))?;
        let (o, lse) = (self.zeros(op, inputs.q.shape())?, self.zeros(op, &[shape.queries, shape.query_heads])?);
        let (q, k, v) = (self.reals(op, &inputs.q)?, self.reals(op, &inputs.k)?, self.reals(op, &inputs.v)?);
        let own = [q.at(), k.at(), v.at(), plan.queries.at(), plan.list.at()];
        let numbers = shape_arguments(shape);
        let mut arguments = [own.as_slice(), &numbers[1..], &[o.at(), lse.at()]].concat();
        let launch = tiles(plan.query_tiles, shape.query_heads, flash.rows, flash.forward_bytes());
        self.kernels.launch(op, self.flash_source(), flash.forward, launch, &mut arguments)?;
        self.keep_array(op, [o, lse])
    }

    pub(super) fn flash_backward(
        &mut self,
        op: &'static str,
        flash: &Flash,
        inputs: &Inputs,
        [g, o, lse]: [&Tensored; 3],
    ) -> Result<[Slot; 3]> {
        let shape = inputs.shape;
        let plan = inputs.plan(flash.rows, || self.flash_plan(op, flash, inputs))?;
        let Inputs { q, k, v, .. } = inputs;
        let (dq, dk, dv) = (self.zeros(op, q.shape())?, self.unset(op, k.shape())?, self.unset(op, v.shape())?);
        let tasks = shape.queries * shape.query_heads;
        let columns = shape.key_heads * shape.head_dim;
        let (delta, of_k) = (self.scratch(op, 4 * tasks)?, self.scratch(op, 4 * plan.count * columns)?);
        let of_v = self.scratch(op, 4 * plan.count * columns)?;
        let (g, o, lse) = (self.reals(op, g)?, self.reals(op, o)?, self.reals(op, lse)?);
        let (q, k, v) = (self.reals(op, q)?, self.reals(op, k)?, self.reals(op, v)?);
        let numbers = shape_arguments(shape);
        let mut arguments = [g.at(), o.at(), numbers[0], delta.at(), arg::size(tasks)];
        self.kernels.launch(op, self.flash_source(), "flash_delta", blocks(tasks.div_ceil(4), 128), &mut arguments)?;
        let own = [g.at(), q.at(), k.at(), v.at(), lse.at(), delta.at()];
        let of_queries = [plan.queries.at(), plan.list.at()];
        let mut arguments = [own.as_slice(), &of_queries, &numbers[1..], &[dq.at()]].concat();
        let launch = tiles(plan.query_tiles, shape.query_heads, flash.rows, flash.queries_bytes());
        self.kernels.launch(op, self.flash_source(), flash.queries, launch, &mut arguments)?;
        let of_keys = [plan.keys.at(), plan.list.at()];
        let mut arguments = [own.as_slice(), &of_keys, &numbers[1..], &[of_k.at(), of_v.at()]].concat();
        let launch = tiles(plan.key_tiles, shape.key_heads, KEY_ROWS, flash.keys_bytes());
        self.kernels.launch(op, self.flash_source(), flash.keys, launch, &mut arguments)?;
        for (places, rows) in [(&of_k, &dk), (&of_v, &dv)] {
            let n = shape.keys * columns;
            let mut arguments =
                [places.at(), plan.starts.at(), plan.places.at(), arg::size(columns), rows.at(), arg::size(n)];
            self.kernels.launch(op, self.flash_source(), "flash_gather", over(n), &mut arguments)?;
        }
        self.keep_array(op, [dq, dk, dv])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_query_and_every_place_once() {
        let segment = |query_start, query_length, ranges: &[(usize, usize)]| Segment {
            query_start,
            query_length,
            ranges: ranges.to_vec(),
        };
        let segments = [segment(0, 70, &[(0, 70)]), segment(70, 3, &[(0, 30), (70, 3)])];
        assert_eq!(query_tiles(&segments, 64), [[0, 64, 0, 1], [64, 6, 0, 65], [70, 3, 70, 31]]);
        let tiles = key_tiles(&segments);
        assert_eq!(tiles.iter().map(|tile| tile[1]).sum::<i32>(), 103);
        assert_eq!(tiles[4], [102, 1, 32, 70, 3, 30]);
    }

    #[test]
    fn all_sizes_fit_an_a100() {
        let most = |flash: &Flash| flash.forward_bytes().max(flash.queries_bytes()).max(flash.keys_bytes());
        assert!(SIZES.iter().all(|flash| most(flash) <= 163 << 10));
    }
}
