use crate::dynamic_code::{DynamicCode, Quantized, BLOCK};
use crate::maths::{AdamW, Real};

/// AdamW on moments in 8-bit codes, as bitsandbytes does it on the CPU: a block is decoded, updated and encoded again.
pub fn adamw_8bit<R: Real>(
    p: &mut [R],
    g: &[R],
    m: Quantized<R>,
    v: Quantized<R>,
    t: f64,
    grad_scale: R,
    options: AdamW,
) {
    let factors = Factors::new(t, grad_scale, options);
    let means = m.codes.chunks_mut(BLOCK).zip(m.scales);
    let squares = v.codes.chunks_mut(BLOCK).zip(v.scales);
    let blocks = p.chunks_mut(BLOCK).zip(g.chunks(BLOCK));
    for (((p, g), (m, mean_scale)), (v, square_scale)) in blocks.zip(means).zip(squares) {
        block(factors, p, g, m, mean_scale, v, square_scale);
    }
}

#[derive(Clone, Copy)]
pub struct Factors<R> {
    grad_scale: R,
    keep: R,
    beta1: R,
    first: R,
    beta2: R,
    second: R,
    correction: R,
    epsilon: R,
    step: R,
}

impl<R: Real> Factors<R> {
    pub fn new(t: f64, grad_scale: R, options: AdamW) -> Factors<R> {
        let AdamW { lr, beta1, beta2, epsilon, weight_decay } = options;
        Factors {
            grad_scale,
            keep: R::from_f64(1.0 - lr * weight_decay),
            beta1: R::from_f64(beta1),
            first: R::from_f64(1.0 - beta1),
            beta2: R::from_f64(beta2),
            second: R::from_f64(1.0 - beta2),
            correction: R::from_f64((1.0 - beta2.powf(t)).sqrt()),
            epsilon: R::from_f64(epsilon),
            step: R::from_f64(lr / (1.0 - beta1.powf(t))),
        }
    }
}

/// One block. The CPU backend runs this very code on its instruction sets: a last bit that differs could be another code.
#[inline(always)]
pub fn block<R: Real>(
    f: Factors<R>,
    p: &mut [R],
    g: &[R],
    m: &mut [u8],
    mean_scale: &mut R,
    v: &mut [u8],
    square_scale: &mut R,
) {
    let (means, squares) = (&mut [R::zero(); BLOCK][..p.len()], &mut [R::zero(); BLOCK][..p.len()]);
    DynamicCode::signed().decode(m, *mean_scale, means);
    DynamicCode::unsigned().decode(v, *square_scale, squares);
    for (((p, &g), mean), square) in p.iter_mut().zip(g).zip(means.iter_mut()).zip(squares.iter_mut()) {
        let g = g * f.grad_scale;
        *mean = *mean * f.beta1 + f.first * g;
        *square = *square * f.beta2 + f.second * g * g;
        *p = *p * f.keep - f.step * *mean / (square.sqrt() / f.correction + f.epsilon);
    }
    *mean_scale = DynamicCode::signed().encode(means, m);
    *square_scale = DynamicCode::unsigned().encode(squares, v);
}
