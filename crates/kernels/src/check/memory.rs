use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::store::Tensor;

pub fn bytes_fit(op: &'static str, got: usize, wanted: usize) -> Result<()> {
    if got != wanted {
        return Err(KernelError::shape(op, format!("needs {wanted} bytes, got {got}")));
    }
    Ok(())
}

pub fn reshape<B>(x: &Tensor<B>, shape: &[usize]) -> Result<()> {
    let op = "reshape";
    if matches!(x.dtype(), DType::Coded(_)) && x.shape() != shape {
        let message = format!("{} keeps its shape: its blocks follow the rows", x.describe());
        return Err(KernelError::dtype(op, message));
    }
    let elements = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
    if elements != Some(x.len()) {
        let message = format!("{:?} has another number of elements than {shape:?}", x.shape());
        return Err(KernelError::shape(op, message));
    }
    Ok(())
}
