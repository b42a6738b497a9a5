use super::views::{reals, stored};
use super::{check, in_compute_dtype, integers, Compute, Host};
use crate::backend::Layers;
use crate::codec::llm_int8::RowCodes;
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::{Activation, Beta, Floats, Layout};
use crate::store::{Slot, Tensor};

/// M, N, K of a product.
fn product(layout: Layout, a: &Tensor, b: &Tensor) -> Result<(usize, usize, usize)> {
    let (a_rows, a_columns) = check::matrix("matmul", "a", a)?;
    let (b_rows, b_columns) = check::matrix("matmul", "b", b)?;
    let ((m, k), (k_of_b, n)) = match layout {
        Layout::Nn => ((a_rows, a_columns), (b_rows, b_columns)),
        Layout::Nt => ((a_rows, a_columns), (b_columns, b_rows)),
        Layout::Tn => ((a_columns, a_rows), (b_rows, b_columns)),
    };
    if k != k_of_b {
        let message = format!("a {:?} and b {:?} do not fit as {layout:?}: {k} ≠ {k_of_b}", a.shape(), b.shape());
        return Err(KernelError::shape("matmul", message));
    }
    Ok((m, n, k))
}

/// How many stretches of w's length x consists of; each is normalised by itself.
fn groups(op: &'static str, x: &Tensor, w: &Tensor) -> Result<usize> {
    let (n, columns) = check::matrix(op, "x", x)?;
    let d = check::positive(op, "the length of w", check::vector(op, "w", w)?)?;
    if !columns.is_multiple_of(d) {
        let message = format!("the {columns} columns of x must be a multiple of w's {d}");
        return Err(KernelError::shape(op, message));
    }
    Ok(n * (columns / d))
}

struct Product<'a> {
    layout: Layout,
    extents: (usize, usize, usize),
    alpha: f64,
    a: &'a Tensor,
    b: &'a Tensor,
}

impl Layers for Host {
    fn matmul(&mut self, layout: Layout, a: Slot, b: Slot, alpha: f64, into: Option<Slot>) -> Result<Slot> {
        let op = "matmul";
        let (a, b) = (self.get(op, a)?, self.get(op, b)?);
        let extents = product(layout, &a, &b)?;
        check::finite(op, "alpha", alpha)?;
        let job = Product { layout, extents, alpha, a: &a, b: &b };
        let Some(slot) = into else {
            return in_compute_dtype!(self, op, [&a], weight & b, matmul_new(&job));
        };
        let c = self.get(op, slot)?;
        check::shape_is(op, "into", &c, &[extents.0, extents.1])?;
        check::apart(op, ["into", "a"], &c, &a)?;
        check::apart(op, ["into", "b"], &c, &b)?;
        in_compute_dtype!(self, op, [&a, &c], weight & b, matmul_into(&job, &c))?;
        Ok(slot)
    }

    fn rms_norm(&mut self, x: Slot, w: Slot, epsilon: f64) -> Result<[Slot; 2]> {
        let (x, w) = (self.get("rmsNorm", x)?, self.get("rmsNorm", w)?);
        groups("rmsNorm", &x, &w)?;
        check::within("rmsNorm", "epsilon", epsilon, 0.0, f64::INFINITY)?;
        in_compute_dtype!(self, "rmsNorm", [&x, &w], rms_norm_in(&x, &w, epsilon))
    }

    fn rms_norm_backward(&mut self, g: Slot, x: Slot, w: Slot, rstd: Slot, needs_w: bool) -> Result<Vec<Slot>> {
        let op = "rmsNormBackward";
        let (g, x, w, rstd) = (self.get(op, g)?, self.get(op, x)?, self.get(op, w)?, self.get(op, rstd)?);
        check::same_shape(op, ["g", "x"], &g, &x)?;
        check::shape_is(op, "rstd", &rstd, &[groups(op, &x, &w)?])?;
        in_compute_dtype!(self, op, [&g, &x, &w, &rstd], rms_norm_backward_in([&g, &x, &w, &rstd], needs_w))
    }

    fn rope_table(&mut self, positions: Slot, frequencies: &[f64], scale: f64) -> Result<[Slot; 2]> {
        let op = "ropeTable";
        let positions = self.get(op, positions)?;
        let n = check::vector(op, "positions", &positions)?;
        check::finite(op, "scale", scale)?;
        frequencies.iter().try_for_each(|&frequency| check::finite(op, "a frequency", frequency).map(drop))?;
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
        let (n, columns) = check::matrix("rope", "x", &x)?;
        let (rows, pairs) = check::matrix("rope", "cos", &cos)?;
        check::same_shape("rope", ["cos", "sin"], &cos, &sin)?;
        check::dtype_is("rope", "cos", &cos, DType::F32)?;
        check::dtype_is("rope", "sin", &sin, DType::F32)?;
        if head_dim == 0 || columns % head_dim != 0 || pairs > head_dim / 2 || rows != n {
            let message = format!("x {:?}, cos {:?} and headDim {head_dim} do not fit", x.shape(), cos.shape());
            return Err(KernelError::shape("rope", message));
        }
        in_compute_dtype!(self, "rope", [&x], rope_in([&x, &cos, &sin], head_dim, inverse))
    }

    fn swiglu(&mut self, gate: Slot, up: Slot) -> Result<Slot> {
        let (gate, up) = (self.get("swiglu", gate)?, self.get("swiglu", up)?);
        check::same_shape("swiglu", ["gate", "up"], &gate, &up)?;
        in_compute_dtype!(self, "swiglu", [&gate, &up], swiglu_in(&gate, &up))
    }

    fn swiglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]> {
        let op = "swigluBackward";
        let (g, gate, up) = (self.get(op, g)?, self.get(op, gate)?, self.get(op, up)?);
        check::same_shape(op, ["g", "gate"], &g, &gate)?;
        check::same_shape(op, ["gate", "up"], &gate, &up)?;
        in_compute_dtype!(self, op, [&g, &gate, &up], swiglu_backward_in(&g, &gate, &up))
    }

    fn activate(&mut self, kind: Activation, x: Slot) -> Result<Slot> {
        let x = self.get("activate", x)?;
        in_compute_dtype!(self, "activate", [&x], activate_in(kind, &x))
    }

    fn activate_backward(&mut self, kind: Activation, g: Slot, x: Slot) -> Result<Slot> {
        let op = "activateBackward";
        let (g, x) = (self.get(op, g)?, self.get(op, x)?);
        check::same_shape(op, ["g", "x"], &g, &x)?;
        in_compute_dtype!(self, op, [&g, &x], activate_backward_in(kind, &g, &x))
    }

    fn geglu(&mut self, gate: Slot, up: Slot) -> Result<Slot> {
        let (gate, up) = (self.get("geglu", gate)?, self.get("geglu", up)?);
        check::same_shape("geglu", ["gate", "up"], &gate, &up)?;
        in_compute_dtype!(self, "geglu", [&gate, &up], geglu_in(&gate, &up))
    }

    fn geglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]> {
        let op = "gegluBackward";
        let (g, gate, up) = (self.get(op, g)?, self.get(op, gate)?, self.get(op, up)?);
        check::same_shape(op, ["g", "gate"], &g, &gate)?;
        check::same_shape(op, ["gate", "up"], &gate, &up)?;
        in_compute_dtype!(self, op, [&g, &gate, &up], geglu_backward_in(&g, &gate, &up))
    }
}

impl Host {
    fn multiply<R: Compute>(&self, job: &Product, beta: Beta, c: &mut [R]) -> Result<()> {
        let (m, n, k) = job.extents;
        if m * n * k == 0 {
            return Ok(());
        }
        let (a, b) = (stored(job.a), stored(job.b));
        let (a, b) = (a.floats(), b.floats());
        let alpha = R::from_f64(job.alpha);
        let maths = R::maths(self, "matmul")?;
        let codes = match (job.layout, &b) {
            (Layout::Nt, Floats::Coded(w)) => RowCodes::of(w),
            _ => None,
        };
        match codes {
            Some(w) => {
                if beta == Beta::Overwrite {
                    c.fill(R::zero());
                }
                maths.linear_int8(m, alpha, a, w, c);
            }
            None => maths.matmul(job.layout, m, n, k, alpha, a, b, beta, c),
        }
        Ok(())
    }

    fn matmul_new<R: Compute>(&mut self, job: &Product) -> Result<Slot> {
        let shape = [job.extents.0, job.extents.1];
        let mut c = match job.extents.2 {
            0 => self.zeros::<R>("matmul", &shape)?,
            _ => self.unset::<R>("matmul", &shape)?,
        };
        self.multiply::<R>(job, Beta::Overwrite, c.view_mut())?;
        self.keep("matmul", c)
    }

    fn matmul_into<R: Compute>(&mut self, job: &Product, c: &Tensor) -> Result<()> {
        check::dtype_is("matmul", "into", c, R::DTYPE)?;
        self.multiply::<R>(job, Beta::Add, &mut c.view_mut())
    }

    fn rms_norm_in<R: Compute>(&mut self, x: &Tensor, w: &Tensor, epsilon: f64) -> Result<[Slot; 2]> {
        let op = "rmsNorm";
        let maths = R::maths(self, op)?;
        let mut y = self.unset::<R>(op, x.shape())?;
        let mut rstd = self.unset::<R>(op, &[groups(op, x, w)?])?;
        if !y.is_empty() {
            let epsilon = R::from_f64(epsilon);
            maths.rms_norm(&reals(op, x)?, &reals(op, w)?, epsilon, y.view_mut(), rstd.view_mut());
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
            let (g, x, w, rstd) = (reals(op, g)?, reals(op, x)?, reals(op, w)?, reals(op, rstd)?);
            maths.rms_norm_backward(&g, &x, &w, &rstd, dx.view_mut(), dw);
        }
        self.keep_all(op, std::iter::once(dx).chain(dw).collect())
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
            maths.swiglu(&reals("swiglu", gate)?, &reals("swiglu", up)?, y.view_mut());
        }
        self.keep("swiglu", y)
    }

    fn swiglu_backward_in<R: Compute>(&mut self, g: &Tensor, gate: &Tensor, up: &Tensor) -> Result<[Slot; 2]> {
        let op = "swigluBackward";
        let maths = R::maths(self, op)?;
        let mut dgate = self.unset::<R>(op, gate.shape())?;
        let mut dup = self.unset::<R>(op, up.shape())?;
        if !g.is_empty() {
            let (g, gate, up) = (reals(op, g)?, reals(op, gate)?, reals(op, up)?);
            maths.swiglu_backward(&g, &gate, &up, dgate.view_mut(), dup.view_mut());
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
            maths.geglu(&reals("geglu", gate)?, &reals("geglu", up)?, y.view_mut());
        }
        self.keep("geglu", y)
    }

    fn geglu_backward_in<R: Compute>(&mut self, g: &Tensor, gate: &Tensor, up: &Tensor) -> Result<[Slot; 2]> {
        let op = "gegluBackward";
        let maths = R::maths(self, op)?;
        let mut dgate = self.unset::<R>(op, gate.shape())?;
        let mut dup = self.unset::<R>(op, up.shape())?;
        if !g.is_empty() {
            let (g, gate, up) = (reals(op, g)?, reals(op, gate)?, reals(op, up)?);
            maths.geglu_backward(&g, &gate, &up, dgate.view_mut(), dup.view_mut());
        }
        self.keep_array(op, [dgate, dup])
    }
}
