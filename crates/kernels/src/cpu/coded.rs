//! c += alpha · a · bᵀ by dot products of few rows with a weight in codes, which is read once, at the speed of memory: each
//! run of weights is expanded in registers and multiplied at once. Activations stay f32, as they are where the weight is
//! expanded first: rounding them to eight bits, as llama.cpp does, would change the model that a run was trained on.

use super::runs::{with_runs, Runs, RUN};
use super::simd::{kernel, Block, Rows, Simd};
use crate::codec::Coded;

kernel! {
    /// With rows of b from `first` on, as long as those of a. False where the weight has no runs.
    pub fn walk<S>(s, alpha: f32, a: Rows<f32>, b: Coded, first: usize, c: &mut Block) -> bool {
        if !a.length.is_multiple_of(RUN) {
            return false;
        }
        with_runs!(b, runs => all(s, alpha, a, runs, first, c), false)
    }
}

#[inline(always)]
fn all<S: Simd, R: Runs>(s: S, alpha: f32, a: Rows<f32>, b: R, first: usize, c: &mut Block) -> bool {
    for j in 0..c.columns() {
        // What registers hold: sixteen sums of 32 vectors, or eight of 16.
        match c.rows() {
            1 => column::<S, R, 1>(s, alpha, a, b, first + j, [0, j], c),
            m if S::LANES == 16 => {
                for i in (0..m).step_by(4) {
                    column::<S, R, 4>(s, alpha, a, b, first + j, [i, j], c);
                }
            }
            m => {
                for i in (0..m).step_by(2) {
                    column::<S, R, 2>(s, alpha, a, b, first + j, [i, j], c);
                }
            }
        }
    }
    true
}

/// Products of A rows of a, from row i on, with a row of b whose weights are expanded once; rows that a lacks are its last.
/// They are summed as `walk` of `simd/dots.rs` sums f32 weights: the same bits.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Iterators over vectors are not always inlined: the sums would leave the registers.
fn column<S: Simd, R: Runs, const A: usize>(
    s: S,
    alpha: f32,
    a: Rows<f32>,
    b: R,
    row: usize,
    [i, j]: [usize; 2],
    c: &mut Block,
) {
    let (m, runs) = (c.rows(), a.length / RUN);
    let mut left: [&[[f32; RUN]]; A] = [&[]; A];
    for x in 0..A {
        left[x] = a.row((i + x).min(m - 1)).as_chunks().0;
    }
    let mut sums = [[s.sixteen(&[0.0; 16]); 2]; A];
    let first = row * runs;
    for run in 0..runs {
        let weights = b.run(s, first + run);
        for x in 0..A {
            let left = &left[x][run];
            for half in 0..2 {
                for v in 0..16 / S::LANES {
                    let sum = &mut sums[x][half].as_mut()[v];
                    *sum = s.mul_add(s.load(&left[16 * half + v * S::LANES..]), weights[half].as_ref()[v], *sum);
                }
            }
        }
    }
    for x in 0..A.min(m - i) {
        let mut total = s.zero();
        for half in 0..2 {
            for v in 0..16 / S::LANES {
                total = s.add(total, sums[x][half].as_ref()[v]);
            }
        }
        c.row(i + x)[j] += alpha * s.sum_lanes(total);
    }
}
