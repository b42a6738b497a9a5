//! Leading singular vectors, by faer in f64 on one thread. There is one implementation for all machines: what starts from
//! them runs once.

use faer::{Mat, MatRef};

use crate::error::{KernelError, Result};
use crate::rng::{normals, Key};

#[derive(Clone, Copy, Debug)]
pub enum Method {
    Exact,
    /// Subspace iteration (Halko, Martinsson, Tropp 2011, algorithm 4.4) as `torch.svd_lowrank` without oversampling.
    Randomized {
        iterations: usize,
        key: Key,
    },
}

/// x ≈ u · diag(s) · vᵀ: u `[rows, rank]`, s `[rank]` falling, v `[columns, rank]`.
struct Leading {
    u: Mat<f64>,
    s: Vec<f64>,
    v: Mat<f64>,
}

/// u `[rows, rank]`, s `[rank]` and vᵀ `[rank, columns]`, row by row; refuses numbers that are not finite.
pub fn decompose(
    op: &'static str,
    values: &[f64],
    [rows, columns]: [usize; 2],
    rank: usize,
    method: Method,
) -> Result<[Vec<f64>; 3]> {
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(KernelError::argument(op, format!("x[{at}] is {}, must be finite", values[at])));
    }
    let Leading { u, s, v } = leading(values, [rows, columns], rank, method)
        .ok_or_else(|| KernelError::argument(op, format!("x {:?} has no decomposition in reach", [rows, columns])))?;
    let u = (0..rows * rank).map(|i| u[(i / rank, i % rank)]).collect();
    let vt = (0..rank * columns).map(|i| v[(i % columns, i / columns)]).collect();
    Ok([u, s, vt])
}

/// x `[rows, columns]` of finite numbers, row by row; 0 < rank ≤ min(rows, columns). `None` where faer does not converge.
fn leading(x: &[f64], [rows, columns]: [usize; 2], rank: usize, method: Method) -> Option<Leading> {
    let x = MatRef::from_row_major_slice(x, rows, columns);
    if rows >= columns {
        return of_tall(x, rank, method);
    }
    of_tall(x.transpose(), rank, method).map(|Leading { u, s, v }| Leading { u: v, s, v: u })
}

fn of_tall(x: MatRef<f64>, rank: usize, method: Method) -> Option<Leading> {
    match method {
        Method::Exact => cut(x, rank),
        Method::Randomized { iterations, key } => {
            let q = range(x, rank, iterations, key);
            let Leading { u, s, v } = cut((q.transpose() * x).as_ref(), rank)?;
            Some(Leading { u: q * u, s, v })
        }
    }
}

/// The whole decomposition, cut to `rank`.
fn cut(x: MatRef<f64>, rank: usize) -> Option<Leading> {
    let svd = x.thin_svd().ok()?;
    Some(Leading {
        u: svd.U().subcols(0, rank).to_owned(),
        s: svd.S().column_vector().iter().take(rank).copied().collect(),
        v: svd.V().subcols(0, rank).to_owned(),
    })
}

/// Orthonormal columns `[rows, rank]` that span nearly what the leading vectors do.
fn range(x: MatRef<f64>, rank: usize, iterations: usize, key: Key) -> Mat<f64> {
    let basis = |x: MatRef<f64>, y: &Mat<f64>| (x * y).qr().compute_thin_Q();
    let mut q = basis(x, &draw(x.ncols(), rank, key));
    for _ in 0..iterations {
        q = basis(x, &basis(x.transpose(), &q));
    }
    q
}

fn draw(rows: usize, columns: usize, key: Key) -> Mat<f64> {
    let normal = |element: usize| normals(key.block(element as u64 / 4))[element % 4];
    Mat::from_fn(rows, columns, |row, column| normal(row * columns + column))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { seed: 3, stream: 5, step: 0, micro: 0, rank: 0 };

    /// A matrix with singular values 2⁰, 2⁻¹, … between two random bases.
    fn known(rows: usize, columns: usize) -> (Mat<f64>, Vec<f64>) {
        let count = rows.min(columns);
        let base = |n: usize, stream: u32| draw(n, count, Key { stream, ..KEY }).qr().compute_thin_Q();
        let (u, v) = (base(rows, 1), base(columns, 2));
        let s: Vec<f64> = (0..count as i32).map(|i| 0.5f64.powi(i)).collect();
        (Mat::from_fn(rows, count, |i, j| u[(i, j)] * s[j]) * v.transpose(), s)
    }

    fn largest(x: &Mat<f64>) -> f64 {
        (0..x.nrows()).flat_map(|i| (0..x.ncols()).map(move |j| x[(i, j)].abs())).fold(0.0, f64::max)
    }

    #[test]
    fn values_are_the_known_ones_and_vectors_orthonormal() {
        let methods = [(Method::Exact, 1e-13), (Method::Randomized { iterations: 16, key: KEY }, 1e-9)];
        for (rows, columns) in [(1, 1), (1, 7), (7, 1), (9, 5), (5, 9), (40, 33)] {
            let (x, known) = known(rows, columns);
            let flat: Vec<f64> = (0..rows * columns).map(|i| x[(i / columns, i % columns)]).collect();
            for (method, tolerance) in methods {
                let rank = known.len().min(4);
                let Leading { u, s, v } = leading(&flat, [rows, columns], rank, method).expect("it converges");
                assert_eq!((u.nrows(), v.nrows(), s.len()), (rows, columns, rank));
                for (got, wanted) in s.iter().zip(&known) {
                    assert!((got - wanted).abs() < tolerance, "{got} is not {wanted}");
                }
                let unit = Mat::<f64>::identity(rank, rank);
                assert!(largest(&(u.transpose() * &u - &unit)) < 1e-13);
                assert!(largest(&(v.transpose() * &v - &unit)) < 1e-13);
                // What is left of x has the next singular value as its norm, which bounds every element.
                let scaled = Mat::from_fn(rows, rank, |i, j| u[(i, j)] * s[j]);
                let left = largest(&(x.as_ref() - scaled * v.transpose()));
                assert!(left <= known.get(rank).unwrap_or(&0.0) * (1.0 + 1e-6) + 1e-12, "{left}");
            }
        }
    }

    #[test]
    fn a_matrix_of_zeros_has_orthonormal_vectors_too() {
        for method in [Method::Exact, Method::Randomized { iterations: 2, key: KEY }] {
            let Leading { u, s, .. } = leading(&[0.0; 12], [4, 3], 2, method).expect("it converges");
            assert_eq!(s, [0.0, 0.0]);
            assert!(largest(&(u.transpose() * &u - Mat::<f64>::identity(2, 2))) < 1e-13);
        }
    }
}
