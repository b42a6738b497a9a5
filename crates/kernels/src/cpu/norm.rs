//! RMSNorm: y = x · rstd · w, rstd = 1/√(mean(x²)+ε); a task is a block of rows. With the residual sum before it a row is
//! added up, normalised and written while it lies in the first cache: the bits are those of the two ops one after another.

use super::elementwise::{add_scaled, CHUNK};
use super::pool::{with_scratch, Pool};
use super::simd::{kernel, map2, sum2, update, update2, Element, Isa, Simd};
use std::ops::Range;

/// One row's y; returns its rstd.
#[inline(always)]
fn normalise<S: Simd>(s: S, x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32]) -> f32 {
    let mean = f64::from(sum2(s, x, x, |x, _| s.mul(x, x))) / w.len() as f64;
    let rstd = (1.0 / (mean + f64::from(epsilon)).sqrt()) as f32;
    let factor = s.splat(rstd);
    map2(s, x, w, y, |x, w| s.mul(s.mul(x, factor), w));
    rstd
}

/// Leaves g·w of one row in `gw`; returns −mean(g·w·x̂).
#[inline(always)]
fn weigh<S: Simd>(s: S, g: &[f32], x: &[f32], w: &[f32], rstd: f32, gw: &mut [f32]) -> f32 {
    map2(s, g, w, gw, |g, w| s.mul(g, w));
    let dot = f64::from(sum2(s, gw, x, |gw, x| s.mul(gw, x)));
    -((dot * f64::from(rstd) / w.len() as f64) as f32)
}

kernel! {
    fn forward<S>(s, x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
        let d = w.len();
        for ((x, y), rstd) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(rstd) {
            *rstd = normalise(s, x, w, epsilon, y);
        }
    }

    fn add_forward<S>(s, acc: &mut [f32], x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
        let d = w.len();
        for (((acc, x), y), rstd) in acc.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(y.chunks_exact_mut(d)).zip(rstd) {
            update(s, x, acc, |x, acc| s.add(acc, x));
            *rstd = normalise(s, acc, w, epsilon, y);
        }
    }

    /// dx = rstd · (g·w − x̂ · mean(g·w·x̂)) with x̂ = x · rstd
    fn backward<S>(s, g: &[f32], x: &[f32], w: &[f32], rstd: &[f32], dx: &mut [f32]) {
        let d = w.len();
        for (((g, x), dx), &rstd) in g.chunks_exact(d).zip(x.chunks_exact(d)).zip(dx.chunks_exact_mut(d)).zip(rstd) {
            let mean = s.splat(weigh(s, g, x, w, rstd, dx));
            let rstd = s.splat(rstd);
            update(s, x, dx, |x, gw| s.mul(rstd, s.mul_add(s.mul(x, rstd), mean, gw)));
        }
    }

    /// acc += dx of `backward`; `gw` is a row to work in.
    fn add_backward<S>(s, acc: &mut [f32], g: &[f32], x: &[f32], w: &[f32], rstd: &[f32], gw: &mut [f32]) {
        let d = w.len();
        for (((acc, g), x), &rstd) in acc.chunks_exact_mut(d).zip(g.chunks_exact(d)).zip(x.chunks_exact(d)).zip(rstd) {
            let mean = s.splat(weigh(s, g, x, w, rstd, gw));
            let rstd = s.splat(rstd);
            update2(s, x, gw, acc, |x, gw, acc| {
                s.add(acc, s.mul(rstd, s.mul_add(s.mul(x, rstd), mean, gw)))
            });
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

/// Rows of a task.
fn block(d: usize) -> usize {
    CHUNK.div_ceil(d)
}

/// Numbers that are widened at a time, to be read from the first cache.
const PIECE: usize = 2048;

/// f of the rows of x in f32, all as they lie or a few at a time.
fn each_rows<E: Element>(isa: Isa, x: &[E], d: usize, mut f: impl FnMut(Range<usize>, &[f32])) {
    if let Some(x) = E::as_f32(x) {
        return f(0..x.len() / d, x);
    }
    let rows = (PIECE / d).max(1);
    with_scratch(rows * d, |y| {
        for (i, x) in x.chunks(rows * d).enumerate() {
            let y = &mut y[..x.len()];
            E::widen(isa, x, y);
            f(i * rows..i * rows + x.len() / d, y);
        }
    });
}

/// Rows of a matrix of `d` columns.
fn span(rows: &Range<usize>, d: usize) -> Range<usize> {
    rows.start * d..rows.end * d
}

pub fn rms_norm<E: Element>(isa: Isa, pool: &Pool, x: &[E], w: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
    let (d, rows) = (w.len(), block(w.len()));
    let tasks = x.chunks(rows * d).zip(y.chunks_mut(rows * d)).zip(rstd.chunks_mut(rows)).collect();
    pool.each(tasks, |((x, y), rstd): ((&[E], &mut [f32]), &mut [f32])| {
        each_rows(isa, x, d, |rows, x| forward(isa, x, w, epsilon, &mut y[span(&rows, d)], &mut rstd[rows]));
    });
}

#[allow(clippy::too_many_arguments)]
pub fn add_rms_norm(
    isa: Isa,
    pool: &Pool,
    acc: &mut [f32],
    x: &[f32],
    w: &[f32],
    epsilon: f32,
    y: &mut [f32],
    rstd: &mut [f32],
) {
    let (d, rows) = (w.len(), block(w.len()));
    let inputs = acc.chunks_mut(rows * d).zip(x.chunks(rows * d));
    let tasks = inputs.zip(y.chunks_mut(rows * d)).zip(rstd.chunks_mut(rows)).collect();
    pool.each(tasks, |(((acc, x), y), rstd)| add_forward(isa, acc, x, w, epsilon, y, rstd));
}

#[allow(clippy::too_many_arguments)]
pub fn rms_norm_backward<E: Element>(
    isa: Isa,
    pool: &Pool,
    g: &[f32],
    x: &[E],
    w: &[f32],
    rstd: &[f32],
    dx: &mut [f32],
    dw: Option<&mut [f32]>,
) {
    let (d, rows) = (w.len(), block(w.len()));
    let inputs = g.chunks(rows * d).zip(x.chunks(rows * d)).zip(rstd.chunks(rows));
    pool.each(inputs.zip(dx.chunks_mut(rows * d)).collect(), |(((g, x), rstd), dx): (Inputs<E>, &mut [f32])| {
        each_rows(isa, x, d, |rows, x| {
            let at = span(&rows, d);
            backward(isa, &g[at.clone()], x, w, &rstd[rows], &mut dx[at]);
        });
    });
    weight_gradient(isa, pool, g, x, rstd, dw);
}

#[allow(clippy::too_many_arguments)]
pub fn add_rms_norm_backward<E: Element>(
    isa: Isa,
    pool: &Pool,
    acc: &mut [f32],
    g: &[f32],
    x: &[E],
    w: &[f32],
    rstd: &[f32],
    dw: Option<&mut [f32]>,
) {
    let (d, rows) = (w.len(), block(w.len()));
    let inputs = g.chunks(rows * d).zip(x.chunks(rows * d)).zip(rstd.chunks(rows));
    pool.each(acc.chunks_mut(rows * d).zip(inputs).collect(), |(acc, ((g, x), rstd)): (&mut [f32], Inputs<E>)| {
        with_scratch(d, |gw| {
            each_rows(isa, x, d, |rows, x| {
                let at = span(&rows, d);
                add_backward(isa, &mut acc[at.clone()], &g[at], x, w, &rstd[rows], gw);
            });
        });
    });
    weight_gradient(isa, pool, g, x, rstd, dw);
}

/// g, x and rstd of a task.
type Inputs<'a, E> = ((&'a [f32], &'a [E]), &'a [f32]);

/// Blocks of rows first, then the blocks in their order.
fn weight_gradient<E: Element>(isa: Isa, pool: &Pool, g: &[f32], x: &[E], rstd: &[f32], dw: Option<&mut [f32]>) {
    let Some(dw) = dw else { return };
    let (d, rows) = (dw.len(), block(dw.len()));
    let tasks = g.chunks(rows * d).zip(x.chunks(rows * d)).zip(rstd.chunks(rows)).collect();
    let partial = pool.map(tasks, |((g, x), rstd): Inputs<E>| {
        let mut dw = vec![0.0; d];
        each_rows(isa, x, d, |rows, x| weight(isa, &g[span(&rows, d)], x, &rstd[rows], &mut dw));
        dw
    });
    for part in partial {
        add_scaled(isa, &part, 1.0, dw);
    }
}
