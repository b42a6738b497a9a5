use crate::maths::{Activation, Real};

/// σ(x) = 1 / (1 + e⁻ˣ)
fn sigmoid<R: Real>(x: R) -> R {
    R::one() / (R::one() + (-x).exp())
}

/// y = f(x)
pub fn forward<R: Real>(kind: Activation, x: &[R], y: &mut [R]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = match kind {
            // Not `max`, which would hide a NaN.
            Activation::Relu if x <= R::zero() => R::zero(),
            Activation::Relu => x,
            Activation::Silu => x * sigmoid(x),
            Activation::Tanh => x.tanh(),
        };
    }
}

/// dx = g · f′(x);  relu′ = 1 above 0,  silu′ = σ·(1 + x·(1 − σ)),  tanh′ = 1 − tanh²
pub fn backward<R: Real>(kind: Activation, g: &[R], x: &[R], dx: &mut [R]) {
    for (i, dx) in dx.iter_mut().enumerate() {
        let (g, x) = (g[i], x[i]);
        *dx = match kind {
            Activation::Relu if x <= R::zero() => R::zero(),
            Activation::Relu => g,
            Activation::Silu => {
                let s = sigmoid(x);
                g * s * (R::one() + x * (R::one() - s))
            }
            Activation::Tanh => {
                let t = x.tanh();
                g * (R::one() - t * t)
            }
        };
    }
}
