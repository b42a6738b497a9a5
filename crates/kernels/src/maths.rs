//! The maths of every op on plain slices, once naive and generic (`reference`), once fast (`cpu`).
//! Shapes have been checked by the caller (`host`) and no extent is 0. Outputs have the right length and arrive zeroed,
//! but those that are assigned element by element hold anything: binary, unary, scale, soft_cap, argmax, take_rows, rms_norm,
//! add_rms_norm, rope, geglu, geglu_backward, swiglu,
//! swiglu_backward, activate, activate_backward, cayley_blocks, matmul_blocks, permute_columns, dropout.
//! Sums follow fixed trees: the same bits for any number of threads.

use crate::codec::llm_int8::RowCodes;
use crate::codec::Coded;
use crate::dynamic_code::Quantized;
use crate::rng::Key;
use half::slice::HalfFloatSliceExt;

/// f32 and f64: the types maths is done in.
pub trait Real: num_traits::Float + std::iter::Sum + std::fmt::Debug + Default + Send + Sync + 'static {
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}

/// A matrix that is stored in some float dtype or codec and expanded to `R` while it is used.
#[derive(Clone, Copy)]
pub enum Floats<'a, R: Real> {
    Real(&'a [R]),
    F32(&'a [f32]),
    Bf16(&'a [half::bf16]),
    F16(&'a [half::f16]),
    Coded(Coded<'a>),
}

impl<R: Real> Floats<'_, R> {
    /// Element i as `R`.
    pub fn get(&self, i: usize) -> R {
        match self {
            Floats::Real(values) => values[i],
            Floats::F32(values) => R::from_f64(f64::from(values[i])),
            Floats::Bf16(values) => R::from_f64(values[i].to_f64()),
            Floats::F16(values) => R::from_f64(values[i].to_f64()),
            Floats::Coded(weight) => R::from_f64(f64::from(weight.get(i))),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Floats::Real(values) => values.len(),
            Floats::F32(values) => values.len(),
            Floats::Bf16(values) => values.len(),
            Floats::F16(values) => values.len(),
            Floats::Coded(weight) => weight.extent.elements,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// a `[M,K]`, b `[K,N]`
    Nn,
    /// a `[M,K]`, b `[N,K]`
    Nt,
    /// a `[K,M]`, b `[K,N]`
    Tn,
}

/// factor · u · op(v), which joins a product of the same layout: u `[M,rank]`, v as b with `rank` for its depth.
#[derive(Clone, Copy)]
pub struct LowRank<'a, R: Real> {
    pub u: &'a [R],
    pub v: &'a [R],
    pub rank: usize,
    pub factor: R,
}

/// What happens to the old values of a product's output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beta {
    /// They hold anything.
    Overwrite,
    Add,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    Add,
    Sub,
    Mul,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    Relu,
    Silu,
    Tanh,
}

/// Functions of one number; formulas in packages/kernels/src/backend.ts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    Exp,
    LogSigmoid,
    LogOneMinusExp,
    Sqrt,
    Step,
}

impl Unary {
    /// In f64 whatever the type: losses take the difference of such values.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Unary::Exp => x.exp(),
            Unary::LogSigmoid if x < 0.0 => x - x.exp().ln_1p(),
            Unary::LogSigmoid => -(-x).exp().ln_1p(),
            // Each branch is exact where the other loses its digits (Mächler 2012).
            Unary::LogOneMinusExp if x > -std::f64::consts::LN_2 => (-x.exp_m1()).ln(),
            Unary::LogOneMinusExp => (-x.exp()).ln_1p(),
            Unary::Sqrt => x.sqrt(),
            Unary::Step => f64::from(u8::from(x > 0.0)),
        }
    }
}

/// Keys of one query segment: see `AttentionLayout` in packages/kernels/src/backend.ts.
#[derive(Clone, Debug)]
pub struct Segment {
    pub query_start: usize,
    pub query_length: usize,
    /// (start, length) of each range of key rows, in order.
    pub ranges: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    pub queries: usize,
    pub keys: usize,
    pub query_heads: usize,
    pub key_heads: usize,
    pub head_dim: usize,
    pub scale: f64,
    /// How many of the newest visible keys a query sees; 0: all of them.
    pub window: usize,
    /// Scores become cap · tanh(score / cap); 0: they stay.
    pub soft_cap: f64,
}

impl AttentionShape {
    /// The first key that a query sees of which the first `visible` are not after it.
    pub fn first_seen(&self, visible: usize) -> usize {
        if self.window == 0 {
            0
        } else {
            visible.saturating_sub(self.window)
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    pub lr: f64,
    pub momentum: f64,
    pub nesterov: bool,
    pub weight_decay: f64,
}

#[derive(Clone, Copy, Debug)]
pub struct Lion {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub weight_decay: f64,
}

#[derive(Clone, Copy, Debug)]
pub struct Adafactor {
    pub lr: f64,
    pub weight_decay: f64,
    /// Added to squared gradients.
    pub epsilon: f64,
    /// Largest root mean square of an update before `lr`.
    pub clip: f64,
    /// d in β = 1 − tᵈ
    pub decay_rate: f64,
}

/// What a backend's arithmetic must offer. Names, formulas and shapes: packages/kernels/src/backend.ts.
pub trait Maths<R: Real>: Send + Sync {
    fn binary(&self, kind: Binary, a: &[R], b: &[R], y: &mut [R]);
    fn unary(&self, kind: Unary, x: &[R], y: &mut [R]);
    /// y = factor · x
    fn scale(&self, x: &[R], factor: R, y: &mut [R]);
    /// y = cap · tanh(x / cap)
    fn soft_cap(&self, x: &[R], cap: R, y: &mut [R]);
    /// acc += factor · x
    fn accumulate(&self, acc: &mut [R], x: &[R], factor: R);
    fn sum(&self, x: &[R]) -> R;
    /// y = x, rounded to the nearest, ties to even
    fn narrow(&self, x: &[f32], y: &mut [half::bf16]) {
        y.convert_from_f32_slice(x);
    }
    fn widen(&self, x: &[half::bf16], y: &mut [f32]) {
        x.convert_to_f32_slice(y);
    }
    /// x `[N,D]` → y `[D]`
    fn sum_rows(&self, x: &[R], d: usize, y: &mut [R]);
    /// The largest of each row and where it stands, the first of equals; a NaN is larger than all.
    fn argmax(&self, x: &[R], d: usize, index: &mut [i32], value: &mut [R]);

    fn take_rows(&self, table: Floats<R>, d: usize, ids: &[i32], y: &mut [R]);
    fn scatter_add_rows(&self, g: &[R], d: usize, ids: &[i32], y: &mut [R]);

    /// c = alpha · op(a) · op(b), or added to c.
    #[allow(clippy::too_many_arguments)]
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
    );

    /// c = op(a) · op(b) + low, or added to c.
    #[allow(clippy::too_many_arguments)]
    fn matmul_low_rank(
        &self,
        layout: Layout,
        [m, n, k]: [usize; 3],
        a: Floats<R>,
        b: Floats<R>,
        low: LowRank<R>,
        beta: Beta,
        c: &mut [R],
    ) {
        self.matmul(layout, m, n, k, R::one(), a, b, beta, c);
        let LowRank { u, v, rank, factor } = low;
        self.matmul(layout, m, n, rank, factor, Floats::Real(u), Floats::Real(v), Beta::Add, c);
    }

    /// c += alpha · a · wᵀ with a `[m, w.columns]`, by the rules of the codec.
    fn linear_int8(&self, m: usize, alpha: R, a: Floats<R>, w: RowCodes, c: &mut [R]);

    // What waited for backward is `Floats`: it may have waited in fewer bits.

    /// x `[N,H·D]`, w `[D]`, rstd `[N·H]`
    fn rms_norm(&self, x: Floats<R>, w: &[R], epsilon: R, y: &mut [R], rstd: &mut [R]);
    fn rms_norm_backward(&self, g: &[R], x: Floats<R>, w: &[R], rstd: &[R], dx: &mut [R], dw: Option<&mut [R]>);
    /// acc += x, then its norm.
    fn add_rms_norm(&self, acc: &mut [R], x: &[R], w: &[R], epsilon: R, y: &mut [R], rstd: &mut [R]);
    /// acc += the norm's dx
    fn add_rms_norm_backward(&self, acc: &mut [R], g: &[R], x: Floats<R>, w: &[R], rstd: &[R], dw: Option<&mut [R]>);

    /// cos, sin `[N,P]`; x `[N, heads·head_dim]`, P ≤ head_dim/2
    #[allow(clippy::too_many_arguments)]
    fn rope(&self, x: &[R], cos: &[R], sin: &[R], pairs: usize, head_dim: usize, inverse: bool, y: &mut [R]);

    #[allow(clippy::too_many_arguments)]
    fn attention(
        &self,
        q: &[R],
        k: &[R],
        v: &[R],
        segments: &[Segment],
        shape: AttentionShape,
        o: &mut [R],
        lse: &mut [R],
    );
    #[allow(clippy::too_many_arguments)]
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
    );

    fn swiglu(&self, gate: Floats<R>, up: Floats<R>, y: &mut [R]);
    fn swiglu_backward(&self, g: &[R], gate: Floats<R>, up: Floats<R>, dgate: &mut [R], dup: &mut [R]);
    fn activate(&self, kind: Activation, x: &[R], y: &mut [R]);
    fn activate_backward(&self, kind: Activation, g: &[R], x: &[R], dx: &mut [R]);

    /// a `[B, n]` of whole matrices or upper triangles → q `[size, B·size]`
    fn skew_blocks(&self, a: &[R], size: usize, q: &mut [R]);
    fn skew_blocks_backward(&self, g: &[R], size: usize, da: &mut [R]);
    /// q, y `[size, B·size]`
    fn cayley_blocks(&self, q: &[R], size: usize, y: &mut [R]);
    /// `width` is B·size, the columns of a, b and c.
    fn matmul_blocks(&self, layout: Layout, a: &[R], b: &[R], width: usize, size: usize, c: &mut [R]);
    /// `order` is a permutation of the columns.
    fn permute_columns(&self, x: &[R], order: &[i32], inverse: bool, y: &mut [R]);
    fn geglu(&self, gate: Floats<R>, up: Floats<R>, y: &mut [R]);
    fn geglu_backward(&self, g: &[R], gate: Floats<R>, up: Floats<R>, dgate: &mut [R], dup: &mut [R]);

    /// h `[N,D]`, w `[V,D]`; returns the sum. dh, dw are gradients of the sum. A `soft_cap` of 0 is none.
    #[allow(clippy::too_many_arguments)]
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
    ) -> R;
    #[allow(clippy::too_many_arguments)]
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
    );
    #[allow(clippy::too_many_arguments)]
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
    );

    fn dropout(&self, x: &[R], p: f64, key: Key, y: &mut [R]);

    /// Σ x² in f64
    fn sum_of_squares(&self, x: &[R]) -> f64;
    /// One tensor of a group; `t` is the number of this update, from 1.
    #[allow(clippy::too_many_arguments)]
    fn adamw(&self, p: &mut [R], g: &[R], m: &mut [R], v: &mut [R], t: f64, grad_scale: R, options: AdamW);
    fn sgd(&self, p: &mut [R], g: &[R], momentum: Option<&mut [R]>, t: f64, grad_scale: R, options: Sgd);
    fn lion(&self, p: &mut [R], g: &[R], m: &mut [R], grad_scale: R, options: Lion);
    /// p `[R,C]`, rows `[R]`, columns `[C]`; without rows p is a vector `[C]`.
    #[allow(clippy::too_many_arguments)]
    fn adafactor(
        &self,
        p: &mut [R],
        g: &[R],
        rows: Option<&mut [R]>,
        columns: &mut [R],
        t: f64,
        grad_scale: R,
        options: Adafactor,
    );
    #[allow(clippy::too_many_arguments)]
    fn adamw_8bit(&self, p: &mut [R], g: &[R], m: Quantized<R>, v: Quantized<R>, t: f64, grad_scale: R, options: AdamW);
}
