use super::views::reals;
use super::{check, in_compute_dtype, integers, Compute, Host};
use crate::backend::Rotations;
use crate::error::{KernelError, Result};
use crate::maths::Layout;
use crate::store::{Slot, Tensor};

/// The numbers of an upper triangle without its diagonal.
const fn above(size: usize) -> usize {
    size * size.saturating_sub(1) / 2
}

/// The columns of a matrix, which blocks of `size` columns must fill.
fn blocks_wide(op: &'static str, what: &str, x: &Tensor, size: usize) -> Result<usize> {
    let (_, width) = check::matrix(op, what, x)?;
    check::positive(op, "the block size", size)?;
    if width % size != 0 {
        return Err(KernelError::shape(op, format!("{what} {:?} is not blocks of {size} columns", x.shape())));
    }
    Ok(width)
}

/// Blocks side by side: as many rows as a block has columns.
fn blocks(op: &'static str, what: &str, x: &Tensor) -> Result<[usize; 2]> {
    let (size, _) = check::matrix(op, what, x)?;
    Ok([size, blocks_wide(op, what, x, size)?])
}

impl Rotations for Host {
    fn skew_blocks(&mut self, a: Slot, size: usize) -> Result<Slot> {
        let op = "skewBlocks";
        let a = self.get(op, a)?;
        let (count, numbers) = check::matrix(op, "a", &a)?;
        check::positive(op, "the block size", size)?;
        let whole = size.checked_mul(size).filter(|_| size < 1 << 16);
        if whole.is_none_or(|whole| numbers != whole && numbers != above(size)) {
            let message = format!("a {:?} holds neither matrices of size {size} nor their upper triangles", a.shape());
            return Err(KernelError::shape(op, message));
        }
        in_compute_dtype!(self, op, [&a], skew_blocks_in(&a, [size, count * size]))
    }

    fn skew_blocks_backward(&mut self, g: Slot, packed: bool) -> Result<Slot> {
        let op = "skewBlocksBackward";
        let g = self.get(op, g)?;
        let [size, width] = blocks(op, "g", &g)?;
        let numbers = if packed { above(size) } else { size * size };
        in_compute_dtype!(self, op, [&g], skew_blocks_backward_in(&g, size, [width / size, numbers]))
    }

    fn cayley_blocks(&mut self, q: Slot) -> Result<Slot> {
        let q = self.get("cayleyBlocks", q)?;
        let [size, _] = blocks("cayleyBlocks", "q", &q)?;
        in_compute_dtype!(self, "cayleyBlocks", [&q], cayley_blocks_in(&q, size))
    }

    fn matmul_blocks(&mut self, layout: Layout, a: Slot, b: Slot, size: usize) -> Result<Slot> {
        let op = "matmulBlocks";
        let (a, b) = (self.get(op, a)?, self.get(op, b)?);
        let width = blocks_wide(op, "a", &a, size)?;
        let rows = if layout == Layout::Tn { a.shape()[0] } else { size };
        check::shape_is(op, "b", &b, &[rows, width])?;
        in_compute_dtype!(self, op, [&a, &b], matmul_blocks_in(layout, [&a, &b], [size, width]))
    }

    fn permute_columns(&mut self, x: Slot, order: Slot, inverse: bool) -> Result<Slot> {
        let op = "permuteColumns";
        let (x, order) = (self.get(op, x)?, self.get(op, order)?);
        let (_, width) = check::matrix(op, "x", &x)?;
        check::shape_is(op, "order", &order, &[width])?;
        check_permutation(op, &integers(op, "order", &order)?)?;
        in_compute_dtype!(self, op, [&x], permute_columns_in(&x, &order, inverse))
    }
}

fn check_permutation(op: &'static str, order: &[i32]) -> Result<()> {
    check::ids_in(op, "order", order, order.len())?;
    let mut seen = vec![false; order.len()];
    for &column in order {
        if std::mem::replace(&mut seen[column as usize], true) {
            return Err(KernelError::argument(op, format!("order names column {column} twice")));
        }
    }
    Ok(())
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
        inputs: [&Tensor; 2],
        shape: [usize; 2],
    ) -> Result<Slot> {
        let op = "matmulBlocks";
        let maths = R::maths(self, op)?;
        let ([a, b], [size, width]) = (inputs, shape);
        let rows = if layout == Layout::Tn { size } else { a.shape()[0] };
        let mut c = self.zeros::<R>(op, &[rows, width])?;
        if !c.is_empty() && !a.is_empty() {
            maths.matmul_blocks(layout, &reals(op, a)?, &reals(op, b)?, width, size, c.view_mut());
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
