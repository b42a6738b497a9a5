//! One pass over parameter, gradient and state for each update, in torch's order of operations.

use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, Isa};
use crate::maths::{AdamW, Lion, Sgd};

/// The factors of one AdamW update, rounded once from f64.
#[derive(Clone, Copy)]
struct Adam {
    grad_scale: f32,
    /// 1 − lr · decay
    keep: f32,
    /// 1 − β₁
    first: f32,
    beta2: f32,
    /// 1 − β₂
    second: f32,
    /// √(1 − β₂ᵗ)
    correction: f32,
    epsilon: f32,
    /// −lr / (1 − β₁ᵗ)
    step: f32,
}

impl Adam {
    fn new(t: f64, grad_scale: f32, options: AdamW) -> Adam {
        let AdamW { lr, beta1, beta2, epsilon, weight_decay } = options;
        Adam {
            grad_scale,
            keep: (1.0 - lr * weight_decay) as f32,
            first: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            second: (1.0 - beta2) as f32,
            correction: (1.0 - beta2.powf(t)).sqrt() as f32,
            epsilon: epsilon as f32,
            step: (-lr / (1.0 - beta1.powf(t))) as f32,
        }
    }
}

/// The factors of one SGD update.
#[derive(Clone, Copy)]
struct Descent {
    grad_scale: f32,
    decay: f32,
    momentum: f32,
    /// 0 in the first update: the buffer starts as the gradient.
    old: f32,
    nesterov: bool,
    step: f32,
}

kernel! {
    fn adam<S>(s, factors: Adam, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let [scale, keep, first, beta2] =
            [factors.grad_scale, factors.keep, factors.first, factors.beta2].map(|x| s.splat(x));
        let [second, correction, epsilon, step] =
            [factors.second, factors.correction, factors.epsilon, factors.step].map(|x| s.splat(x));
        let states = m.chunks_mut(S::LANES).zip(v.chunks_mut(S::LANES));
        for ((p, g), (m, v)) in p.chunks_mut(S::LANES).zip(g.chunks(S::LANES)).zip(states) {
            let gradient = s.mul(scale, s.load_part(g));
            let old = s.load_part(m);
            let mean = s.mul_add(first, s.sub(gradient, old), old);
            let square = s.mul_add(second, s.mul(gradient, gradient), s.mul(beta2, s.load_part(v)));
            let scale = s.add(s.div(s.sqrt(square), correction), epsilon);
            let new = s.mul_add(step, s.div(mean, scale), s.mul(keep, s.load_part(p)));
            s.store_part(mean, m);
            s.store_part(square, v);
            s.store_part(new, p);
        }
    }

    /// Not fused, so that the sign is the reference's. A tiny direction is made large before it is cut to ±1.
    fn lion_step<S>(s, grad_scale: f32, options: Lion, p: &mut [f32], g: &[f32], m: &mut [f32]) {
        let Lion { lr, beta1, beta2, weight_decay } = options;
        let [scale, keep, step] = [grad_scale, (1.0 - lr * weight_decay) as f32, -lr as f32].map(|x| s.splat(x));
        let [kept1, fresh1, kept2, fresh2] = [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(|x| s.splat(x as f32));
        let [one, minus_one, huge] = [1.0, -1.0, 2f32.powi(127)].map(|x| s.splat(x));
        for ((p, g), m) in p.chunks_mut(S::LANES).zip(g.chunks(S::LANES)).zip(m.chunks_mut(S::LANES)) {
            let gradient = s.mul(scale, s.load_part(g));
            let old = s.load_part(m);
            let direction = s.add(s.mul(old, kept1), s.mul(fresh1, gradient));
            let sign = s.max(s.min(s.mul(s.mul(direction, huge), huge), one), minus_one);
            s.store_part(s.mul_add(step, sign, s.mul(s.load_part(p), keep)), p);
            s.store_part(s.add(s.mul(old, kept2), s.mul(fresh2, gradient)), m);
        }
    }

    fn descend<S>(s, factors: Descent, p: &mut [f32], g: &[f32]) {
        let [scale, decay, step] = [factors.grad_scale, factors.decay, factors.step].map(|x| s.splat(x));
        for (p, g) in p.chunks_mut(S::LANES).zip(g.chunks(S::LANES)) {
            let old = s.load_part(p);
            let gradient = s.mul_add(decay, old, s.mul(scale, s.load_part(g)));
            s.store_part(s.mul_add(step, gradient, old), p);
        }
    }

    fn descend_with_momentum<S>(s, factors: Descent, p: &mut [f32], g: &[f32], buffer: &mut [f32]) {
        let [scale, decay, step] = [factors.grad_scale, factors.decay, factors.step].map(|x| s.splat(x));
        let [momentum, old_factor] = [factors.momentum, factors.old].map(|x| s.splat(x));
        for ((p, g), buffer) in p.chunks_mut(S::LANES).zip(g.chunks(S::LANES)).zip(buffer.chunks_mut(S::LANES)) {
            let old = s.load_part(p);
            let gradient = s.mul_add(decay, old, s.mul(scale, s.load_part(g)));
            let new = s.mul_add(old_factor, s.load_part(buffer), gradient);
            let direction = if factors.nesterov { s.mul_add(momentum, new, gradient) } else { new };
            s.store_part(new, buffer);
            s.store_part(s.mul_add(step, direction, old), p);
        }
    }
}

#[allow(clippy::too_many_arguments)]
pub fn adamw(
    isa: Isa,
    pool: &Pool,
    p: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    t: f64,
    grad_scale: f32,
    options: AdamW,
) {
    let factors = Adam::new(t, grad_scale, options);
    let states = m.chunks_mut(CHUNK).zip(v.chunks_mut(CHUNK));
    let tasks = p.chunks_mut(CHUNK).zip(g.chunks(CHUNK)).zip(states).collect();
    pool.each(tasks, |((p, g), (m, v))| adam(isa, factors, p, g, m, v));
}

#[allow(clippy::too_many_arguments)]
pub fn sgd(
    isa: Isa,
    pool: &Pool,
    p: &mut [f32],
    g: &[f32],
    momentum: Option<&mut [f32]>,
    t: f64,
    grad_scale: f32,
    options: Sgd,
) {
    let factors = Descent {
        grad_scale,
        decay: options.weight_decay as f32,
        momentum: options.momentum as f32,
        old: if t > 1.0 { options.momentum as f32 } else { 0.0 },
        nesterov: options.nesterov,
        step: -options.lr as f32,
    };
    let pairs = p.chunks_mut(CHUNK).zip(g.chunks(CHUNK));
    match momentum {
        None => pool.each(pairs.collect(), |(p, g)| descend(isa, factors, p, g)),
        Some(buffer) => pool.each(pairs.zip(buffer.chunks_mut(CHUNK)).collect(), |((p, g), buffer)| {
            descend_with_momentum(isa, factors, p, g, buffer);
        }),
    }
}

pub fn lion(isa: Isa, pool: &Pool, p: &mut [f32], g: &[f32], m: &mut [f32], grad_scale: f32, options: Lion) {
    let tasks = p.chunks_mut(CHUNK).zip(g.chunks(CHUNK)).zip(m.chunks_mut(CHUNK)).collect();
    pool.each(tasks, |((p, g), m)| lion_step(isa, grad_scale, options, p, g, m));
}
