//! Gated units y = f(gate) · up with f(x) = x · σ(z(x)): silu, where z(x) = x, and the tanh form of gelu, where
//! z(x) = 2·√(2/π)·(x + 0.044715·x³).

use super::convert::with_f32;
use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, load_any, load_from, sigmoid, store_to, Element, Isa, Simd};
use crate::maths::Floats;
use half::bf16;

/// 2·√(2/π)
const FACTOR: f32 = 1.595_769_2;
const CUBIC: f32 = 0.044_715;

/// z of gelu: x · FACTOR · (1 + CUBIC·x²)
#[inline(always)]
fn bend<S: Simd>(s: S, x: S::V) -> S::V {
    s.mul(s.mul(x, s.splat(FACTOR)), s.mul_add(s.mul(x, x), s.splat(CUBIC), s.splat(1.0)))
}

/// y = f(gate) · up
#[inline(always)]
fn times<S: Simd, E: Element>(s: S, gate: &[E], up: &[E], y: &mut [f32], f: impl Fn(S::V) -> S::V) {
    for at in (0..y.len()).step_by(S::LANES) {
        let (gate, up) = (load_any(s, gate, at), load_any(s, up, at));
        store_to(s, s.mul(s.mul(gate, sigmoid(s, f(gate))), up), y, at);
    }
}

/// σ' = σ (1 − σ), so silu' = σ (1 + gate (1 − σ)).
#[inline(always)]
fn silu_back<S: Simd, E: Element>(s: S, g: &[f32], gate: &[E], up: &[E], dgate: &mut [f32], dup: &mut [f32]) {
    let one = s.splat(1.0);
    for at in (0..g.len()).step_by(S::LANES) {
        let (g, gate, up) = (load_from(s, g, at), load_any(s, gate, at), load_any(s, up, at));
        let sigma = sigmoid(s, gate);
        let slope = s.mul(sigma, s.mul_add(gate, s.sub(one, sigma), one));
        store_to(s, s.mul(s.mul(g, up), slope), dgate, at);
        store_to(s, s.mul(s.mul(g, gate), sigma), dup, at);
    }
}

/// gelu' = σ (1 + gate (1 − σ) z'), z' = FACTOR · (1 + 3·CUBIC·gate²).
#[inline(always)]
fn gelu_back<S: Simd, E: Element>(s: S, g: &[f32], gate: &[E], up: &[E], dgate: &mut [f32], dup: &mut [f32]) {
    let one = s.splat(1.0);
    for at in (0..g.len()).step_by(S::LANES) {
        let (g, gate, up) = (load_from(s, g, at), load_any(s, gate, at), load_any(s, up, at));
        let sigma = sigmoid(s, bend(s, gate));
        let steep = s.mul(s.splat(FACTOR), s.mul_add(s.mul(gate, gate), s.splat(3.0 * CUBIC), one));
        let rest = s.mul(s.mul(gate, s.sub(one, sigma)), steep);
        store_to(s, s.mul(s.mul(g, up), s.mul(sigma, s.add(one, rest))), dgate, at);
        store_to(s, s.mul(s.mul(g, gate), sigma), dup, at);
    }
}

kernel! {
    fn silu_f32<S>(s, gate: &[f32], up: &[f32], y: &mut [f32]) {
        times(s, gate, up, y, |x| x);
    }

    fn silu_bf16<S>(s, gate: &[bf16], up: &[bf16], y: &mut [f32]) {
        times(s, gate, up, y, |x| x);
    }

    fn gelu_f32<S>(s, gate: &[f32], up: &[f32], y: &mut [f32]) {
        times(s, gate, up, y, |x| bend(s, x));
    }

    fn gelu_bf16<S>(s, gate: &[bf16], up: &[bf16], y: &mut [f32]) {
        times(s, gate, up, y, |x| bend(s, x));
    }

    fn silu_back_f32<S>(s, g: &[f32], gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
        silu_back(s, g, gate, up, dgate, dup);
    }

    fn silu_back_bf16<S>(s, g: &[f32], gate: &[bf16], up: &[bf16], dgate: &mut [f32], dup: &mut [f32]) {
        silu_back(s, g, gate, up, dgate, dup);
    }

    fn gelu_back_f32<S>(s, g: &[f32], gate: &[f32], up: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
        gelu_back(s, g, gate, up, dgate, dup);
    }

    fn gelu_back_bf16<S>(s, g: &[f32], gate: &[bf16], up: &[bf16], dgate: &mut [f32], dup: &mut [f32]) {
        gelu_back(s, g, gate, up, dgate, dup);
    }
}

type Forward<E> = fn(Isa, &[E], &[E], &mut [f32]);
type Backward<E> = fn(Isa, &[f32], &[E], &[E], &mut [f32], &mut [f32]);

fn forward<E: Element>(unit: Forward<E>, isa: Isa, pool: &Pool, gate: &[E], up: &[E], y: &mut [f32]) {
    let tasks = gate.chunks(CHUNK).zip(up.chunks(CHUNK)).zip(y.chunks_mut(CHUNK)).collect();
    pool.each(tasks, |((gate, up), y)| unit(isa, gate, up, y));
}

fn backward<E: Element>(
    unit: Backward<E>,
    isa: Isa,
    pool: &Pool,
    g: &[f32],
    [gate, up]: [&[E]; 2],
    [dgate, dup]: [&mut [f32]; 2],
) {
    let inputs = g.chunks(CHUNK).zip(gate.chunks(CHUNK)).zip(up.chunks(CHUNK));
    let outputs = dgate.chunks_mut(CHUNK).zip(dup.chunks_mut(CHUNK));
    pool.each(inputs.zip(outputs).collect(), |(((g, gate), up), (dgate, dup))| unit(isa, g, gate, up, dgate, dup));
}

type F<'a> = Floats<'a, f32>;

pub fn swiglu(isa: Isa, pool: &Pool, gate: F, up: F, y: &mut [f32]) {
    if let (Floats::Bf16(gate), Floats::Bf16(up)) = (gate, up) {
        return forward(silu_bf16, isa, pool, gate, up, y);
    }
    with_both(isa, pool, gate, up, |gate, up| forward(silu_f32, isa, pool, gate, up, y));
}

pub fn swiglu_backward(isa: Isa, pool: &Pool, g: &[f32], gate: F, up: F, dgate: &mut [f32], dup: &mut [f32]) {
    if let (Floats::Bf16(gate), Floats::Bf16(up)) = (gate, up) {
        return backward(silu_back_bf16, isa, pool, g, [gate, up], [dgate, dup]);
    }
    with_both(isa, pool, gate, up, |gate, up| backward(silu_back_f32, isa, pool, g, [gate, up], [dgate, dup]));
}

pub fn geglu(isa: Isa, pool: &Pool, gate: F, up: F, y: &mut [f32]) {
    if let (Floats::Bf16(gate), Floats::Bf16(up)) = (gate, up) {
        return forward(gelu_bf16, isa, pool, gate, up, y);
    }
    with_both(isa, pool, gate, up, |gate, up| forward(gelu_f32, isa, pool, gate, up, y));
}

pub fn geglu_backward(isa: Isa, pool: &Pool, g: &[f32], gate: F, up: F, dgate: &mut [f32], dup: &mut [f32]) {
    if let (Floats::Bf16(gate), Floats::Bf16(up)) = (gate, up) {
        return backward(gelu_back_bf16, isa, pool, g, [gate, up], [dgate, dup]);
    }
    with_both(isa, pool, gate, up, |gate, up| backward(gelu_back_f32, isa, pool, g, [gate, up], [dgate, dup]));
}

fn with_both(isa: Isa, pool: &Pool, gate: F, up: F, f: impl FnOnce(&[f32], &[f32])) {
    with_f32(isa, pool, gate, |gate| with_f32(isa, pool, up, |up| f(gate, up)));
}
