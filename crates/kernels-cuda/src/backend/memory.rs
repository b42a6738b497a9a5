use kernels::backend::{Fill, Memory as Contract};
use kernels::check;
use kernels::codec::{values_of, Codec};
use kernels::dtype::DType;
use kernels::error::{KernelError, Result};
use kernels::store::{extent, Slot};

use super::{Cuda, Output, Tensored};

/// Integers are remembered, so that ops which look at them do not wait for the device.
fn integers_of(dtype: DType, bytes: &[u8]) -> Option<std::rc::Rc<[i32]>> {
    (dtype == DType::I32).then(|| bytemuck::pod_collect_to_vec(bytes).into())
}

impl Cuda {
    /// Quantises in this process: it happens once a weight, when a model is loaded, and there is one encoder for all
    /// machines.
    fn encode(&self, x: &Tensored, codec: Codec, y: &Output) -> Result<()> {
        let op = "cast";
        let numbers = self.reals(op, x)?;
        let mut values = vec![0f32; x.len()];
        self.device.download(op, numbers.at(), bytemuck::cast_slice_mut(&mut values))?;
        let mut bytes = vec![0u8; y.buffer.bytes()];
        if !codec.encode(&values_of(&values), x.extent(), &mut bytes) {
            return Err(KernelError::dtype(op, format!("{} is only read, never made", codec.name())));
        }
        y.buffer.write(op, &bytes)
    }
}

impl Contract for Cuda {
    fn alloc(&mut self, dtype: DType, shape: &[usize]) -> Result<Slot> {
        let output = self.output("alloc", dtype, shape)?;
        output.buffer.zero("alloc")?;
        self.keep("alloc", output)
    }

    fn upload(&mut self, dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Slot> {
        let op = "upload";
        check::bytes_fit(op, bytes.len(), extent(op, dtype, shape)?)?;
        let output = self.output(op, dtype, shape)?;
        output.buffer.write(op, bytes)?;
        let slot = self.keep(op, output)?;
        self.get(op, slot)?.storage().set_integers(integers_of(dtype, bytes));
        Ok(slot)
    }

    /// Integers are not remembered: what lies in files are weights.
    fn upload_from(&mut self, dtype: DType, shape: &[usize], bytes: usize, fill: &mut Fill) -> Result<Option<Slot>> {
        let op = "uploadFrom";
        check::bytes_fit(op, bytes, extent(op, dtype, shape)?)?;
        let output = self.output(op, dtype, shape)?;
        if !output.buffer.fill(op, fill)? {
            return Ok(None);
        }
        self.keep(op, output).map(Some)
    }

    fn write(&mut self, x: Slot, bytes: &[u8]) -> Result<()> {
        let x = self.get("write", x)?;
        let memory = x.storage();
        check::bytes_fit("write", bytes.len(), memory.buffer.bytes())?;
        memory.buffer.write("write", bytes)?;
        memory.set_integers(integers_of(x.dtype(), bytes));
        Ok(())
    }

    fn read(&mut self, x: Slot, out: &mut [u8]) -> Result<()> {
        let x = self.get("read", x)?;
        let memory = x.storage();
        check::bytes_fit("read", out.len(), memory.buffer.bytes())?;
        memory.buffer.read("read", out)
    }

    fn free(&mut self, x: Slot) -> Result<()> {
        self.table.free("free", x).map(drop)
    }

    fn dtype(&self, x: Slot) -> Result<DType> {
        Ok(self.get("dtype", x)?.dtype())
    }

    fn shape(&self, x: Slot) -> Result<Vec<usize>> {
        Ok(self.get("shape", x)?.shape().to_vec())
    }

    fn byte_length(&self, x: Slot) -> Result<usize> {
        Ok(self.get("byteLength", x)?.storage().buffer.bytes())
    }

    fn reshape(&mut self, x: Slot, shape: &[usize]) -> Result<Slot> {
        let x = self.get("reshape", x)?;
        check::reshape(&x, shape)?;
        self.table.share("reshape", &x, shape)
    }

    fn copy(&mut self, x: Slot) -> Result<Slot> {
        let op = "copy";
        let x = self.get(op, x)?;
        let y = self.output(op, x.dtype(), x.shape())?;
        y.buffer.copy_from(op, &x.storage().buffer)?;
        let slot = self.keep(op, y)?;
        self.get(op, slot)?.storage().set_integers(x.storage().integers());
        Ok(slot)
    }

    fn cast(&mut self, x: Slot, dtype: DType) -> Result<Slot> {
        let op = "cast";
        let x = self.get(op, x)?;
        let y = self.output(op, dtype, x.shape())?;
        match dtype {
            _ if x.dtype() == dtype => y.buffer.copy_from(op, &x.storage().buffer)?,
            DType::Coded(codec) => self.encode(&x, codec, &y)?,
            _ => self.convert(op, &x, y.at(), dtype)?,
        }
        self.keep(op, y)
    }

    fn live_tensors(&self) -> usize {
        self.table.live_tensors()
    }

    fn live_bytes(&self) -> usize {
        self.table.live_bytes()
    }

    fn available_bytes(&self) -> Result<Option<usize>> {
        self.device.available("availableBytes").map(Some)
    }
}
