//! Loops over slices in whole vectors and one cut vector, and the elementary functions.

use super::{Element, Simd};

/// Of the widest vectors.
const MOST_LANES: usize = 16;

/// A vector from index `at`, cut off at the end of `x`.
#[inline(always)]
pub fn load_from<S: Simd>(s: S, x: &[f32], at: usize) -> S::V {
    s.load_part(&x[at..])
}

/// As `load_from`, of any float dtype.
#[inline(always)]
pub fn load_any<S: Simd, E: Element>(s: S, x: &[E], at: usize) -> S::V {
    let x = &x[at..];
    if x.len() >= S::LANES {
        // SAFETY: x has as many elements.
        return unsafe { E::load(s, x.as_ptr()) };
    }
    let mut part = [0.0; MOST_LANES];
    for (y, x) in part.iter_mut().zip(x) {
        *y = x.to_f32();
    }
    s.load(&part)
}

/// Writes the elements of a vector that lie before the end of `y`.
#[inline(always)]
pub fn store_to<S: Simd>(s: S, a: S::V, y: &mut [f32], at: usize) {
    s.store_part(a, &mut y[at..]);
}

// Each of these calls f in one place only: a closure with two callers may stay a function of its own, which lacks the
// instruction set and costs ten times as much.

/// y = f(a)
#[inline(always)]
pub fn map1<S: Simd>(s: S, a: &[f32], y: &mut [f32], f: impl Fn(S::V) -> S::V) {
    for at in (0..y.len()).step_by(S::LANES) {
        store_to(s, f(load_from(s, a, at)), y, at);
    }
}

/// y = f(a, b)
#[inline(always)]
pub fn map2<S: Simd>(s: S, a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(S::V, S::V) -> S::V) {
    for at in (0..y.len()).step_by(S::LANES) {
        store_to(s, f(load_from(s, a, at), load_from(s, b, at)), y, at);
    }
}

/// x = factor · x
#[inline(always)]
pub fn scale_in_place<S: Simd>(s: S, x: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    for at in (0..x.len()).step_by(S::LANES) {
        store_to(s, s.mul(factor, load_from(s, x, at)), x, at);
    }
}

/// y = f(a, y)
#[inline(always)]
pub fn update<S: Simd>(s: S, a: &[f32], y: &mut [f32], f: impl Fn(S::V, S::V) -> S::V) {
    for at in (0..y.len()).step_by(S::LANES) {
        store_to(s, f(load_from(s, a, at), load_from(s, y, at)), y, at);
    }
}

/// y = f(a, b, y)
#[inline(always)]
pub fn update2<S: Simd>(s: S, a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(S::V, S::V, S::V) -> S::V) {
    for at in (0..y.len()).step_by(S::LANES) {
        store_to(s, f(load_from(s, a, at), load_from(s, b, at), load_from(s, y, at)), y, at);
    }
}

/// Σ f(a, b) in f32, over four chains of vectors.
#[inline(always)]
pub fn sum2<S: Simd>(s: S, a: &[f32], b: &[f32], f: impl Fn(S::V, S::V) -> S::V) -> f32 {
    let mut sums = [s.zero(); 4];
    let (mut a, mut b) = (a.chunks_exact(4 * S::LANES), b.chunks_exact(4 * S::LANES));
    for (a, b) in (&mut a).zip(&mut b) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.add(*sum, f(s.load(&a[i * S::LANES..]), s.load(&b[i * S::LANES..])));
        }
    }
    for (a, b) in a.remainder().chunks(S::LANES).zip(b.remainder().chunks(S::LANES)) {
        sums[0] = s.add(sums[0], f(s.load_part(a), s.load_part(b)));
    }
    s.sum_lanes(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// The largest element; −∞ of nothing.
#[inline(always)]
pub fn largest<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut most = s.splat(f32::NEG_INFINITY);
    let mut chunks = x.chunks_exact(S::LANES);
    for x in &mut chunks {
        most = s.max(most, s.load(x));
    }
    chunks.remainder().iter().fold(s.max_lanes(most), |most, &x| if most > x { most } else { x })
}

/// (n, eʳ − 1) with x = n·ln 2 + r (polynomial of Cephes' expf).
#[inline(always)]
fn reduced_exp<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.mul_add(n, s.splat(-0.693_359_4), x);
    let r = s.mul_add(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4);
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = s.mul_add(p, r, s.splat(coefficient));
    }
    (n, s.mul_add(p, s.mul(r, r), r))
}

/// eˣ to about one unit in the last place: 2ⁿ · eʳ.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    let (n, p) = reduced_exp(s, s.max(s.splat(-105.0), s.min(s.splat(100.0), x)));
    s.scale_by_power(s.add(p, s.splat(1.0)), n)
}

/// tanh x = t/(t + 2) with t = e²ˣ − 1, the 1 taken off before it could round a small x away.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let (n, p) = reduced_exp(s, s.max(s.splat(-40.0), s.min(s.splat(40.0), s.add(x, x))));
    let power = s.scale_by_power(s.splat(1.0), n);
    let t = s.mul_add(p, power, s.sub(power, s.splat(1.0)));
    s.div(t, s.add(t, s.splat(2.0)))
}

/// x = cap · tanh(x / cap)
#[inline(always)]
pub fn soften<S: Simd>(s: S, x: &mut [f32], cap: f32) {
    let (inverse, cap) = (s.splat(1.0 / cap), s.splat(cap));
    for at in (0..x.len()).step_by(S::LANES) {
        store_to(s, s.mul(cap, tanh(s, s.mul(load_from(s, x, at), inverse))), x, at);
    }
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.zero(), x))))
}
