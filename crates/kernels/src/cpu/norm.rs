//! RMSNorm: y = x · rstd · w, rstd = 1/√(mean(x²)+ε); a task is a block of rows.

use super::elementwise::{add_scaled, CHUNK};
use super::pool::Pool;
use super::simd::{kernel, map2, sum2, update, update2, Isa};

kernel! {
    fn forward<S>(s, x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
        let d = w.len();
        for ((x, y), rstd) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(rstd) {
            let mean = f64::from(sum2(s, x, x, |x, _| s.mul(x, x))) / d as f64;
            *rstd = (1.0 / (mean + f64::from(epsilon)).sqrt()) as f32;
            let factor = s.splat(*rstd);
            map2(s, x, w, y, |x, w| s.mul(s.mul(x, factor), w));
        }
    }

    /// dx = rstd · (g·w − x̂ · mean(g·w·x̂)) with x̂ = x · rstd
    fn backward<S>(s, g: &[f32], x: &[f32], w: &[f32], rstd: &[f32], dx: &mut [f32]) {
        let d = w.len();
        for (((g, x), dx), &rstd) in g.chunks_exact(d).zip(x.chunks_exact(d)).zip(dx.chunks_exact_mut(d)).zip(rstd) {
            map2(s, g, w, dx, |g, w| s.mul(g, w));
            let dot = f64::from(sum2(s, dx, x, |gw, x| s.mul(gw, x)));
            let mean = (dot * f64::from(rstd) / d as f64) as f32;
            let (rstd, mean) = (s.splat(rstd), s.splat(-mean));
            update(s, x, dx, |x, gw| s.mul(rstd, s.mul_add(s.mul(x, rstd), mean, gw)));
        }
    }

    /// dw += Σ g · x̂
    fn weight<S>(s, g: &[f32], x: &[f32], rstd: &[f32], dw: &mut [f32]) {
        let d = dw.len();
        for ((g, x), &rstd) in g.chunks_exact(d).zip(x.chunks_exact(d)).zip(rstd) {
            let rstd = s.splat(rstd);
            update2(s, g, x, dw, |g, x, dw| s.mul_add(g, s.mul(x, rstd), dw));
        }
    }
}

pub fn rms_norm(isa: Isa, pool: &Pool, x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
    let (d, rows) = (w.len(), CHUNK.div_ceil(w.len()));
    let tasks = x.chunks(rows * d).zip(y.chunks_mut(rows * d)).zip(rstd.chunks_mut(rows)).collect();
    pool.each(tasks, |((x, y), rstd)| forward(isa, x, w, epsilon, y, rstd));
}

#[allow(clippy::too_many_arguments)]
pub fn rms_norm_backward(
    isa: Isa,
    pool: &Pool,
    g: &[f32],
    x: &[f32],
    w: &[f32],
    rstd: &[f32],
    dx: &mut [f32],
    dw: Option<&mut [f32]>,
) {
    let (d, rows) = (w.len(), CHUNK.div_ceil(w.len()));
    let inputs = || g.chunks(rows * d).zip(x.chunks(rows * d)).zip(rstd.chunks(rows));
    pool.each(inputs().zip(dx.chunks_mut(rows * d)).collect(), |(((g, x), rstd), dx)| {
        backward(isa, g, x, w, rstd, dx);
    });
    let Some(dw) = dw else { return };
    let partial = pool.map(inputs().collect(), |((g, x), rstd)| {
        let mut dw = vec![0.0; d];
        weight(isa, g, x, rstd, &mut dw);
        dw
    });
    for part in partial {
        add_scaled(isa, &part, 1.0, dw);
    }
}
