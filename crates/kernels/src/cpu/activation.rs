//! Activations of small modules. Only silu has arithmetic worth lanes of its own here; the compiler makes them for relu,
//! and tanh stands between the rows of a prefix alone.

use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, map1, map2, sigmoid, Isa};
use crate::maths::Activation;

kernel! {
    fn silu<S>(s, x: &[f32], y: &mut [f32]) {
        map1(s, x, y, |x| s.mul(x, sigmoid(s, x)));
    }

    /// σ' = σ (1 − σ), so silu' = σ (1 + x (1 − σ)).
    fn silu_backward<S>(s, g: &[f32], x: &[f32], dx: &mut [f32]) {
        let one = s.splat(1.0);
        map2(s, g, x, dx, |g, x| {
            let sigma = sigmoid(s, x);
            s.mul(g, s.mul(sigma, s.mul_add(x, s.sub(one, sigma), one)))
        });
    }
}

fn each(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x);
    }
}

fn each_slope(g: &[f32], x: &[f32], dx: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for (dx, (&g, &x)) in dx.iter_mut().zip(g.iter().zip(x)) {
        *dx = f(g, x);
    }
}

pub fn forward(isa: Isa, pool: &Pool, kind: Activation, x: &[f32], y: &mut [f32]) {
    pool.each(x.chunks(CHUNK).zip(y.chunks_mut(CHUNK)).collect(), |(x, y)| match kind {
        Activation::Relu => each(x, y, |x| if x <= 0.0 { 0.0 } else { x }),
        Activation::Silu => silu(isa, x, y),
        Activation::Tanh => each(x, y, f32::tanh),
    });
}

pub fn backward(isa: Isa, pool: &Pool, kind: Activation, g: &[f32], x: &[f32], dx: &mut [f32]) {
    let tasks = g.chunks(CHUNK).zip(x.chunks(CHUNK)).zip(dx.chunks_mut(CHUNK)).collect();
    pool.each(tasks, |((g, x), dx)| match kind {
        Activation::Relu => each_slope(g, x, dx, |g, x| if x <= 0.0 { 0.0 } else { g }),
        Activation::Silu => silu_backward(isa, g, x, dx),
        Activation::Tanh => each_slope(g, x, dx, |g, x| {
            let t = x.tanh();
            g * (1.0 - t * t)
        }),
    });
}
