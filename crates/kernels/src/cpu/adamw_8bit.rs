//! Blocks of 8-bit moments in parallel.

use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, Isa};
use crate::dynamic_code::{Quantized, BLOCK};
use crate::maths::AdamW;
use crate::reference::adamw_8bit::{block, Factors};

/// Part of a tensor: parameters, gradients, and codes and scales of both moments.
struct Part<'a> {
    p: &'a mut [f32],
    g: &'a [f32],
    m: Quantized<'a, f32>,
    v: Quantized<'a, f32>,
}

kernel! {
    fn update<S>(s, factors: Factors<f32>, part: Part) {
        let _ = s;
        let means = part.m.codes.chunks_mut(BLOCK).zip(part.m.scales);
        let squares = part.v.codes.chunks_mut(BLOCK).zip(part.v.scales);
        let blocks = part.p.chunks_mut(BLOCK).zip(part.g.chunks(BLOCK));
        for (((p, g), (m, mean_scale)), (v, square_scale)) in blocks.zip(means).zip(squares) {
            block(factors, p, g, m, mean_scale, v, square_scale);
        }
    }
}

fn parts<'a>(x: Quantized<'a, f32>) -> impl Iterator<Item = Quantized<'a, f32>> {
    let scales = x.scales.chunks_mut(CHUNK / BLOCK);
    x.codes.chunks_mut(CHUNK).zip(scales).map(|(codes, scales)| Quantized { codes, scales })
}

#[allow(clippy::too_many_arguments)]
pub fn adamw_8bit(
    isa: Isa,
    pool: &Pool,
    p: &mut [f32],
    g: &[f32],
    m: Quantized<f32>,
    v: Quantized<f32>,
    t: f64,
    grad_scale: f32,
    options: AdamW,
) {
    let factors = Factors::new(t, grad_scale, options);
    let pairs = p.chunks_mut(CHUNK).zip(g.chunks(CHUNK));
    let tasks = pairs.zip(parts(m).zip(parts(v))).map(|((p, g), (m, v))| Part { p, g, m, v });
    pool.each(tasks.collect(), |part| update(isa, factors, part));
}
