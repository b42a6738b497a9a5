//! How the two sides of a blocked product lie while they are multiplied: rows of a in slots, b in panels as wide as the
//! register tile. A slot holds one f32, or with the CPU's bf16 dot product two neighbours of the depth.

use super::matmul::Problem;
use super::pool::{with_aligned_scratch, with_scratch, Pool};
use super::right::{Patch, Right};
use super::simd::{
    pack_transposed, product, Beta, Block, Isa, Pairs, Spread, Strided, Tall, Tiled, Tiles, AREA, EDGE, SIDE,
};
use crate::maths::Layout;
use std::ops::Range;

/// Slots between rows of a copy of a: keeps them out of each other's cache sets.
const PADDING: usize = 16;
/// Rows of slots that are packed together, panel by panel: so much of a panel is written at a time.
const TOGETHER: usize = 8;
/// Rows that a task copies or rounds.
const ROWS: usize = 32;

/// Slots from one row of `length` to the next: not as many as would make rows share cache sets.
fn padded(length: usize) -> usize {
    length + if length.is_multiple_of(256) { PADDING } else { 0 }
}

/// Slots whose lines go through all sets of a first-level cache: 4 KiB on every x86.
const AROUND: usize = 1024;

/// Whether more than three of the `tile` rows that are read at once would share a set: of the eight lines of one, a panel has six.
fn crowded(length: usize, tile: usize) -> bool {
    let places = AROUND >> length.trailing_zeros().min(AROUND.trailing_zeros());
    tile.div_ceil(places) > 3
}

pub trait Packing: Copy + Send + Sync {
    /// Elements of the depth in a slot.
    const GROUP: usize;
    /// Rows of the highest register tile.
    const STRIP: usize = 12;
    /// Slots of a packed panel: 24 KiB, which leaves room for rows of `a` in a first-level cache of 32.
    const PANEL: usize = 6144;
    /// Rows of a panel that would have fewer: a wide one comes from the second-level cache faster than it is multiplied,
    /// and each slice of the depth costs a pass over c.
    const DEEP: usize = 384;
    /// Slots that a slice of the depth is a multiple of: rows of b are transposed eight by eight.
    const WHOLE: usize = 8;
    /// Multiplications that cost as much as reading an element.
    const MULTIPLICATIONS: usize = 4;
    /// Rows of op(a), in slots.
    type Left<'a>: Copy;
    fn isa(self) -> Isa;
    /// Columns of a panel: those of `InF32` under the same instruction set.
    fn width(self) -> usize;
    /// Slots of a panel for so much of the depth.
    fn slots(self, depth: usize) -> usize {
        depth.div_ceil(Self::GROUP)
    }
    /// How much of a depth of `k` a panel holds: slices of one length.
    fn depth(self, k: usize) -> usize {
        let most = (Self::PANEL / self.width()).max(Self::DEEP) * Self::GROUP;
        k.div_ceil(k.div_ceil(most)).next_multiple_of(Self::WHOLE * Self::GROUP)
    }
    /// Rows of b as columns of a panel.
    fn transposed<W: Right>(self, b: W, x: Patch, y: &mut [f32]);
    /// Rows of b as rows of panels.
    fn upright<W: Right>(self, b: W, x: Patch, y: Spread);
    /// Panels of b, `[slots of the slice, width]` each, of all `columns`.
    fn panels<W: Right>(self, problem: &Problem, b: W, slice: &Range<usize>, columns: &Range<usize>, y: &mut [f32]) {
        let (width, filled) = (self.width(), self.width() * slice.len().div_ceil(Self::GROUP));
        let stride = width * self.slots(slice.len());
        let panels = columns.len().div_ceil(width);
        y.chunks_mut(stride).take(panels).for_each(|y| y[filled..].fill(0.0));
        if problem.layout == Layout::Nt {
            for (first, y) in columns.clone().step_by(width).zip(y.chunks_mut(stride)) {
                let (start, rows) = (first * problem.k + slice.start, width.min(columns.end - first));
                self.transposed(b, Patch { start, stride: problem.k, rows, k: slice.len() }, y);
            }
            return;
        }
        let together = TOGETHER * Self::GROUP;
        for (i, p) in slice.clone().step_by(together).enumerate() {
            let y = Spread { data: &mut y[i * TOGETHER * width..], width, stride };
            let (start, rows) = (p * problem.n + columns.start, together.min(slice.end - p));
            self.upright(b, Patch { start, stride: problem.n, rows, k: columns.len() }, y);
        }
    }
    /// Lends a as `with_left` wants it, made once for all tasks.
    fn prepared(self, pool: &Pool, problem: &Problem, a: &[f32], f: impl FnOnce(&[f32]));
    /// Rows of op(a), in slots, over the slice.
    fn with_left(
        self,
        problem: &Problem,
        a: &[f32],
        rows: &Range<usize>,
        slice: &Range<usize>,
        f: impl FnOnce(Self::Left<'_>),
    );
    /// c = alpha · a · b over `k` slots, or added to c.
    fn multiply(self, alpha: f32, k: usize, a: Self::Left<'_>, b: Tall, c: &mut Block, beta: Beta);
}

/// f32 on both sides.
#[derive(Clone, Copy)]
pub struct InF32(pub Isa);

impl InF32 {
    /// Numbers from one row of a to the next, where a lies along the depth.
    fn stride(self, k: usize) -> usize {
        k + if crowded(k, self.0.tile().0) { PADDING } else { 0 }
    }
}

impl Packing for InF32 {
    const GROUP: usize = 1;
    type Left<'a> = Strided<'a>;

    fn isa(self) -> Isa {
        self.0
    }

    fn width(self) -> usize {
        self.0.tile().1
    }

    fn transposed<W: Right>(self, b: W, x: Patch, y: &mut [f32]) {
        b.pack_transposed(self.0, x, y, self.width());
    }

    fn upright<W: Right>(self, b: W, x: Patch, y: Spread) {
        b.spread(self.0, x, y);
    }

    /// Where they lie, or copied where their stride would make them share cache sets.
    fn prepared(self, pool: &Pool, problem: &Problem, a: &[f32], f: impl FnOnce(&[f32])) {
        let Problem { m, k, .. } = *problem;
        let stride = self.stride(k);
        if problem.layout == Layout::Tn || stride == k {
            return f(a);
        }
        with_scratch(m * stride, |copy| {
            pool.each(copy.chunks_mut(ROWS * stride).zip(a.chunks(ROWS * k)).collect(), |(copy, a)| {
                for (y, x) in copy.chunks_mut(stride).zip(a.chunks(k)) {
                    y[..k].copy_from_slice(x);
                }
            });
            f(copy);
        });
    }

    /// Rows that lie across the depth are copied: theirs would share cache sets too.
    fn with_left(
        self,
        problem: &Problem,
        a: &[f32],
        rows: &Range<usize>,
        slice: &Range<usize>,
        f: impl FnOnce(Strided),
    ) {
        let Problem { m, k, .. } = *problem;
        if problem.layout != Layout::Tn {
            let stride = self.stride(k);
            return f(view(&a[rows.start * stride + slice.start..], stride, false));
        }
        let length = rows.len() + PADDING;
        with_scratch(slice.len() * length, |copy| {
            for (p, y) in slice.clone().zip(copy.chunks_mut(length)) {
                y[..rows.len()].copy_from_slice(&a[p * m + rows.start..][..rows.len()]);
            }
            f(view(copy, length, true));
        });
    }

    fn multiply(self, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
        product(self.0, alpha, k, a, b, c, beta);
    }
}

/// Both sides rounded to bf16, sums in f32.
#[derive(Clone, Copy)]
pub struct InBf16(pub Pairs);

impl InBf16 {
    /// Slots from one row of a to the next.
    fn stride(self, problem: &Problem) -> usize {
        padded(if problem.layout == Layout::Tn { problem.m } else { problem.k.div_ceil(2) })
    }
}

impl Packing for InBf16 {
    const GROUP: usize = 2;
    type Left<'a> = Strided<'a>;

    fn isa(self) -> Isa {
        self.0.isa()
    }

    fn width(self) -> usize {
        2 * self.0.isa().lanes()
    }

    fn transposed<W: Right>(self, b: W, x: Patch, y: &mut [f32]) {
        b.pack_pairs_transposed(self.0, x, y, self.width());
    }

    fn upright<W: Right>(self, b: W, x: Patch, y: Spread) {
        b.interleave(self.0, x, y);
    }

    fn prepared(self, pool: &Pool, problem: &Problem, a: &[f32], f: impl FnOnce(&[f32])) {
        let Problem { m, k, .. } = *problem;
        let (stride, slots) = (self.stride(problem), k.div_ceil(2));
        let transposed = problem.layout == Layout::Tn;
        let rows = if transposed { slots } else { m };
        with_scratch(rows * stride, |slotted| {
            let tasks: Vec<_> = slotted.chunks_mut(ROWS * stride).enumerate().collect();
            pool.each(tasks, |(task, slotted)| {
                for (i, y) in slotted.chunks_mut(stride).enumerate() {
                    let at = task * ROWS + i;
                    if transposed {
                        let row = |p: usize| &a[p * m..(p + 1) * m];
                        self.0.interleave(row(2 * at), (2 * at + 1 < k).then(|| row(2 * at + 1)), y);
                    } else {
                        self.0.round(&a[at * k..(at + 1) * k], y);
                    }
                }
            });
            f(slotted);
        });
    }

    fn with_left(
        self,
        problem: &Problem,
        a: &[f32],
        rows: &Range<usize>,
        slice: &Range<usize>,
        f: impl FnOnce(Strided),
    ) {
        let (stride, first) = (self.stride(problem), slice.start / 2);
        match problem.layout {
            Layout::Tn => f(view(&a[first * stride + rows.start..], stride, true)),
            _ => f(view(&a[rows.start * stride + first..], stride, false)),
        }
    }

    fn multiply(self, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
        self.0.product(alpha, k, a, b, c, beta);
    }
}

/// As `InBf16`, for the CPU's matrix unit: rows of a in tiles, and a depth of whole tiles, filled up with zeros on both sides.
#[derive(Clone, Copy)]
pub struct InTiles(pub Pairs, pub Tiles);

impl InTiles {
    /// Numbers from one row of tiles to the next.
    fn stride(self, depth: usize) -> usize {
        self.slots(depth) * EDGE
    }

    /// y, one row of tiles = rows of a, `first` being its first.
    fn tiled(self, problem: &Problem, a: &[f32], first: usize, y: &mut [f32]) {
        let Problem { m, k, .. } = *problem;
        let rows = EDGE.min(m - first);
        if problem.layout != Layout::Tn {
            // What rows and depth lack of whole tiles.
            if rows < EDGE {
                y.fill(0.0);
            } else if !k.is_multiple_of(2 * EDGE) {
                let last = y.len() - AREA;
                y[last..].fill(0.0);
            }
            for i in 0..rows {
                self.0.round_lines(&a[(first + i) * k..][..k], &mut y[i * EDGE..], AREA);
            }
            return;
        }
        let mut upright = [0.0; AREA];
        for (tile, y) in y.chunks_exact_mut(AREA).enumerate() {
            upright.fill(0.0);
            for (p, x) in (2 * tile * EDGE..k).step_by(2).zip(upright.chunks_exact_mut(EDGE)) {
                let row = |p: usize| &a[p * m + first..][..rows];
                self.0.interleave(row(p), (p + 1 < k).then(|| row(p + 1)), x);
            }
            pack_transposed(self.0.isa(), &upright, EDGE, EDGE, EDGE, y, EDGE);
        }
    }
}

impl Packing for InTiles {
    const GROUP: usize = 2;
    const STRIP: usize = SIDE;
    const WHOLE: usize = EDGE;
    const MULTIPLICATIONS: usize = 64;
    type Left<'a> = Tiled<'a>;

    fn isa(self) -> Isa {
        self.0.isa()
    }

    fn width(self) -> usize {
        SIDE
    }

    fn slots(self, depth: usize) -> usize {
        depth.div_ceil(2 * EDGE) * EDGE
    }

    fn transposed<W: Right>(self, b: W, x: Patch, y: &mut [f32]) {
        b.pack_pairs_transposed(self.0, x, y, SIDE);
    }

    fn upright<W: Right>(self, b: W, x: Patch, y: Spread) {
        b.interleave(self.0, x, y);
    }

    fn prepared(self, pool: &Pool, problem: &Problem, a: &[f32], f: impl FnOnce(&[f32])) {
        let stride = self.stride(problem.k);
        with_aligned_scratch(problem.m.div_ceil(EDGE) * stride, |tiled| {
            let tasks = tiled.chunks_mut(stride).enumerate().collect();
            pool.each(tasks, |(i, y): (usize, &mut [f32])| self.tiled(problem, a, i * EDGE, y));
            f(tiled);
        });
    }

    fn with_left(self, problem: &Problem, a: &[f32], rows: &Range<usize>, slice: &Range<usize>, f: impl FnOnce(Tiled)) {
        let stride = self.stride(problem.k);
        f(Tiled::packed(&a[rows.start / EDGE * stride + self.stride(slice.start)..], stride));
    }

    fn multiply(self, alpha: f32, k: usize, a: Tiled, b: Tall, c: &mut Block, beta: Beta) {
        self.1.product(alpha, k / EDGE, a, b, c, beta);
    }
}

fn view(data: &[f32], stride: usize, transposed: bool) -> Strided<'_> {
    match transposed {
        true => Strided { data, row: 1, column: stride, walked: false },
        false => Strided { data, row: stride, column: 1, walked: false },
    }
}
