use kernels::backend::Rotations;
use kernels::check;
use kernels::error::Result;
use kernels::maths::Layout;
use kernels::store::Slot;

use super::{at, single, Cuda};
use crate::launch::{arg, blocks, over};
use crate::sources::ROTATIONS;

impl Rotations for Cuda {
    fn skew_blocks(&mut self, a: Slot, size: usize) -> Result<Slot> {
        let op = "skewBlocks";
        let a = self.get(op, a)?;
        let (dtype, shape) = check::skew_blocks(&a, size)?;
        single(op, dtype)?;
        let (values, q) = (self.reals(op, &a)?, self.unset(op, &shape)?);
        let [numbers, size, width] = [a.shape()[1], size, shape[1]].map(arg::size);
        let mut arguments = [values.at(), numbers, size, width, q.at(), arg::size(q.len())];
        self.kernels.launch(op, &ROTATIONS, "skew_blocks", over(q.len()), &mut arguments)?;
        self.keep(op, q)
    }

    fn skew_blocks_backward(&mut self, g: Slot, packed: bool) -> Result<Slot> {
        let op = "skewBlocksBackward";
        let g = self.get(op, g)?;
        let (dtype, size, shape) = check::skew_blocks_backward(&g, packed)?;
        single(op, dtype)?;
        let (values, da) = (self.reals(op, &g)?, self.unset(op, &shape)?);
        let [numbers, size, width] = [shape[1], size, g.shape()[1]].map(arg::size);
        let mut arguments = [values.at(), numbers, size, width, da.at(), arg::size(g.len())];
        self.kernels.launch(op, &ROTATIONS, "skew_blocks_backward", over(g.len()), &mut arguments)?;
        self.keep(op, da)
    }

    fn cayley_blocks(&mut self, q: Slot) -> Result<Slot> {
        let op = "cayleyBlocks";
        let q = self.get(op, q)?;
        let (dtype, size) = check::cayley_blocks(&q)?;
        single(op, dtype)?;
        let (values, y) = (self.reals(op, &q)?, self.unset(op, q.shape())?);
        let (width, work) = (q.shape()[1], self.scratch(op, 8 * y.len())?);
        let mut arguments = [values.at(), arg::int(size as i32), arg::size(width), work.at(), y.at()];
        self.kernels.launch(op, &ROTATIONS, "cayley_blocks", blocks(width / size, 64), &mut arguments)?;
        self.keep(op, y)
    }

    fn matmul_blocks(&mut self, layout: Layout, a: Slot, b: Slot, size: usize) -> Result<Slot> {
        let op = "matmulBlocks";
        let (a, b) = (self.get(op, a)?, self.get(op, b)?);
        let (dtype, shape) = check::matmul_blocks(layout, &a, &b, size)?;
        single(op, dtype)?;
        let c = self.unset(op, &shape)?;
        let depth = if layout == Layout::Tn { a.shape()[0] } else { size };
        let (x, z) = (self.reals(op, &a)?, self.reals(op, &b)?);
        let [width, size, depth] = [shape[1], size, depth].map(arg::size);
        let number = match layout {
            Layout::Nn => 0,
            Layout::Nt => 1,
            Layout::Tn => 2,
        };
        let mut arguments = [number, x.at(), z.at(), width, size, depth, c.at(), arg::size(c.len())];
        self.kernels.launch(op, &ROTATIONS, "matmul_blocks", over(c.len()), &mut arguments)?;
        self.keep(op, c)
    }

    fn permute_columns(&mut self, x: Slot, order: Slot, inverse: bool) -> Result<Slot> {
        let op = "permuteColumns";
        let (x, order) = (self.get(op, x)?, self.get(op, order)?);
        single(op, check::permute_columns(&x, &order, &self.integers(op, "order", &order)?)?)?;
        let (values, y) = (self.reals(op, &x)?, self.unset(op, x.shape())?);
        let inverse = arg::int(i32::from(inverse));
        let mut arguments = [values.at(), at(&order), arg::size(order.len()), inverse, y.at(), arg::size(y.len())];
        self.kernels.launch(op, &ROTATIONS, "permute_columns", over(y.len()), &mut arguments)?;
        self.keep(op, y)
    }
}
