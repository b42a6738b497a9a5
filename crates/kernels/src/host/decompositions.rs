use super::views::reals;
use super::{check, in_dtype, Compute, Host};
use crate::backend::Decompositions;
use crate::error::{KernelError, Result};
use crate::maths::Real;
use crate::store::{Slot, Tensor};
use crate::svd::{leading, Leading, Method};

impl Decompositions for Host {
    fn svd(&mut self, x: Slot, rank: usize, method: Method) -> Result<[Slot; 3]> {
        let op = "svd";
        let x = self.get(op, x)?;
        let (dtype, shape) = check::svd(&x, rank, method)?;
        in_dtype!(self, dtype, svd_in(&x, shape, rank, method))
    }
}

impl Host {
    fn svd_in<R: Compute>(&mut self, x: &Tensor, shape: [usize; 2], rank: usize, method: Method) -> Result<[Slot; 3]> {
        let op = "svd";
        let values = reals::<f64>(op, x)?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(KernelError::argument(op, format!("x[{at}] is {}, must be finite", values[at])));
        }
        let Leading { u, s, v } = leading(&values, shape, rank, method)
            .ok_or_else(|| KernelError::argument(op, format!("x {:?} has no decomposition in reach", x.shape())))?;
        let mut outputs = [
            self.unset::<R>(op, &[shape[0], rank])?,
            self.unset::<R>(op, &[rank])?,
            self.unset::<R>(op, &[rank, shape[1]])?,
        ];
        fill(outputs[0].view_mut::<R>(), rank, |row, column| u[(row, column)]);
        fill(outputs[1].view_mut::<R>(), rank, |_, column| s[column]);
        fill(outputs[2].view_mut::<R>(), shape[1], |row, column| v[(column, row)]);
        self.keep_array(op, outputs)
    }
}

/// Assigns a row-major matrix of so many columns.
fn fill<R: Real>(y: &mut [R], columns: usize, value: impl Fn(usize, usize) -> f64) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = R::from_f64(value(i / columns, i % columns));
    }
}
