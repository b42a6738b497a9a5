use crate::maths::Real;

/// σ(x) = 1 / (1 + e⁻ˣ)
fn sigmoid<R: Real>(x: R) -> R {
    R::one() / (R::one() + (-x).exp())
}

/// y = silu(gate) · up, silu(x) = x · σ(x)
pub fn forward<R: Real>(gate: &[R], up: &[R], y: &mut [R]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = gate[i] * sigmoid(gate[i]) * up[i];
    }
}

/// dgate = g · up · σ·(1 + gate·(1 − σ)),  dup = g · gate · σ
pub fn backward<R: Real>(g: &[R], gate: &[R], up: &[R], dgate: &mut [R], dup: &mut [R]) {
    for i in 0..g.len() {
        let s = sigmoid(gate[i]);
        dgate[i] = g[i] * up[i] * s * (R::one() + gate[i] * (R::one() - s));
        dup[i] = g[i] * gate[i] * s;
    }
}
