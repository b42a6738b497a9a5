//! Gated units y = f(gate) · up whose f is f(x) = x · σ(z(x)).

use crate::maths::Real;

/// z(x) and its slope: x itself for silu.
pub fn silu<R: Real>(x: R) -> (R, R) {
    (x, R::one())
}

/// 2·√(2/π)·(x + 0.044715·x³) for the tanh form of gelu (Hendrycks & Gimpel 2016): ½(1 + tanh u) = σ(2u).
pub fn gelu<R: Real>(x: R) -> (R, R) {
    let factor = R::from_f64(2.0 * (2.0 / std::f64::consts::PI).sqrt());
    let cubic = R::from_f64(0.044_715);
    let slope = R::one() + R::from_f64(3.0) * cubic * x * x;
    (factor * (x + cubic * x * x * x), factor * slope)
}

/// σ(x) = 1 / (1 + e⁻ˣ)
fn sigmoid<R: Real>(x: R) -> R {
    R::one() / (R::one() + (-x).exp())
}

pub fn forward<R: Real>(z: impl Fn(R) -> (R, R), gate: &[R], up: &[R], y: &mut [R]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = gate[i] * sigmoid(z(gate[i]).0) * up[i];
    }
}

/// dgate = g · up · σ·(1 + gate·(1 − σ)·z'),  dup = g · gate · σ
pub fn backward<R: Real>(z: impl Fn(R) -> (R, R), g: &[R], gate: &[R], up: &[R], dgate: &mut [R], dup: &mut [R]) {
    for i in 0..g.len() {
        let (z, slope) = z(gate[i]);
        let s = sigmoid(z);
        dgate[i] = g[i] * up[i] * s * (R::one() + gate[i] * (R::one() - s) * slope);
        dup[i] = g[i] * gate[i] * s;
    }
}
