use super::views::{reals, scalar};
use super::{check, in_dtype, Compute, Host};
use crate::backend::Elementwise;
use crate::error::{KernelError, Result};
use crate::maths::{Binary, Unary};
use crate::store::{Slot, Tensor};
use crate::with_dtype;

impl Elementwise for Host {
    fn fill(&mut self, x: Slot, value: f64) -> Result<()> {
        let x = self.get("fill", x)?;
        with_dtype!(x.dtype(), T => {
            let element = check::fitting::<T>(x.dtype(), value)?;
            x.view_mut::<T>().fill(element);
            Ok(())
        }, codec => Err(KernelError::dtype("fill", format!("a {} weight cannot be written", codec.name()))))
    }

    fn binary(&mut self, kind: Binary, a: Slot, b: Slot) -> Result<Slot> {
        let (a, b) = (self.get("binary", a)?, self.get("binary", b)?);
        in_dtype!(self, check::binary(&a, &b)?, binary_in(kind, &a, &b))
    }

    fn unary(&mut self, kind: Unary, x: Slot) -> Result<Slot> {
        let x = self.get("unary", x)?;
        in_dtype!(self, check::compute_dtype("unary", &[&x])?, unary_in(kind, &x))
    }

    fn scale(&mut self, x: Slot, factor: f64) -> Result<Slot> {
        let x = self.get("scale", x)?;
        in_dtype!(self, check::scale(&x, factor)?, scale_in("scale", &x, factor))
    }

    fn scale_by(&mut self, x: Slot, s: Slot) -> Result<Slot> {
        let (x, s) = (self.get("scaleBy", x)?, self.get("scaleBy", s)?);
        let dtype = check::scale_by(&x, &s)?;
        let factor = scalar::<f64>("scaleBy", "s", &s)?;
        in_dtype!(self, dtype, scale_in("scaleBy", &x, factor))
    }

    fn soft_cap(&mut self, x: Slot, cap: f64) -> Result<Slot> {
        let x = self.get("softCap", x)?;
        in_dtype!(self, check::soft_cap(&x, cap)?, soft_cap_in(&x, cap))
    }

    fn accumulate(&mut self, acc: Slot, x: Slot, factor: f64) -> Result<()> {
        let op = "accumulate";
        let (acc, x) = (self.get(op, acc)?, self.get(op, x)?);
        in_dtype!(self, check::accumulate(&acc, &x, factor)?, accumulate_in(&acc, &x, factor))
    }

    fn sum(&mut self, x: Slot) -> Result<Slot> {
        let x = self.get("sum", x)?;
        in_dtype!(self, check::compute_dtype("sum", &[&x])?, sum_in(&x))
    }

    fn sum_rows(&mut self, x: Slot) -> Result<Slot> {
        let x = self.get("sumRows", x)?;
        let (dtype, d) = check::sum_rows(&x)?;
        in_dtype!(self, dtype, sum_rows_in(&x, d))
    }

    fn argmax(&mut self, x: Slot) -> Result<[Slot; 2]> {
        let x = self.get("argmax", x)?;
        let (dtype, d) = check::argmax(&x)?;
        in_dtype!(self, dtype, argmax_in(&x, d))
    }
}

impl Host {
    fn binary_in<R: Compute>(&mut self, kind: Binary, a: &Tensor, b: &Tensor) -> Result<Slot> {
        let maths = R::maths(self, "binary")?;
        let mut y = self.unset::<R>("binary", a.shape())?;
        if !y.is_empty() {
            maths.binary(kind, &reals("binary", a)?, &reals("binary", b)?, y.view_mut());
        }
        self.keep("binary", y)
    }

    fn soft_cap_in<R: Compute>(&mut self, x: &Tensor, cap: f64) -> Result<Slot> {
        let maths = R::maths(self, "softCap")?;
        let mut y = self.unset::<R>("softCap", x.shape())?;
        if !y.is_empty() {
            maths.soft_cap(&reals("softCap", x)?, R::from_f64(cap), y.view_mut());
        }
        self.keep("softCap", y)
    }

    fn unary_in<R: Compute>(&mut self, kind: Unary, x: &Tensor) -> Result<Slot> {
        let maths = R::maths(self, "unary")?;
        let mut y = self.unset::<R>("unary", x.shape())?;
        if !y.is_empty() {
            maths.unary(kind, &reals("unary", x)?, y.view_mut());
        }
        self.keep("unary", y)
    }

    fn scale_in<R: Compute>(&mut self, op: &'static str, x: &Tensor, factor: f64) -> Result<Slot> {
        let maths = R::maths(self, op)?;
        let mut y = self.unset::<R>(op, x.shape())?;
        if !y.is_empty() {
            maths.scale(&reals(op, x)?, R::from_f64(factor), y.view_mut());
        }
        self.keep(op, y)
    }

    fn accumulate_in<R: Compute>(&mut self, acc: &Tensor, x: &Tensor, factor: f64) -> Result<()> {
        let maths = R::maths(self, "accumulate")?;
        if !x.is_empty() {
            maths.accumulate(&mut acc.view_mut::<R>(), &reals("accumulate", x)?, R::from_f64(factor));
        }
        Ok(())
    }

    fn sum_in<R: Compute>(&mut self, x: &Tensor) -> Result<Slot> {
        let maths = R::maths(self, "sum")?;
        let mut y = self.zeros::<R>("sum", &[1])?;
        if !x.is_empty() {
            y.view_mut::<R>()[0] = maths.sum(&reals("sum", x)?);
        }
        self.keep("sum", y)
    }

    fn argmax_in<R: Compute>(&mut self, x: &Tensor, d: usize) -> Result<[Slot; 2]> {
        let op = "argmax";
        let maths = R::maths(self, op)?;
        let rows = &x.shape()[..1];
        let (mut index, mut value) = (self.unset::<i32>(op, rows)?, self.unset::<R>(op, rows)?);
        if !x.is_empty() {
            maths.argmax(&reals(op, x)?, d, index.view_mut(), value.view_mut());
        }
        self.keep_array(op, [index, value])
    }

    fn sum_rows_in<R: Compute>(&mut self, x: &Tensor, d: usize) -> Result<Slot> {
        let maths = R::maths(self, "sumRows")?;
        let mut y = self.zeros::<R>("sumRows", &[d])?;
        if !x.is_empty() {
            maths.sum_rows(&reals("sumRows", x)?, d, y.view_mut());
        }
        self.keep("sumRows", y)
    }
}
