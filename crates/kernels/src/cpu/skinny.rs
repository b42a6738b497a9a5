//! Products with few rows or columns: one token against a weight, and the low-rank sides of LoRA.

use super::matmul::{blocked, cut, Problem, SMALL};
use super::pool::{with_scratch, Pool};
use super::right::{Patch, Right};
use super::simd::{product, split, Beta, Block, Isa, Rows, Strided, Tall};
use crate::maths::{Floats, Layout};
use std::ops::Range;

/// Rows of a up to which reading b once, row by row, beats packing it.
const FEW_ROWS: usize = 8;
/// Rows of a up to which b, where its rows already lie as the tile wants them, is not copied into panels.
const SOME_ROWS: usize = 24;

/// Does the product if its shape is one of these.
pub fn multiply<W: Right>(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: W, c: &mut [f32]) -> bool {
    let Problem { layout, m, n, k, .. } = *problem;
    let narrow = 2 * n <= isa.lanes();
    match (layout, problem.b) {
        (Layout::Nt, _) if m <= FEW_ROWS || narrow => dots(isa, pool, problem, a, b, c),
        (Layout::Nn, _) if narrow => with_scratch(n * k, |transposed| {
            b.pack_transposed(isa, Patch { start: 0, stride: n, rows: k, k: n }, transposed, k);
            dots(isa, pool, problem, a, &*transposed, c);
        }),
        (Layout::Tn, Floats::Real(b) | Floats::F32(b)) if narrow && n < m => {
            with_scratch(n * m, |transposed| {
                transposed.fill(0.0);
                let swapped = Problem { m: n, n: m, a: problem.b, b: problem.a, ..*problem };
                if !multiply(isa, pool, &swapped, b, a, transposed) {
                    blocked(isa, pool, &swapped, b, a, transposed);
                }
                add_transposed(transposed, m, c);
            });
        }
        (Layout::Nn | Layout::Tn, Floats::Real(b) | Floats::F32(b)) if m <= SOME_ROWS => {
            direct(isa, pool, problem, a, b, c)
        }
        _ => return false,
    }
    true
}

/// How many tasks: a few for each thread, one for a small product.
fn parts(pool: &Pool, problem: &Problem) -> usize {
    match problem.m * problem.n * problem.k {
        size if size < SMALL => 1,
        _ => 4 * pool.threads(),
    }
}

/// a · bᵀ with b `[n, k]`, by dot products.
fn dots<W: Right>(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: W, c: &mut [f32]) {
    let Problem { m, n, k, alpha, .. } = *problem;
    let whole = |length: usize| cut(length, 1, 1);
    let (rows, columns) = match m > n {
        true => (cut(m, parts(pool, problem), 4), whole(n)),
        false => (whole(m), cut(n, parts(pool, problem), 8)),
    };
    pool.each(tasks(c, n, &rows, &columns), |(rows, columns, mut c)| {
        let a = Rows { data: &a[rows.start * k..rows.end * k], length: k, stride: k };
        b.dots(isa, alpha, a, columns, &mut c);
    });
}

/// op(a) · b with b `[k, n]` read in place.
fn direct(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: &[f32], c: &mut [f32]) {
    let Problem { m, n, k, alpha, .. } = *problem;
    let a = match problem.layout {
        Layout::Tn => Strided { data: a, row: 1, column: m },
        _ => Strided { data: a, row: k, column: 1 },
    };
    let columns = cut(n, parts(pool, problem), 2 * isa.lanes());
    pool.each(tasks(c, n, &cut(m, 1, 1), &columns), |(_, columns, mut c)| {
        let b = Tall { data: &b[columns.start..], stride: n };
        product(isa, alpha, k, a, b, &mut c, Beta::Add);
    });
}

type Task<'a> = (Range<usize>, Range<usize>, Block<'a>);

fn tasks<'a>(c: &'a mut [f32], n: usize, rows: &[Range<usize>], columns: &[Range<usize>]) -> Vec<Task<'a>> {
    let places = rows.iter().flat_map(|r| columns.iter().map(move |c| (r.clone(), c.clone())));
    places.zip(split(c, n, rows, columns)).map(|((r, c), block)| (r, c, block)).collect()
}

/// c `[m, n]` += xᵀ for x `[n, m]`.
fn add_transposed(x: &[f32], m: usize, c: &mut [f32]) {
    let n = c.len() / m;
    for (i, c) in c.chunks_mut(n).enumerate() {
        for (c, x) in c.iter_mut().zip(x[i..].iter().step_by(m)) {
            *c += x;
        }
    }
}
