//! One tensor's update, in torch's order of operations; factors of the step are made in f64 as torch does.

use crate::maths::{AdamW, Lion, Real, Sgd};

/// AdamW (Loshchilov & Hutter 2019):
/// p −= lr·wd·p;  m += (1−β₁)(g − m);  v = β₂v + (1−β₂)g²;  p −= lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
pub fn adamw<R: Real>(p: &mut [R], g: &[R], m: &mut [R], v: &mut [R], t: f64, grad_scale: R, options: AdamW) {
    let AdamW { lr, beta1, beta2, epsilon, weight_decay } = options;
    let decay = R::from_f64(1.0 - lr * weight_decay);
    let step_size = R::from_f64(lr / (1.0 - beta1.powf(t)));
    let root = R::from_f64((1.0 - beta2.powf(t)).sqrt());
    let (fresh1, kept2, fresh2) = (R::from_f64(1.0 - beta1), R::from_f64(beta2), R::from_f64(1.0 - beta2));
    for i in 0..p.len() {
        let g = g[i] * grad_scale;
        p[i] = p[i] * decay;
        m[i] = m[i] + fresh1 * (g - m[i]);
        v[i] = v[i] * kept2 + fresh2 * g * g;
        let denominator = v[i].sqrt() / root + R::from_f64(epsilon);
        p[i] = p[i] - step_size * m[i] / denominator;
    }
}

/// torch.optim.SGD: g += wd·p;  b = μb + g (b = g at first);  p −= lr · (b, or g + μb with Nesterov)
pub fn sgd<R: Real>(p: &mut [R], g: &[R], mut momentum: Option<&mut [R]>, t: f64, grad_scale: R, options: Sgd) {
    let (lr, mu, decay) = (R::from_f64(options.lr), R::from_f64(options.momentum), R::from_f64(options.weight_decay));
    for i in 0..p.len() {
        let mut g = g[i] * grad_scale + decay * p[i];
        if let Some(buffer) = &mut momentum {
            buffer[i] = if t == 1.0 { g } else { mu * buffer[i] + g };
            g = if options.nesterov { g + mu * buffer[i] } else { buffer[i] };
        }
        p[i] = p[i] - lr * g;
    }
}

/// Lion (Chen et al. 2023, arXiv 2302.06675): p −= lr·λ·p;  p −= lr · sign(β₁m + (1−β₁)g);  m = β₂m + (1−β₂)g
pub fn lion<R: Real>(p: &mut [R], g: &[R], m: &mut [R], grad_scale: R, options: Lion) {
    let Lion { lr, beta1, beta2, weight_decay } = options;
    let keep = R::from_f64(1.0 - lr * weight_decay);
    let (lr, [kept1, fresh1, kept2, fresh2]) =
        (R::from_f64(lr), [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(R::from_f64));
    for i in 0..p.len() {
        let g = g[i] * grad_scale;
        let direction = m[i] * kept1 + fresh1 * g;
        let sign = if direction == R::zero() { direction } else { direction.signum() };
        p[i] = p[i] * keep - lr * sign;
        m[i] = m[i] * kept2 + fresh2 * g;
    }
}
