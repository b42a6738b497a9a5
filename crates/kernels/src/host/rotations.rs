use super::views::reals;
use super::{check, in_dtype, integers, Compute, Host};
use crate::backend::Rotations;
use crate::error::Result;
use crate::maths::Layout;
use crate::store::{Slot, Tensor};

impl Rotations for Host {
    fn skew_blocks(&mut self, a: Slot, size: usize) -> Result<Slot> {
        let a = self.get("skewBlocks", a)?;
        let (dtype, shape) = check::skew_blocks(&a, size)?;
        in_dtype!(self, dtype, skew_blocks_in(&a, shape))
    }

    fn skew_blocks_backward(&mut self, g: Slot, packed: bool) -> Result<Slot> {
        let g = self.get("skewBlocksBackward", g)?;
        let (dtype, size, shape) = check::skew_blocks_backward(&g, packed)?;
        in_dtype!(self, dtype, skew_blocks_backward_in(&g, size, shape))
    }

    fn cayley_blocks(&mut self, q: Slot) -> Result<Slot> {
        let q = self.get("cayleyBlocks", q)?;
        let (dtype, size) = check::cayley_blocks(&q)?;
        in_dtype!(self, dtype, cayley_blocks_in(&q, size))
    }

    fn matmul_blocks(&mut self, layout: Layout, a: Slot, b: Slot, size: usize) -> Result<Slot> {
        let op = "matmulBlocks";
        let (a, b) = (self.get(op, a)?, self.get(op, b)?);
        let (dtype, shape) = check::matmul_blocks(layout, &a, &b, size)?;
        in_dtype!(self, dtype, matmul_blocks_in(layout, [&a, &b], size, shape))
    }

    fn permute_columns(&mut self, x: Slot, order: Slot, inverse: bool) -> Result<Slot> {
        let op = "permuteColumns";
        let (x, order) = (self.get(op, x)?, self.get(op, order)?);
        let dtype = check::permute_columns(&x, &order, &integers(op, "order", &order)?)?;
        in_dtype!(self, dtype, permute_columns_in(&x, &order, inverse))
    }
}

impl Host {
    fn skew_blocks_in<R: Compute>(&mut self, a: &Tensor, shape: [usize; 2]) -> Result<Slot> {
        let maths = R::maths(self, "skewBlocks")?;
        let mut q = self.zeros::<R>("skewBlocks", &shape)?;
        if !a.is_empty() {
            maths.skew_blocks(&reals("skewBlocks", a)?, shape[0], q.view_mut());
        }
        self.keep("skewBlocks", q)
    }

    fn skew_blocks_backward_in<R: Compute>(&mut self, g: &Tensor, size: usize, shape: [usize; 2]) -> Result<Slot> {
        let op = "skewBlocksBackward";
        let maths = R::maths(self, op)?;
        let mut da = self.zeros::<R>(op, &shape)?;
        if !da.is_empty() {
            maths.skew_blocks_backward(&reals(op, g)?, size, da.view_mut());
        }
        self.keep(op, da)
    }

    fn cayley_blocks_in<R: Compute>(&mut self, q: &Tensor, size: usize) -> Result<Slot> {
        let maths = R::maths(self, "cayleyBlocks")?;
        let mut y = self.unset::<R>("cayleyBlocks", q.shape())?;
        if !y.is_empty() {
            maths.cayley_blocks(&reals("cayleyBlocks", q)?, size, y.view_mut());
        }
        self.keep("cayleyBlocks", y)
    }

    fn matmul_blocks_in<R: Compute>(
        &mut self,
        layout: Layout,
        [a, b]: [&Tensor; 2],
        size: usize,
        shape: [usize; 2],
    ) -> Result<Slot> {
        let op = "matmulBlocks";
        let maths = R::maths(self, op)?;
        let mut c = self.zeros::<R>(op, &shape)?;
        if !c.is_empty() && !a.is_empty() {
            maths.matmul_blocks(layout, &reals(op, a)?, &reals(op, b)?, shape[1], size, c.view_mut());
        }
        self.keep(op, c)
    }

    fn permute_columns_in<R: Compute>(&mut self, x: &Tensor, order: &Tensor, inverse: bool) -> Result<Slot> {
        let op = "permuteColumns";
        let maths = R::maths(self, op)?;
        let mut y = self.unset::<R>(op, x.shape())?;
        if !y.is_empty() {
            maths.permute_columns(&reals(op, x)?, &integers(op, "order", order)?, inverse, y.view_mut());
        }
        self.keep(op, y)
    }
}
