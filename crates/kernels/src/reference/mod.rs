//! The maths as obvious loops: what every other backend is judged by. Sums are taken in `R`, in order.

mod activation;
mod adafactor;
pub mod adamw_8bit;
mod attention;
pub mod elementwise;
mod gated;
mod linear_int8;
mod loss;
mod matmul;
mod optimizers;
mod rms_norm;
mod rope;
pub mod rotations;
mod rows;

use crate::codec::llm_int8::RowCodes;
use crate::dynamic_code::Quantized;
use crate::maths::{
    Activation, Adafactor, AdamW, AttentionShape, Beta, Binary, Floats, Layout, Lion, Maths, Real, Segment, Sgd, Unary,
};
use crate::rng::Key;

pub struct Naive;

/// Lends `w` with the weights of a codec as numbers, each decoded once: the loops read them once a row.
fn with_numbers<R: Real, T>(w: Floats<R>, f: impl FnOnce(Floats<R>) -> T) -> T {
    let Floats::Coded(coded) = w else { return f(w) };
    let numbers: Vec<R> = (0..coded.extent.elements).map(|i| w.get(i)).collect();
    f(Floats::Real(&numbers))
}

/// Lends x as numbers.
fn with_reals<R: Real, T>(x: Floats<R>, f: impl FnOnce(&[R]) -> T) -> T {
    match x {
        Floats::Real(x) => f(x),
        _ => f(&(0..x.count()).map(|i| x.get(i)).collect::<Vec<R>>()),
    }
}

/// Each method is the function of its name in the file of its family.
impl<R: Real> Maths<R> for Naive {
    fn binary(&self, kind: Binary, a: &[R], b: &[R], y: &mut [R]) {
        elementwise::binary(kind, a, b, y);
    }

    fn unary(&self, kind: Unary, x: &[R], y: &mut [R]) {
        elementwise::unary(kind, x, y);
    }

    fn scale(&self, x: &[R], factor: R, y: &mut [R]) {
        elementwise::scale(x, factor, y);
    }

    fn soft_cap(&self, x: &[R], cap: R, y: &mut [R]) {
        elementwise::soft_cap(x, cap, y);
    }

    fn accumulate(&self, acc: &mut [R], x: &[R], factor: R) {
        elementwise::accumulate(acc, x, factor);
    }

    fn sum(&self, x: &[R]) -> R {
        elementwise::sum(x)
    }

    fn sum_rows(&self, x: &[R], d: usize, y: &mut [R]) {
        elementwise::sum_rows(x, d, y);
    }

    fn argmax(&self, x: &[R], d: usize, index: &mut [i32], value: &mut [R]) {
        elementwise::argmax(x, d, index, value);
    }

    fn take_rows(&self, table: Floats<R>, d: usize, ids: &[i32], y: &mut [R]) {
        rows::take_rows(table, d, ids, y);
    }

    fn scatter_add_rows(&self, g: &[R], d: usize, ids: &[i32], y: &mut [R]) {
        rows::scatter_add_rows(g, d, ids, y);
    }

    fn matmul(
        &self,
        layout: Layout,
        m: usize,
        n: usize,
        k: usize,
        alpha: R,
        a: Floats<R>,
        b: Floats<R>,
        beta: Beta,
        c: &mut [R],
    ) {
        with_numbers(a, |a| with_numbers(b, |b| matmul::matmul(layout, [m, n, k], alpha, a, b, beta, c)));
    }

    fn linear_int8(&self, m: usize, alpha: R, a: Floats<R>, w: RowCodes, c: &mut [R]) {
        linear_int8::linear_int8(m, alpha, a, w, c);
    }

    fn rms_norm(&self, x: Floats<R>, w: &[R], epsilon: R, y: &mut [R], rstd: &mut [R]) {
        with_reals(x, |x| rms_norm::forward(x, w, epsilon, y, rstd));
    }

    fn rms_norm_backward(&self, g: &[R], x: Floats<R>, w: &[R], rstd: &[R], dx: &mut [R], dw: Option<&mut [R]>) {
        with_reals(x, |x| rms_norm::backward(g, x, w, rstd, dx, dw));
    }

    fn add_rms_norm(&self, acc: &mut [R], x: &[R], w: &[R], epsilon: R, y: &mut [R], rstd: &mut [R]) {
        elementwise::accumulate(acc, x, R::one());
        rms_norm::forward(acc, w, epsilon, y, rstd);
    }

    fn add_rms_norm_backward(&self, acc: &mut [R], g: &[R], x: Floats<R>, w: &[R], rstd: &[R], dw: Option<&mut [R]>) {
        let mut dx = vec![R::zero(); acc.len()];
        with_reals(x, |x| rms_norm::backward(g, x, w, rstd, &mut dx, dw));
        elementwise::accumulate(acc, &dx, R::one());
    }

    fn rope(&self, x: &[R], cos: &[R], sin: &[R], pairs: usize, head_dim: usize, inverse: bool, y: &mut [R]) {
        rope::rope(x, cos, sin, pairs, head_dim, inverse, y);
    }

    fn attention(
        &self,
        q: &[R],
        k: &[R],
        v: &[R],
        segments: &[Segment],
        shape: AttentionShape,
        o: &mut [R],
        lse: &mut [R],
    ) {
        attention::forward(q, k, v, segments, shape, o, lse);
    }

    fn attention_backward(
        &self,
        g: &[R],
        q: Floats<R>,
        k: Floats<R>,
        v: Floats<R>,
        o: Floats<R>,
        lse: &[R],
        segments: &[Segment],
        shape: AttentionShape,
        dq: &mut [R],
        dk: &mut [R],
        dv: &mut [R],
    ) {
        let mut backward = |q: &[R], k: &[R], v: &[R], o: &[R]| {
            attention::backward(g, [q, k, v, o, lse], segments, shape, [dq, dk, dv]);
        };
        with_reals(q, |q| with_reals(k, |k| with_reals(v, |v| with_reals(o, |o| backward(q, k, v, o)))));
    }

    fn swiglu(&self, gate: Floats<R>, up: Floats<R>, y: &mut [R]) {
        with_reals(gate, |gate| with_reals(up, |up| gated::forward(gated::silu, gate, up, y)));
    }

    fn swiglu_backward(&self, g: &[R], gate: Floats<R>, up: Floats<R>, dgate: &mut [R], dup: &mut [R]) {
        with_reals(gate, |gate| with_reals(up, |up| gated::backward(gated::silu, g, gate, up, dgate, dup)));
    }

    fn geglu(&self, gate: Floats<R>, up: Floats<R>, y: &mut [R]) {
        with_reals(gate, |gate| with_reals(up, |up| gated::forward(gated::gelu, gate, up, y)));
    }

    fn geglu_backward(&self, g: &[R], gate: Floats<R>, up: Floats<R>, dgate: &mut [R], dup: &mut [R]) {
        with_reals(gate, |gate| with_reals(up, |up| gated::backward(gated::gelu, g, gate, up, dgate, dup)));
    }

    fn activate(&self, kind: Activation, x: &[R], y: &mut [R]) {
        activation::forward(kind, x, y);
    }

    fn activate_backward(&self, kind: Activation, g: &[R], x: &[R], dx: &mut [R]) {
        activation::backward(kind, g, x, dx);
    }

    fn skew_blocks(&self, a: &[R], size: usize, q: &mut [R]) {
        rotations::skew(a, size, q);
    }

    fn skew_blocks_backward(&self, g: &[R], size: usize, da: &mut [R]) {
        rotations::skew_backward(g, size, da);
    }

    fn cayley_blocks(&self, q: &[R], size: usize, y: &mut [R]) {
        rotations::cayley(q, size, y);
    }

    fn matmul_blocks(&self, layout: Layout, a: &[R], b: &[R], width: usize, size: usize, c: &mut [R]) {
        rotations::matmul(layout, a, b, width, size, c);
    }

    fn permute_columns(&self, x: &[R], order: &[i32], inverse: bool, y: &mut [R]) {
        rotations::permute_columns(x, order, inverse, y);
    }

    fn linear_cross_entropy(
        &self,
        h: &[R],
        w: Floats<R>,
        labels: &[i32],
        d: usize,
        vocab: usize,
        soft_cap: R,
        dh: Option<&mut [R]>,
        dw: Option<&mut [R]>,
    ) -> R {
        with_numbers(w, |w| loss::cross_entropy(h, w, labels, [d, vocab], soft_cap, dh, dw))
    }

    fn linear_log_prob(
        &self,
        h: &[R],
        w: Floats<R>,
        labels: &[i32],
        d: usize,
        vocab: usize,
        soft_cap: R,
        logp: &mut [R],
        lse: &mut [R],
    ) {
        with_numbers(w, |w| loss::log_prob(h, w, labels, [d, vocab], soft_cap, logp, lse));
    }

    fn linear_log_prob_backward(
        &self,
        g: &[R],
        h: &[R],
        w: Floats<R>,
        labels: &[i32],
        lse: &[R],
        d: usize,
        vocab: usize,
        soft_cap: R,
        dh: Option<&mut [R]>,
        dw: Option<&mut [R]>,
    ) {
        with_numbers(w, |w| loss::log_prob_backward(g, h, w, labels, lse, [d, vocab], soft_cap, dh, dw));
    }

    fn dropout(&self, x: &[R], p: f64, key: Key, y: &mut [R]) {
        elementwise::dropout(x, p, key, y);
    }

    fn sum_of_squares(&self, x: &[R]) -> f64 {
        elementwise::sum_of_squares(x)
    }

    fn adamw(&self, p: &mut [R], g: &[R], m: &mut [R], v: &mut [R], t: f64, grad_scale: R, options: AdamW) {
        optimizers::adamw(p, g, m, v, t, grad_scale, options);
    }

    fn sgd(&self, p: &mut [R], g: &[R], momentum: Option<&mut [R]>, t: f64, grad_scale: R, options: Sgd) {
        optimizers::sgd(p, g, momentum, t, grad_scale, options);
    }

    fn lion(&self, p: &mut [R], g: &[R], m: &mut [R], grad_scale: R, options: Lion) {
        optimizers::lion(p, g, m, grad_scale, options);
    }

    fn adafactor(
        &self,
        p: &mut [R],
        g: &[R],
        rows: Option<&mut [R]>,
        columns: &mut [R],
        t: f64,
        grad_scale: R,
        options: Adafactor,
    ) {
        adafactor::adafactor(p, g, rows, columns, t, grad_scale, options);
    }

    fn adamw_8bit(
        &self,
        p: &mut [R],
        g: &[R],
        m: Quantized<R>,
        v: Quantized<R>,
        t: f64,
        grad_scale: R,
        options: AdamW,
    ) {
        adamw_8bit::adamw_8bit(p, g, m, v, t, grad_scale, options);
    }
}
