//! Softmax attention, one query row and head at a time.

use super::elementwise::capped;
use crate::maths::{AttentionShape, Real, Segment};

/// One query row in one head: where it lies, and the key rows it sees.
struct Query {
    row: usize,
    head: usize,
    /// First element of the query's head in q and o.
    at: usize,
    /// First element of each visible key's head in k and v.
    keys: Vec<usize>,
}

/// Query i of a segment with n keys and L queries sees the first n − L + 1 + i keys, of these the last `window`.
fn queries(segments: &[Segment], shape: AttentionShape) -> impl Iterator<Item = Query> + '_ {
    let AttentionShape { query_heads, key_heads, head_dim, .. } = shape;
    segments.iter().flat_map(move |segment| {
        let keys: Vec<usize> = segment.ranges.iter().flat_map(|&(start, length)| start..start + length).collect();
        let hidden = segment.query_length;
        (0..segment.query_length).flat_map(move |i| {
            let end = keys.len() - hidden + 1 + i;
            let visible = keys[shape.first_seen(end)..end].to_vec();
            (0..query_heads).map(move |head| {
                let row = segment.query_start + i;
                let key_head = head / (query_heads / key_heads);
                let key_at = |&key: &usize| (key * key_heads + key_head) * head_dim;
                let at = (row * query_heads + head) * head_dim;
                Query { row, head, at, keys: visible.iter().map(key_at).collect() }
            })
        })
    })
}

fn dot<R: Real>(a: &[R], b: &[R]) -> R {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// y += factor · x
fn add_scaled<R: Real>(y: &mut [R], factor: R, x: &[R]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = *y + factor * x;
    }
}

/// s = scale · q·kⱼ, capped;  lse = log Σ eˢ,  o = Σ e^(s − lse) · vⱼ
pub fn forward<R: Real>(
    q: &[R],
    k: &[R],
    v: &[R],
    segments: &[Segment],
    shape: AttentionShape,
    o: &mut [R],
    lse: &mut [R],
) {
    let (d, scale, cap) = (shape.head_dim, R::from_f64(shape.scale), R::from_f64(shape.soft_cap));
    for query in queries(segments, shape) {
        let q = &q[query.at..][..d];
        let scores: Vec<R> = query.keys.iter().map(|&at| capped(scale * dot(q, &k[at..][..d]), cap).0).collect();
        let max = scores.iter().copied().fold(R::neg_infinity(), R::max);
        let total: R = scores.iter().map(|&s| (s - max).exp()).sum();
        for (&score, &at) in scores.iter().zip(&query.keys) {
            add_scaled(&mut o[query.at..][..d], (score - max).exp() / total, &v[at..][..d]);
        }
        lse[query.row * shape.query_heads + query.head] = max + total.ln();
    }
}

/// p = e^(s − lse), δ = g·o:  dvⱼ = Σ p·g,  ds = p · (g·vⱼ − δ) · slope of the cap · scale,  dq = Σ ds·kⱼ,  dkⱼ = Σ ds·q
pub fn backward<R: Real>(
    g: &[R],
    [q, k, v, o, lse]: [&[R]; 5],
    segments: &[Segment],
    shape: AttentionShape,
    [dq, dk, dv]: [&mut [R]; 3],
) {
    let (d, scale, cap) = (shape.head_dim, R::from_f64(shape.scale), R::from_f64(shape.soft_cap));
    for query in queries(segments, shape) {
        let (g, q, o) = (&g[query.at..][..d], &q[query.at..][..d], &o[query.at..][..d]);
        let lse = lse[query.row * shape.query_heads + query.head];
        let delta = dot(g, o);
        for &at in &query.keys {
            let (k, v) = (&k[at..][..d], &v[at..][..d]);
            let (score, slope) = capped(scale * dot(q, k), cap);
            let p = (score - lse).exp();
            let ds = p * (dot(g, v) - delta) * slope * scale;
            add_scaled(&mut dv[at..][..d], p, g);
            add_scaled(&mut dk[at..][..d], ds, q);
            add_scaled(&mut dq[query.at..][..d], ds, k);
        }
    }
}
