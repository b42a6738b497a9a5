use super::{
    apart, compute_dtype, compute_dtype_with, dtype_is, finite, integers, matrix, positive, same_shape, shape_is,
    vector, within,
};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::Layout;
use crate::store::Tensor;

/// Extents of a product and the dtype it is computed in.
#[derive(Clone, Copy)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub dtype: DType,
}

/// A tensor and what a message calls it.
pub type Named<'a, B> = (&'a str, &'a Tensor<B>);

pub fn matmul<B>(op: &'static str, layout: Layout, [a, b]: [Named<B>; 2], factor: (&str, f64)) -> Result<Product> {
    let ((a_name, a), (b_name, b)) = (a, b);
    let (a_rows, a_columns) = matrix(op, a_name, a)?;
    let (b_rows, b_columns) = matrix(op, b_name, b)?;
    let ((m, k), (k_of_b, n)) = match layout {
        Layout::Nn => ((a_rows, a_columns), (b_rows, b_columns)),
        Layout::Nt => ((a_rows, a_columns), (b_columns, b_rows)),
        Layout::Tn => ((a_columns, a_rows), (b_rows, b_columns)),
    };
    if k != k_of_b {
        let (a, b) = (a.shape(), b.shape());
        let message = format!("{a_name} {a:?} and {b_name} {b:?} do not fit as {layout:?}: {k} ≠ {k_of_b}");
        return Err(KernelError::shape(op, message));
    }
    finite(op, factor.0, factor.1)?;
    Ok(Product { m, n, k, dtype: compute_dtype_with(op, &[a], b)? })
}

/// The product of a and b with that of u and v beside it, and the rank of those.
pub fn matmul_low_rank<B>(layout: Layout, [a, b, u, v]: [Named<B>; 4], factor: f64) -> Result<(Product, usize)> {
    let op = "matmulLowRank";
    if layout == Layout::Tn {
        return Err(KernelError::argument(op, "layout must be nn or nt, got tn".to_owned()));
    }
    let factor = ("factor", factor);
    let product = matmul(op, layout, [a, b], factor)?;
    let low = matmul(op, layout, [u, v], factor)?;
    let [a, b, u, v] = [a, b, u, v].map(|(_, x)| x);
    if (low.m, low.n) != (product.m, product.n) {
        let message = format!(
            "u {:?} and v {:?} make a matrix of [{}, {}], a {:?} and b {:?} one of [{}, {}]",
            u.shape(),
            v.shape(),
            low.m,
            low.n,
            a.shape(),
            b.shape(),
            product.m,
            product.n
        );
        return Err(KernelError::shape(op, message));
    }
    let dtype = compute_dtype_with(op, &[a, u, v], b)?;
    Ok((Product { dtype, ..product }, low.k))
}

/// The dtype of a product that is added to c; `others` are the tensors it is made of, by name.
pub fn matmul_into<B>(op: &'static str, product: Product, others: &[Named<B>], c: &Tensor<B>) -> Result<DType> {
    shape_is(op, "into", c, &[product.m, product.n])?;
    for (name, other) in others {
        apart(op, ["into", name], c, other)?;
    }
    let dtype = if c.dtype() == DType::F64 { DType::F64 } else { product.dtype };
    dtype_is(op, "into", c, dtype)?;
    Ok(dtype)
}

/// How many stretches of w's length x consists of; each is normalised by itself.
pub fn groups<B>(op: &'static str, x: &Tensor<B>, w: &Tensor<B>) -> Result<usize> {
    let (n, columns) = matrix(op, "x", x)?;
    let d = positive(op, "the length of w", vector(op, "w", w)?)?;
    if !columns.is_multiple_of(d) {
        let message = format!("the {columns} columns of x must be a multiple of w's {d}");
        return Err(KernelError::shape(op, message));
    }
    Ok(n * (columns / d))
}

/// The dtype, and the number of stretches.
pub fn rms_norm<B>(x: &Tensor<B>, w: &Tensor<B>, epsilon: f64) -> Result<(DType, usize)> {
    let groups = groups("rmsNorm", x, w)?;
    within("rmsNorm", "epsilon", epsilon, 0.0, f64::INFINITY)?;
    Ok((compute_dtype("rmsNorm", &[x, w])?, groups))
}

pub fn rms_norm_backward<B>([g, x, w, rstd]: [&Tensor<B>; 4]) -> Result<(DType, usize)> {
    let op = "rmsNormBackward";
    same_shape(op, ["g", "x"], g, x)?;
    let groups = groups(op, x, w)?;
    shape_is(op, "rstd", rstd, &[groups])?;
    Ok((compute_dtype(op, &[g, x, w, rstd])?, groups))
}

/// As `rms_norm`, of acc after x was added to it in place.
pub fn add_rms_norm<B>([acc, x, w]: [&Tensor<B>; 3], epsilon: f64) -> Result<(DType, usize)> {
    let op = "addRmsNorm";
    let groups = groups(op, x, w)?;
    within(op, "epsilon", epsilon, 0.0, f64::INFINITY)?;
    same_shape(op, ["acc", "x"], acc, x)?;
    let dtype = compute_dtype(op, &[acc, x, w])?;
    dtype_is(op, "acc", acc, dtype)?;
    apart(op, ["acc", "x"], acc, x)?;
    apart(op, ["acc", "w"], acc, w)?;
    Ok((dtype, groups))
}

pub fn add_rms_norm_backward<B>([acc, g, x, w, rstd]: [&Tensor<B>; 5]) -> Result<(DType, usize)> {
    let op = "addRmsNormBackward";
    same_shape(op, ["g", "x"], g, x)?;
    same_shape(op, ["acc", "x"], acc, x)?;
    let groups = groups(op, x, w)?;
    shape_is(op, "rstd", rstd, &[groups])?;
    let dtype = compute_dtype(op, &[acc, g, x, w, rstd])?;
    dtype_is(op, "acc", acc, dtype)?;
    for (name, input) in [("g", g), ("x", x), ("w", w), ("rstd", rstd)] {
        apart(op, ["acc", name], acc, input)?;
    }
    Ok((dtype, groups))
}

/// The number of positions.
pub fn rope_table<B>(positions: &Tensor<B>, frequencies: &[f64], scale: f64) -> Result<usize> {
    let op = "ropeTable";
    let n = vector(op, "positions", positions)?;
    finite(op, "scale", scale)?;
    frequencies.iter().try_for_each(|&frequency| finite(op, "a frequency", frequency).map(drop))?;
    integers(op, "positions", positions)?;
    Ok(n)
}

pub fn rope<B>([x, cos, sin]: [&Tensor<B>; 3], head_dim: usize) -> Result<DType> {
    let (n, columns) = matrix("rope", "x", x)?;
    let (rows, pairs) = matrix("rope", "cos", cos)?;
    same_shape("rope", ["cos", "sin"], cos, sin)?;
    dtype_is("rope", "cos", cos, DType::F32)?;
    dtype_is("rope", "sin", sin, DType::F32)?;
    if head_dim == 0 || columns % head_dim != 0 || pairs > head_dim / 2 || rows != n {
        let message = format!("x {:?}, cos {:?} and headDim {head_dim} do not fit", x.shape(), cos.shape());
        return Err(KernelError::shape("rope", message));
    }
    compute_dtype("rope", &[x])
}

/// Two inputs of one shape.
pub fn two<B>(op: &'static str, names: [&str; 2], a: &Tensor<B>, b: &Tensor<B>) -> Result<DType> {
    same_shape(op, names, a, b)?;
    compute_dtype(op, &[a, b])
}

pub fn gated<B>(op: &'static str, gate: &Tensor<B>, up: &Tensor<B>) -> Result<DType> {
    two(op, ["gate", "up"], gate, up)
}

pub fn gated_backward<B>(op: &'static str, [g, gate, up]: [&Tensor<B>; 3]) -> Result<DType> {
    same_shape(op, ["g", "gate"], g, gate)?;
    same_shape(op, ["gate", "up"], gate, up)?;
    compute_dtype(op, &[g, gate, up])
}
