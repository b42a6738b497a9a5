use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::views::{convert, reals};
use super::{check, Host};
use crate::backend::{Fill, Memory};
use crate::codec::{values_of, Codec, Values};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::pool::Contents;
use crate::store::{extent, Slot, Tensor};
use crate::with_dtype;

/// Quantises.
fn encode(codec: Codec, x: &Tensor, out: &mut [u8]) -> Result<()> {
    let mut encode = |values: &Values| codec.encode(values, x.extent(), out);
    let made = match x.dtype() {
        DType::Bf16 => encode(&halves(&x.view::<bf16>())),
        DType::F16 => encode(&halves(&x.view::<f16>())),
        _ => encode(&values_of(&reals::<f32>("cast", x)?)),
    };
    if !made {
        return Err(KernelError::dtype("cast", format!("{} is only read, never made", codec.name())));
    }
    Ok(())
}

fn halves<H>(values: &[H]) -> impl Fn(usize, &mut [f32]) + '_
where
    [H]: HalfFloatSliceExt,
{
    |start, out| values[start..][..out.len()].convert_to_f32_slice(out)
}

impl Memory for Host {
    fn alloc(&mut self, dtype: DType, shape: &[usize]) -> Result<Slot> {
        let x = self.store.output("alloc", dtype, shape, Contents::Zeros)?;
        self.keep("alloc", x)
    }

    fn upload(&mut self, dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Slot> {
        let op = "upload";
        check::bytes_fit(op, bytes.len(), extent(op, dtype, shape)?)?;
        let mut x = self.store.output(op, dtype, shape, Contents::Anything)?;
        x.bytes_mut().copy_from_slice(bytes);
        self.keep(op, x)
    }

    fn upload_from(&mut self, dtype: DType, shape: &[usize], bytes: usize, fill: &mut Fill) -> Result<Option<Slot>> {
        let op = "uploadFrom";
        check::bytes_fit(op, bytes, extent(op, dtype, shape)?)?;
        let mut x = self.store.output(op, dtype, shape, Contents::Anything)?;
        if !fill(x.bytes_mut()) {
            return Ok(None);
        }
        self.keep(op, x).map(Some)
    }

    fn write(&mut self, x: Slot, bytes: &[u8]) -> Result<()> {
        let x = self.get("write", x)?;
        let mut memory = x.bytes_mut();
        check::bytes_fit("write", bytes.len(), memory.len())?;
        memory.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, x: Slot, out: &mut [u8]) -> Result<()> {
        let x = self.get("read", x)?;
        let memory = x.bytes();
        check::bytes_fit("read", out.len(), memory.len())?;
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

    fn byte_length(&self, x: Slot) -> Result<usize> {
        let x = self.get("byteLength", x)?;
        let bytes = x.bytes().len();
        Ok(bytes)
    }

    fn reshape(&mut self, x: Slot, shape: &[usize]) -> Result<Slot> {
        let op = "reshape";
        let x = self.get(op, x)?;
        check::reshape(&x, shape)?;
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
        match (x.dtype(), dtype) {
            (DType::F32, DType::Bf16) => self.single.narrow(&x.view(), y.view_mut()),
            (DType::Bf16, DType::F32) => self.single.widen(&x.view(), y.view_mut()),
            _ => with_dtype!(dtype, T => convert::<T>(&x, y.view_mut()), codec => encode(codec, &x, y.bytes_mut())?),
        }
        self.keep("cast", y)
    }

    fn live_tensors(&self) -> usize {
        self.store.live_tensors()
    }

    fn live_bytes(&self) -> usize {
        self.store.live_bytes()
    }
}
