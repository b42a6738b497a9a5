use kernels::backend::Layers;
use kernels::check;
use kernels::codec::Codec;
use kernels::dtype::DType;
use kernels::error::Result;
use kernels::maths::{Activation, Layout};
use kernels::store::Slot;

use super::{at, single, Cuda, Output, Reals, Tensored};
use crate::blas::{Gemm, Operand};
use crate::launch::{arg, blocks, over, threads_for};
use crate::memory::Buffer;
use crate::sources::{ACTIVATION, GATED, NORM, ROPE};

/// Products with fewer multiplications stay in f32.
const LARGE: usize = 1 << 18;
/// Rows that one block of `rms_norm_weight` adds up.
const ROWS: usize = 64;

/// An operand of a product: a tensor's own memory, or another dtype of it.
pub(crate) enum Factor {
    Real(Reals),
    Own(Tensored),
    Narrow(Buffer),
}

impl Factor {
    pub fn at(&self) -> u64 {
        match self {
            Factor::Real(x) => x.at(),
            Factor::Own(x) => at(x),
            Factor::Narrow(buffer) => buffer.at(),
        }
    }
}

struct Job<'a> {
    op: &'static str,
    layout: Layout,
    product: check::Product,
    alpha: f64,
    a: &'a Tensored,
    b: &'a Tensored,
}

fn activation_number(kind: Activation) -> u64 {
    match kind {
        Activation::Relu => 0,
        Activation::Silu => 1,
        Activation::Tanh => 2,
    }
}

impl Cuda {
    /// What a product of so many multiplications reads.
    pub(crate) fn operand(&self, multiplications: usize) -> Operand {
        match self.half {
            Some(half) if multiplications >= LARGE => half.operand(),
            _ => Operand::F32,
        }
    }

    pub(crate) fn factor(&self, op: &'static str, x: &Tensored, operand: Operand) -> Result<Factor> {
        match operand {
            Operand::F32 => Ok(Factor::Real(self.reals(op, x)?)),
            half if x.dtype() == half.dtype() => Ok(Factor::Own(x.clone())),
            half => {
                let buffer = self.scratch(op, 2 * x.len())?;
                self.convert(op, x, buffer.at(), half.dtype())?;
                Ok(Factor::Narrow(buffer))
            }
        }
    }

    /// A product, and what joins it, in fresh memory or added to `into`; `others` are the tensors they are made of, by name.
    fn product(
        &mut self,
        job: &Job,
        beside: Option<&Job>,
        others: &[(&str, &Tensored)],
        into: Option<Slot>,
    ) -> Result<Slot> {
        let Job { op, product, .. } = *job;
        let made = |cuda: &Cuda, beta: f32, c: u64| {
            cuda.multiply(job, beta, c)?;
            beside.map_or(Ok(()), |beside| cuda.multiply(beside, 1.0, c))
        };
        let Some(slot) = into else {
            single(op, product.dtype)?;
            let shape = [product.m, product.n];
            let c = if product.k == 0 { self.zeros(op, &shape)? } else { self.unset(op, &shape)? };
            made(self, 0.0, c.at())?;
            return self.keep(op, c);
        };
        let c = self.get(op, slot)?;
        single(op, check::matmul_into(op, product, others, &c)?)?;
        made(self, 1.0, at(&c))?;
        Ok(slot)
    }

    /// c = product, or c += product.
    fn multiply(&self, job: &Job, beta: f32, c: u64) -> Result<()> {
        let op = job.op;
        let check::Product { m, n, k, .. } = job.product;
        if m * n * k == 0 {
            return Ok(());
        }
        if let (Layout::Nt, DType::Coded(Codec::LlmInt8(codec))) = (job.layout, job.b.dtype()) {
            if beta == 0.0 {
                self.device.zero(op, c, 4 * m * n)?;
            }
            let a = self.reals(op, job.a)?;
            return self.multiply_int8(codec, [m, n, k], job.alpha, a.at(), job.b, c);
        }
        let operand = self.operand(m * n * k);
        let (a, b) = (self.factor(op, job.a, operand)?, self.factor(op, job.b, operand)?);
        let alpha = job.alpha as f32;
        let gemm = Gemm { layout: job.layout, m, n, k, alpha, a: a.at(), b: b.at(), beta, c, operand };
        self.blas.multiply(op, &gemm)
    }

    fn gated(&mut self, op: &'static str, kind: u64, gate: Slot, up: Slot) -> Result<Slot> {
        let (gate, up) = (self.get(op, gate)?, self.get(op, up)?);
        single(op, check::gated(op, &gate, &up)?)?;
        let (x, z, y) = (self.reals(op, &gate)?, self.reals(op, &up)?, self.unset(op, gate.shape())?);
        let mut arguments = [kind, x.at(), z.at(), y.at(), arg::size(y.len())];
        self.kernels.launch(op, &GATED, "gated", over(y.len()), &mut arguments)?;
        self.keep(op, y)
    }

    fn gated_backward(&mut self, op: &'static str, kind: u64, inputs: [Slot; 3]) -> Result<[Slot; 2]> {
        let [g, gate, up] = inputs;
        let (g, gate, up) = (self.get(op, g)?, self.get(op, gate)?, self.get(op, up)?);
        single(op, check::gated_backward(op, [&g, &gate, &up])?)?;
        let (dgate, dup) = (self.unset(op, gate.shape())?, self.unset(op, gate.shape())?);
        let (g, x, z) = (self.reals(op, &g)?, self.reals(op, &gate)?, self.reals(op, &up)?);
        let n = dup.len();
        let mut arguments = [kind, g.at(), x.at(), z.at(), dgate.at(), dup.at(), arg::size(n)];
        self.kernels.launch(op, &GATED, "gated_backward", over(n), &mut arguments)?;
        self.keep_array(op, [dgate, dup])
    }

    /// dw = Σ g·x̂ over all stretches; dw arrives zeroed.
    fn norm_weight(&self, op: &'static str, [g, x, rstd]: [&Reals; 3], groups: usize, dw: &Output) -> Result<()> {
        if groups == 0 {
            return Ok(());
        }
        let (count, d) = (groups.div_ceil(ROWS), dw.len());
        let partial = self.scratch(op, 4 * count * d)?;
        let shape = super::elementwise::tall(op, count, d)?;
        let mut arguments = [g.at(), x.at(), rstd.at(), partial.at(), arg::size(groups), arg::size(d)];
        self.kernels.launch(op, &NORM, "rms_norm_weight", shape, &mut arguments)?;
        self.sum_rows_into(op, partial.at(), count, d, dw.at())
    }
}

impl Layers for Cuda {
    fn matmul(&mut self, layout: Layout, a: Slot, b: Slot, alpha: f64, into: Option<Slot>) -> Result<Slot> {
        let op = "matmul";
        let (a, b) = (self.get(op, a)?, self.get(op, b)?);
        let named = [("a", &a), ("b", &b)];
        let product = check::matmul(op, layout, named, ("alpha", alpha))?;
        let job = Job { op, layout, product, alpha, a: &a, b: &b };
        self.product(&job, None, &named, into)
    }

    /// Two products, the second added to the first.
    fn matmul_low_rank(&mut self, layout: Layout, factors: [Slot; 4], factor: f64, into: Option<Slot>) -> Result<Slot> {
        let op = "matmulLowRank";
        let [a, b, u, v] = factors;
        let (a, b, u, v) = (self.get(op, a)?, self.get(op, b)?, self.get(op, u)?, self.get(op, v)?);
        let named = [("a", &a), ("b", &b), ("u", &u), ("v", &v)];
        let (product, rank) = check::matmul_low_rank(layout, named, factor)?;
        let job = Job { op, layout, product, alpha: 1.0, a: &a, b: &b };
        let product = check::Product { k: rank, ..product };
        let beside = Job { op, layout, product, alpha: factor, a: &u, b: &v };
        self.product(&job, Some(&beside), &named, into)
    }

    fn rms_norm(&mut self, x: Slot, w: Slot, epsilon: f64) -> Result<[Slot; 2]> {
        let op = "rmsNorm";
        let (x, w) = (self.get(op, x)?, self.get(op, w)?);
        let (dtype, groups) = check::rms_norm(&x, &w, epsilon)?;
        single(op, dtype)?;
        let (y, rstd, d) = (self.unset(op, x.shape())?, self.unset(op, &[groups])?, w.len());
        let (x, w) = (self.reals(op, &x)?, self.reals(op, &w)?);
        let mut arguments = [x.at(), w.at(), arg::float(epsilon), y.at(), rstd.at(), arg::size(d)];
        self.kernels.launch(op, &NORM, "rms_norm", blocks(groups, threads_for(d)), &mut arguments)?;
        self.keep_array(op, [y, rstd])
    }

    fn rms_norm_backward(&mut self, g: Slot, x: Slot, w: Slot, rstd: Slot, needs_w: bool) -> Result<Vec<Slot>> {
        let op = "rmsNormBackward";
        let (g, x, w, rstd) = (self.get(op, g)?, self.get(op, x)?, self.get(op, w)?, self.get(op, rstd)?);
        let (dtype, groups) = check::rms_norm_backward([&g, &x, &w, &rstd])?;
        single(op, dtype)?;
        let (dx, d) = (self.unset(op, x.shape())?, w.len());
        let dw = if needs_w { Some(self.zeros(op, &[d])?) } else { None };
        let (g, x, w, rstd) = (self.reals(op, &g)?, self.reals(op, &x)?, self.reals(op, &w)?, self.reals(op, &rstd)?);
        let mut arguments = [g.at(), x.at(), w.at(), rstd.at(), dx.at(), arg::size(d)];
        self.kernels.launch(op, &NORM, "rms_norm_backward", blocks(groups, threads_for(d)), &mut arguments)?;
        if let Some(dw) = dw.as_ref() {
            self.norm_weight(op, [&g, &x, &rstd], groups, dw)?;
        }
        self.keep_all(op, std::iter::once(dx).chain(dw).collect())
    }

    fn add_rms_norm(&mut self, acc: Slot, x: Slot, w: Slot, epsilon: f64) -> Result<[Slot; 2]> {
        let op = "addRmsNorm";
        let (acc, x, w) = (self.get(op, acc)?, self.get(op, x)?, self.get(op, w)?);
        let (dtype, groups) = check::add_rms_norm([&acc, &x, &w], epsilon)?;
        single(op, dtype)?;
        let (y, rstd, d) = (self.unset(op, x.shape())?, self.unset(op, &[groups])?, w.len());
        let (x, w) = (self.reals(op, &x)?, self.reals(op, &w)?);
        let epsilon = arg::float(epsilon);
        let mut arguments = [at(&acc), x.at(), w.at(), epsilon, y.at(), rstd.at(), arg::size(d)];
        self.kernels.launch(op, &NORM, "add_rms_norm", blocks(groups, threads_for(d)), &mut arguments)?;
        self.keep_array(op, [y, rstd])
    }

    fn add_rms_norm_backward(&mut self, acc: Slot, inputs: [Slot; 4], needs_w: bool) -> Result<Option<Slot>> {
        let op = "addRmsNormBackward";
        let [g, x, w, rstd] = inputs;
        let (acc, g, x) = (self.get(op, acc)?, self.get(op, g)?, self.get(op, x)?);
        let (w, rstd) = (self.get(op, w)?, self.get(op, rstd)?);
        let (dtype, groups) = check::add_rms_norm_backward([&acc, &g, &x, &w, &rstd])?;
        single(op, dtype)?;
        let d = w.len();
        let dw = if needs_w { Some(self.zeros(op, &[d])?) } else { None };
        let (g, x, w, rstd) = (self.reals(op, &g)?, self.reals(op, &x)?, self.reals(op, &w)?, self.reals(op, &rstd)?);
        let mut arguments = [at(&acc), g.at(), x.at(), w.at(), rstd.at(), arg::size(d)];
        let shape = blocks(groups, threads_for(d));
        self.kernels.launch(op, &NORM, "add_rms_norm_backward", shape, &mut arguments)?;
        let Some(dw) = dw else { return Ok(None) };
        self.norm_weight(op, [&g, &x, &rstd], groups, &dw)?;
        self.keep(op, dw).map(Some)
    }

    fn rope_table(&mut self, positions: Slot, frequencies: &[f64], scale: f64) -> Result<[Slot; 2]> {
        let op = "ropeTable";
        let positions = self.get(op, positions)?;
        let n = check::rope_table(&positions, frequencies, scale)?;
        let (cos, sin) = (self.unset(op, &[n, frequencies.len()])?, self.unset(op, &[n, frequencies.len()])?);
        let frequencies = self.sent(op, frequencies)?;
        let (pairs, count) = (frequencies.bytes() / 8, cos.len());
        let (cos_at, sin_at) = (cos.at(), sin.at());
        let scale = arg::double(scale);
        let mut arguments =
            [at(&positions), frequencies.at(), scale, arg::size(pairs), cos_at, sin_at, arg::size(count)];
        self.kernels.launch(op, &ROPE, "rope_table", over(count), &mut arguments)?;
        self.keep_array(op, [cos, sin])
    }

    fn rope(&mut self, x: Slot, cos: Slot, sin: Slot, head_dim: usize, inverse: bool) -> Result<Slot> {
        let op = "rope";
        let (x, cos, sin) = (self.get(op, x)?, self.get(op, cos)?, self.get(op, sin)?);
        single(op, check::rope([&x, &cos, &sin], head_dim)?)?;
        let y = self.unset(op, x.shape())?;
        let (columns, pairs, n) = (x.shape()[1], cos.shape()[1], y.len());
        let x = self.reals(op, &x)?;
        let [pairs, head_dim] = [pairs, head_dim].map(|extent| arg::int(extent as i32));
        let inverse = arg::int(i32::from(inverse));
        let mut arguments =
            [x.at(), at(&cos), at(&sin), pairs, head_dim, arg::size(columns), inverse, y.at(), arg::size(n)];
        self.kernels.launch(op, &ROPE, "rope", over(n), &mut arguments)?;
        self.keep(op, y)
    }

    fn geglu(&mut self, gate: Slot, up: Slot) -> Result<Slot> {
        self.gated("geglu", 1, gate, up)
    }

    fn geglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]> {
        self.gated_backward("gegluBackward", 1, [g, gate, up])
    }

    fn swiglu(&mut self, gate: Slot, up: Slot) -> Result<Slot> {
        self.gated("swiglu", 0, gate, up)
    }

    fn swiglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]> {
        self.gated_backward("swigluBackward", 0, [g, gate, up])
    }

    fn activate(&mut self, kind: Activation, x: Slot) -> Result<Slot> {
        let op = "activate";
        let x = self.get(op, x)?;
        single(op, check::compute_dtype(op, &[&x])?)?;
        let (values, y) = (self.reals(op, &x)?, self.unset(op, x.shape())?);
        let mut arguments = [activation_number(kind), values.at(), y.at(), arg::size(y.len())];
        self.kernels.launch(op, &ACTIVATION, "activate", over(y.len()), &mut arguments)?;
        self.keep(op, y)
    }

    fn activate_backward(&mut self, kind: Activation, g: Slot, x: Slot) -> Result<Slot> {
        let op = "activateBackward";
        let (g, x) = (self.get(op, g)?, self.get(op, x)?);
        single(op, check::two(op, ["g", "x"], &g, &x)?)?;
        let dx = self.unset(op, x.shape())?;
        let (g, x) = (self.reals(op, &g)?, self.reals(op, &x)?);
        let mut arguments = [activation_number(kind), g.at(), x.at(), dx.at(), arg::size(dx.len())];
        self.kernels.launch(op, &ACTIVATION, "activate_backward", over(dx.len()), &mut arguments)?;
        self.keep(op, dx)
    }
}
