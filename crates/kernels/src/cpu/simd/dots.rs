//! c += alpha · a · bᵀ by dot products along the rows of both: for few rows of a, or few of b, where packing costs
//! more than it saves. Rows of b are read once, at the speed of memory.

use super::prefetch::prefetch_at;
use super::{Block, Element, Simd};

/// Rows of `length` numbers, `stride` apart.
#[derive(Clone, Copy)]
pub struct Rows<'a, E> {
    pub data: &'a [E],
    pub length: usize,
    pub stride: usize,
}

impl<E: Element> Rows<'_, E> {
    fn row(&self, i: usize) -> &[E] {
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

/// The longer of the two sides is walked once, groups of the shorter stay in cache.
#[inline(always)]
fn all<S: Simd, E: Element>(s: S, alpha: f32, a: Rows<f32>, b: Rows<E>, c: &mut Block) {
    assert_eq!(a.length, b.length);
    let (m, n) = (c.rows(), c.columns());
    let step = if m < 4 { 8 } else { 4 };
    if m > n {
        for i in (0..m).step_by(4) {
            for j in (0..n).step_by(step) {
                group(s, alpha, a, b, c, [i, j], [m - i, n - j]);
            }
        }
    } else {
        for j in (0..n).step_by(step) {
            for i in (0..m).step_by(4) {
                group(s, alpha, a, b, c, [i, j], [m - i, n - j]);
            }
        }
    }
}

/// Up to 4 × 4 products at a place of c, 1 × 8 where there are fewer rows.
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
    if c.rows() < 4 && left[1] >= 8 {
        for i in i..i + left[0] {
            cell::<S, E, 1, 8>(s, alpha, a, b, c, [i, j]);
        }
        return;
    }
    if left[0] >= 4 && left[1] >= 4 {
        return cell::<S, E, 4, 4>(s, alpha, a, b, c, [i, j]);
    }
    for i in i..i + left[0].min(4) {
        for j in j..j + left[1].min(if c.rows() < 4 { 8 } else { 4 }) {
            cell::<S, E, 1, 1>(s, alpha, a, b, c, [i, j]);
        }
    }
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
    let (next, ahead) = (B * b.stride, A == 1 && j + B < c.columns());
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
            if ahead {
                prefetch_at(b[y].as_ptr().wrapping_add(next + p));
            }
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
