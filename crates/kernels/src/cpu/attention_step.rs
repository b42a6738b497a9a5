//! Attention of one query a segment: a batch that decodes. It takes what reading the keys and values takes, so a task
//! walks through them as they lie, all its heads of a row before the next row.

use super::attention::{key_tiles, lead, online_softmax, scaled, seen, seen_range, KEYS};
use super::pool::{with_scratch, Pool};
use super::simd::{dot, kernel, product, split, Beta, Block, Isa, Rows, Strided, Tall};
use crate::maths::{AttentionShape, Segment};
use std::ops::Range;

/// Inputs of one call.
pub struct Inputs<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
}

struct Task<'a> {
    segment: &'a Segment,
    key_heads: Range<usize>,
    o: Block<'a>,
    lse: Block<'a>,
}

/// Every segment has one query; they are in the order of their queries.
pub fn attention_step(
    isa: Isa,
    pool: &Pool,
    inputs: &Inputs,
    segments: &[&Segment],
    shape: AttentionShape,
    o: &mut [f32],
    lse: &mut [f32],
) {
    let (group, d) = (shape.query_heads / shape.key_heads, shape.head_dim);
    // Heads are shared out where there are too few sequences.
    let together = if segments.len() >= 2 * pool.threads() { shape.key_heads } else { 1 };
    let rows: Vec<_> = segments.iter().map(|s| s.query_start..s.query_start + 1).collect();
    let heads: Vec<_> = (0..shape.key_heads).step_by(together).map(|h| h..shape.key_heads.min(h + together)).collect();
    let columns = |width: usize| -> Vec<_> { heads.iter().map(|h| h.start * width..h.end * width).collect() };
    let blocks = split(o, shape.query_heads * d, &rows, &columns(group * d));
    let lse = split(lse, shape.query_heads, &rows, &columns(group));
    let places = segments.iter().flat_map(|&segment| heads.iter().map(move |heads| (segment, heads.clone())));
    let tasks = places
        .zip(blocks.into_iter().zip(lse))
        .map(|((segment, key_heads), (o, lse))| Task { segment, key_heads, o, lse })
        .collect();
    pool.each(tasks, |mut task| run(isa, inputs, shape, &mut task));
}

kernel! {
    /// scores `[heads, KEYS]` = scale · q_h · k_j, for the heads of `group`s of q that share a key head of k's rows.
    fn score<S>(s, scale: f32, q: &[f32], k: Rows<f32>, count: usize, d: usize, scores: &mut [f32]) {
        let group = q.len() / k.length;
        for j in 0..count {
            for (queries, (key, scores)) in
                q.chunks_exact(group * d).zip(k.row(j).chunks_exact(d).zip(scores.chunks_exact_mut(group * KEYS)))
            {
                for (q, scores) in queries.chunks_exact(d).zip(scores.chunks_exact_mut(KEYS)) {
                    scores[j] = scale * dot(s, q, key);
                }
            }
        }
    }
}

fn run(isa: Isa, inputs: &Inputs, shape: AttentionShape, task: &mut Task) {
    let (group, d) = (shape.query_heads / shape.key_heads, shape.head_dim);
    let heads = task.key_heads.len() * group;
    let lead = lead(task.segment);
    let q = (task.segment.query_start * shape.query_heads + task.key_heads.start * group) * d;
    let q = &inputs.q[q..q + heads * d];
    let mut state = vec![[f32::NEG_INFINITY, 0.0]; heads];
    let o = task.o.row(0);
    with_scratch(heads * KEYS, |scores| {
        for tile in key_tiles(task.segment, &(0..shape.keys)) {
            let seen = seen(&tile, lead, 0);
            let kept = seen_range(shape, seen, tile.rows.len());
            if kept.is_empty() {
                continue;
            }
            let stride = shape.key_heads * d;
            let at = tile.rows.start * stride + task.key_heads.start * d;
            let rows = Rows { data: &inputs.k[at..], length: task.key_heads.len() * d, stride };
            score(isa, shape.scale as f32, q, rows, kept.end, d, scores);
            for head in 0..task.key_heads.len() {
                let queries = head * group..(head + 1) * group;
                let scores = &mut scores[queries.start * KEYS..queries.end * KEYS];
                let mut o = Block::new(&mut o[queries.start * d..queries.end * d], d);
                online_softmax(isa, shape, scores, kept.end, 1, seen, 0, &mut state[queries], &mut o);
                let weights = Strided { data: scores, row: KEYS, column: 1, walked: false };
                let values = Tall { data: &inputs.v[at + head * d..], stride };
                product(isa, 1.0, kept.end, weights, values, &mut o, Beta::Add);
            }
        }
    });
    // o = sums / total, lse = maximum + log total
    let lse = task.lse.row(0);
    for (i, [maximum, total]) in state.into_iter().enumerate() {
        scaled(isa, &mut o[i * d..(i + 1) * d], 1.0 / total);
        lse[i] = maximum + total.ln();
    }
}
