use super::{apart, compute_dtype, compute_dtype_with, dtype_is, ids_in, integers, matrix, shape_is, vector};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::store::Tensor;
use crate::svd::Method;

/// `values` are those of `ids`.
pub fn take_rows<B>(table: &Tensor<B>, ids: &Tensor<B>, values: &[i32]) -> Result<DType> {
    let op = "takeRows";
    let (rows, _) = matrix(op, "table", table)?;
    vector(op, "ids", ids)?;
    ids_in(op, "ids", values, rows)?;
    compute_dtype_with(op, &[], table)
}

pub fn scatter_add_rows<B>(g: &Tensor<B>, ids: &Tensor<B>, values: &[i32], rows: usize) -> Result<DType> {
    let op = "scatterAddRows";
    let (n, _) = matrix(op, "g", g)?;
    shape_is(op, "ids", ids, &[n])?;
    ids_in(op, "ids", values, rows)?;
    compute_dtype(op, &[g])
}

/// Bytes of one row.
pub fn write_rows<B>([dst, ids, src]: [&Tensor<B>; 3], values: &[i32]) -> Result<usize> {
    let op = "writeRows";
    let (rows, d) = matrix(op, "dst", dst)?;
    let n = vector(op, "ids", ids)?;
    shape_is(op, "src", src, &[n, d])?;
    dtype_is(op, "src", src, dst.dtype())?;
    ids_in(op, "ids", values, rows)?;
    let Some(size) = dst.dtype().size() else {
        return Err(KernelError::dtype(op, format!("dst must not be in a codec, got {}", dst.describe())));
    };
    apart(op, ["dst", "src"], dst, src)?;
    apart(op, ["dst", "ids"], dst, ids)?;
    integers(op, "ids", ids)?;
    Ok(d * size)
}

/// The dtype, and the rows.
pub fn split_columns<B>(x: &Tensor<B>, widths: &[usize]) -> Result<(DType, usize)> {
    let op = "splitColumns";
    let (n, d) = matrix(op, "x", x)?;
    if widths.iter().try_fold(0usize, |sum, &width| sum.checked_add(width)) != Some(d) {
        return Err(KernelError::shape(op, format!("widths {widths:?} must add up to the {d} columns of x")));
    }
    Ok((compute_dtype(op, &[x])?, n))
}

/// The dtype, the rows and the columns of all parts side by side.
pub fn join_columns<B>(parts: &[Tensor<B>]) -> Result<(DType, usize, usize)> {
    let op = "joinColumns";
    let extents = parts.iter().map(|part| matrix(op, "a part", part)).collect::<Result<Vec<_>>>()?;
    let &(n, _) = extents.first().ok_or_else(|| KernelError::argument(op, "needs at least one part"))?;
    if let Some((rows, _)) = extents.iter().find(|(rows, _)| *rows != n) {
        return Err(KernelError::shape(op, format!("parts must have one number of rows, got {n} and {rows}")));
    }
    let columns = extents.iter().map(|(_, columns)| columns).sum();
    Ok((compute_dtype(op, &parts.iter().collect::<Vec<_>>())?, n, columns))
}

/// Far more than any decomposition needs to converge.
const MAX_ITERATIONS: usize = 1 << 16;

/// The dtype, and the extents of x.
pub fn svd<B>(x: &Tensor<B>, rank: usize, method: Method) -> Result<(DType, [usize; 2])> {
    let op = "svd";
    let (rows, columns) = matrix(op, "x", x)?;
    if !(1..=rows.min(columns)).contains(&rank) {
        let message = format!("rank {rank} of {:?} must be in 1 … {}", x.shape(), rows.min(columns));
        return Err(KernelError::argument(op, message));
    }
    if let Method::Randomized { iterations: MAX_ITERATIONS.., .. } = method {
        return Err(KernelError::argument(op, format!("iterations must be below {MAX_ITERATIONS}")));
    }
    Ok((compute_dtype_with(op, &[], x)?, [rows, columns]))
}
