//! The sums of a register tile over the depth: a step at a time, or four on one count of the pointers.

use super::prefetch::{prefetch_at, PREFETCHES, SLOTS};
use super::tile::{Step, Tile};
use super::Simd;
use std::array::from_fn;

/// Adds a · b to R rows of N vectors, in the way that suits the instruction set and how a lies.
/// # Safety
/// As `strips` in tile.rs, for R rows.
#[inline(always)]
pub unsafe fn add_up<S: Simd, P: Step<S>, const R: usize, const N: usize, const PART: bool>(
    s: S,
    how: P,
    t: Tile,
    sums: &mut [[S::V; N]; R],
) {
    // SAFETY: the caller's promise.
    unsafe {
        if R == 3 && N == 4 && S::WIDE == 4 {
            // SAFETY: an array of these very lengths.
            return s.three_by_four(how, t, &mut *sums.as_mut_ptr().cast());
        }
        let whole = S::STEPS > 1 && N == 2 && !PART;
        let (next, across) = (t.a_column == 1, t.a_row == 1);
        if whole && S::LEAN && next && t.walked {
            turns::<S, P, R, N, true, true>(s, how, t, sums);
        } else if whole && S::LEAN && next {
            turns::<S, P, R, N, true, false>(s, how, t, sums);
        } else if whole && S::LEAN && across {
            turns::<S, P, R, N, false, false>(s, how, t, sums);
        } else if whole && next && !(PREFETCHES && t.walked) {
            unrolled::<S, P, R, N, true>(s, how, t, sums);
        } else if whole && across {
            unrolled::<S, P, R, N, false>(s, how, t, sums);
        } else if t.walked {
            walk::<S, P, R, N, PART, true>(s, how, t, sums);
        } else {
            walk::<S, P, R, N, PART, false>(s, how, t, sums);
        }
    }
}

/// Rows of a that are found from one pointer.
const NEAR: usize = 3;

/// The same pointer, which a compiler cannot count up from another one: a chain of additions through all rows of a step
/// takes as long as its multiply-adds.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // Nothing is read or written there.
fn apart(p: *const f32) -> *const f32 {
    #[cfg(target_arch = "x86_64")]
    {
        let mut p = p;
        // SAFETY: no instruction at all.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) p, options(pure, nomem, nostack, preserves_flags)) };
        p
    }
    #[cfg(not(target_arch = "x86_64"))]
    p
}

/// The sums of a tile over the whole depth, a step a turn.
/// # Safety
/// As `add_up`.
#[inline(always)]
pub unsafe fn walk<S: Simd, P: Step<S>, const R: usize, const N: usize, const PART: bool, const WALKED: bool>(
    s: S,
    how: P,
    t: Tile,
    sums: &mut [[S::V; N]; R],
) {
    let last = t.columns.wrapping_sub((N - 1) * S::LANES);
    let mut b = t.b;
    let mut rows: [*const f32; 12usize.div_ceil(NEAR)] =
        from_fn(|i| apart(t.a.wrapping_add((NEAR * i).wrapping_mul(t.a_row))));
    let mut ahead = t.a.wrapping_add(R.wrapping_mul(t.a_row));
    for _ in 0..t.k {
        if WALKED {
            // A line a step is more than the R ≤ 12 slots of it that the next rows take.
            prefetch_at(ahead);
            ahead = ahead.wrapping_add(SLOTS);
        }
        let mut row = [s.zero(); N];
        for (j, vector) in row.iter_mut().enumerate() {
            let p = b.wrapping_add(j * S::LANES);
            // SAFETY: the caller's promise; a cut vector reads `last` elements.
            *vector = unsafe {
                if PART && j == N - 1 {
                    s.load_first(p, last)
                } else {
                    s.load_at(p)
                }
            };
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: row i < R of a.
            let x = s.splat(unsafe { *rows[i / NEAR].wrapping_add((i % NEAR).wrapping_mul(t.a_row)) });
            for (sum, &vector) in sums.iter_mut().zip(&row) {
                *sum = how.step(s, x, vector, *sum);
            }
        }
        rows = rows.map(|row| row.wrapping_add(t.a_column));
        b = b.wrapping_add(t.b_row);
    }
}

/// As `walk`, `STEPS` steps a turn. Where NEXT, a's rows lie along the depth: a pointer for each, moved once a turn, and
/// what is read of it at a constant distance, which an instruction holds. The way out after every step spares what is
/// left of the depth a loop of its own, and keeps compilers from mixing the steps: their numbers would not fit the registers.
/// # Safety
/// As `add_up`.
#[inline(always)]
unsafe fn unrolled<S: Simd, P: Step<S>, const R: usize, const N: usize, const NEXT: bool>(
    s: S,
    how: P,
    t: Tile,
    sums: &mut [[S::V; N]; R],
) {
    let mut rows: [*const f32; R] = from_fn(|i| t.a.wrapping_add(i * t.a_row));
    let (mut b, mut left) = (t.b, t.k);
    'depth: while left > 0 {
        for step in 0..S::STEPS {
            // SAFETY: the caller's promise; the step is one of the depth.
            let row: [S::V; N] = from_fn(|j| unsafe { s.load_at(b.add(j * S::LANES)) });
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let x = s.splat(unsafe {
                    if NEXT {
                        *rows[i].add(step)
                    } else {
                        *rows[0].add(i)
                    }
                });
                for (sum, &vector) in sums.iter_mut().zip(&row) {
                    *sum = how.step(s, x, vector, *sum);
                }
            }
            left -= 1;
            if left == 0 {
                break 'depth;
            }
            b = b.wrapping_add(t.b_row);
            if !NEXT {
                rows[0] = rows[0].wrapping_add(t.a_column);
            }
        }
        if NEXT {
            rows = rows.map(|row| row.wrapping_add(S::STEPS));
        }
    }
}

/// As `walk`, in turns of `STEPS` with as few instructions as there can be: what a turn reads lies at constant distances
/// from few pointers, which are counted up once. A core whose other thread works takes in three instructions a cycle of
/// ours, not six: then a turn of AVX2's tile takes as long as its 84, of which 48 are multiply-adds, not as long as these.
/// # Safety
/// As `add_up`.
#[inline(always)]
unsafe fn turns<S: Simd, P: Step<S>, const R: usize, const N: usize, const NEXT: bool, const WALKED: bool>(
    s: S,
    how: P,
    mut t: Tile,
    sums: &mut [[S::V; N]; R],
) {
    const { assert!(S::STEPS <= 4) };
    let mut rows: [*const f32; 12usize.div_ceil(NEAR)] =
        from_fn(|i| apart(t.a.wrapping_add((NEAR * i).wrapping_mul(t.a_row))));
    // Of the first and of the third step.
    let mut b: [*const f32; 2] = from_fn(|i| apart(t.b.wrapping_add((2 * i).wrapping_mul(t.b_row))));
    let mut ahead = t.a.wrapping_add(R.wrapping_mul(t.a_row));
    for _ in 0..t.k / S::STEPS {
        if WALKED {
            // What the next rows take of a turn, in whole lines.
            for line in 0..(R * S::STEPS).div_ceil(SLOTS) {
                prefetch_at(ahead.wrapping_add(line * SLOTS));
            }
            ahead = ahead.wrapping_add(R * S::STEPS);
        }
        for step in 0..S::STEPS {
            let from = b[step / 2].wrapping_add((step % 2).wrapping_mul(t.b_row));
            // SAFETY: the caller's promise; the step is one of the depth.
            let row: [S::V; N] = from_fn(|j| unsafe { s.load_at(from.wrapping_add(j * S::LANES)) });
            for (i, sums) in sums.iter_mut().enumerate() {
                let from = match NEXT {
                    true => rows[i / NEAR].wrapping_add((i % NEAR).wrapping_mul(t.a_row)).wrapping_add(step),
                    false => rows[0].wrapping_add(i),
                };
                // SAFETY: as above.
                let x = s.splat(unsafe { *from });
                for (sum, &vector) in sums.iter_mut().zip(&row) {
                    *sum = how.step(s, x, vector, *sum);
                }
            }
            if !NEXT {
                rows[0] = rows[0].wrapping_add(t.a_column);
            }
            unmixed();
        }
        if NEXT {
            rows = rows.map(|row| row.wrapping_add(S::STEPS));
        }
        b = b.map(|b| b.wrapping_add(t.b_row.wrapping_mul(S::STEPS)));
    }
    (t.a, t.b, t.k) = (rows[0], b[0], t.k % S::STEPS);
    // SAFETY: the caller's promise, for what is left of the depth.
    unsafe { walk::<S, P, R, N, false, false>(s, how, t, sums) };
}

/// Keeps a compiler from mixing what stands before with what follows: their numbers would not fit the registers.
#[inline(always)]
fn unmixed() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!("", options(nostack, preserves_flags))
    };
}
