//! B square blocks side by side in one matrix `[b, B·b]`, and rows `[N, B·b]` that they multiply. Skew-symmetric matrices
//! are made by the naive loops: they only move numbers, and few.

use super::elementwise::CHUNK;
use super::matmul::cut;
use super::pool::Pool;
use super::simd::{product, split, Beta, Isa, Strided, Tall};
use crate::maths::Layout;
use crate::reference::rotations::cayley_of;

/// Rows of c in a task.
const ROWS: usize = 120;
/// Groups of blocks, each a task.
const GROUPS: usize = 8;

/// c = op(a) · op(b) for each block of c `[m, width]`
#[allow(clippy::too_many_arguments)]
pub fn matmul(isa: Isa, pool: &Pool, layout: Layout, a: &[f32], b: &[f32], width: usize, size: usize, c: &mut [f32]) {
    if layout == Layout::Nt {
        return matmul(isa, pool, Layout::Nn, a, &transposed(b, width, size), width, size, c);
    }
    let m = c.len() / width;
    let (rows, columns) = (cut(m, m.div_ceil(ROWS), 12), cut(width, GROUPS, size));
    let places = rows.iter().flat_map(|rows| columns.iter().map(move |columns| (rows.clone(), columns.clone())));
    let tasks: Vec<_> = places.zip(split(c, width, &rows, &columns)).collect();
    pool.each(tasks, |((rows, columns), mut c)| {
        for first in columns.clone().step_by(size) {
            let (depth, a) = match layout {
                Layout::Tn => {
                    (a.len() / width, Strided { data: &a[first + rows.start..], row: 1, column: width, walked: false })
                }
                _ => (size, Strided { data: &a[rows.start * width + first..], row: width, column: 1, walked: false }),
            };
            let place = first - columns.start..first - columns.start + size;
            let b = Tall { data: &b[first..], stride: width };
            product(isa, 1.0, depth, a, b, &mut c.part(0..rows.len(), place), Beta::Overwrite);
        }
    });
}

/// Each block transposed.
fn transposed(b: &[f32], width: usize, size: usize) -> Vec<f32> {
    let place = |at: usize| (at / width, at % width / size * size, at % size);
    (0..b.len()).map(place).map(|(i, first, j)| b[j * width + first + i]).collect()
}

/// In f64, as elimination adds up its roundings: blocks are few beside the products with their results.
pub fn cayley(pool: &Pool, q: &[f32], size: usize, y: &mut [f32]) {
    let width = q.len() / size;
    let blocks = pool.map((0..width).step_by(size).collect(), |first| {
        let rows = q.chunks_exact(width).flat_map(|row| &row[first..first + size]);
        let mut m: Vec<f64> = rows.map(|&x| f64::from(x)).collect();
        cayley_of(&mut m, size);
        m
    });
    for (k, block) in blocks.iter().enumerate() {
        for (row, y) in block.chunks_exact(size).zip(y.chunks_exact_mut(width)) {
            y[k * size..][..size].iter_mut().zip(row).for_each(|(y, &x)| *y = x as f32);
        }
    }
}

pub fn permute_columns(pool: &Pool, x: &[f32], order: &[i32], inverse: bool, y: &mut [f32]) {
    let numbers = CHUNK.div_ceil(order.len()) * order.len();
    pool.each(x.chunks(numbers).zip(y.chunks_mut(numbers)).collect(), |(x, y)| {
        crate::reference::rotations::permute_columns(x, order, inverse, y);
    });
}
