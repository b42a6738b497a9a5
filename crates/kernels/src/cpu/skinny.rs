//! Products with few rows or columns: one token against a weight, and the low-rank sides of LoRA.

use super::matmul::{blocked, cut, Problem, SMALL};
use super::pool::{with_aligned_scratch, with_scratch, Pool};
use super::right::{Patch, Right};
use super::simd::{
    pack_transposed, product, split, Beta, Block, Isa, Pairs, Rows, Strided, Tall, Tiled, Tiles, EDGE, SIDE,
};
use crate::maths::{Floats, Layout};
use std::ops::Range;

/// Rows of a up to which reading b once, row by row, beats packing it.
const FEW_ROWS: usize = 4;
/// Rows of a up to which b, where its rows already lie as the tile wants them, is not copied into panels.
const SOME_ROWS: usize = 24;
/// Rows of a up to which the few of them are packed, and b is read once, as it lies: a batch of sequences that decode.
const BATCH_ROWS: usize = 32;
/// Columns up to which aᵀ · b is made as (bᵀ · a)ᵀ: blocks would keep too few sums in registers.
const LOW: usize = 8;
/// Rows of b, read as it lies, that all columns of a task meet before the next: their pages are at hand and each is read on
/// from where it was left.
const DEPTH: usize = 64;
/// Rows of b that meet the packed rows of a at a time: what they are expanded to stays in a first-level cache.
const STRIP: usize = 12;

/// Does the product if its shape is one of these.
pub fn multiply<W: Right>(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: W, c: &mut [f32]) -> bool {
    let Problem { layout, m, n, k, .. } = *problem;
    let narrow = 2 * n <= isa.lanes();
    match (layout, problem.b) {
        (Layout::Nt, _) if m <= FEW_ROWS || narrow => dots(isa, pool, problem, a, b, c),
        (Layout::Nt, _) if m <= BATCH_ROWS => match problem.pairs.and_then(|pairs| Some((pairs, pairs.tiles()?))) {
            Some((pairs, tiles)) if k.is_multiple_of(2 * EDGE) => turned_in_tiles(pairs, tiles, pool, problem, a, b, c),
            _ => turned(isa, pool, problem, a, b, c),
        },
        (Layout::Nn, _) if narrow => with_scratch(n * k, |transposed| {
            b.pack_transposed(isa, Patch { start: 0, stride: n, rows: k, k: n }, transposed, k);
            dots(isa, pool, problem, a, &*transposed, c);
        }),
        (Layout::Tn, Floats::Real(b) | Floats::F32(b)) if n <= LOW && n < m => {
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

/// Whether the result need not be cleared before.
pub fn overwrites(isa: Isa, problem: &Problem) -> bool {
    let Problem { layout, m, n, k, .. } = *problem;
    layout == Layout::Nt && m > FEW_ROWS && 2 * n > isa.lanes() && m <= BATCH_ROWS && k > 0
}

/// Elements of b that one thread reads for fewer rows of a: two would have to meet for less than ten microseconds.
const SHORT: usize = 1 << 16;

/// How many tasks: a few for each thread, one for a small product.
fn parts(pool: &Pool, problem: &Problem) -> usize {
    match problem.m * problem.n * problem.k {
        size if size < SMALL && problem.n * problem.k < SHORT => 1,
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
        if m <= FEW_ROWS {
            b.walk(isa, alpha, a, columns, &mut c);
        } else {
            b.dots(isa, alpha, a, columns, &mut c);
        }
    });
}

/// a · bᵀ as (b · aᵀ)ᵀ: rows of b are the rows of the register tile, a in panels its columns.
fn turned<W: Right>(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: W, c: &mut [f32]) {
    let Problem { m, n, k, alpha, pairs, .. } = *problem;
    let slots = if pairs.is_some() { k.div_ceil(2) } else { k };
    with_aligned_scratch(m * slots, |panel| {
        let all = Patch { start: 0, stride: k, rows: m, k };
        match pairs {
            Some(pairs) => a.pack_pairs_transposed(pairs, all, panel, m),
            None => a.pack_transposed(isa, all, panel, m),
        }
        let panel = Tall { data: panel, stride: m };
        let columns = cut(n, parts(pool, problem), STRIP);
        pool.each(tasks(c, n, &cut(m, 1, 1), &columns), |(_, columns, mut c)| {
            let mut products = [0.0; STRIP * BATCH_ROWS];
            let first = columns.start;
            for rows in strips(columns) {
                let products = &mut products[..rows.len() * m];
                let mut place = Block::new(products, m);
                match pairs {
                    Some(pairs) => b.with_pairs(pairs, k, rows.clone(), |b| {
                        pairs.product(alpha, slots, walked(b, slots), panel, &mut place, Beta::Overwrite);
                    }),
                    None => b.with_rows(isa, k, rows.clone(), |b| {
                        product(isa, alpha, slots, walked(b, slots), panel, &mut place, Beta::Overwrite);
                    }),
                }
                add_strip(isa, problem.beta, products, rows, first, m, &mut c);
            }
        });
    });
}

/// As `turned`, with the matrix unit: rows of b are its rows as they lie, a its one panel.
fn turned_in_tiles<W: Right>(
    pairs: Pairs,
    tiles: Tiles,
    pool: &Pool,
    problem: &Problem,
    a: &[f32],
    b: W,
    c: &mut [f32],
) {
    let Problem { m, n, k, alpha, .. } = *problem;
    let slots = k / 2;
    with_aligned_scratch(slots * SIDE, |panel| {
        a.pack_pairs_transposed(pairs, Patch { start: 0, stride: k, rows: m, k }, panel, SIDE);
        let panel = Tall { data: panel, stride: SIDE };
        let columns = cut(n, parts(pool, problem), SIDE);
        pool.each(tasks(c, n, &cut(m, 1, 1), &columns), |(_, columns, mut c)| {
            let mut products = [0.0; SIDE * SIDE];
            for start in columns.clone().step_by(SIDE) {
                let rows = start..columns.end.min(start + SIDE);
                let mut place = Block::new(&mut products[..rows.len() * m], m);
                b.with_pairs(pairs, k, rows.clone(), |b| {
                    if rows.len().is_multiple_of(EDGE) {
                        let b = Tiled::lying(b, slots);
                        return tiles.product(alpha, slots / EDGE, b, panel, &mut place, Beta::Overwrite);
                    }
                    // The last rows, too few for a tile.
                    with_aligned_scratch(SIDE * slots, |whole| {
                        whole[..b.len()].copy_from_slice(b);
                        whole[b.len()..].fill(0.0);
                        let b = Tiled::lying(whole, slots);
                        tiles.product(alpha, slots / EDGE, b, panel, &mut place, Beta::Overwrite);
                    });
                });
                add_strip(pairs.isa(), problem.beta, &products, rows, columns.start, m, &mut c);
            }
        });
    });
}

/// c `[m, columns]` = productsᵀ of `rows` of b, or added to c, the first column of c being that of row `first`.
fn add_strip(isa: Isa, beta: Beta, products: &[f32], rows: Range<usize>, first: usize, m: usize, c: &mut Block) {
    let count = rows.len();
    let columns = rows.start - first..rows.end - first;
    let mut turned = [0.0; SIDE * BATCH_ROWS];
    pack_transposed(isa, products, m, count, m, &mut turned, SIDE);
    for (i, x) in turned.chunks(SIDE).take(m).enumerate() {
        let c = &mut c.row(i)[columns.clone()];
        match beta {
            Beta::Overwrite => c.copy_from_slice(&x[..count]),
            Beta::Add => c.iter_mut().zip(x).for_each(|(c, x)| *c += x),
        }
    }
}

/// Rows of b as they lie: the next strip follows at once.
fn walked(b: &[f32], slots: usize) -> Strided<'_> {
    Strided { data: b, row: slots, column: 1, walked: true }
}

fn strips(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(STRIP).map(move |start| start..end.min(start + STRIP))
}

/// op(a) · b with b `[k, n]` read in place.
fn direct(isa: Isa, pool: &Pool, problem: &Problem, a: &[f32], b: &[f32], c: &mut [f32]) {
    let Problem { m, n, k, alpha, .. } = *problem;
    let a = match problem.layout {
        Layout::Tn => Strided { data: a, row: 1, column: m, walked: false },
        _ => Strided { data: a, row: k, column: 1, walked: false },
    };
    let columns = cut(n, parts(pool, problem), isa.tile().1);
    pool.each(tasks(c, n, &cut(m, 1, 1), &columns), |(_, columns, mut c)| {
        let b = Tall { data: &b[columns.start..], stride: n };
        for start in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - start);
            product(isa, alpha, depth, a.after_depth(start), b.after_depth(start), &mut c, Beta::Add);
        }
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
