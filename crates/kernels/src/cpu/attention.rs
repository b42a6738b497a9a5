//! Causal grouped-query attention without a T×T buffer (Dao et al. 2022): a task is one block of queries in all heads
//! that share a key head; it meets the keys tile by tile and keeps a running maximum and sum for each row.

use super::attention_step::{attention_step, Inputs};
use super::operands::{Lines, Operands};
use super::pool::{with_aligned_scratch, Pool};
use super::simd::{exp, kernel, largest, scale_in_place, soften, split, Beta, Block, Element, Rows, Strided, Tall};
use crate::maths::{AttentionShape, Segment};
use std::ops::Range;

/// Queries of a task.
const QUERIES: usize = 64;
/// Keys of a tile.
pub const KEYS: usize = 64;
/// Rows that are scored together, where the operands do not say so; a strip sees no more keys than its last row.
const STRIP: usize = 12;
/// Up to this many queries of a task, keys are met by dot products instead of being packed.
const FEW: usize = 4;

/// Neighbouring key rows, and where the first stands among the segment's keys.
pub struct KeyTile {
    pub rows: Range<usize>,
    pub index: usize,
}

/// A segment's keys inside `within`, in tiles.
pub fn key_tiles(segment: &Segment, within: &Range<usize>) -> Vec<KeyTile> {
    let mut tiles = Vec::new();
    let mut index = 0;
    for &(start, length) in &segment.ranges {
        let (first, end) = (start.max(within.start), (start + length).min(within.end));
        tiles.extend(
            (first..end)
                .step_by(KEYS)
                .map(|row| KeyTile { rows: row..end.min(row + KEYS), index: index + row - start }),
        );
        index += length;
    }
    tiles
}

/// Keys that a segment's query i sees beyond i.
pub fn lead(segment: &Segment) -> usize {
    segment.ranges.iter().map(|range| range.1).sum::<usize>() + 1 - segment.query_length
}

/// Ranges of `length` in steps.
pub fn steps(length: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(step).map(move |start| start..length.min(start + step))
}

/// The keys of a tile that a row sees of which the first `seen` are not after it (below 0: none).
pub fn seen_range(shape: AttentionShape, seen: isize, width: usize) -> Range<usize> {
    let end = seen.clamp(0, width as isize);
    let start = if shape.window == 0 { 0 } else { seen.saturating_sub_unsigned(shape.window).clamp(0, end) };
    start as usize..end as usize
}

/// How many of `tile`'s keys each query of `queries` sees: the first row's count (below 0: none), one more for each row.
pub fn seen(tile: &KeyTile, lead: usize, query: usize) -> isize {
    (lead + query) as isize - tile.index as isize
}

kernel! {
    /// Turns scores of a strip, of which row i keeps `seen_range(seen + i·step)`, into weights relative to the running maximum.
    pub fn online_softmax<S>(
        s,
        shape: AttentionShape,
        scores: &mut [f32],
        width: usize,
        group: usize,
        seen: isize,
        step: isize,
        state: &mut [[f32; 2]],
        o: &mut Block,
    ) {
        let cap = shape.soft_cap as f32;
        for (i, (x, [maximum, total])) in scores.chunks_exact_mut(KEYS).zip(state).enumerate() {
            let kept = seen_range(shape, seen + i as isize * step, width);
            x[..kept.start].fill(0.0);
            // To the end of the last group that is multiplied together.
            x[kept.end..width.next_multiple_of(group)].fill(0.0);
            let x = &mut x[kept];
            if x.is_empty() {
                continue;
            }
            if cap != 0.0 {
                soften(s, x, cap);
            }
            let new = maximum.max(largest(s, x));
            let shrink = (*maximum - new).exp();
            let (mut sums, shift) = (s.zero(), s.splat(new));
            for x in x.chunks_mut(S::LANES) {
                let weight = exp(s, s.sub(s.load_part(x), shift));
                s.store_part(weight, x);
                // The lanes beyond a cut vector hold e^(−shift): read back as zeros.
                sums = s.add(sums, if x.len() < S::LANES { s.load_part(x) } else { weight });
            }
            *total = total.mul_add(shrink, s.sum_lanes(sums));
            *maximum = new;
            if shrink != 1.0 {
                scale_in_place(s, o.row(i), shrink);
            }
        }
    }
}

kernel! {
    pub fn scaled<S>(s, x: &mut [f32], factor: f32) {
        scale_in_place(s, x, factor);
    }
}

/// Inputs of one call.
struct Call<'a> {
    operands: Operands,
    shape: AttentionShape,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
}

/// Some queries of a segment in the heads of one key head, with their places in o and lse.
struct Task<'a> {
    segment: &'a Segment,
    queries: Range<usize>,
    key_head: usize,
    o: Block<'a>,
    lse: Block<'a>,
}

#[allow(clippy::too_many_arguments)]
pub fn attention(
    operands: Operands,
    pool: &Pool,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    segments: &[Segment],
    shape: AttentionShape,
    o: &mut [f32],
    lse: &mut [f32],
) {
    let group = shape.query_heads / shape.key_heads;
    let mut ordered: Vec<&Segment> = segments.iter().collect();
    ordered.sort_by_key(|segment| segment.query_start);
    if ordered.iter().all(|segment| segment.query_length == 1) {
        return attention_step(operands.isa, pool, &Inputs { q, k, v }, &ordered, shape, o, lse);
    }
    let parts: Vec<_> =
        ordered.iter().flat_map(|s| steps(s.query_length, QUERIES).map(move |part| (*s, part))).collect();
    let rows: Vec<_> = parts.iter().map(|(s, part)| s.query_start + part.start..s.query_start + part.end).collect();
    let heads = |width: usize| -> Vec<_> { (0..shape.key_heads).map(|h| h * width..(h + 1) * width).collect() };
    let d = shape.head_dim;
    let blocks = split(o, shape.query_heads * d, &rows, &heads(group * d));
    let lse = split(lse, shape.query_heads, &rows, &heads(group));
    let places = parts.iter().flat_map(|part| (0..shape.key_heads).map(move |head| (part, head)));
    let tasks: Vec<_> = places
        .zip(blocks.into_iter().zip(lse))
        .map(|(((segment, part), key_head), (o, lse))| Task { segment, queries: part.clone(), key_head, o, lse })
        .collect();
    let call = Call { operands, shape, q, k, v };
    // Long rows last: start with them, so that no thread is left with one at the end.
    pool.each(tasks.into_iter().rev().collect(), |mut task| call.run(&mut task));
}

/// Rows of q that are scored together: neighbouring queries of one head, or one query in some heads.
struct Strip {
    /// Where the first begins in q.
    start: usize,
    count: usize,
    /// Elements from one to the next.
    stride: usize,
    /// Keys of the tile that the first sees (below 0: none), and how many more each that follows.
    seen: isize,
    step: isize,
}

impl Call<'_> {
    fn run(&self, task: &mut Task) {
        let (rows, d) = (task.queries.len(), self.shape.head_dim);
        let group = task.lse.columns();
        let lead = lead(task.segment);
        let visible = lead + task.queries.end - 1;
        let first = self.shape.first_seen(lead + task.queries.start);
        let met = |tile: &&KeyTile| tile.index < visible && tile.index + tile.rows.len() > first;
        let mut state = vec![[f32::NEG_INFINITY, 0.0]; group * rows];
        // A few queries are not worth packing for.
        let operands = if rows > FEW { self.operands } else { Operands::in_f32(self.operands.isa) };
        let height = operands.strip(STRIP);
        let (room, of_values) = (operands.room::<f32>(rows, d), operands.room::<f32>(KEYS, d));
        let of_scores = height * KEYS + operands.room::<f32>(height, KEYS);
        with_aligned_scratch(KEYS * d + group * room + of_values + of_scores, |scratch| {
            let (keys, rest) = scratch.split_at_mut(KEYS * d);
            let (values, rest) = rest.split_at_mut(of_values);
            let (scores, mut rest) = rest.split_at_mut(of_scores);
            let queries: Vec<Strided> = (0..group)
                .map(|head| {
                    let (y, after) = std::mem::take(&mut rest).split_at_mut(room);
                    rest = after;
                    let data = &self.q[self.query_at(task, 0, head)..];
                    operands.along(Lines { data, stride: self.shape.query_heads * d, count: rows, length: d }, y)
                })
                .collect();
            for tile in key_tiles(task.segment, &(0..self.shape.keys)).iter().filter(met) {
                let (at, stride) = (self.key_at(tile.rows.start, task.key_head), self.shape.key_heads * d);
                let lines = |data| Lines { data, stride, count: tile.rows.len(), length: d };
                let packed = (rows > FEW).then(|| operands.turned(lines(&self.k[at..]), keys, KEYS));
                let values = operands.tall(lines(&self.v[at..]), values);
                let seen = seen(tile, lead, task.queries.start);
                if rows == 1 {
                    for heads in steps(group, height) {
                        let state = &mut state[heads.clone()];
                        let (start, count) = (self.query_at(task, 0, heads.start), heads.len());
                        let strip = Strip { start, count, stride: d, seen, step: 0 };
                        let mut o = Block::new(task.o.row(0), d);
                        let mut o = o.part(heads, 0..d);
                        self.strip(operands, &strip, tile, task.key_head, None, values, scores, state, &mut o);
                    }
                    continue;
                }
                for (head, queries) in queries.iter().enumerate() {
                    for part in steps(rows, height) {
                        let state = &mut state[head * rows..][part.clone()];
                        let (start, count) = (self.query_at(task, part.start, head), part.len());
                        let (stride, seen) = (self.shape.query_heads * d, seen + part.start as isize);
                        let strip = Strip { start, count, stride, seen, step: 1 };
                        let packed = packed.map(|keys| (queries.after_rows(part.start), keys));
                        let mut o = task.o.part(part, head * d..(head + 1) * d);
                        self.strip(operands, &strip, tile, task.key_head, packed, values, scores, state, &mut o);
                    }
                }
            }
        });
        self.finish(task, &state);
    }

    /// Adds a tile of keys to a strip, whose queries and the keys lie ready where the keys meet many rows.
    #[allow(clippy::too_many_arguments)]
    fn strip(
        &self,
        operands: Operands,
        strip: &Strip,
        tile: &KeyTile,
        key_head: usize,
        packed: Option<(Strided, Tall)>,
        values: Tall,
        scores: &mut [f32],
        state: &mut [[f32; 2]],
        o: &mut Block,
    ) {
        let Strip { start, count, stride, seen, step } = *strip;
        let d = self.shape.head_dim;
        let width = (seen + (count as isize - 1) * step).clamp(0, tile.rows.len() as isize) as usize;
        if seen_range(self.shape, seen, tile.rows.len()).start == tile.rows.len() || width == 0 {
            return;
        }
        let scale = self.shape.scale as f32;
        let (scores, rounded) = scores.split_at_mut(operands.strip(STRIP) * KEYS);
        let scores = &mut scores[..count * KEYS];
        if let Some((queries, keys)) = packed {
            let mut to = Block::new(scores, KEYS);
            operands.product(
                scale,
                operands.slots(d),
                queries,
                keys,
                &mut to.part(0..count, 0..width),
                Beta::Overwrite,
            );
        } else {
            scores.fill(0.0);
            let (key_at, key_stride) = (self.key_at(tile.rows.start, key_head), self.shape.key_heads * d);
            let q = Rows { data: &self.q[start..], length: d, stride };
            let k = Rows { data: &self.k[key_at..], length: d, stride: key_stride };
            f32::walk(operands.isa, scale, q, k, &mut Block::new(scores, KEYS).part(0..count, 0..width));
        }
        online_softmax(operands.isa, self.shape, scores, width, operands.group(), seen, step, state, o);
        let weights = operands.along(Lines { data: scores, stride: KEYS, count, length: KEYS }, rounded);
        operands.product(1.0, operands.slots(width), weights, values, o, Beta::Add);
    }

    /// Where a query of a task begins in q, in one of the heads of its key head.
    fn query_at(&self, task: &Task, query: usize, head: usize) -> usize {
        let group = self.shape.query_heads / self.shape.key_heads;
        let row = task.segment.query_start + task.queries.start + query;
        (row * self.shape.query_heads + task.key_head * group + head) * self.shape.head_dim
    }

    fn key_at(&self, row: usize, key_head: usize) -> usize {
        (row * self.shape.key_heads + key_head) * self.shape.head_dim
    }

    /// o = sums / total, lse = maximum + log total
    fn finish(&self, task: &mut Task, state: &[[f32; 2]]) {
        let (rows, d) = (task.queries.len(), self.shape.head_dim);
        for (i, &[maximum, total]) in state.iter().enumerate() {
            let (head, row) = (i / rows, i % rows);
            scaled(self.operands.isa, &mut task.o.row(row)[head * d..(head + 1) * d], 1.0 / total);
            task.lse.row(row)[head] = maximum + total.ln();
        }
    }
}
