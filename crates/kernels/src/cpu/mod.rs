//! The maths in SIMD on several threads, f32. Work is cut by shape alone, so any number of threads gives the same bits.

mod activation;
mod adafactor;
mod adamw_8bit;
mod attention;
mod attention_backward;
mod attention_step;
mod coded;
mod convert;
mod elementwise;
mod expand;
mod gated;
mod head;
mod linear_int8;
mod matmul;
mod norm;
mod operands;
mod optimizer;
mod packing;
mod pool;
mod random;
mod right;
mod rope;
mod rotations;
mod rows;
mod runs;
mod simd;
mod skinny;
#[cfg(test)]
mod tests;

pub use simd::Isa;

use crate::codec::llm_int8::RowCodes;
use crate::dynamic_code::Quantized;
use crate::maths::{
    Activation, Adafactor, AdamW, AttentionShape, Beta, Binary, Floats, Layout, Lion, LowRank, Maths, Segment, Sgd,
    Unary,
};
use crate::rng::Key;
use convert::{with_elements, with_f32};
use operands::Operands;
use pool::Pool;
use simd::Pairs;

pub struct Cpu {
    isa: Isa,
    pool: Pool,
    pairs: Option<Pairs>,
}

impl Cpu {
    /// The best instruction set of this machine on `threads` threads.
    pub fn new(threads: usize) -> Cpu {
        Cpu::with_isa(threads, Isa::best())
    }

    pub fn with_isa(threads: usize, isa: Isa) -> Cpu {
        Cpu { isa, pool: Pool::new(threads), pairs: None }
    }

    /// Large products round both sides to bf16 where this machine multiplies those faster.
    pub fn in_bf16(self) -> Cpu {
        Cpu { pairs: Pairs::detect().filter(|pairs| pairs.isa() == self.isa), ..self }
    }

    /// "avx2 (avx2, fma, f16c), 2 threads"
    pub fn description(&self) -> String {
        let threads = self.pool.threads();
        let products = match self.pairs.map(Pairs::tiles) {
            Some(Some(_)) => ", products in bf16 by amx",
            Some(None) => ", products in bf16",
            None => "",
        };
        format!("{}{products}, {threads} thread{}", self.isa.description(), if threads == 1 { "" } else { "s" })
    }
}

impl Cpu {
    fn operands(&self, head_dim: usize) -> Operands {
        Operands::new(self.isa, self.pairs, head_dim)
    }

    #[allow(clippy::too_many_arguments)]
    fn head<'a>(
        &'a self,
        h: &'a [f32],
        w: Floats<'a, f32>,
        labels: &'a [i32],
        d: usize,
        vocab: usize,
        soft_cap: f32,
    ) -> head::Head<'a> {
        head::Head { isa: self.isa, pool: &self.pool, pairs: self.pairs, h, w, labels, d, vocab, soft_cap }
    }
}

/// Each method is the function of its name in the file of its family.
impl Maths<f32> for Cpu {
    fn binary(&self, kind: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
        elementwise::binary(self.isa, &self.pool, kind, a, b, y);
    }

    fn unary(&self, kind: Unary, x: &[f32], y: &mut [f32]) {
        elementwise::unary(&self.pool, kind, x, y);
    }

    fn scale(&self, x: &[f32], factor: f32, y: &mut [f32]) {
        elementwise::scale(self.isa, &self.pool, x, factor, y);
    }

    fn soft_cap(&self, x: &[f32], cap: f32, y: &mut [f32]) {
        elementwise::soft_cap(self.isa, &self.pool, x, cap, y);
    }

    fn accumulate(&self, acc: &mut [f32], x: &[f32], factor: f32) {
        elementwise::accumulate(self.isa, &self.pool, acc, x, factor);
    }

    fn sum(&self, x: &[f32]) -> f32 {
        elementwise::sum(self.isa, &self.pool, x) as f32
    }

    fn narrow(&self, x: &[f32], y: &mut [half::bf16]) {
        convert::narrow(self.isa, &self.pool, x, y);
    }

    fn widen(&self, x: &[half::bf16], y: &mut [f32]) {
        convert::widen(self.isa, &self.pool, x, y);
    }

    fn sum_rows(&self, x: &[f32], d: usize, y: &mut [f32]) {
        elementwise::sum_rows(self.isa, &self.pool, x, d, y);
    }

    fn argmax(&self, x: &[f32], d: usize, index: &mut [i32], value: &mut [f32]) {
        elementwise::argmax(self.isa, &self.pool, x, d, index, value);
    }

    fn take_rows(&self, table: Floats<f32>, d: usize, ids: &[i32], y: &mut [f32]) {
        rows::take_rows(self.isa, &self.pool, table, d, ids, y);
    }

    fn scatter_add_rows(&self, g: &[f32], d: usize, ids: &[i32], y: &mut [f32]) {
        rows::scatter_add_rows(self.isa, &self.pool, g, d, ids, y);
    }

    fn matmul(
        &self,
        layout: Layout,
        m: usize,
        n: usize,
        k: usize,
        alpha: f32,
        a: Floats<f32>,
        b: Floats<f32>,
        beta: Beta,
        c: &mut [f32],
    ) {
        let problem = matmul::Problem { layout, m, n, k, alpha, a, b, beta, pairs: self.pairs, low: None };
        matmul::matmul(self.isa, &self.pool, &problem, c);
    }

    fn matmul_low_rank(
        &self,
        layout: Layout,
        [m, n, k]: [usize; 3],
        a: Floats<f32>,
        b: Floats<f32>,
        low: LowRank<f32>,
        beta: Beta,
        c: &mut [f32],
    ) {
        let low = Some(low);
        let problem = matmul::Problem { layout, m, n, k, alpha: 1.0, a, b, beta, pairs: self.pairs, low };
        matmul::matmul(self.isa, &self.pool, &problem, c);
    }

    fn linear_int8(&self, m: usize, alpha: f32, a: Floats<f32>, w: RowCodes, c: &mut [f32]) {
        linear_int8::linear_int8(self.isa, &self.pool, m, alpha, a, w, c);
    }

    fn rms_norm(&self, x: Floats<f32>, w: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
        let (isa, pool) = (self.isa, &self.pool);
        with_elements!(isa, pool, x => norm::rms_norm(isa, pool, x, w, epsilon, y, rstd));
    }

    fn rms_norm_backward(
        &self,
        g: &[f32],
        x: Floats<f32>,
        w: &[f32],
        rstd: &[f32],
        dx: &mut [f32],
        dw: Option<&mut [f32]>,
    ) {
        let (isa, pool) = (self.isa, &self.pool);
        with_elements!(isa, pool, x => norm::rms_norm_backward(isa, pool, g, x, w, rstd, dx, dw));
    }

    fn add_rms_norm(&self, acc: &mut [f32], x: &[f32], w: &[f32], epsilon: f32, y: &mut [f32], rstd: &mut [f32]) {
        norm::add_rms_norm(self.isa, &self.pool, acc, x, w, epsilon, y, rstd);
    }

    fn add_rms_norm_backward(
        &self,
        acc: &mut [f32],
        g: &[f32],
        x: Floats<f32>,
        w: &[f32],
        rstd: &[f32],
        dw: Option<&mut [f32]>,
    ) {
        let (isa, pool) = (self.isa, &self.pool);
        with_elements!(isa, pool, x => norm::add_rms_norm_backward(isa, pool, acc, g, x, w, rstd, dw));
    }

    fn rope(&self, x: &[f32], cos: &[f32], sin: &[f32], pairs: usize, head_dim: usize, inverse: bool, y: &mut [f32]) {
        rope::rope(self.isa, &self.pool, x, cos, sin, pairs, head_dim, inverse, y);
    }

    fn attention(
        &self,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        segments: &[Segment],
        shape: AttentionShape,
        o: &mut [f32],
        lse: &mut [f32],
    ) {
        attention::attention(self.operands(shape.head_dim), &self.pool, q, k, v, segments, shape, o, lse);
    }

    fn attention_backward(
        &self,
        g: &[f32],
        q: Floats<f32>,
        k: Floats<f32>,
        v: Floats<f32>,
        o: Floats<f32>,
        lse: &[f32],
        segments: &[Segment],
        shape: AttentionShape,
        dq: &mut [f32],
        dk: &mut [f32],
        dv: &mut [f32],
    ) {
        let (isa, pool, operands) = (self.isa, &self.pool, self.operands(shape.head_dim));
        with_f32(isa, pool, o, |o| {
            if let (Floats::Bf16(q), Floats::Bf16(k), Floats::Bf16(v)) = (q, k, v) {
                let inputs = attention_backward::Inputs { g, q, k, v, o, lse };
                return attention_backward::attention_backward(operands, pool, inputs, segments, shape, dq, dk, dv);
            }
            let mut in_f32 = |q: &[f32], k: &[f32], v: &[f32]| {
                let inputs = attention_backward::Inputs { g, q, k, v, o, lse };
                attention_backward::attention_backward(operands, pool, inputs, segments, shape, dq, dk, dv);
            };
            with_f32(isa, pool, q, |q| with_f32(isa, pool, k, |k| with_f32(isa, pool, v, |v| in_f32(q, k, v))));
        });
    }

    fn swiglu(&self, gate: Floats<f32>, up: Floats<f32>, y: &mut [f32]) {
        gated::swiglu(self.isa, &self.pool, gate, up, y);
    }

    fn swiglu_backward(&self, g: &[f32], gate: Floats<f32>, up: Floats<f32>, dgate: &mut [f32], dup: &mut [f32]) {
        gated::swiglu_backward(self.isa, &self.pool, g, gate, up, dgate, dup);
    }

    fn geglu(&self, gate: Floats<f32>, up: Floats<f32>, y: &mut [f32]) {
        gated::geglu(self.isa, &self.pool, gate, up, y);
    }

    fn geglu_backward(&self, g: &[f32], gate: Floats<f32>, up: Floats<f32>, dgate: &mut [f32], dup: &mut [f32]) {
        gated::geglu_backward(self.isa, &self.pool, g, gate, up, dgate, dup);
    }

    fn activate(&self, kind: Activation, x: &[f32], y: &mut [f32]) {
        activation::forward(self.isa, &self.pool, kind, x, y);
    }

    fn activate_backward(&self, kind: Activation, g: &[f32], x: &[f32], dx: &mut [f32]) {
        activation::backward(self.isa, &self.pool, kind, g, x, dx);
    }

    fn skew_blocks(&self, a: &[f32], size: usize, q: &mut [f32]) {
        crate::reference::rotations::skew(a, size, q);
    }

    fn skew_blocks_backward(&self, g: &[f32], size: usize, da: &mut [f32]) {
        crate::reference::rotations::skew_backward(g, size, da);
    }

    fn cayley_blocks(&self, q: &[f32], size: usize, y: &mut [f32]) {
        rotations::cayley(&self.pool, q, size, y);
    }

    fn matmul_blocks(&self, layout: Layout, a: &[f32], b: &[f32], width: usize, size: usize, c: &mut [f32]) {
        rotations::matmul(self.isa, &self.pool, layout, a, b, width, size, c);
    }

    fn permute_columns(&self, x: &[f32], order: &[i32], inverse: bool, y: &mut [f32]) {
        rotations::permute_columns(&self.pool, x, order, inverse, y);
    }

    fn linear_cross_entropy(
        &self,
        h: &[f32],
        w: Floats<f32>,
        labels: &[i32],
        d: usize,
        vocab: usize,
        soft_cap: f32,
        dh: Option<&mut [f32]>,
        dw: Option<&mut [f32]>,
    ) -> f32 {
        self.head(h, w, labels, d, vocab, soft_cap).cross_entropy(dh, dw) as f32
    }

    fn linear_log_prob(
        &self,
        h: &[f32],
        w: Floats<f32>,
        labels: &[i32],
        d: usize,
        vocab: usize,
        soft_cap: f32,
        logp: &mut [f32],
        lse: &mut [f32],
    ) {
        self.head(h, w, labels, d, vocab, soft_cap).log_prob(logp, lse);
    }

    fn linear_log_prob_backward(
        &self,
        g: &[f32],
        h: &[f32],
        w: Floats<f32>,
        labels: &[i32],
        lse: &[f32],
        d: usize,
        vocab: usize,
        soft_cap: f32,
        dh: Option<&mut [f32]>,
        dw: Option<&mut [f32]>,
    ) {
        self.head(h, w, labels, d, vocab, soft_cap).log_prob_backward(g, lse, dh, dw);
    }

    fn dropout(&self, x: &[f32], p: f64, key: Key, y: &mut [f32]) {
        random::dropout(self.isa, &self.pool, x, p, key, y);
    }

    fn sum_of_squares(&self, x: &[f32]) -> f64 {
        elementwise::sum_of_squares(self.isa, &self.pool, x)
    }

    fn adamw(&self, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], t: f64, grad_scale: f32, options: AdamW) {
        optimizer::adamw(self.isa, &self.pool, p, g, m, v, t, grad_scale, options);
    }

    fn sgd(&self, p: &mut [f32], g: &[f32], momentum: Option<&mut [f32]>, t: f64, grad_scale: f32, options: Sgd) {
        optimizer::sgd(self.isa, &self.pool, p, g, momentum, t, grad_scale, options);
    }

    fn lion(&self, p: &mut [f32], g: &[f32], m: &mut [f32], grad_scale: f32, options: Lion) {
        optimizer::lion(self.isa, &self.pool, p, g, m, grad_scale, options);
    }

    fn adafactor(
        &self,
        p: &mut [f32],
        g: &[f32],
        rows: Option<&mut [f32]>,
        columns: &mut [f32],
        t: f64,
        grad_scale: f32,
        options: Adafactor,
    ) {
        adafactor::adafactor(self.isa, &self.pool, p, g, rows, columns, t, grad_scale, options);
    }

    fn adamw_8bit(
        &self,
        p: &mut [f32],
        g: &[f32],
        m: Quantized<f32>,
        v: Quantized<f32>,
        t: f64,
        grad_scale: f32,
        options: AdamW,
    ) {
        adamw_8bit::adamw_8bit(self.isa, &self.pool, p, g, m, v, t, grad_scale, options);
    }
}
