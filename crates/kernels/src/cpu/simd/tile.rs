//! The inner product of every matrix product here: a register tile of c, rows of `a` broadcast against rows of `b`.
//! Each element of c is one chain of multiply-adds in the order of k, whatever tile it falls into: neither the
//! partition over threads nor the place of an edge changes a bit. An element of a or b is a slot of four bytes: one f32,
//! or two neighbours of the depth in bf16 (see pairs.rs).

use super::depth::add_up;
use super::prefetch::{prefetch_at, SLOTS};
use super::{Block, Simd};
pub use crate::maths::Beta;

/// How two slots are multiplied and added up.
pub trait Step<S: Simd>: Copy {
    /// a·b + c
    fn step(self, s: S, a: S::V, b: S::V, c: S::V) -> S::V;
}

/// Steps of a short product: a wide tile's lines of b stay in a first-level cache wherever its rows lie.
const SHORT: usize = 64;

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
    let widest = S::WIDE * S::LANES;
    // Where b was packed for it or is short: rows that lie apart take more lines of a cache the wider they are.
    let wide = (b.stride == widest || k <= SHORT) && !a.walked && (a.row == 1 || a.column == 1);
    let mut done = 0;
    while done < n {
        tile.columns = match n - done {
            left if wide && left >= widest => widest,
            left => left.min(2 * S::LANES),
        };
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
pub struct Tile {
    pub(super) k: usize,
    pub(super) a: *const f32,
    pub(super) a_row: usize,
    pub(super) a_column: usize,
    pub(super) walked: bool,
    pub(super) b: *const f32,
    pub(super) b_row: usize,
    c: *mut f32,
    c_row: usize,
    pub(super) columns: usize,
    alpha: f32,
    beta: Beta,
}

/// One, two or four vectors of columns, all rows.
/// # Safety
/// a, b and c hold `m`, `k` and `m` rows at the strides given.
#[inline(always)]
unsafe fn strips<S: Simd, P: Step<S>>(s: S, how: P, tile: Tile, m: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match (tile.columns > S::LANES, !tile.columns.is_multiple_of(S::LANES)) {
            _ if S::WIDE == 4 && tile.columns == 4 * S::LANES => rows::<S, P, 4, false>(s, how, tile, m),
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
            } else if most == 3 && left >= 3 {
                micro::<S, P, 3, N, PART>(s, how, tile)
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
    unsafe { add_up::<S, P, R, N, PART>(s, how, t, &mut sums) };
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
