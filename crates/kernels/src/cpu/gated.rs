//! Gated units y = f(gate) · up with f(x) = x · σ(z(x)): silu, where z(x) = x, and the tanh form of gelu, where
//! z(x) = 2·√(2/π)·(x + 0.044715·x³).

use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, load_from, map2, sigmoid, store_to, Isa, Simd};

/// 2·√(2/π)
const FACTOR: f32 = 1.595_769_2;
const CUBIC: f32 = 0.044_715;

/// z of gelu: x · FACTOR · (1 + CUBIC·x²)
#[inline(always)]
fn bend<S: Simd>(s: S, x: S::V) -> S::V {
    s.mul(s.mul(x, s.splat(FACTOR)), s.mul_add(s.mul(x, x), s.splat(CUBIC), s.splat(1.0)))
}

kernel! {
    fn silu_times<S>(s, gate: &[f32], up: &[f32], y: &mut [f32]) {
        map2(s, gate, up, y, |gate, up| s.mul(s.mul(gate, sigmoid(s, gate)), up));
    }

    fn gelu_times<S>(s, gate: &[f32], up: &[f32], y: &mut [f32]) {
        map2(s, gate, up, y, |gate, up| s.mul(s.mul(gate, sigmoid(s, bend(s, gate))), up));
    }

    /// σ' = σ (1 − σ), so silu' = σ (1 + gate (1 − σ)).
    fn silu_times_backward<S>(s, g: &[f32], gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
        let one = s.splat(1.0);
        for at in (0..g.len()).step_by(S::LANES) {
            let [g, gate, up] = [g, gate, up].map(|x| load_from(s, x, at));
            let sigma = sigmoid(s, gate);
            let slope = s.mul(sigma, s.mul_add(gate, s.sub(one, sigma), one));
            store_to(s, s.mul(s.mul(g, up), slope), dgate, at);
            store_to(s, s.mul(s.mul(g, gate), sigma), dup, at);
        }
    }

    /// gelu' = σ (1 + gate (1 − σ) z'), z' = FACTOR · (1 + 3·CUBIC·gate²).
    fn gelu_times_backward<S>(s, g: &[f32], gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
        let one = s.splat(1.0);
        for at in (0..g.len()).step_by(S::LANES) {
            let [g, gate, up] = [g, gate, up].map(|x| load_from(s, x, at));
            let sigma = sigmoid(s, bend(s, gate));
            let steep = s.mul(s.splat(FACTOR), s.mul_add(s.mul(gate, gate), s.splat(3.0 * CUBIC), one));
            let rest = s.mul(s.mul(gate, s.sub(one, sigma)), steep);
            store_to(s, s.mul(s.mul(g, up), s.mul(sigma, s.add(one, rest))), dgate, at);
            store_to(s, s.mul(s.mul(g, gate), sigma), dup, at);
        }
    }
}

type Forward = fn(Isa, &[f32], &[f32], &mut [f32]);
type Backward = fn(Isa, &[f32], &[f32], &[f32], &mut [f32], &mut [f32]);

fn forward(unit: Forward, isa: Isa, pool: &Pool, gate: &[f32], up: &[f32], y: &mut [f32]) {
    let tasks = gate.chunks(CHUNK).zip(up.chunks(CHUNK)).zip(y.chunks_mut(CHUNK)).collect();
    pool.each(tasks, |((gate, up), y)| unit(isa, gate, up, y));
}

fn backward(unit: Backward, isa: Isa, pool: &Pool, [g, gate, up]: [&[f32]; 3], dgate: &mut [f32], dup: &mut [f32]) {
    let inputs = g.chunks(CHUNK).zip(gate.chunks(CHUNK)).zip(up.chunks(CHUNK));
    let outputs = dgate.chunks_mut(CHUNK).zip(dup.chunks_mut(CHUNK));
    pool.each(inputs.zip(outputs).collect(), |(((g, gate), up), (dgate, dup))| unit(isa, g, gate, up, dgate, dup));
}

pub fn swiglu(isa: Isa, pool: &Pool, gate: &[f32], up: &[f32], y: &mut [f32]) {
    forward(silu_times, isa, pool, gate, up, y);
}

pub fn swiglu_backward(isa: Isa, pool: &Pool, g: &[f32], gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    backward(silu_times_backward, isa, pool, [g, gate, up], dgate, dup);
}

pub fn geglu(isa: Isa, pool: &Pool, gate: &[f32], up: &[f32], y: &mut [f32]) {
    forward(gelu_times, isa, pool, gate, up, y);
}

pub fn geglu_backward(isa: Isa, pool: &Pool, g: &[f32], gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    backward(gelu_times_backward, isa, pool, [g, gate, up], dgate, dup);
}
