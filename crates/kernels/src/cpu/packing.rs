//! How the two sides of a blocked product lie while they are multiplied: rows of a in slots, b in panels as wide as the
//! register tile. A slot holds one f32, or with the CPU's bf16 dot product two neighbours of the depth.

use super::matmul::Problem;
use super::pool::{with_scratch, Pool};
use super::right::Right;
use super::simd::{product, Beta, Block, Isa, Pairs, Strided, Tall};
use crate::maths::Layout;
use std::ops::Range;

/// Slots between rows of copied parts of a, over a slice's depth: keeps them out of each other's cache sets.
const PADDING: usize = 16;

pub trait Packing: Copy + Send + Sync {
    /// Elements of the depth in a slot.
    const GROUP: usize;
    /// Columns of a panel.
    fn width(self) -> usize;
    /// A panel of b: `[slots of the slice, width]`, from `count` columns on from `first`.
    fn panel<W: Right>(self, problem: &Problem, b: W, slice: &Range<usize>, first: usize, count: usize, y: &mut [f32]);
    /// Lends a as `with_left` wants it, made once for all tasks.
    fn prepared(self, pool: &Pool, problem: &Problem, a: &[f32], f: impl FnOnce(&[f32]));
    /// Rows of op(a), in slots, over the slice.
    fn with_left(self, problem: &Problem, a: &[f32], rows: &Range<usize>, slice: &Range<usize>, f: impl FnOnce(Strided));
    /// c += alpha · a · b over `k` slots.
    fn multiply(self, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block);
}

/// f32 on both sides.
#[derive(Clone, Copy)]
pub struct InF32(pub Isa);

impl Packing for InF32 {
    const GROUP: usize = 1;

    fn width(self) -> usize {
        2 * self.0.lanes()
    }

    fn panel<W: Right>(self, problem: &Problem, b: W, slice: &Range<usize>, first: usize, count: usize, y: &mut [f32]) {
        let width = self.width();
        match problem.layout {
            Layout::Nt => {
                let from = first * problem.k + slice.start;
                b.pack_transposed(self.0, from, problem.k, [count, slice.len()], y, width);
            }
            Layout::Nn | Layout::Tn => {
                for (p, y) in slice.clone().zip(y.chunks_mut(width)) {
                    b.expand(p * problem.n + first, &mut y[..count]);
                }
            }
        }
    }

    fn prepared(self, _pool: &Pool, _problem: &Problem, a: &[f32], f: impl FnOnce(&[f32])) {
        f(a);
    }

    /// Where they lie, or copied where their stride would make them share cache sets.
    fn with_left(self, problem: &Problem, a: &[f32], rows: &Range<usize>, slice: &Range<usize>, f: impl FnOnce(Strided)) {
        let Problem { m, k, .. } = *problem;
        let transposed = problem.layout == Layout::Tn;
        let (stride, outer, inner) = if transposed { (m, slice, rows) } else { (k, rows, slice) };
        if !transposed && stride % 256 != 0 {
            return f(view(&a[outer.start * stride + inner.start..], stride, transposed));
        }
        let padded = inner.len() + PADDING;
        with_scratch(outer.len() * padded, |copy| {
            for (i, y) in outer.clone().zip(copy.chunks_mut(padded)) {
                y[..inner.len()].copy_from_slice(&a[i * stride + inner.start..][..inner.len()]);
            }
            f(view(copy, padded, transposed));
        });
    }

    fn multiply(self, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block) {
        product(self.0, alpha, k, a, b, c, Beta::Add);
    }
}

/// Both sides rounded to bf16, sums in f32.
#[derive(Clone, Copy)]
pub struct InBf16(pub Pairs);

/// Rows that a task rounds.
const ROWS: usize = 32;

impl InBf16 {
    /// Slots from one row of a to the next: not as many as would make rows share cache sets.
    fn stride(self, problem: &Problem) -> usize {
        let length = if problem.layout == Layout::Tn { problem.m } else { problem.k.div_ceil(2) };
        length + if length.is_multiple_of(128) { PADDING } else { 0 }
    }
}

impl Packing for InBf16 {
    const GROUP: usize = 2;

    fn width(self) -> usize {
        2 * self.0.isa().lanes()
    }

    fn panel<W: Right>(self, problem: &Problem, b: W, slice: &Range<usize>, first: usize, count: usize, y: &mut [f32]) {
        let width = self.width();
        match problem.layout {
            Layout::Nt => {
                let from = first * problem.k + slice.start;
                b.pack_pairs_transposed(self.0, from, problem.k, [count, slice.len()], y, width);
            }
            Layout::Nn | Layout::Tn => {
                for (p, y) in slice.clone().step_by(2).zip(y.chunks_mut(width)) {
                    let second = (p + 1 < slice.end).then_some((p + 1) * problem.n + first);
                    b.interleave(self.0, p * problem.n + first, second, &mut y[..count]);
                }
            }
        }
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

    fn with_left(self, problem: &Problem, a: &[f32], rows: &Range<usize>, slice: &Range<usize>, f: impl FnOnce(Strided)) {
        let (stride, first) = (self.stride(problem), slice.start / 2);
        match problem.layout {
            Layout::Tn => f(view(&a[first * stride + rows.start..], stride, true)),
            _ => f(view(&a[rows.start * stride + first..], stride, false)),
        }
    }

    fn multiply(self, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block) {
        self.0.product(alpha, k, a, b, c);
    }
}

fn view(data: &[f32], stride: usize, transposed: bool) -> Strided<'_> {
    match transposed {
        true => Strided { data, row: 1, column: stride },
        false => Strided { data, row: stride, column: 1 },
    }
}
