//! Gradients of attention from lse and δ = rowsum(g·o), the weights made again tile by tile. A task owns some key rows
//! of one key head, so no two tasks write the same row of dk or dv; each adds to its own copy of dq, and the copies are
//! added in order. Segments that share key rows are walked one after the other by the same tasks.

use super::attention::{key_tiles, lead, seen, seen_range, steps, KeyTile, KEYS};
use super::elementwise::accumulate;
use super::operands::{Lines, Operands};
use super::pool::{with_aligned_scratch, with_scratch, Pool};
use super::simd::{exp, kernel, soften, split, sum2, Beta, Block, Element, Strided, Tall, SIDE};
use crate::maths::{AttentionShape, Segment};
use std::array::from_fn;
use std::ops::Range;

/// Queries that meet a tile of keys at a time.
const QUERIES: usize = 64;
/// Rows of a product whose limits follow the causal edge, where the operands do not say so.
const STRIP: usize = 24;
/// Key rows of a task, and copies of dq at most.
const TASK_KEYS: usize = 256;
const COPIES: usize = 4;

kernel! {
    /// δ of each row and head.
    fn row_dots<S>(s, g: &[f32], o: &[f32], d: usize, delta: &mut [f32]) {
        for ((g, o), delta) in g.chunks_exact(d).zip(o.chunks_exact(d)).zip(delta) {
            *delta = sum2(s, g, o, |g, o| s.mul(g, o));
        }
    }

    /// In: scores in p and g·v in ds. Out: p = e^(score − lse), ds = p · (g·v − δ) · scale · the slope of the soft cap,
    /// 1 − (score/cap)²; 0 outside `seen_range(seen + i)`.
    fn weights<S>(
        s,
        shape: AttentionShape,
        p: &mut [f32],
        ds: &mut [f32],
        width: usize,
        seen: isize,
        rows: &[[f32; 2]],
    ) {
        let cap = shape.soft_cap as f32;
        let inverse_cap = s.splat(if cap == 0.0 { 0.0 } else { 1.0 / cap });
        let (one, scale) = (s.splat(1.0), s.splat(shape.scale as f32));
        for (i, ((p, ds), &[lse, delta])) in p.chunks_exact_mut(KEYS).zip(ds.chunks_exact_mut(KEYS)).zip(rows).enumerate() {
            let kept = seen_range(shape, seen + i as isize, width);
            let (lse, delta) = (s.splat(lse), s.splat(delta));
            for x in [&mut *p, &mut *ds] {
                x[..kept.start].fill(0.0);
                x[kept.end..].fill(0.0);
            }
            let (p, ds) = (&mut p[kept.clone()], &mut ds[kept]);
            if cap != 0.0 {
                soften(s, p, cap);
            }
            for (p, ds) in p.chunks_mut(S::LANES).zip(ds.chunks_mut(S::LANES)) {
                let score = s.load_part(p);
                let bent = s.mul(score, inverse_cap);
                let slope = s.mul(scale, s.sub(one, s.mul(bent, bent)));
                let weight = exp(s, s.sub(score, lse));
                s.store_part(s.mul(s.mul(weight, s.sub(s.load_part(ds), delta)), slope), ds);
                s.store_part(weight, p);
            }
        }
    }
}

/// Inputs of one call.
pub struct Inputs<'a, E> {
    pub g: &'a [f32],
    pub q: &'a [E],
    pub k: &'a [E],
    pub v: &'a [E],
    pub o: &'a [f32],
    pub lse: &'a [f32],
}

struct Call<'a, E> {
    operands: Operands,
    shape: AttentionShape,
    inputs: Inputs<'a, E>,
    delta: &'a [f32],
}

/// Key rows of one head with their gradients, and the segments that see them with their part of dq.
struct Task<'a> {
    key_head: usize,
    keys: Vec<(Range<usize>, Block<'a>, Block<'a>)>,
    segments: Vec<(&'a Segment, Block<'a>)>,
}

#[allow(clippy::too_many_arguments)]
pub fn attention_backward<E: Element>(
    operands: Operands,
    pool: &Pool,
    inputs: Inputs<E>,
    segments: &[Segment],
    shape: AttentionShape,
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
) {
    if dq.is_empty() || dk.is_empty() {
        return;
    }
    let isa = operands.isa;
    let parts = parts(segments);
    let copies = parts.iter().map(|part| part.copy + 1).max().unwrap_or(1);
    let size = dq.len();
    with_scratch(inputs.lse.len() + (copies - 1) * size, |scratch| {
        let (delta, rest) = scratch.split_at_mut(inputs.lse.len());
        rest.fill(0.0);
        let d = shape.head_dim;
        let rows = 64 * shape.query_heads;
        let chunks = inputs.g.chunks(rows * d).zip(inputs.o.chunks(rows * d)).zip(delta.chunks_mut(rows));
        pool.each(chunks.collect(), |((g, o), delta)| row_dots(isa, g, o, d, delta));
        let call = Call { operands, shape, inputs, delta };
        let all_dq = std::iter::once(&mut *dq).chain(rest.chunks_mut(size)).collect();
        pool.each(tasks(&parts, segments, shape, all_dq, dk, dv), |mut task| call.run(&mut task));
        for copy in rest.chunks(size) {
            accumulate(isa, pool, dq, copy, 1.0);
        }
    });
}

impl<E: Element> Call<'_, E> {
    fn run(&self, task: &mut Task) {
        let d = self.shape.head_dim;
        let operands = self.operands;
        let of_queries = 2 * operands.room::<E>(QUERIES, d) + 2 * operands.room::<f32>(QUERIES, d);
        let rounded = operands.room::<E>(KEYS, d) + of_queries + operands.room::<f32>(QUERIES, KEYS);
        with_aligned_scratch(2 * KEYS * d + 2 * QUERIES * KEYS + rounded, |scratch| {
            for (segment, dq) in &mut task.segments {
                for (rows, dk, dv) in &mut task.keys {
                    for tile in key_tiles(segment, rows) {
                        let own = tile.rows.start - rows.start..tile.rows.end - rows.start;
                        let (mut dk, mut dv) = (dk.part(own.clone(), 0..d), dv.part(own, 0..d));
                        self.tile(segment, &tile, task.key_head, dq, &mut dk, &mut dv, scratch);
                    }
                }
            }
        });
    }

    /// One tile of keys against all queries that see it, in all heads of the group.
    #[allow(clippy::too_many_arguments)]
    fn tile(
        &self,
        segment: &Segment,
        tile: &KeyTile,
        key_head: usize,
        dq: &mut Block,
        dk: &mut Block,
        dv: &mut Block,
        scratch: &mut [f32],
    ) {
        let (d, group) = (self.shape.head_dim, self.shape.query_heads / self.shape.key_heads);
        let operands = self.operands;
        let mut rest = scratch;
        let mut take = |length: usize| {
            let (taken, after) = std::mem::take(&mut rest).split_at_mut(length);
            rest = after;
            taken
        };
        let [turned_keys, turned_values] = [take(KEYS * d), take(KEYS * d)];
        let [p, ds] = [take(QUERIES * KEYS), take(QUERIES * KEYS)];
        let keys = take(operands.room::<E>(KEYS, d));
        let mut sides: [&mut [f32]; 2] = from_fn(|_| take(operands.room::<E>(QUERIES, d)));
        let mut gradients: [&mut [f32]; 2] = from_fn(|_| take(operands.room::<f32>(QUERIES, d)));
        let rounded = take(operands.room::<f32>(QUERIES, KEYS));
        let stride = self.shape.key_heads * d;
        let at = tile.rows.start * stride + key_head * d;
        let lines = |data| Lines::<E> { data, stride, count: tile.rows.len(), length: d };
        let turned_keys = operands.turned(lines(&self.inputs.k[at..]), turned_keys, KEYS);
        let turned_values = operands.turned(lines(&self.inputs.v[at..]), turned_values, KEYS);
        let keys = operands.tall(lines(&self.inputs.k[at..]), keys);
        let lead = lead(segment);
        let first = (tile.index + 1).saturating_sub(lead);
        let end = self.end_of_queries(segment, tile, lead);
        for head in 0..group {
            for queries in steps(end - first, QUERIES) {
                let seen = seen(tile, lead, first + queries.start);
                let rows = first + queries.start..first + queries.end;
                let at = (segment.query_start + rows.start) * self.shape.query_heads + key_head * group + head;
                let stride = self.shape.query_heads * d;
                let q = Lines { data: &self.inputs.q[at * d..], stride, count: rows.len(), length: d };
                let g = Lines { data: &self.inputs.g[at * d..], stride, count: rows.len(), length: d };
                let ([left_q, right_q], [left_g, right_g]) = (sides.each_mut(), gradients.each_mut());
                let pair = Pair { call: self, at, count: rows.len(), width: tile.rows.len(), seen };
                let (left_q, left_g) = (operands.along(q, left_q), operands.along(g, left_g));
                pair.weigh([left_q, left_g], [turned_keys, turned_values], p, ds);
                pair.add_to_queries(keys, ds, rounded, &mut dq.part(rows, head * d..(head + 1) * d));
                pair.add_to_keys(operands.tall(g, right_g), p, rounded, dv);
                pair.add_to_keys(operands.tall(q, right_q), ds, rounded, dk);
            }
        }
    }

    /// One past the last query that sees a key of the tile.
    fn end_of_queries(&self, segment: &Segment, tile: &KeyTile, lead: usize) -> usize {
        match self.shape.window {
            0 => segment.query_length,
            // Query i sees key j while j ≥ lead + i − window.
            window => {
                (tile.index + tile.rows.len()).saturating_add(window).saturating_sub(lead).min(segment.query_length)
            }
        }
    }
}

/// A block of queries of one head against a tile of keys.
struct Pair<'a, E> {
    call: &'a Call<'a, E>,
    /// Row and head of the first query, as an index into lse.
    at: usize,
    count: usize,
    width: usize,
    /// Keys that the first query sees.
    seen: isize,
}

impl<E: Element> Pair<'_, E> {
    /// Keys that some of the first `rows` queries see.
    fn visible(&self, rows: usize) -> usize {
        (self.seen + rows as isize - 1).clamp(0, self.width as isize) as usize
    }

    /// p and ds of the block from q and g, keys and values.
    fn weigh(&self, left: [Strided; 2], right: [Tall; 2], p: &mut [f32], ds: &mut [f32]) {
        let Call { operands, shape, inputs, delta } = self.call;
        let slots = operands.slots(shape.head_dim);
        for strip in steps(self.count, operands.strip(STRIP)) {
            let width = self.visible(strip.end);
            let at = self.at + strip.start * shape.query_heads;
            let (p, ds) = (&mut p[strip.start * KEYS..strip.end * KEYS], &mut ds[strip.start * KEYS..strip.end * KEYS]);
            let score = |alpha: f32, left: Strided, right: Tall, to: &mut [f32]| {
                let mut to = Block::new(to, KEYS);
                let to = &mut to.part(0..strip.len(), 0..width);
                operands.product(alpha, slots, left.after_rows(strip.start), right, to, Beta::Overwrite);
            };
            score(shape.scale as f32, left[0], right[0], p);
            score(1.0, left[1], right[1], ds);
            let mut rows = [[0.0; 2]; SIDE];
            for (i, pair) in rows.iter_mut().enumerate().take(strip.len()) {
                let at = at + i * shape.query_heads;
                *pair = [inputs.lse[at], delta[at]];
            }
            weights(operands.isa, *shape, p, ds, self.width, self.seen + strip.start as isize, &rows);
        }
    }

    fn lines<'a>(&self, weights: &'a [f32]) -> Lines<'a, f32> {
        Lines { data: weights, stride: KEYS, count: self.count, length: KEYS }
    }

    /// dq += ds · k
    fn add_to_queries(&self, k: Tall, ds: &[f32], rounded: &mut [f32], dq: &mut Block) {
        let Call { operands, shape, .. } = self.call;
        let left = operands.along(self.lines(ds), rounded);
        for strip in steps(self.count, operands.strip(STRIP)) {
            let slots = operands.slots(self.visible(strip.end));
            let left = left.after_rows(strip.start);
            operands.product(1.0, slots, left, k, &mut dq.part(strip, 0..shape.head_dim), Beta::Add);
        }
    }

    /// dv += pᵀ · g, or dk += dsᵀ · q
    fn add_to_keys(&self, right: Tall, weights: &[f32], rounded: &mut [f32], to: &mut Block) {
        let Call { operands, shape, .. } = self.call;
        let left = operands.across(self.lines(weights), rounded);
        for strip in steps(self.width, operands.strip(STRIP)) {
            // Query i sees the strip's first key if seen + i > strip.start.
            let skip = (strip.start as isize + 1 - self.seen).clamp(0, self.count as isize) as usize;
            // Whole groups: weights of what is not seen are 0.
            let (first, end) = (operands.slots(skip / operands.group() * operands.group()), operands.slots(self.count));
            if first == end {
                continue;
            }
            let left = left.after_depth(first).after_rows(strip.start);
            let to = &mut to.part(strip, 0..shape.head_dim);
            operands.product(1.0, end - first, left, right.after_depth(first), to, Beta::Add);
        }
    }
}

/// Key rows that one set of tasks owns (a task for each key head), all segments that see some of them, and which copy
/// of dq their shares go to.
struct Part {
    rows: Vec<Range<usize>>,
    segments: Vec<usize>,
    copy: usize,
}

/// A task for each part and key head, with the only right to its rows of dk, dv and its copy of dq.
fn tasks<'a>(
    parts: &[Part],
    segments: &'a [Segment],
    shape: AttentionShape,
    all_dq: Vec<&'a mut [f32]>,
    dk: &'a mut [f32],
    dv: &'a mut [f32],
) -> Vec<Task<'a>> {
    let (d, heads) = (shape.head_dim, shape.key_heads);
    let group = shape.query_heads / heads;
    let columns = |width: usize| -> Vec<_> { (0..heads).map(|h| h * width..(h + 1) * width).collect() };
    let place = |part: usize, head: usize| part * heads + head;
    let mut tasks: Vec<Task> = (0..parts.len() * heads)
        .map(|i| Task { key_head: i % heads, keys: Vec::new(), segments: Vec::new() })
        .collect();

    let mut owned: Vec<(Range<usize>, usize)> =
        parts.iter().enumerate().flat_map(|(i, part)| part.rows.iter().map(move |rows| (rows.clone(), i))).collect();
    owned.sort_by_key(|(rows, _)| rows.start);
    let rows: Vec<_> = owned.iter().map(|(rows, _)| rows.clone()).collect();
    let blocks = split(dk, heads * d, &rows, &columns(d)).into_iter().zip(split(dv, heads * d, &rows, &columns(d)));
    for (i, (dk, dv)) in blocks.enumerate() {
        let (rows, part) = &owned[i / heads];
        tasks[place(*part, i % heads)].keys.push((rows.clone(), dk, dv));
    }

    for (copy, dq) in all_dq.into_iter().enumerate() {
        let mut shares: Vec<(&Segment, usize)> = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.copy == copy)
            .flat_map(|(i, part)| part.segments.iter().map(move |&segment| (&segments[segment], i)))
            .collect();
        shares.sort_by_key(|(segment, _)| segment.query_start);
        let rows: Vec<_> = shares.iter().map(|(s, _)| s.query_start..s.query_start + s.query_length).collect();
        for (i, dq) in split(dq, shape.query_heads * d, &rows, &columns(group * d)).into_iter().enumerate() {
            let (segment, part) = shares[i / heads];
            tasks[place(part, i % heads)].segments.push((segment, dq));
        }
    }
    tasks
}

/// Cuts the key rows of segments that share some, directly or through others, into at most `COPIES` parts.
fn parts(segments: &[Segment]) -> Vec<Part> {
    let mut parts = Vec::new();
    for (rows, members) in components(segments) {
        let total: usize = rows.iter().map(Range::len).sum();
        let size = TASK_KEYS.max(total.div_ceil(COPIES));
        let (mut open, mut held, mut copy) = (Vec::new(), 0, 0);
        for range in rows {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min(start + size - held);
                open.push(start..end);
                held += end - start;
                start = end;
                if held == size {
                    parts.push(Part { rows: std::mem::take(&mut open), segments: members.clone(), copy });
                    (held, copy) = (0, copy + 1);
                }
            }
        }
        if held > 0 {
            parts.push(Part { rows: open, segments: members, copy });
        }
    }
    parts
}

/// Groups of segments whose key ranges overlap, with the group's key rows in ascending, disjoint ranges.
fn components(segments: &[Segment]) -> Vec<(Vec<Range<usize>>, Vec<usize>)> {
    let mut ranges: Vec<(Range<usize>, usize)> = segments
        .iter()
        .enumerate()
        .flat_map(|(i, segment)| segment.ranges.iter().map(move |&(start, length)| (start..start + length, i)))
        .filter(|(range, _)| !range.is_empty())
        .collect();
    ranges.sort_by_key(|(range, i)| (range.start, *i));
    let mut group: Vec<usize> = (0..segments.len()).collect();
    let mut merged: Vec<(Range<usize>, usize)> = Vec::new();
    for (range, segment) in ranges {
        match merged.last_mut() {
            Some((last, member)) if range.start < last.end => {
                last.end = last.end.max(range.end);
                let (from, to) = (group[segment], group[*member]);
                group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
            }
            _ => merged.push((range, segment)),
        }
    }
    let mut found: Vec<(Vec<Range<usize>>, Vec<usize>)> = Vec::new();
    for id in 0..segments.len() {
        let members: Vec<usize> = (0..segments.len()).filter(|&i| group[i] == id).collect();
        let rows = merged.iter().filter(|(_, i)| group[*i] == id).map(|(range, _)| range.clone()).collect();
        if !members.is_empty() {
            found.push((rows, members));
        }
    }
    found
}
