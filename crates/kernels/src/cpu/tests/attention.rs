//! Attention and its gradients.

use super::super::simd::Tiles;
use super::super::{Cpu, Isa};
use super::{conforms, joined, numbers, ways_in_bf16, zeros};
use crate::maths::{AttentionShape, Floats, Maths, Real, Segment};
use crate::reference::Naive;

/// A plain row, one that continues another's prefix, a decoding query, a row alone.
fn layouts() -> Vec<(usize, Vec<Segment>)> {
    let segment = |query_start, query_length, ranges: &[(usize, usize)]| Segment {
        query_start,
        query_length,
        ranges: ranges.to_vec(),
    };
    vec![
        (1, vec![segment(0, 1, &[(0, 1)])]),
        (37, vec![segment(20, 17, &[(20, 17)]), segment(0, 20, &[(0, 20)])]),
        (
            200,
            vec![
                segment(0, 70, &[(0, 70)]),
                segment(70, 30, &[(0, 70), (70, 30)]),
                segment(100, 99, &[(5, 9), (100, 99)]),
            ],
        ),
        (700, vec![segment(0, 1, &[(0, 700)]), segment(1, 3, &[(300, 333)])]),
        // A batch that decodes.
        (
            300,
            vec![
                segment(4, 1, &[(0, 9), (100, 130)]),
                segment(1, 1, &[(7, 1)]),
                segment(0, 1, &[(0, 300)]),
                segment(2, 1, &[(150, 64)]),
                segment(3, 1, &[(20, 3), (40, 65)]),
            ],
        ),
        (1100, vec![segment(0, 1100, &[(0, 1100)])]),
    ]
}

fn attention<R: Real>(
    maths: &dyn Maths<R>,
    n: usize,
    segments: Vec<Segment>,
    [heads, key_heads, d]: [usize; 3],
    window: usize,
    soft_cap: f64,
) -> Vec<f64> {
    let shape = AttentionShape {
        queries: n,
        keys: n,
        query_heads: heads,
        key_heads,
        head_dim: d,
        scale: 0.6,
        window,
        soft_cap,
    };
    let (q, g) = (numbers::<R>(n * heads * d, 1), numbers::<R>(n * heads * d, 2));
    let (k, v) = (numbers::<R>(n * key_heads * d, 3), numbers::<R>(n * key_heads * d, 4));
    let (mut o, mut lse) = (zeros(q.len()), zeros(n * heads));
    maths.attention(&q, &k, &v, &segments, shape, &mut o, &mut lse);
    let (mut dq, mut dk, mut dv) = (zeros(q.len()), zeros(k.len()), zeros(k.len()));
    let [q, k, v, kept] = [&q, &k, &v, &o].map(|x| Floats::Real(x.as_slice()));
    maths.attention_backward(&g, q, k, v, kept, &lse, &segments, shape, &mut dq, &mut dk, &mut dv);
    joined(&[&o, &lse, &dq, &dk, &dv])
}

#[test]
fn attention_and_its_gradients_are_right_for_every_layout_of_segments() {
    for (n, segments) in layouts() {
        for heads in [[3, 1, 16], [2, 2, 5], [13, 1, 4]] {
            conforms!(attention(n, segments, heads, 0, 0.0));
        }
    }
}

#[test]
fn attention_in_bf16_is_off_by_what_its_roundings_are() {
    for (n, segments) in layouts() {
        for (heads, window) in [([3, 1, 16], 0), ([2, 2, 5], 50), ([3, 3, 64], 0), ([2, 1, 32], 70)] {
            let exact = attention::<f64>(&Naive, n, segments.clone(), heads, window, 0.0);
            for pairs in ways_in_bf16() {
                let cpu = |threads| Cpu { pairs, ..Cpu::new(threads) };
                let found = |threads| attention(&cpu(threads), n, segments.clone(), heads, window, 0.0);
                let alone = found(1);
                near(&alone, &exact, n, heads);
                assert!(found(2) == alone && found(3) == alone, "{n} {heads:?} by {pairs:?} depends on threads");
            }
        }
    }
}

/// Whether the outputs of `attention` are those of factors rounded to bf16.
fn near(found: &[f64], exact: &[f64], n: usize, heads: [usize; 3]) {
    let [query_heads, key_heads, d] = heads;
    let (queries, keys) = (n * query_heads * d, n * key_heads * d);
    let mut at = 0;
    for (output, length) in ["o", "lse", "dq", "dk", "dv"].iter().zip([queries, n * query_heads, queries, keys, keys]) {
        let (found, exact) = (&found[at..at + length], &exact[at..at + length]);
        at += length;
        // At least ½: gradients of numbers around 1 may cancel to nothing.
        let largest = exact.iter().fold(0.5, |most: f64, x| most.max(x.abs()));
        let apart = found.iter().zip(exact).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
        // A rounding is 2⁻⁹ of a factor; scores of a few units carry theirs into every weight.
        assert!(apart <= largest / 128.0, "{n} {heads:?} {output}: {apart} of {largest}");
    }
}

#[test]
fn attention_by_the_matrix_unit_has_the_bits_of_its_plain_lines() {
    let Some(pairs) = Cpu::new(1).in_bf16().pairs.filter(|pairs| pairs.tiles().is_some()) else {
        return;
    };
    for (n, segments) in layouts() {
        for window in [0, 50] {
            let found = |tiles| {
                let cpu = Cpu { pairs: Some(pairs.with_tiles(tiles)), ..Cpu::new(2) };
                attention(&cpu, n, segments.clone(), [3, 1, 64], window, 0.0)
            };
            assert!(found(Tiles::detect()) == found(Some(Tiles::plain())), "{n} rows, window {window}");
        }
    }
}

#[test]
fn windows_and_soft_caps_of_attention_are_right_for_every_layout_of_segments() {
    for (n, segments) in layouts() {
        for (window, soft_cap) in [(1, 0.0), (50, 1.5), (64, 0.0), (200, 20.0)] {
            conforms!(attention(n, segments, [3, 1, 16], window, soft_cap));
        }
    }
}

#[test]
fn a_window_of_all_keys_hides_none_and_a_cap_far_above_the_scores_bends_little() {
    for (n, segments) in layouts() {
        let plain = attention::<f64>(&Naive, n, segments.clone(), [2, 1, 8], 0, 0.0);
        assert_eq!(attention::<f64>(&Naive, n, segments.clone(), [2, 1, 8], n, 0.0), plain);
        let capped = attention::<f64>(&Naive, n, segments, [2, 1, 8], 0, 1e6);
        assert!(capped.iter().zip(&plain).all(|(a, b)| (a - b).abs() <= 1e-9 * (1.0 + b.abs())));
    }
}

#[test]
fn a_small_score_keeps_its_digits_under_a_cap() {
    for isa in Isa::available() {
        for x in [1e-7f32, 3e-4, 0.02, 0.6, 3.0, -45.0, 300.0] {
            let mut y = [0.0];
            Cpu::with_isa(1, isa).soft_cap(&[x], 50.0, &mut y);
            let exact = 50.0 * (f64::from(x) / 50.0).tanh();
            assert!(
                (f64::from(y[0]) - exact).abs() <= 4e-7 * exact.abs(),
                "{x} on {isa:?} gives {}, not {exact}",
                y[0]
            );
        }
    }
}
