//! Two passes over the gradient for the factored second moment and the norm of the update, one over the parameter.

use super::elementwise::{sum_of_squares, CHUNK};
use super::pool::Pool;
use super::simd::{kernel, Isa};
use crate::maths::Adafactor;

kernel! {
    /// sums += g², column by column
    fn add_squares<S>(s, g: &[f32], sums: &mut [f64]) {
        let _ = s;
        for g in g.chunks(sums.len()) {
            for (sum, &g) in sums.iter_mut().zip(g) {
                *sum += f64::from(g) * f64::from(g);
            }
        }
    }

    /// u = factor · column · g of one row
    fn direction<S>(s, g: &[f32], factor: f32, columns: &[f32], u: &mut [f32]) {
        let factor = s.splat(factor);
        let lanes = columns.chunks(S::LANES).zip(g.chunks(S::LANES));
        for ((column, g), u) in lanes.zip(u.chunks_mut(S::LANES)) {
            s.store_part(s.mul(s.mul(factor, s.load_part(column)), s.load_part(g)), u);
        }
    }

    /// p = keep · p − step · u
    fn descend<S>(s, keep: f32, step: f32, u: &[f32], p: &mut [f32]) {
        let (keep, step) = (s.splat(keep), s.splat(-step));
        for (u, p) in u.chunks(S::LANES).zip(p.chunks_mut(S::LANES)) {
            s.store_part(s.mul_add(step, s.load_part(u), s.mul(keep, s.load_part(p))), p);
        }
    }
}

/// Sums of g² over rows or columns → the moment, where the gradient is multiplied by a scale first.
struct Average {
    beta: f64,
    /// scale²
    square: f64,
    epsilon: f64,
}

impl Average {
    fn update(&self, moment: &mut f32, sum: f64, count: usize) {
        let mean = self.square * sum / count as f64 + self.epsilon;
        *moment = (f64::from(*moment) * self.beta + (1.0 - self.beta) * mean) as f32;
    }
}

fn inverse_root(x: f64) -> f32 {
    (1.0 / x.sqrt()) as f32
}

#[allow(clippy::too_many_arguments)]
pub fn adafactor(
    isa: Isa,
    pool: &Pool,
    p: &mut [f32],
    g: &[f32],
    rows: Option<&mut [f32]>,
    columns: &mut [f32],
    t: f64,
    grad_scale: f32,
    options: Adafactor,
) {
    let Adafactor { lr, weight_decay, epsilon, clip, decay_rate } = options;
    let scale = f64::from(grad_scale);
    let average = Average { beta: 1.0 - t.powf(decay_rate), square: scale * scale, epsilon };
    let (width, height) = (columns.len(), p.len() / columns.len());
    let block = CHUNK.div_ceil(width) * width;
    let sums = pool.map(g.chunks(block).collect(), |g: &[f32]| {
        let mut sums = vec![0.0; width];
        add_squares(isa, g, &mut sums);
        sums
    });
    for (j, column) in columns.iter_mut().enumerate() {
        average.update(column, sums.iter().map(|part| part[j]).sum(), height);
    }
    let mut factors = vec![grad_scale; height];
    if let Some(rows) = rows {
        for (row, g) in rows.iter_mut().zip(g.chunks(width)) {
            average.update(row, sum_of_squares(isa, pool, g), width);
        }
        let mean = rows.iter().map(|&row| f64::from(row)).sum::<f64>() / height as f64;
        factors = rows.iter().map(|&row| grad_scale * inverse_root(f64::from(row) / mean)).collect();
    }
    let columns: Vec<f32> = columns.iter().map(|&column| inverse_root(f64::from(column))).collect();
    let mut u = vec![0.0; p.len()];
    let tasks = g.chunks(block).zip(u.chunks_mut(block)).zip(factors.chunks(block / width)).collect();
    pool.each(tasks, |((g, u), factors): ((&[f32], &mut [f32]), &[f32])| {
        for ((g, u), &factor) in g.chunks(width).zip(u.chunks_mut(width)).zip(factors) {
            direction(isa, g, factor, &columns, u);
        }
    });
    let rms = (sum_of_squares(isa, pool, &u) / p.len() as f64).sqrt();
    let (keep, step) = ((1.0 - weight_decay * lr) as f32, (lr / (rms / clip).max(1.0)) as f32);
    pool.each(u.chunks(CHUNK).zip(p.chunks_mut(CHUNK)).collect(), |(u, p)| descend(isa, keep, step, u, p));
}
