use crate::maths::{Adafactor, Real};

/// Adafactor (Shazeer & Stern 2018, arXiv 1804.04235) with a given learning rate. p `[R,C]`, rows `[R]`, columns `[C]`;
/// a vector has columns only. β = 1 − tᵈ;  row = β row + (1−β) mean(g²+ε), column likewise;
/// u = g / √(row/mean(row)) / √column;  p −= lr·λ·p;  p −= lr · u / max(1, rms(u)/clip)
pub fn adafactor<R: Real>(
    p: &mut [R],
    g: &[R],
    rows: Option<&mut [R]>,
    columns: &mut [R],
    t: f64,
    grad_scale: R,
    options: Adafactor,
) {
    let Adafactor { lr, weight_decay, epsilon, clip, decay_rate } = options;
    let beta = 1.0 - t.powf(decay_rate);
    let [kept, fresh, epsilon, clip] = [beta, 1.0 - beta, epsilon, clip].map(R::from_f64);
    let width = columns.len();
    let height = p.len() / width;
    let count = |n: usize| R::from_f64(n as f64);
    let g: Vec<R> = g.iter().map(|&g| g * grad_scale).collect();
    let square = |i: usize, j: usize| g[i * width + j] * g[i * width + j] + epsilon;
    for (j, column) in columns.iter_mut().enumerate() {
        let mean = (0..height).map(|i| square(i, j)).sum::<R>() / count(height);
        *column = *column * kept + fresh * mean;
    }
    let mut row_factors = vec![R::one(); height];
    if let Some(rows) = rows {
        for (i, row) in rows.iter_mut().enumerate() {
            let mean = (0..width).map(|j| square(i, j)).sum::<R>() / count(width);
            *row = *row * kept + fresh * mean;
        }
        let mean = rows.iter().copied().sum::<R>() / count(height);
        row_factors = rows.iter().map(|&row| R::one() / (row / mean).sqrt()).collect();
    }
    let update = |at: usize| row_factors[at / width] * (R::one() / columns[at % width].sqrt()) * g[at];
    let rms = ((0..p.len()).map(|at| update(at) * update(at)).sum::<R>() / count(p.len())).sqrt();
    let step = R::from_f64(lr) / (rms / clip).max(R::one());
    let keep = R::from_f64(1.0 - weight_decay * lr);
    for (at, p) in p.iter_mut().enumerate() {
        *p = *p * keep - step * update(at);
    }
}
