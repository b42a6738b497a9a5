//! c = alpha · op(a) · op(b), or added to c. c is cut into a grid of blocks, one task each; a task walks over the depth in
//! slices that fit the first-level cache and packs its columns of b, expanded to f32, into panels as wide as the register
//! tile. No more of a weight in bf16 or in blocks ever exists in f32 than these panels.

use super::convert::with_f32;
use super::packing::{InBf16, InF32, InTiles, Packing};
use super::pool::{with_aligned_scratch, Pool};
use super::right::Right;
use super::simd::{product, split, Beta, Block, Isa, Pairs, Strided, Tall};
use super::skinny;
use crate::maths::{Floats, Layout, LowRank};
use std::ops::Range;

/// One product; the elements of a and b are read where `Matrix` says.
pub struct Problem<'a> {
    pub layout: Layout,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub alpha: f32,
    pub a: Floats<'a, f32>,
    pub b: Floats<'a, f32>,
    pub beta: Beta,
    /// Where large products may round both sides to bf16, and the CPU multiplies those faster.
    pub pairs: Option<Pairs>,
    /// Joins each block of c while that lies in a cache; in f32.
    pub low: Option<LowRank<'a, f32>>,
}

impl<'a> Problem<'a> {
    /// What joins the product, as one of its own.
    fn beside(&self) -> Option<Problem<'a>> {
        let LowRank { u, v, rank, factor } = self.low?;
        let (a, b) = (Floats::Real(u), Floats::Real(v));
        Some(Problem { k: rank, alpha: factor, a, b, beta: Beta::Add, pairs: None, low: None, ..*self })
    }
}

/// Results of fewer rows or columns are cleared before they are added to: skinny products only add.
const NARROW: usize = 64;
/// Products of fewer multiplications run on one thread.
pub const SMALL: usize = 1 << 17;
/// Rows of c that one panel of b meets before the next.
const ROWS: usize = 240;
/// Columns that are packed at a time: rows of b, few enough that the next slice of the depth finds their pages at hand; or
/// pieces of rows, which the memory fetches faster when they are long.
fn columns_at_a_time(layout: Layout) -> usize {
    match layout {
        Layout::Nt => 256,
        Layout::Nn | Layout::Tn => 1024,
    }
}

pub fn matmul(isa: Isa, pool: &Pool, problem: &Problem, c: &mut [f32]) {
    let Problem { m, n, k, .. } = *problem;
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    if problem.beta == Beta::Overwrite && m.min(n) < NARROW && !skinny::overwrites(isa, problem) {
        c.fill(0.0);
        return matmul(isa, pool, &Problem { beta: Beta::Add, ..*problem }, c);
    }
    with_f32(isa, pool, problem.a, |a| with_right(isa, pool, problem, a, c));
}

fn with_right(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], c: &mut [f32]) {
    match problem.b {
        Floats::Real(b) | Floats::F32(b) => route(isa, pool, problem, a, b, c),
        Floats::Bf16(b) => route(isa, pool, problem, a, b, c),
        Floats::F16(b) => route(isa, pool, problem, a, b, c),
        Floats::Coded(b) => route(isa, pool, problem, a, b, c),
    }
}

fn route<W: Right>(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: W, c: &mut [f32]) {
    if !skinny::multiply(isa, pool, problem, a, b, c) {
        return blocked(isa, pool, problem, a, b, c);
    }
    if let Some(beside) = problem.beside() {
        matmul(isa, pool, &beside, c);
    }
}

pub fn blocked<W: Right>(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: W, c: &mut [f32]) {
    match problem.pairs {
        Some(pairs) => match pairs.tiles() {
            Some(tiles) => in_blocks(InTiles(pairs, tiles), pool, problem, a, b, c),
            None => in_blocks(InBf16(pairs), pool, problem, a, b, c),
        },
        None => in_blocks(InF32(isa), pool, problem, a, b, c),
    }
}

fn in_blocks<P: Packing, W: Right>(packing: P, pool: &Pool, problem: &Problem, a: &[f32], b: W, c: &mut [f32]) {
    let Problem { m, n, k, .. } = *problem;
    let width = packing.width();
    let (row_parts, column_parts) = grid::<P>(width, pool.threads(), [m, n, k], W::PACKING);
    let (rows, columns) = (cut(m, row_parts, P::STRIP), cut(n, column_parts, width));
    let places = rows.iter().flat_map(|r| columns.iter().map(move |c| (r.clone(), c.clone())));
    let tasks: Vec<_> = places.zip(split(c, n, &rows, &columns)).collect();
    packing.prepared(pool, problem, a, |a| {
        pool.each(tasks, |((rows, columns), mut c)| {
            for part in cut(columns.len(), columns.len().div_ceil(columns_at_a_time(problem.layout)), width) {
                let columns = columns.start + part.start..columns.start + part.end;
                task(packing, problem, a, b, rows.clone(), columns, &mut c.part(0..rows.len(), part));
            }
        });
    });
}

/// How many parts rows and columns are cut into: a few for each thread, with the least idling, reading of a and packing
/// of b, where reading an element costs as much as some multiplications, packing one `packing` times as much.
fn grid<P: Packing>(width: usize, threads: usize, [m, n, k]: [usize; 3], packing: usize) -> (usize, usize) {
    if threads == 1 || m * n * k < SMALL {
        return (1, 1);
    }
    let wanted = 4 * threads;
    let (strips, panels) = (m.div_ceil(P::STRIP), n.div_ceil(width));
    let candidates = (1..=wanted.min(strips)).flat_map(|rows| {
        let columns = wanted.div_ceil(rows);
        (columns..=2 * columns).map(move |columns| (rows, columns.min(panels)))
    });
    let cost = |&(rows, columns): &(usize, usize)| {
        let missing = wanted.saturating_sub(rows * columns);
        let largest = strips.div_ceil(rows) * panels.div_ceil(columns);
        let idle = (rows * columns).div_ceil(threads) * threads * largest - strips * panels;
        (missing, idle * P::STRIP * width / P::MULTIPLICATIONS + columns * m + packing * rows * n)
    };
    candidates.min_by_key(cost).unwrap_or((1, 1))
}

/// `length` in `parts` ranges of whole `unit`s, as equal as they can be.
pub fn cut(length: usize, parts: usize, unit: usize) -> Vec<Range<usize>> {
    let units = length.div_ceil(unit);
    let edge = |i: usize| (units * i / parts * unit).min(length);
    (0..parts).map(|i| edge(i)..edge(i + 1)).filter(|range| !range.is_empty()).collect()
}

/// One block of c.
fn task<P: Packing, W: Right>(
    packing: P,
    problem: &Problem,
    a: &[f32],
    b: W,
    rows: Range<usize>,
    columns: Range<usize>,
    c: &mut Block,
) {
    let width = packing.width();
    let depth = packing.depth(problem.k);
    let panels = columns.len().div_ceil(width);
    let rank = problem.low.map_or(0, |low| low.rank);
    with_aligned_scratch(panels * (packing.slots(depth.min(problem.k)) + rank) * width, |scratch| {
        let (low, packed) = scratch.split_at_mut(panels * rank * width);
        let beside = Beside::new(packing.isa(), problem, &columns, low);
        for slice in (0..problem.k).step_by(depth).map(|start| start..problem.k.min(start + depth)) {
            let slots = packing.slots(slice.len());
            let beta = if slice.start == 0 { problem.beta } else { Beta::Add };
            packing.panels(problem, b, &slice, &columns, packed);
            for part in cut(rows.len(), rows.len().div_ceil(ROWS), P::STRIP) {
                let absolute = rows.start + part.start..rows.start + part.end;
                packing.with_left(problem, a, &absolute, &slice, |a| {
                    for (i, panel) in packed.chunks(slots * width).take(panels).enumerate() {
                        let place = i * width..columns.len().min((i + 1) * width);
                        let b = Tall { data: panel, stride: width };
                        let c = &mut c.part(part.clone(), place);
                        packing.multiply(problem.alpha, slots, a, b, c, beta);
                        if let (Some(beside), true) = (&beside, slice.end == problem.k) {
                            beside.add(i, absolute.start, c);
                        }
                    }
                });
            }
        }
    });
}

/// What joins the blocks of a task, its columns packed.
struct Beside<'a> {
    isa: Isa,
    low: LowRank<'a, f32>,
    /// `[rank, width]` of each panel.
    panels: &'a [f32],
    width: usize,
}

impl<'a> Beside<'a> {
    fn new(isa: Isa, problem: &Problem<'a>, columns: &Range<usize>, panels: &'a mut [f32]) -> Option<Beside<'a>> {
        let low = problem.low?;
        let packing = InF32(isa);
        packing.panels(&problem.beside()?, low.v, &(0..low.rank), columns, panels);
        Some(Beside { isa, low, panels, width: packing.width() })
    }

    /// Adds its share to a panel's columns of c, whose first row is `row` of u.
    fn add(&self, panel: usize, row: usize, c: &mut Block) {
        let LowRank { u, rank, factor, .. } = self.low;
        let a = Strided { data: &u[row * rank..], row: rank, column: 1, walked: false };
        let b = Tall { data: &self.panels[panel * rank * self.width..][..rank * self.width], stride: self.width };
        product(self.isa, factor, rank, a, b, c, Beta::Add);
    }
}
