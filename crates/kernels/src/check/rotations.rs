use super::{compute_dtype, ids_in, matrix, positive, shape_is};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::Layout;
use crate::store::Tensor;

/// The numbers of an upper triangle without its diagonal.
const fn above(size: usize) -> usize {
    size * size.saturating_sub(1) / 2
}

/// The columns of a matrix, which blocks of `size` columns must fill.
fn blocks_wide<B>(op: &'static str, what: &str, x: &Tensor<B>, size: usize) -> Result<usize> {
    let (_, width) = matrix(op, what, x)?;
    positive(op, "the block size", size)?;
    if width % size != 0 {
        return Err(KernelError::shape(op, format!("{what} {:?} is not blocks of {size} columns", x.shape())));
    }
    Ok(width)
}

/// Blocks side by side: as many rows as a block has columns.
fn blocks<B>(op: &'static str, what: &str, x: &Tensor<B>) -> Result<[usize; 2]> {
    let (size, _) = matrix(op, what, x)?;
    Ok([size, blocks_wide(op, what, x, size)?])
}

/// The dtype, and the shape of q.
pub fn skew_blocks<B>(a: &Tensor<B>, size: usize) -> Result<(DType, [usize; 2])> {
    let op = "skewBlocks";
    let (count, numbers) = matrix(op, "a", a)?;
    positive(op, "the block size", size)?;
    let whole = size.checked_mul(size).filter(|_| size < 1 << 16);
    if whole.is_none_or(|whole| numbers != whole && numbers != above(size)) {
        let message = format!("a {:?} holds neither matrices of size {size} nor their upper triangles", a.shape());
        return Err(KernelError::shape(op, message));
    }
    Ok((compute_dtype(op, &[a])?, [size, count * size]))
}

/// The dtype, the size of a block, and the shape of da.
pub fn skew_blocks_backward<B>(g: &Tensor<B>, packed: bool) -> Result<(DType, usize, [usize; 2])> {
    let op = "skewBlocksBackward";
    let [size, width] = blocks(op, "g", g)?;
    let numbers = if packed { above(size) } else { size * size };
    Ok((compute_dtype(op, &[g])?, size, [width / size, numbers]))
}

/// The dtype, and the size of a block.
pub fn cayley_blocks<B>(q: &Tensor<B>) -> Result<(DType, usize)> {
    let [size, _] = blocks("cayleyBlocks", "q", q)?;
    Ok((compute_dtype("cayleyBlocks", &[q])?, size))
}

/// The dtype, and the shape of the product.
pub fn matmul_blocks<B>(layout: Layout, a: &Tensor<B>, b: &Tensor<B>, size: usize) -> Result<(DType, [usize; 2])> {
    let op = "matmulBlocks";
    let width = blocks_wide(op, "a", a, size)?;
    let rows = if layout == Layout::Tn { a.shape()[0] } else { size };
    shape_is(op, "b", b, &[rows, width])?;
    let rows = if layout == Layout::Tn { size } else { a.shape()[0] };
    Ok((compute_dtype(op, &[a, b])?, [rows, width]))
}

/// `values` are those of `order`.
pub fn permute_columns<B>(x: &Tensor<B>, order: &Tensor<B>, values: &[i32]) -> Result<DType> {
    let op = "permuteColumns";
    let (_, width) = matrix(op, "x", x)?;
    shape_is(op, "order", order, &[width])?;
    permutation(op, values)?;
    compute_dtype(op, &[x])
}

pub fn permutation(op: &'static str, order: &[i32]) -> Result<()> {
    ids_in(op, "order", order, order.len())?;
    let mut seen = vec![false; order.len()];
    for &column in order {
        if std::mem::replace(&mut seen[column as usize], true) {
            return Err(KernelError::argument(op, format!("order names column {column} twice")));
        }
    }
    Ok(())
}
