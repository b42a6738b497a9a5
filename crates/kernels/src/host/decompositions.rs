use super::views::reals;
use super::{check, in_dtype, Compute, Host};
use crate::backend::Decompositions;
use crate::error::Result;
use crate::store::{Slot, Tensor};
use crate::svd::{decompose, Method};

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
        let parts = decompose(op, &reals::<f64>(op, x)?, shape, rank, method)?;
        let mut outputs = [
            self.unset::<R>(op, &[shape[0], rank])?,
            self.unset::<R>(op, &[rank])?,
            self.unset::<R>(op, &[rank, shape[1]])?,
        ];
        for (output, part) in outputs.iter_mut().zip(&parts) {
            output.view_mut::<R>().iter_mut().zip(part).for_each(|(y, &x)| *y = R::from_f64(x));
        }
        self.keep_array(op, outputs)
    }
}
