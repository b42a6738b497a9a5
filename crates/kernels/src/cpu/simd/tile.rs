//! The inner product of every matrix product here: a register tile of c, rows of `a` broadcast against rows of `b`.
//! Each element of c is one chain of multiply-adds in the order of k, whatever tile it falls into: neither the
//! partition over threads nor the place of an edge changes a bit. An element of a or b is a slot of four bytes: one f32,
//! or two neighbours of the depth in bf16 (see pairs.rs).

use super::prefetch::{prefetch_at, PREFETCHES, SLOTS};
use super::{Block, Simd};
pub use crate::maths::Beta;
use std::array::from_fn;

/// How two slots are multiplied and added up.
pub trait Step<S: Simd>: Copy {
    /// a·b + c
    fn step(self, s: S, a: S::V, b: S::V, c: S::V) -> S::V;
}

/// A slot is one f32.
#[derive(Clone, Copy)]
pub struct Single;

impl<S: Simd> Step<S> for Single {
    #[inline(always)]
    fn step(self, s: S, a: S::V, b: S::V, c: S::V) -> S::V {
        s.mul_add(a, b, c)
    }
}

/// `rows × depth` numbers at any strides.
#[derive(Clone, Copy)]
pub struct Strided<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub column: usize,
    /// Whether the rows come from memory one behind the other: those behind a tile's are asked for meanwhile.
    pub walked: bool,
}

impl Strided<'_> {
    /// Without the rows before `row`.
    pub fn after_rows(self, row: usize) -> Self {
        Strided { data: &self.data[row * self.row..], ..self }
    }

    /// Without the depth before `depth`.
    pub fn after_depth(self, depth: usize) -> Self {
        Strided { data: &self.data[depth * self.column..], ..self }
    }
}

/// `depth` rows whose elements are neighbours.
#[derive(Clone, Copy)]
pub struct Tall<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

impl Tall<'_> {
    /// Without the depth before `depth`.
    pub fn after_depth(self, depth: usize) -> Self {
        Tall { data: &self.data[depth * self.stride..], ..self }
    }
}

super::kernel! {
    /// c = alpha · a `[m,k]` · b `[k,n]`, or added to c.
    pub fn product<S>(s, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
        multiply(s, Single, alpha, k, a, b, c, beta);
    }
}

/// As `product`, over `k` slots of any kind.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub fn multiply<S: Simd, P: Step<S>>(
    s: S,
    how: P,
    alpha: f32,
    k: usize,
    a: Strided,
    b: Tall,
    c: &mut Block,
    beta: Beta,
) {
    let (m, n) = (c.rows(), c.columns());
    if m == 0 || n == 0 {
        return;
    }
    assert!(k == 0 || (m - 1) * a.row + (k - 1) * a.column < a.data.len());
    assert!(k == 0 || (k - 1) * b.stride + n <= b.data.len());
    let mut tile = Tile {
        k,
        a: a.data.as_ptr(),
        a_row: a.row,
        a_column: a.column,
        walked: a.walked,
        b: b.data.as_ptr(),
        b_row: b.stride,
        c: c.as_mut_ptr(),
        c_row: c.stride(),
        columns: 0,
        alpha,
        beta,
    };
    let wide = 2 * S::LANES;
    let mut done = 0;
    while done < n {
        tile.columns = (n - done).min(wide);
        // SAFETY: the assertions hold for all m rows and for the columns up to n; c is the block's.
        unsafe { strips(s, how, tile, m) };
        done += tile.columns;
        // SAFETY: stays within the matrices or points to their end, as done ≤ n.
        unsafe {
            tile.b = tile.b.add(tile.columns);
            tile.c = tile.c.add(tile.columns);
        }
    }
}

#[derive(Clone, Copy)]
struct Tile {
    k: usize,
    a: *const f32,
    a_row: usize,
    a_column: usize,
    walked: bool,
    b: *const f32,
    b_row: usize,
    c: *mut f32,
    c_row: usize,
    columns: usize,
    alpha: f32,
    beta: Beta,
}

/// One or two vectors of columns, all rows.
/// # Safety
/// a, b and c hold `m`, `k` and `m` rows at the strides given.
#[inline(always)]
unsafe fn strips<S: Simd, P: Step<S>>(s: S, how: P, tile: Tile, m: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match (tile.columns > S::LANES, !tile.columns.is_multiple_of(S::LANES)) {
            (true, false) => rows::<S, P, 2, false>(s, how, tile, m),
            (true, true) => rows::<S, P, 2, true>(s, how, tile, m),
            (false, false) => rows::<S, P, 1, false>(s, how, tile, m),
            (false, true) => rows::<S, P, 1, true>(s, how, tile, m),
        }
    }
}

/// # Safety
/// As `strips`.
#[inline(always)]
unsafe fn rows<S: Simd, P: Step<S>, const N: usize, const PART: bool>(s: S, how: P, mut tile: Tile, m: usize) {
    let most = S::ROWS * 2 / N;
    let mut left = m;
    while left > 0 {
        // SAFETY: at most `left` rows are taken.
        let taken = unsafe {
            if most >= 12 && left >= 12 {
                micro::<S, P, 12, N, PART>(s, how, tile)
            } else if most >= 6 && left >= 6 {
                micro::<S, P, 6, N, PART>(s, how, tile)
            } else if most == 5 && left >= 5 {
                micro::<S, P, 5, N, PART>(s, how, tile)
            } else if most >= 4 && left >= 4 {
                micro::<S, P, 4, N, PART>(s, how, tile)
            } else if left >= 2 {
                micro::<S, P, 2, N, PART>(s, how, tile)
            } else {
                micro::<S, P, 1, N, PART>(s, how, tile)
            }
        };
        tile.a = tile.a.wrapping_add(taken * tile.a_row);
        tile.c = tile.c.wrapping_add(taken * tile.c_row);
        left -= taken;
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
/// As `micro`.
#[inline(always)]
unsafe fn walk<S: Simd, P: Step<S>, const R: usize, const N: usize, const PART: bool, const WALKED: bool>(
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
/// As `micro`.
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
/// As `micro`.
#[inline(always)]
unsafe fn turns<S: Simd, P: Step<S>, const R: usize, const N: usize, const NEXT: bool, const WALKED: bool>(
    s: S,
    how: P,
    mut t: Tile,
    sums: &mut [[S::V; N]; R],
) {
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

/// R rows of N vectors in registers; returns R. With PART the last vector is cut off at `columns`.
/// # Safety
/// As `strips`, for R rows.
#[inline(always)]
unsafe fn micro<S: Simd, P: Step<S>, const R: usize, const N: usize, const PART: bool>(s: S, how: P, t: Tile) -> usize {
    let last = t.columns.wrapping_sub((N - 1) * S::LANES);
    let place = |i: usize| t.c.wrapping_add(i.wrapping_mul(t.c_row));
    // Wanted when the depth is done, which takes longer than to fetch them.
    for i in 0..R {
        (0..N * S::LANES).step_by(SLOTS).for_each(|j| prefetch_at(place(i).wrapping_add(j)));
    }
    let mut sums = [[s.zero(); N]; R];
    // SAFETY: the caller's promise.
    unsafe {
        let whole = S::STEPS > 1 && N == 2 && !PART;
        let (next, across) = (t.a_column == 1, t.a_row == 1);
        if whole && S::LEAN && next && t.walked {
            turns::<S, P, R, N, true, true>(s, how, t, &mut sums);
        } else if whole && S::LEAN && next {
            turns::<S, P, R, N, true, false>(s, how, t, &mut sums);
        } else if whole && S::LEAN && across {
            turns::<S, P, R, N, false, false>(s, how, t, &mut sums);
        } else if whole && next && !(PREFETCHES && t.walked) {
            unrolled::<S, P, R, N, true>(s, how, t, &mut sums);
        } else if whole && across {
            unrolled::<S, P, R, N, false>(s, how, t, &mut sums);
        } else if t.walked {
            walk::<S, P, R, N, PART, true>(s, how, t, &mut sums);
        } else {
            walk::<S, P, R, N, PART, false>(s, how, t, &mut sums);
        }
    }
    let alpha = s.splat(t.alpha);
    for (i, sums) in sums.iter().enumerate() {
        for (j, &sum) in sums.iter().enumerate() {
            let p = place(i).wrapping_add(j * S::LANES);
            let cut = PART && j == N - 1;
            // SAFETY: row i < R and these columns belong to the block of c.
            unsafe {
                let value = match t.beta {
                    Beta::Overwrite => s.mul(alpha, sum),
                    Beta::Add if cut => s.mul_add(alpha, sum, s.load_first(p, last)),
                    Beta::Add => s.mul_add(alpha, sum, s.load_at(p)),
                };
                if cut {
                    s.store_first(value, p, last)
                } else {
                    s.store_at(value, p)
                }
            }
        }
    }
    R
}
