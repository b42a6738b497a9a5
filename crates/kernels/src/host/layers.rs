use super::views::{reals, stored};
use super::{check, in_dtype, integers, Compute, Host};
use crate::backend::Layers;
use crate::codec::llm_int8::RowCodes;
use crate::error::Result;
use crate::maths::{Activation, Beta, Floats, Layout, LowRank};
use crate::store::{Slot, Tensor};

struct Job<'a> {
    op: &'static str,
    layout: Layout,
    product: check::Product,
    /// 1 where `low` is there.
    alpha: f64,
    a: &'a Tensor,
    b: &'a Tensor,
    low: Option<Low<'a>>,
}

/// What joins a product.
struct Low<'a> {
    u: &'a Tensor,
    v: &'a Tensor,
    rank: usize,
    factor: f64,
}

impl Layers for Host {
    fn matmul(&mut self, layout: Layout, a: Slot, b: Slot, alpha: f64, into: Option<Slot>) -> Result<Slot> {
        let op = "matmul";
        let (a, b) = (self.get(op, a)?, self.get(op, b)?);
        let named = [("a", &a), ("b", &b)];
        let product = check::matmul(op, layout, named, ("alpha", alpha))?;
        let job = Job { op, layout, product, alpha, a: &a, b: &b, low: None };
        self.product(&job, &named, into)
    }

    fn matmul_low_rank(&mut self, layout: Layout, factors: [Slot; 4], factor: f64, into: Option<Slot>) -> Result<Slot> {
        let op = "matmulLowRank";
        let [a, b, u, v] = factors;
        let (a, b, u, v) = (self.get(op, a)?, self.get(op, b)?, self.get(op, u)?, self.get(op, v)?);
        let named = [("a", &a), ("b", &b), ("u", &u), ("v", &v)];
        let (product, rank) = check::matmul_low_rank(layout, named, factor)?;
        let low = Some(Low { u: &u, v: &v, rank, factor });
        let job = Job { op, layout, product, alpha: 1.0, a: &a, b: &b, low };
        self.product(&job, &named, into)
    }

    fn rms_norm(&mut self, x: Slot, w: Slot, epsilon: f64) -> Result<[Slot; 2]> {
        let (x, w) = (self.get("rmsNorm", x)?, self.get("rmsNorm", w)?);
        let (dtype, groups) = check::rms_norm(&x, &w, epsilon)?;
        in_dtype!(self, dtype, rms_norm_in(&x, &w, epsilon, groups))
    }

    fn rms_norm_backward(&mut self, g: Slot, x: Slot, w: Slot, rstd: Slot, needs_w: bool) -> Result<Vec<Slot>> {
        let op = "rmsNormBackward";
        let (g, x, w, rstd) = (self.get(op, g)?, self.get(op, x)?, self.get(op, w)?, self.get(op, rstd)?);
        let (dtype, _) = check::rms_norm_backward([&g, &x, &w, &rstd])?;
        in_dtype!(self, dtype, rms_norm_backward_in([&g, &x, &w, &rstd], needs_w))
    }

    fn add_rms_norm(&mut self, acc: Slot, x: Slot, w: Slot, epsilon: f64) -> Result<[Slot; 2]> {
        let op = "addRmsNorm";
        let (acc, x, w) = (self.get(op, acc)?, self.get(op, x)?, self.get(op, w)?);
        let (dtype, groups) = check::add_rms_norm([&acc, &x, &w], epsilon)?;
        in_dtype!(self, dtype, add_rms_norm_in([&acc, &x, &w], epsilon, groups))
    }

    fn add_rms_norm_backward(&mut self, acc: Slot, inputs: [Slot; 4], needs_w: bool) -> Result<Option<Slot>> {
        let op = "addRmsNormBackward";
        let [g, x, w, rstd] = inputs;
        let (acc, g, x) = (self.get(op, acc)?, self.get(op, g)?, self.get(op, x)?);
        let (w, rstd) = (self.get(op, w)?, self.get(op, rstd)?);
        let (dtype, _) = check::add_rms_norm_backward([&acc, &g, &x, &w, &rstd])?;
        in_dtype!(self, dtype, add_rms_norm_backward_in(&acc, [&g, &x, &w, &rstd], needs_w))
    }

    fn rope_table(&mut self, positions: Slot, frequencies: &[f64], scale: f64) -> Result<[Slot; 2]> {
        let op = "ropeTable";
        let positions = self.get(op, positions)?;
        let n = check::rope_table(&positions, frequencies, scale)?;
        let mut cos = self.unset::<f32>(op, &[n, frequencies.len()])?;
        let mut sin = self.unset::<f32>(op, &[n, frequencies.len()])?;
        let positions = integers(op, "positions", &positions)?;
        let angles = positions.iter().flat_map(|&position| frequencies.iter().map(move |f| f64::from(position) * f));
        let pairs = cos.view_mut::<f32>().iter_mut().zip(sin.view_mut::<f32>());
        for ((c, s), angle) in pairs.zip(angles) {
            *c = (angle.cos() * scale) as f32;
            *s = (angle.sin() * scale) as f32;
        }
        self.keep_array(op, [cos, sin])
    }

    fn rope(&mut self, x: Slot, cos: Slot, sin: Slot, head_dim: usize, inverse: bool) -> Result<Slot> {
        let (x, cos, sin) = (self.get("rope", x)?, self.get("rope", cos)?, self.get("rope", sin)?);
        in_dtype!(self, check::rope([&x, &cos, &sin], head_dim)?, rope_in([&x, &cos, &sin], head_dim, inverse))
    }

    fn swiglu(&mut self, gate: Slot, up: Slot) -> Result<Slot> {
        let (gate, up) = (self.get("swiglu", gate)?, self.get("swiglu", up)?);
        in_dtype!(self, check::gated("swiglu", &gate, &up)?, swiglu_in(&gate, &up))
    }

    fn swiglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]> {
        let op = "swigluBackward";
        let (g, gate, up) = (self.get(op, g)?, self.get(op, gate)?, self.get(op, up)?);
        in_dtype!(self, check::gated_backward(op, [&g, &gate, &up])?, swiglu_backward_in(&g, &gate, &up))
    }

    fn activate(&mut self, kind: Activation, x: Slot) -> Result<Slot> {
        let x = self.get("activate", x)?;
        in_dtype!(self, check::compute_dtype("activate", &[&x])?, activate_in(kind, &x))
    }

    fn activate_backward(&mut self, kind: Activation, g: Slot, x: Slot) -> Result<Slot> {
        let op = "activateBackward";
        let (g, x) = (self.get(op, g)?, self.get(op, x)?);
        in_dtype!(self, check::two(op, ["g", "x"], &g, &x)?, activate_backward_in(kind, &g, &x))
    }

    fn geglu(&mut self, gate: Slot, up: Slot) -> Result<Slot> {
        let (gate, up) = (self.get("geglu", gate)?, self.get("geglu", up)?);
        in_dtype!(self, check::gated("geglu", &gate, &up)?, geglu_in(&gate, &up))
    }

    fn geglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]> {
        let op = "gegluBackward";
        let (g, gate, up) = (self.get(op, g)?, self.get(op, gate)?, self.get(op, up)?);
        in_dtype!(self, check::gated_backward(op, [&g, &gate, &up])?, geglu_backward_in(&g, &gate, &up))
    }
}

impl Host {
    /// Into fresh memory, or added to `into`; `others` are the tensors it is made of, by name.
    fn product(&mut self, job: &Job, others: &[(&str, &Tensor)], into: Option<Slot>) -> Result<Slot> {
        let Some(slot) = into else {
            return in_dtype!(self, job.product.dtype, matmul_new(job));
        };
        let c = self.get(job.op, slot)?;
        in_dtype!(self, check::matmul_into(job.op, job.product, others, &c)?, matmul_into(job, &c))?;
        Ok(slot)
    }

    fn multiply<R: Compute>(&self, job: &Job, beta: Beta, c: &mut [R]) -> Result<()> {
        let &Job { op, layout, product: check::Product { m, n, k, .. }, .. } = job;
        if m * n == 0 {
            return Ok(());
        }
        let maths = R::maths(self, op)?;
        let factors = match &job.low {
            Some(low) if low.rank > 0 => Some((reals(op, low.u)?, reals(op, low.v)?, low)),
            _ => None,
        };
        let low = factors.as_ref().map(|(u, v, low)| LowRank { u, v, rank: low.rank, factor: R::from_f64(low.factor) });
        let (a, b) = (stored(job.a), stored(job.b));
        let (a, b) = (a.floats(), b.floats());
        let codes = match (layout, &b) {
            (Layout::Nt, Floats::Coded(w)) => RowCodes::of(w),
            _ => None,
        };
        if let (Some(low), None, 1..) = (low, codes, k) {
            maths.matmul_low_rank(layout, [m, n, k], a, b, low, beta, c);
            return Ok(());
        }
        let alpha = R::from_f64(job.alpha);
        match codes {
            _ if k == 0 => {}
            Some(w) => {
                if beta == Beta::Overwrite {
                    c.fill(R::zero());
                }
                maths.linear_int8(m, alpha, a, w, c);
            }
            None => maths.matmul(layout, m, n, k, alpha, a, b, beta, c),
        }
        if let Some(LowRank { u, v, rank, factor }) = low {
            maths.matmul(layout, m, n, rank, factor, Floats::Real(u), Floats::Real(v), Beta::Add, c);
        }
        Ok(())
    }

    fn matmul_new<R: Compute>(&mut self, job: &Job) -> Result<Slot> {
        let shape = [job.product.m, job.product.n];
        let mut c = match job.product.k {
            0 => self.zeros::<R>(job.op, &shape)?,
            _ => self.unset::<R>(job.op, &shape)?,
        };
        self.multiply::<R>(job, Beta::Overwrite, c.view_mut())?;
        self.keep(job.op, c)
    }

    fn matmul_into<R: Compute>(&mut self, job: &Job, c: &Tensor) -> Result<()> {
        self.multiply::<R>(job, Beta::Add, &mut c.view_mut())
    }

    fn rms_norm_in<R: Compute>(&mut self, x: &Tensor, w: &Tensor, epsilon: f64, groups: usize) -> Result<[Slot; 2]> {
        let op = "rmsNorm";
        let maths = R::maths(self, op)?;
        let mut y = self.unset::<R>(op, x.shape())?;
        let mut rstd = self.unset::<R>(op, &[groups])?;
        if !y.is_empty() {
            let epsilon = R::from_f64(epsilon);
            maths.rms_norm(stored(x).floats(), &reals(op, w)?, epsilon, y.view_mut(), rstd.view_mut());
        }
        self.keep_array(op, [y, rstd])
    }

    fn rms_norm_backward_in<R: Compute>(&mut self, inputs: [&Tensor; 4], needs_w: bool) -> Result<Vec<Slot>> {
        let op = "rmsNormBackward";
        let maths = R::maths(self, op)?;
        let [g, x, w, rstd] = inputs;
        let mut dx = self.zeros::<R>(op, x.shape())?;
        let mut dw = needs_w.then(|| self.zeros::<R>(op, w.shape())).transpose()?;
        if !x.is_empty() {
            let dw = dw.as_mut().map(|dw| dw.view_mut());
            let (g, x, w, rstd) = (reals(op, g)?, stored(x), reals(op, w)?, reals(op, rstd)?);
            maths.rms_norm_backward(&g, x.floats(), &w, &rstd, dx.view_mut(), dw);
        }
        self.keep_all(op, std::iter::once(dx).chain(dw).collect())
    }

    fn add_rms_norm_in<R: Compute>(&mut self, inputs: [&Tensor; 3], epsilon: f64, groups: usize) -> Result<[Slot; 2]> {
        let op = "addRmsNorm";
        let maths = R::maths(self, op)?;
        let [acc, x, w] = inputs;
        let mut y = self.unset::<R>(op, x.shape())?;
        let mut rstd = self.unset::<R>(op, &[groups])?;
        if !y.is_empty() {
            let (x, w, epsilon) = (reals(op, x)?, reals(op, w)?, R::from_f64(epsilon));
            maths.add_rms_norm(&mut acc.view_mut(), &x, &w, epsilon, y.view_mut(), rstd.view_mut());
        }
        self.keep_array(op, [y, rstd])
    }

    fn add_rms_norm_backward_in<R: Compute>(
        &mut self,
        acc: &Tensor,
        inputs: [&Tensor; 4],
        needs_w: bool,
    ) -> Result<Option<Slot>> {
        let op = "addRmsNormBackward";
        let maths = R::maths(self, op)?;
        let [g, x, w, rstd] = inputs;
        let mut dw = needs_w.then(|| self.zeros::<R>(op, w.shape())).transpose()?;
        if !x.is_empty() {
            let dw = dw.as_mut().map(|dw| dw.view_mut());
            let (g, x, w, rstd) = (reals(op, g)?, stored(x), reals(op, w)?, reals(op, rstd)?);
            maths.add_rms_norm_backward(&mut acc.view_mut(), &g, x.floats(), &w, &rstd, dw);
        }
        dw.map(|dw| self.keep(op, dw)).transpose()
    }

    fn rope_in<R: Compute>(&mut self, inputs: [&Tensor; 3], head_dim: usize, inverse: bool) -> Result<Slot> {
        let maths = R::maths(self, "rope")?;
        let [x, cos, sin] = inputs;
        let pairs = cos.shape()[1];
        let mut y = self.unset::<R>("rope", x.shape())?;
        if pairs == 0 {
            y.bytes_mut().copy_from_slice(&x.bytes());
        } else if !y.is_empty() {
            let (x, cos, sin) = (reals("rope", x)?, reals("rope", cos)?, reals("rope", sin)?);
            maths.rope(&x, &cos, &sin, pairs, head_dim, inverse, y.view_mut());
        }
        self.keep("rope", y)
    }

    fn swiglu_in<R: Compute>(&mut self, gate: &Tensor, up: &Tensor) -> Result<Slot> {
        let maths = R::maths(self, "swiglu")?;
        let mut y = self.unset::<R>("swiglu", gate.shape())?;
        if !y.is_empty() {
            maths.swiglu(stored(gate).floats(), stored(up).floats(), y.view_mut());
        }
        self.keep("swiglu", y)
    }

    fn swiglu_backward_in<R: Compute>(&mut self, g: &Tensor, gate: &Tensor, up: &Tensor) -> Result<[Slot; 2]> {
        let op = "swigluBackward";
        let maths = R::maths(self, op)?;
        let mut dgate = self.unset::<R>(op, gate.shape())?;
        let mut dup = self.unset::<R>(op, up.shape())?;
        if !g.is_empty() {
            let (g, gate, up) = (reals(op, g)?, stored(gate), stored(up));
            maths.swiglu_backward(&g, gate.floats(), up.floats(), dgate.view_mut(), dup.view_mut());
        }
        self.keep_array(op, [dgate, dup])
    }

    fn activate_in<R: Compute>(&mut self, kind: Activation, x: &Tensor) -> Result<Slot> {
        let maths = R::maths(self, "activate")?;
        let mut y = self.unset::<R>("activate", x.shape())?;
        if !y.is_empty() {
            maths.activate(kind, &reals("activate", x)?, y.view_mut());
        }
        self.keep("activate", y)
    }

    fn activate_backward_in<R: Compute>(&mut self, kind: Activation, g: &Tensor, x: &Tensor) -> Result<Slot> {
        let op = "activateBackward";
        let maths = R::maths(self, op)?;
        let mut dx = self.unset::<R>(op, x.shape())?;
        if !dx.is_empty() {
            maths.activate_backward(kind, &reals(op, g)?, &reals(op, x)?, dx.view_mut());
        }
        self.keep(op, dx)
    }
    fn geglu_in<R: Compute>(&mut self, gate: &Tensor, up: &Tensor) -> Result<Slot> {
        let maths = R::maths(self, "geglu")?;
        let mut y = self.unset::<R>("geglu", gate.shape())?;
        if !y.is_empty() {
            maths.geglu(stored(gate).floats(), stored(up).floats(), y.view_mut());
        }
        self.keep("geglu", y)
    }

    fn geglu_backward_in<R: Compute>(&mut self, g: &Tensor, gate: &Tensor, up: &Tensor) -> Result<[Slot; 2]> {
        let op = "gegluBackward";
        let maths = R::maths(self, op)?;
        let mut dgate = self.unset::<R>(op, gate.shape())?;
        let mut dup = self.unset::<R>(op, up.shape())?;
        if !g.is_empty() {
            let (g, gate, up) = (reals(op, g)?, stored(gate), stored(up));
            maths.geglu_backward(&g, gate.floats(), up.floats(), dgate.view_mut(), dup.view_mut());
        }
        self.keep_array(op, [dgate, dup])
    }
}
