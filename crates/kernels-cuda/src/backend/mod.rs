//! The contract on a device, op by op. Arguments are checked by `kernels::check`, as on every backend that works on slots.
//! Ops compute in f32, narrower inputs are expanded first; large products round to bf16 or f16 where that is asked for.

mod adafactor;
mod attention;
mod codecs;
mod decompositions;
mod elementwise;
mod flash;
mod layers;
mod linear_int8;
mod losses;
mod memory;
mod optimizers;
mod random;
mod rotations;
mod rows;
mod tables;

use std::rc::Rc;

use kernels::backend::Backend;
use kernels::check;
use kernels::dtype::DType;
use kernels::error::{Code, KernelError, Result};
use kernels::store::{extent, Slot, Table, Tensor};

use crate::blas::{Blas, Operand};
use crate::compile::Compiler;
use crate::driver::Device;
use crate::launch::{arg, over, Kernels};
use crate::libraries::present;
use crate::memory::{Buffer, Memory};
use crate::sources::ELEMENTWISE;
use tables::Tables;

pub(crate) type Tensored = Tensor<Memory>;

/// What products may round both sides to: all of them to TF32, or the large ones to bf16 or f16.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    Tf32,
    Bf16,
    F16,
}

/// The 16 bits of large products and of attention.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Bf16,
    F16,
}

impl Half {
    fn of(precision: Precision) -> Option<Half> {
        match precision {
            Precision::F32 | Precision::Tf32 => None,
            Precision::Bf16 => Some(Half::Bf16),
            Precision::F16 => Some(Half::F16),
        }
    }

    fn operand(self) -> Operand {
        match self {
            Half::Bf16 => Operand::Bf16,
            Half::F16 => Operand::F16,
        }
    }
}

/// Which device, and what its products read.
#[derive(Clone, Copy)]
pub struct Options {
    pub ordinal: i32,
    pub precision: Precision,
}

pub struct Cuda {
    description: String,
    table: Table<Memory>,
    tables: Tables,
    blas: Blas,
    kernels: Kernels,
    device: Rc<Device>,
    half: Option<Half>,
}

impl Cuda {
    pub fn open(options: Options) -> Result<Cuda> {
        let op = "openBackend";
        let device = Rc::new(Device::open(options.ordinal)?);
        let missing = |name| {
            let message =
                format!("{name} was not found; install the CUDA toolkit or name its folder in TEMPER_CUDA_LIBRARIES");
            KernelError::new(Code::NoBackend, op, message)
        };
        if !present().nvrtc {
            return Err(missing("NVRTC (libnvrtc)"));
        }
        if !present().cublaslt {
            return Err(missing("cuBLASLt (libcublasLt)"));
        }
        let compiler = Compiler::new(op, device.capability)?;
        let blas = Blas::new(Rc::clone(&device), options.precision == Precision::Tf32, op)?;
        let description = describe(&device, &compiler, options.precision);
        let kernels = Kernels::new(Rc::clone(&device), compiler);
        Ok(Cuda {
            description,
            table: Table::default(),
            tables: Tables::default(),
            blas,
            kernels,
            device,
            half: Half::of(options.precision),
        })
    }
}

/// Device, driver, compiler and where compiled kernels are kept.
fn describe(device: &Device, compiler: &Compiler, precision: Precision) -> String {
    let Device { name, capability, driver, total_memory, ordinal, .. } = device;
    let (major, minor) = compiler.version;
    let cache =
        compiler.cache.as_ref().map_or("no kernel cache".into(), |path| format!("kernels in {}", path.display()));
    format!(
        "{name} (device {ordinal}, {}.{}, {:.1} GB), driver {}.{}, NVRTC {major}.{minor} for {}, {cache}{}",
        capability / 10,
        capability % 10,
        *total_memory as f64 / 1e9,
        driver / 1000,
        driver % 1000 / 10,
        compiler.target,
        match precision {
            Precision::F32 => "",
            Precision::Tf32 => ", products in TF32",
            Precision::Bf16 => ", products in bf16",
            Precision::F16 => ", products in f16",
        }
    )
}

impl Backend for Cuda {
    fn name(&self) -> &str {
        "cuda"
    }

    fn description(&self) -> &str {
        &self.description
    }
}

/// The number of a dtype in cu/common.cuh.
pub(crate) fn kind(op: &'static str, dtype: DType) -> Result<u64> {
    let number = match dtype {
        DType::F32 => 0,
        DType::Bf16 => 1,
        DType::F16 => 2,
        DType::F64 => 3,
        DType::I32 => 4,
        DType::I8 => 5,
        DType::U8 => 6,
        DType::Coded(codec) => {
            return Err(KernelError::dtype(op, format!("a weight in {} has no single elements", codec.name())))
        }
    };
    Ok(number)
}

/// Memory that an op fills and then keeps as a tensor.
pub(crate) struct Output {
    dtype: DType,
    shape: Vec<usize>,
    buffer: Buffer,
}

impl Output {
    pub fn at(&self) -> u64 {
        self.buffer.at()
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A tensor's numbers as f32.
pub(crate) enum Reals {
    Own(Tensored),
    Expanded(Buffer),
}

impl Reals {
    pub fn at(&self) -> u64 {
        match self {
            Reals::Own(x) => x.storage().buffer.at(),
            Reals::Expanded(buffer) => buffer.at(),
        }
    }
}

/// The CUDA backend has no f64 arithmetic.
pub(crate) fn single(op: &'static str, dtype: DType) -> Result<()> {
    if dtype == DType::F64 {
        return Err(KernelError::dtype(op, "an input is f64; the cuda backend computes in f32, reference in both"));
    }
    Ok(())
}

impl Cuda {
    pub(crate) fn get(&self, op: &'static str, slot: Slot) -> Result<Tensored> {
        self.table.get(op, slot)
    }

    pub(crate) fn get_all(&self, op: &'static str, slots: &[Slot]) -> Result<Vec<Tensored>> {
        slots.iter().map(|&slot| self.table.get(op, slot)).collect()
    }

    /// Holds anything.
    pub(crate) fn output(&self, op: &'static str, dtype: DType, shape: &[usize]) -> Result<Output> {
        let bytes = extent(op, dtype, shape)?;
        let buffer = Buffer::new(&self.device, op, &format!("{} {shape:?}", dtype.name()), bytes)?;
        Ok(Output { dtype, shape: shape.to_vec(), buffer })
    }

    pub(crate) fn unset(&self, op: &'static str, shape: &[usize]) -> Result<Output> {
        self.output(op, DType::F32, shape)
    }

    pub(crate) fn zeros(&self, op: &'static str, shape: &[usize]) -> Result<Output> {
        let output = self.unset(op, shape)?;
        output.buffer.zero(op)?;
        Ok(output)
    }

    pub(crate) fn keep(&mut self, op: &'static str, output: Output) -> Result<Slot> {
        self.table.keep(op, output.dtype, output.shape, Memory::new(output.buffer))
    }

    /// All outputs or none: an error frees those kept before it.
    pub(crate) fn keep_all(&mut self, op: &'static str, outputs: Vec<Output>) -> Result<Vec<Slot>> {
        let mut slots = Vec::with_capacity(outputs.len());
        for output in outputs {
            match self.keep(op, output) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    slots.into_iter().try_for_each(|slot| self.table.free(op, slot).map(drop))?;
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    pub(crate) fn keep_array<const N: usize>(&mut self, op: &'static str, outputs: [Output; N]) -> Result<[Slot; N]> {
        let slots = self.keep_all(op, outputs.into())?;
        slots.try_into().map_err(|_| KernelError::argument(op, "outputs were lost"))
    }

    pub(crate) fn scratch(&self, op: &'static str, bytes: usize) -> Result<Buffer> {
        Buffer::new(&self.device, op, "what it needs on the way", bytes)
    }

    /// Numbers of this process on the device.
    pub(crate) fn sent<T: bytemuck::Pod>(&self, op: &'static str, values: &[T]) -> Result<Buffer> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let buffer = self.scratch(op, bytes.len())?;
        buffer.write(op, bytes)?;
        Ok(buffer)
    }

    /// As f32: the tensor itself where it is that, else expanded.
    pub(crate) fn reals(&self, op: &'static str, x: &Tensored) -> Result<Reals> {
        if x.dtype() == DType::F32 {
            return Ok(Reals::Own(x.clone()));
        }
        let buffer = self.scratch(op, 4 * x.len())?;
        self.convert(op, x, buffer.at(), DType::F32)?;
        Ok(Reals::Expanded(buffer))
    }

    /// All elements in another dtype; a codec is expanded.
    pub(crate) fn convert(&self, op: &'static str, x: &Tensored, to: u64, dtype: DType) -> Result<()> {
        if let DType::Coded(codec) = x.dtype() {
            return self.expand(op, codec, x, None, to, dtype, x.len());
        }
        self.convert_from(op, x.storage().buffer.at(), x.dtype(), to, dtype, x.len())
    }

    pub(crate) fn convert_from(
        &self,
        op: &'static str,
        from: u64,
        source: DType,
        to: u64,
        dtype: DType,
        n: usize,
    ) -> Result<()> {
        let mut arguments = [from, kind(op, source)?, to, kind(op, dtype)?, arg::size(n)];
        self.kernels.launch(op, &ELEMENTWISE, "cast", over(n), &mut arguments)
    }

    /// What an i32 tensor holds: known here where it came from here, else read.
    pub(crate) fn integers(&self, op: &'static str, what: &str, x: &Tensored) -> Result<Rc<[i32]>> {
        check::integers(op, what, x)?;
        let memory = x.storage();
        if let Some(values) = memory.integers() {
            return Ok(values);
        }
        let mut values = vec![0i32; x.len()];
        memory.buffer.read(op, bytemuck::cast_slice_mut(&mut values))?;
        let values: Rc<[i32]> = values.into();
        memory.set_integers(Some(Rc::clone(&values)));
        Ok(values)
    }
}

/// The address of a tensor's memory, as an argument of a kernel.
pub(crate) fn at(x: &Tensored) -> u64 {
    x.storage().buffer.at()
}
