//! Rows of a table by index.

use super::elementwise::{add_scaled, CHUNK};
use super::pool::Pool;
use super::right::Right;
use super::simd::Isa;
use crate::maths::Floats;

pub fn take_rows(isa: Isa, pool: &Pool, table: Floats<f32>, d: usize, ids: &[i32], y: &mut [f32]) {
    match table {
        Floats::Real(table) | Floats::F32(table) => take(isa, pool, table, d, ids, y),
        Floats::Bf16(table) => take(isa, pool, table, d, ids, y),
        Floats::F16(table) => take(isa, pool, table, d, ids, y),
        Floats::Coded(table) => take(isa, pool, table, d, ids, y),
    }
}

fn take<W: Right>(isa: Isa, pool: &Pool, table: W, d: usize, ids: &[i32], y: &mut [f32]) {
    let rows = CHUNK.div_ceil(d);
    let tasks = ids.chunks(rows).zip(y.chunks_mut(rows * d)).collect();
    pool.each(tasks, |(ids, y): (&[i32], &mut [f32])| {
        for (&id, y) in ids.iter().zip(y.chunks_mut(d)) {
            table.expand(isa, id as usize * d, y);
        }
    });
}

/// Row r of y gains the rows of g whose id is r, in their order.
pub fn scatter_add_rows(isa: Isa, pool: &Pool, g: &[f32], d: usize, ids: &[i32], y: &mut [f32]) {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&i| ids[i]);
    let rows = (y.len() / d).div_ceil(4 * pool.threads()).max(1);
    pool.each(y.chunks_mut(rows * d).enumerate().collect(), |(part, y): (usize, &mut [f32])| {
        let (first, end) = (part * rows, part * rows + y.len() / d);
        let start = order.partition_point(|&i| (ids[i] as usize) < first);
        for &i in order[start..].iter().take_while(|&&i| (ids[i] as usize) < end) {
            let row = (ids[i] as usize - first) * d;
            add_scaled(isa, &g[i * d..][..d], 1.0, &mut y[row..row + d]);
        }
    });
}
