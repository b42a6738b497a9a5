//! The linear layer of LLM.int8: rows of activations in codes, products of integers, and the outlier columns as floats.

use half::slice::HalfFloatSliceExt;
use std::ops::Range;

use super::matmul::{cut, matmul, Problem, SMALL};
use super::pool::{with_scratch, Pool};
use super::simd::{products, split, Block, Isa};
use crate::codec::llm_int8::{product, quantize_activations, RowCodes};
use crate::maths::{Beta, Floats, Layout};

/// Rows of w that a task multiplies at a time: with their codes and products they stay in the second-level cache.
const COLUMNS: usize = 64;

/// Activations in codes.
struct Left {
    /// `[m, k]`, zero in the outlier columns.
    codes: Vec<i8>,
    /// The largest magnitude of each row, outliers apart.
    scales: Vec<f32>,
    /// Of the codes of each row.
    sums: Vec<i32>,
    /// Columns, in order.
    outliers: Vec<usize>,
}

/// c `[m, n]` += alpha · a · wᵀ
pub fn linear_int8(isa: Isa, pool: &Pool, m: usize, alpha: f32, a: Floats<f32>, w: RowCodes, c: &mut [f32]) {
    let (k, n) = (w.columns, c.len() / m);
    let left = quantize(pool, m, a, w);
    let parts = if m * n * k < SMALL { 1 } else { 4 * pool.threads() };
    let (rows, columns) = match m > n {
        true => (cut(m, parts, 4), cut(n, 1, 1)),
        false => (cut(m, 1, 1), cut(n, parts, 4)),
    };
    let places = rows.iter().flat_map(|r| columns.iter().map(move |c| (r.clone(), c.clone())));
    let tasks = places.zip(split(c, n, &rows, &columns)).collect();
    pool.each(tasks, |((rows, columns), mut c): ((Range<usize>, Range<usize>), Block)| {
        for start in columns.clone().step_by(COLUMNS) {
            let end = columns.end.min(start + COLUMNS);
            let place = start - columns.start..end - columns.start;
            multiply(isa, alpha, &left, w, [&rows, &(start..end)], &mut c.part(0..rows.len(), place));
        }
    });
    if !left.outliers.is_empty() {
        add_outliers(isa, pool, m, alpha, a, w, &left.outliers, c);
    }
}

fn quantize(pool: &Pool, m: usize, a: Floats<f32>, w: RowCodes) -> Left {
    let k = w.columns;
    let (mut codes, mut halves) = (vec![0i8; m * k], vec![0.0f32; m * k]);
    let rows = codes.chunks_mut(k).zip(halves.chunks_mut(k)).enumerate().collect();
    let found = pool.map(rows, |(i, (codes, values)): (usize, (&mut [i8], &mut [f32]))| {
        read(a, i * k, values);
        let (mut rounded, mut outliers) = (vec![half::f16::ZERO; k], Vec::new());
        rounded.convert_from_f32_slice(values);
        rounded.convert_to_f32_slice(values);
        (quantize_activations(values, w.threshold, codes, &mut outliers), outliers)
    });
    let (scales, outliers): (Vec<f32>, Vec<Vec<usize>>) = found.into_iter().unzip();
    let mut outliers = outliers.concat();
    outliers.sort_unstable();
    outliers.dedup();
    let rows = codes.chunks_mut(k).map(|row| {
        outliers.iter().for_each(|&column| row[column] = 0);
        row.iter().map(|&code| i32::from(code)).sum()
    });
    let sums = rows.collect();
    Left { codes, scales, sums, outliers }
}

/// Elements from `start` on.
fn read(a: Floats<f32>, start: usize, y: &mut [f32]) {
    match a {
        Floats::Real(a) | Floats::F32(a) => y.copy_from_slice(&a[start..][..y.len()]),
        Floats::Bf16(a) => a[start..][..y.len()].convert_to_f32_slice(y),
        Floats::F16(a) => a[start..][..y.len()].convert_to_f32_slice(y),
        Floats::Coded(a) => a.expand(start, y),
    }
}

/// One block of c.
fn multiply(isa: Isa, alpha: f32, left: &Left, w: RowCodes, [rows, columns]: [&Range<usize>; 2], c: &mut Block) {
    let (k, n) = (w.columns, columns.len());
    let mut integers = vec![0; rows.len() * n];
    let (a, b) = (&left.codes[rows.start * k..rows.end * k], &w.codes[columns.start * k..columns.end * k]);
    products(isa, k, a, &left.sums[rows.clone()], b, &mut integers);
    let scales: Vec<f32> = columns.clone().map(|row| w.scale(row)).collect();
    for (i, integers) in integers.chunks(n).enumerate() {
        let row_scale = left.scales[rows.start + i];
        for ((c, &integer), &scale) in c.row(i).iter_mut().zip(integers).zip(&scales) {
            *c += alpha * product(integer, row_scale, scale);
        }
    }
}

/// c += alpha · a[·, outliers] · w[·, outliers]ᵀ
#[allow(clippy::too_many_arguments)]
fn add_outliers(
    isa: Isa,
    pool: &Pool,
    m: usize,
    alpha: f32,
    a: Floats<f32>,
    w: RowCodes,
    outliers: &[usize],
    c: &mut [f32],
) {
    let (k, n, width) = (w.columns, c.len() / m, outliers.len());
    with_scratch((m + n) * width, |scratch| {
        let (left, right) = scratch.split_at_mut(m * width);
        for (i, row) in left.chunks_mut(width).enumerate() {
            row.iter_mut().zip(outliers).for_each(|(y, column)| *y = a.get(i * k + column));
        }
        for (j, row) in right.chunks_mut(width).enumerate() {
            row.iter_mut().zip(outliers).for_each(|(y, &column)| *y = w.get(j, column));
        }
        let (a, b) = (Floats::Real(&*left), Floats::Real(&*right));
        let beta = Beta::Add;
        matmul(
            isa,
            pool,
            &Problem { layout: Layout::Nt, m, n, k: width, alpha, a, b, beta, pairs: None, low: None },
            c,
        );
    });
}
