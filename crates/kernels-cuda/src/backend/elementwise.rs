use kernels::backend::Elementwise;
use kernels::check;
use kernels::dtype::DType;
use kernels::error::Result;
use kernels::maths::{Binary, Unary};
use kernels::store::Slot;

use super::{at, single, Cuda};
use crate::launch::{arg, blocks, over, threads_for, Shape};
use crate::sources::ELEMENTWISE;

/// Elements that one block of `sum` adds up.
const SUMMED: usize = 4096;
/// Rows that one block of `sum_rows` adds up.
const ROWS: usize = 64;

impl Elementwise for Cuda {
    fn fill(&mut self, x: Slot, value: f64) -> Result<()> {
        let op = "fill";
        let x = self.get(op, x)?;
        let element = check::fill(&x, value)?;
        let mut pattern = [0; 8];
        pattern[..element.len()].copy_from_slice(&element);
        let n = x.len();
        let mut arguments = [at(&x), arg::size(n), u64::from_le_bytes(pattern), arg::int(element.len() as i32)];
        self.kernels.launch(op, &ELEMENTWISE, "fill", over(n), &mut arguments)?;
        x.storage().set_integers(None);
        Ok(())
    }

    fn binary(&mut self, kind: Binary, a: Slot, b: Slot) -> Result<Slot> {
        let op = "binary";
        let (a, b) = (self.get(op, a)?, self.get(op, b)?);
        single(op, check::binary(&a, &b)?)?;
        let (x, z, y) = (self.reals(op, &a)?, self.reals(op, &b)?, self.unset(op, a.shape())?);
        let n = y.len();
        let kind = arg::int(kind as i32);
        let mut arguments = [kind, x.at(), z.at(), arg::size(b.len().max(1)), y.at(), arg::size(n)];
        self.kernels.launch(op, &ELEMENTWISE, "binary", over(n), &mut arguments)?;
        self.keep(op, y)
    }

    fn unary(&mut self, kind: Unary, x: Slot) -> Result<Slot> {
        let op = "unary";
        let x = self.get(op, x)?;
        single(op, check::compute_dtype(op, &[&x])?)?;
        let number = match kind {
            Unary::Exp => 0,
            Unary::LogSigmoid => 1,
            Unary::LogOneMinusExp => 2,
            Unary::Sqrt => 3,
            Unary::Step => 4,
        };
        let (values, y) = (self.reals(op, &x)?, self.unset(op, x.shape())?);
        let mut arguments = [arg::int(number), values.at(), y.at(), arg::size(y.len())];
        self.kernels.launch(op, &ELEMENTWISE, "unary", over(y.len()), &mut arguments)?;
        self.keep(op, y)
    }

    fn scale(&mut self, x: Slot, factor: f64) -> Result<Slot> {
        let x = self.get("scale", x)?;
        single("scale", check::scale(&x, factor)?)?;
        self.mapped("scale", "scale", &x, arg::float(factor))
    }

    fn scale_by(&mut self, x: Slot, s: Slot) -> Result<Slot> {
        let op = "scaleBy";
        let (x, s) = (self.get(op, x)?, self.get(op, s)?);
        single(op, check::scale_by(&x, &s)?)?;
        let s = self.reals(op, &s)?;
        self.mapped(op, "scale_by", &x, s.at())
    }

    fn soft_cap(&mut self, x: Slot, cap: f64) -> Result<Slot> {
        let x = self.get("softCap", x)?;
        single("softCap", check::soft_cap(&x, cap)?)?;
        self.mapped("softCap", "soft_cap", &x, arg::float(cap))
    }

    fn accumulate(&mut self, acc: Slot, x: Slot, factor: f64) -> Result<()> {
        let op = "accumulate";
        let (acc, x) = (self.get(op, acc)?, self.get(op, x)?);
        single(op, check::accumulate(&acc, &x, factor)?)?;
        let values = self.reals(op, &x)?;
        let mut arguments = [at(&acc), values.at(), arg::float(factor), arg::size(x.len())];
        self.kernels.launch(op, &ELEMENTWISE, "accumulate", over(x.len()), &mut arguments)
    }

    fn sum(&mut self, x: Slot) -> Result<Slot> {
        let op = "sum";
        let x = self.get(op, x)?;
        single(op, check::compute_dtype(op, &[&x])?)?;
        let values = self.reals(op, &x)?;
        let y = self.zeros(op, &[1])?;
        self.sum_into(op, values.at(), x.len(), y.at())?;
        self.keep(op, y)
    }

    fn sum_rows(&mut self, x: Slot) -> Result<Slot> {
        let op = "sumRows";
        let x = self.get(op, x)?;
        let (dtype, d) = check::sum_rows(&x)?;
        single(op, dtype)?;
        let values = self.reals(op, &x)?;
        let y = self.zeros(op, &[d])?;
        self.sum_rows_into(op, values.at(), x.shape()[0], d, y.at())?;
        self.keep(op, y)
    }

    fn argmax(&mut self, x: Slot) -> Result<[Slot; 2]> {
        let op = "argmax";
        let x = self.get(op, x)?;
        let (dtype, d) = check::argmax(&x)?;
        single(op, dtype)?;
        let (values, rows) = (self.reals(op, &x)?, &x.shape()[..1]);
        let (index, value) = (self.output(op, DType::I32, rows)?, self.unset(op, rows)?);
        let mut arguments = [values.at(), index.at(), value.at(), arg::size(d)];
        self.kernels.launch(op, &ELEMENTWISE, "argmax", blocks(rows[0], threads_for(d)), &mut arguments)?;
        self.keep_array(op, [index, value])
    }
}

impl Cuda {
    /// y = f(x, one argument), element by element.
    fn mapped(&mut self, op: &'static str, name: &'static str, x: &super::Tensored, argument: u64) -> Result<Slot> {
        let (values, y) = (self.reals(op, x)?, self.unset(op, x.shape())?);
        let mut arguments = [values.at(), argument, y.at(), arg::size(y.len())];
        self.kernels.launch(op, &ELEMENTWISE, name, over(y.len()), &mut arguments)?;
        self.keep(op, y)
    }

    /// y = Σ x in rounds of partial sums; y stays where there is nothing to add.
    pub(crate) fn sum_into(&self, op: &'static str, x: u64, n: usize, y: u64) -> Result<()> {
        if n == 0 {
            return Ok(());
        }
        let count = n.div_ceil(SUMMED);
        let partial = if count > 1 { Some(self.scratch(op, 4 * count)?) } else { None };
        let to = partial.as_ref().map_or(y, |buffer| buffer.at());
        let mut arguments = [x, to, arg::size(n)];
        self.kernels.launch(op, &ELEMENTWISE, "sum", blocks(count, 256), &mut arguments)?;
        match partial {
            Some(partial) => self.sum_into(op, partial.at(), count, y),
            None => Ok(()),
        }
    }

    /// y [d] = Σ rows of x [n, d], in rounds; y stays where there is nothing to add.
    pub(crate) fn sum_rows_into(&self, op: &'static str, x: u64, n: usize, d: usize, y: u64) -> Result<()> {
        if n * d == 0 {
            return Ok(());
        }
        let count = n.div_ceil(ROWS);
        let partial = if count > 1 { Some(self.scratch(op, 4 * count * d)?) } else { None };
        let to = partial.as_ref().map_or(y, |buffer| buffer.at());
        let mut arguments = [x, to, arg::size(n), arg::size(d)];
        let shape = tall(op, count, d)?;
        self.kernels.launch(op, &ELEMENTWISE, "sum_rows", shape, &mut arguments)?;
        match partial {
            Some(partial) => self.sum_rows_into(op, partial.at(), count, d, y),
            None => Ok(()),
        }
    }
}

/// Columns along x, 128 threads to a block, and groups of rows along y.
pub(crate) fn tall(op: &'static str, groups: usize, d: usize) -> Result<Shape> {
    let groups = u32::try_from(groups).ok().filter(|&groups| groups < 1 << 16);
    let groups = groups.ok_or_else(|| kernels::error::KernelError::shape(op, "more rows than a grid has"))?;
    Ok(Shape { grid: [d.div_ceil(128) as u32, groups, 1], block: 128, shared: 0 })
}
