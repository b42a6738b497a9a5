//! c += alpha · a · bᵀ by dot products along the rows of both: for few rows of a, or few of b, where packing costs
//! more than it saves. Rows of b are read once, at the speed of memory.

use super::{Block, Element, Simd};

/// Rows of `length` numbers, `stride` apart.
#[derive(Clone, Copy)]
pub struct Rows<'a, E> {
    pub data: &'a [E],
    pub length: usize,
    pub stride: usize,
}

impl<'a, E: Element> Rows<'a, E> {
    pub fn row(&self, i: usize) -> &'a [E] {
        &self.data[i * self.stride..][..self.length]
    }
}

super::kernel! {
    pub fn dots_f32<S>(s, alpha: f32, a: Rows<f32>, b: Rows<f32>, c: &mut Block) {
        all(s, alpha, a, b, c);
    }

    pub fn dots_bf16<S>(s, alpha: f32, a: Rows<f32>, b: Rows<half::bf16>, c: &mut Block) {
        all(s, alpha, a, b, c);
    }

    pub fn dots_f16<S>(s, alpha: f32, a: Rows<f32>, b: Rows<half::f16>, c: &mut Block) {
        all(s, alpha, a, b, c);
    }
}

super::kernel! {
    pub fn walk_f32<S>(s, alpha: f32, a: Rows<f32>, b: Rows<f32>, c: &mut Block) {
        walk(s, alpha, a, b, c);
    }

    pub fn walk_bf16<S>(s, alpha: f32, a: Rows<f32>, b: Rows<half::bf16>, c: &mut Block) {
        walk(s, alpha, a, b, c);
    }

    pub fn walk_f16<S>(s, alpha: f32, a: Rows<f32>, b: Rows<half::f16>, c: &mut Block) {
        walk(s, alpha, a, b, c);
    }
}

/// One row of b after another meets the few of a: one walk through memory, which the CPU foresees. Eight rows at a time
/// were read at two thirds of its speed.
#[inline(always)]
fn walk<S: Simd, E: Element>(s: S, alpha: f32, a: Rows<f32>, b: Rows<E>, c: &mut Block) {
    for j in 0..c.columns() {
        for i in 0..c.rows() {
            c.row(i)[j] += alpha * dot(s, a.row(i), b.row(j));
        }
    }
}

/// The longer of the two sides is walked once, groups of the shorter stay in cache.
#[inline(always)]
fn all<S: Simd, E: Element>(s: S, alpha: f32, a: Rows<f32>, b: Rows<E>, c: &mut Block) {
    assert_eq!(a.length, b.length);
    let (m, n) = (c.rows(), c.columns());
    if m > n {
        for i in (0..m).step_by(4) {
            for j in (0..n).step_by(4) {
                group(s, alpha, a, b, c, [i, j], [m - i, n - j]);
            }
        }
    } else {
        for j in (0..n).step_by(4) {
            for i in (0..m).step_by(4) {
                group(s, alpha, a, b, c, [i, j], [m - i, n - j]);
            }
        }
    }
}

/// Up to 4 × 4 products at a place of c.
#[inline(always)]
fn group<S: Simd, E: Element>(
    s: S,
    alpha: f32,
    a: Rows<f32>,
    b: Rows<E>,
    c: &mut Block,
    [i, j]: [usize; 2],
    left: [usize; 2],
) {
    if left[0] >= 4 && left[1] >= 4 {
        return cell::<S, E, 4, 4>(s, alpha, a, b, c, [i, j]);
    }
    for i in i..i + left[0].min(4) {
        for j in j..j + left[1].min(4) {
            cell::<S, E, 1, 1>(s, alpha, a, b, c, [i, j]);
        }
    }
}

/// Elements whose products go to sums of their own, which do not wait for each other.
pub const CHAINED: usize = 32;

/// sum + a·b of a vector.
#[inline(always)]
fn step<S: Simd, E: Element>(s: S, a: &[f32], b: &[E], at: usize, sum: S::V) -> S::V {
    debug_assert!(at + S::LANES <= a.len().min(b.len()));
    // SAFETY: `dot` asks for vectors inside both.
    let (left, right) = unsafe { (s.load_at(a.as_ptr().add(at)), E::load(s, b.as_ptr().add(at))) };
    s.mul_add(left, right, sum)
}

/// Σ a·b
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Iterators over vectors are not always inlined: the sums would leave the registers.
pub fn dot<S: Simd, E: Element>(s: S, a: &[f32], b: &[E]) -> f32 {
    assert_eq!(a.len(), b.len());
    let full = a.len() / S::LANES * S::LANES;
    let mut sums = [s.zero(); CHAINED / 4];
    let whole = full / CHAINED * CHAINED;
    let mut p = 0;
    while p < whole {
        for sum in 0..CHAINED / S::LANES {
            sums[sum] = step(s, a, b, p, sums[sum]);
            p += S::LANES;
        }
    }
    for sum in 0..(full - whole) / S::LANES {
        sums[sum] = step(s, a, b, whole + sum * S::LANES, sums[sum]);
    }
    let mut total = s.zero();
    for &sum in &sums[..CHAINED / S::LANES] {
        total = s.add(total, sum);
    }
    let tail = a[full..].iter().zip(&b[full..]).map(|(a, b)| a * b.to_f32());
    tail.fold(s.sum_lanes(total), |sum, product| sum + product)
}

/// A × B products at row i and column j of c.
#[inline(always)]
fn cell<S: Simd, E: Element, const A: usize, const B: usize>(
    s: S,
    alpha: f32,
    a: Rows<f32>,
    b: Rows<E>,
    c: &mut Block,
    [i, j]: [usize; 2],
) {
    let k = a.length;
    let full = k / S::LANES * S::LANES;
    let a: [&[f32]; A] = std::array::from_fn(|x| a.row(i + x));
    let b: [&[E]; B] = std::array::from_fn(|x| b.row(j + x));
    let mut sums = [[s.zero(); B]; A];
    for p in (0..full).step_by(S::LANES) {
        let mut left = [s.zero(); A];
        for (left, a) in left.iter_mut().zip(a) {
            // SAFETY: every row has k ≥ p + LANES elements.
            *left = unsafe { s.load_at(a.as_ptr().add(p)) };
        }
        for y in 0..B {
            // SAFETY: as above.
            let right = unsafe { E::load(s, b[y].as_ptr().add(p)) };
            for x in 0..A {
                sums[x][y] = s.mul_add(left[x], right, sums[x][y]);
            }
        }
    }
    for x in 0..A {
        for y in 0..B {
            let tail = a[x][full..].iter().zip(&b[y][full..]).map(|(a, b)| a * b.to_f32());
            let sum = tail.fold(s.sum_lanes(sums[x][y]), |sum, product| sum + product);
            c.row(i + x)[j + y] += alpha * sum;
        }
    }
}
