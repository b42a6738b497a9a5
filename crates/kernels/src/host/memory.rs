use super::views::convert;
use super::Host;
use crate::backend::Memory;
use crate::blocks::{Codec, BLOCK};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::pool::Contents;
use crate::store::{extent, Slot};
use crate::with_dtype;

fn bytes_fit(op: &'static str, got: usize, wanted: usize) -> Result<()> {
    if got != wanted {
        return Err(KernelError::shape(op, format!("needs {wanted} bytes, got {got}")));
    }
    Ok(())
}

/// Bytes that `shape` takes in blocks of a codec.
fn block_bytes(op: &'static str, codec: Codec, shape: &[usize]) -> Result<usize> {
    let columns = shape.last().copied().unwrap_or(0);
    if shape.is_empty() || columns % BLOCK != 0 {
        let message = format!("the last axis must be a multiple of {BLOCK} for {}, got {shape:?}", codec.name());
        return Err(KernelError::shape(op, message));
    }
    let elements = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
    let bytes = elements.and_then(|count| (count / BLOCK).checked_mul(codec.size()));
    bytes.ok_or_else(|| KernelError::shape(op, format!("shape {shape:?} is too large")))
}

impl Memory for Host {
    fn alloc(&mut self, dtype: DType, shape: &[usize]) -> Result<Slot> {
        let x = self.store.output("alloc", dtype, shape, Contents::Zeros)?;
        self.keep("alloc", x)
    }

    fn upload(&mut self, dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Slot> {
        let op = "upload";
        bytes_fit(op, bytes.len(), extent(op, dtype, shape)?)?;
        let mut x = self.store.output(op, dtype, shape, Contents::Anything)?;
        x.bytes_mut().copy_from_slice(bytes);
        self.keep(op, x)
    }

    fn decode(&mut self, codec: Codec, shape: &[usize], bytes: &[u8]) -> Result<Slot> {
        let op = "decode";
        bytes_fit(op, bytes.len(), block_bytes(op, codec, shape)?)?;
        let mut x = self.unset::<f32>(op, shape)?;
        codec.decode(bytes, x.view_mut());
        self.keep(op, x)
    }

    fn write(&mut self, x: Slot, bytes: &[u8]) -> Result<()> {
        let x = self.get("write", x)?;
        let mut memory = x.bytes_mut();
        bytes_fit("write", bytes.len(), memory.len())?;
        memory.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, x: Slot, out: &mut [u8]) -> Result<()> {
        let x = self.get("read", x)?;
        let memory = x.bytes();
        bytes_fit("read", out.len(), memory.len())?;
        out.copy_from_slice(&memory);
        Ok(())
    }

    fn free(&mut self, x: Slot) -> Result<()> {
        self.store.free("free", x)
    }

    fn dtype(&self, x: Slot) -> Result<DType> {
        Ok(self.get("dtype", x)?.dtype())
    }

    fn shape(&self, x: Slot) -> Result<Vec<usize>> {
        Ok(self.get("shape", x)?.shape().to_vec())
    }

    fn reshape(&mut self, x: Slot, shape: &[usize]) -> Result<Slot> {
        let op = "reshape";
        let x = self.get(op, x)?;
        let elements = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        if elements != Some(x.len()) {
            return Err(KernelError::shape(
                op,
                format!("{:?} has another number of elements than {shape:?}", x.shape()),
            ));
        }
        self.store.share(op, &x, shape)
    }

    fn copy(&mut self, x: Slot) -> Result<Slot> {
        let x = self.get("copy", x)?;
        let mut y = self.store.output("copy", x.dtype(), x.shape(), Contents::Anything)?;
        y.bytes_mut().copy_from_slice(&x.bytes());
        self.keep("copy", y)
    }

    fn cast(&mut self, x: Slot, dtype: DType) -> Result<Slot> {
        let x = self.get("cast", x)?;
        let mut y = self.store.output("cast", dtype, x.shape(), Contents::Anything)?;
        with_dtype!(dtype, T => convert::<T>(&x, y.view_mut()));
        self.keep("cast", y)
    }

    fn live_tensors(&self) -> usize {
        self.store.live_tensors()
    }

    fn live_bytes(&self) -> usize {
        self.store.live_bytes()
    }
}
