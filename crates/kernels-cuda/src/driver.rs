//! A device, its context and one stream: the calls of the driver that this crate needs, safe for its other modules.
//! Nothing is global but the loaded libraries; two devices, or one opened twice, know nothing of each other.

use std::cell::{Cell, RefCell};
use std::ffi::{c_void, CString};

use cudarc::driver::sys::{self, CUresult};
use kernels::backend::Fill;
use kernels::error::{KernelError, Result};

use crate::answer::check;
use crate::found::Found;
use crate::staging::Staging;

const OP: &str = "openBackend";

pub struct Device {
    pub ordinal: i32,
    pub name: String,
    /// Compute capability, 90 for 9.0.
    pub capability: i32,
    /// CUDA version of the driver, 13000 for 13.0.
    pub driver: i32,
    pub total_memory: usize,
    /// Bytes of shared memory that a block may ask for.
    pub shared_memory: usize,
    handle: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    pool: sys::CUmemoryPool,
    /// Bytes that may be live at a time.
    cap: usize,
    live: Cell<usize>,
    staging: RefCell<Staging>,
}

impl Device {
    pub fn open(ordinal: i32) -> Result<Device> {
        let Found { handle, name, capability, driver, shared_memory, total_memory, cap } = Found::look(ordinal)?;
        let mut device = Device {
            ordinal,
            name,
            capability,
            driver,
            total_memory,
            shared_memory,
            handle,
            context: std::ptr::null_mut(),
            stream: std::ptr::null_mut(),
            pool: std::ptr::null_mut(),
            cap,
            live: Cell::new(0),
            staging: RefCell::default(),
        };
        device.start()?;
        Ok(device)
    }

    /// What `drop` undoes, as far as it came.
    fn start(&mut self) -> Result<()> {
        // SAFETY: out parameters outlive the calls; the context is current when the stream is made in it.
        unsafe {
            check(OP, "cuDevicePrimaryCtxRetain", sys::cuDevicePrimaryCtxRetain(&mut self.context, self.handle))?;
            check(OP, "cuCtxSetCurrent", sys::cuCtxSetCurrent(self.context))?;
            // 1: does not wait for the default stream.
            check(OP, "cuStreamCreate", sys::cuStreamCreate(&mut self.stream, 1))?;
            check(OP, "cuDeviceGetDefaultMemPool", sys::cuDeviceGetDefaultMemPool(&mut self.pool, self.handle))?;
            // Freed memory waits in the pool for the next step.
            let mut keep = u64::MAX;
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            let keep = (&raw mut keep).cast::<c_void>();
            check(OP, "cuMemPoolSetAttribute", sys::cuMemPoolSetAttribute(self.pool, attribute, keep))
        }
    }

    /// The context is per thread in the driver; a backend may be used from another one than the last.
    fn enter(&self, op: &'static str) -> Result<()> {
        // SAFETY: the context lives as long as the device.
        check(op, "cuCtxSetCurrent", unsafe { sys::cuCtxSetCurrent(self.context) })
    }

    pub fn stream(&self) -> sys::CUstream {
        self.stream
    }

    /// Address of at least `bytes`, in the order of the stream.
    pub fn allocate(&self, op: &'static str, what: &str, bytes: usize) -> Result<u64> {
        self.enter(op)?;
        if bytes > self.cap.saturating_sub(self.live.get()) {
            let free = self.cap.saturating_sub(self.live.get());
            return Err(self.no_memory(op, what, bytes, free));
        }
        let mut address = 0;
        // SAFETY: `address` outlives the calls.
        let mut answer = unsafe { sys::cuMemAllocAsync(&mut address, bytes.max(1), self.stream) };
        if answer == CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            self.synchronize(op)?;
            // SAFETY: the pool is the device's own; what waits in it is given back before the second try.
            answer = unsafe {
                check(op, "cuMemPoolTrimTo", sys::cuMemPoolTrimTo(self.pool, 0))?;
                sys::cuMemAllocAsync(&mut address, bytes.max(1), self.stream)
            };
        }
        match answer {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Err(self.no_memory(op, what, bytes, self.free_memory(op)?)),
            other => {
                check(op, "cuMemAllocAsync", other)?;
                self.live.set(self.live.get() + bytes);
                Ok(address)
            }
        }
    }

    /// What is neither used by anybody nor beyond the cap. The pool keeps what was given back to it.
    pub fn available(&self, op: &'static str) -> Result<usize> {
        self.enter(op)?;
        self.synchronize(op)?;
        // SAFETY: the pool is the device's own.
        check(op, "cuMemPoolTrimTo", unsafe { sys::cuMemPoolTrimTo(self.pool, 0) })?;
        Ok(self.free_memory(op)?.min(self.cap.saturating_sub(self.live.get())))
    }

    fn free_memory(&self, op: &'static str) -> Result<usize> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: both outlive the call.
        check(op, "cuMemGetInfo", unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) })?;
        Ok(free)
    }

    fn no_memory(&self, op: &'static str, what: &str, bytes: usize, free: usize) -> KernelError {
        let message = format!(
            "no memory on {} for {what}, {bytes} bytes: {free} of {} are free, {} are live",
            self.name,
            self.cap.min(self.total_memory),
            self.live.get()
        );
        KernelError::memory(op, message)
    }

    /// What `allocate` gave, with its bytes. A device that is lost has freed it already.
    pub fn release(&self, address: u64, bytes: usize) {
        self.live.set(self.live.get() - bytes);
        // SAFETY: the address came from `allocate` and is not used afterwards but by work queued before.
        unsafe {
            let _ = sys::cuCtxSetCurrent(self.context);
            let _ = sys::cuMemFreeAsync(address, self.stream);
        }
    }

    pub fn synchronize(&self, op: &'static str) -> Result<()> {
        self.enter(op)?;
        // SAFETY: the stream lives as long as the device.
        check(op, "cuStreamSynchronize", unsafe { sys::cuStreamSynchronize(self.stream) })
    }

    /// Copies through pinned memory and does not wait; `bytes` may change when this returns.
    pub fn upload(&self, op: &'static str, to: u64, bytes: &[u8]) -> Result<()> {
        self.enter(op)?;
        self.staging.borrow_mut().upload(op, self.stream, to, bytes)
    }

    /// As `upload`, of what `fill` writes into the pinned memory; false where it gives up.
    pub fn upload_from(&self, op: &'static str, to: u64, bytes: usize, fill: &mut Fill) -> Result<bool> {
        self.enter(op)?;
        self.staging.borrow_mut().upload_from(op, self.stream, to, bytes, fill)
    }

    /// Waits for the stream.
    pub fn download(&self, op: &'static str, from: u64, out: &mut [u8]) -> Result<()> {
        self.enter(op)?;
        self.staging.borrow_mut().download(op, self.stream, from, out)
    }

    pub fn copy(&self, op: &'static str, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.enter(op)?;
        // SAFETY: callers own both ranges (`Buffer`).
        check(op, "cuMemcpyDtoDAsync", unsafe { sys::cuMemcpyDtoDAsync_v2(to, from, bytes, self.stream) })
    }

    pub fn zero(&self, op: &'static str, at: u64, bytes: usize) -> Result<()> {
        self.enter(op)?;
        // SAFETY: callers own the range (`Buffer`).
        check(op, "cuMemsetD8Async", unsafe { sys::cuMemsetD8Async(at, 0, bytes, self.stream) })
    }

    pub fn load(&self, op: &'static str, image: &[u8]) -> Result<Module> {
        self.enter(op)?;
        let mut module = std::ptr::null_mut();
        // SAFETY: the image is whole (`compile`), and PTX ends with 0.
        check(op, "cuModuleLoadData", unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) })?;
        Ok(Module(module))
    }

    pub fn function(&self, op: &'static str, module: &Module, name: &str) -> Result<Function> {
        let name = CString::new(name).map_err(|_| KernelError::argument(op, "a name with a 0"))?;
        let mut function = std::ptr::null_mut();
        // SAFETY: the module is loaded, and the name ends with 0.
        let answer = unsafe { sys::cuModuleGetFunction(&mut function, module.0, name.as_ptr()) };
        check(op, "cuModuleGetFunction", answer)?;
        Ok(Function(function))
    }

    /// Queues a kernel. The arguments are those of its declaration: `Kernels::launch` is the only caller.
    pub fn launch(&self, op: &'static str, f: Function, shape: Shape, arguments: &mut [u64]) -> Result<()> {
        self.enter(op)?;
        let mut pointers: Vec<*mut c_void> = arguments.iter_mut().map(|a| std::ptr::from_mut(a).cast()).collect();
        let Shape { grid: [x, y, z], block, shared } = shape;
        // SAFETY: each pointer is to eight bytes, as wide as any parameter of a kernel of this crate.
        unsafe {
            if shared > 48 << 10 {
                let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                check(op, "cuFuncSetAttribute", sys::cuFuncSetAttribute(f.0, attribute, shared as i32))?;
            }
            let (pointers, none) = (pointers.as_mut_ptr(), std::ptr::null_mut());
            let answer = sys::cuLaunchKernel(f.0, x, y, z, block, 1, 1, shared, self.stream, pointers, none);
            check(op, "cuLaunchKernel", answer)
        }
    }

    pub fn unload(&self, module: &Module) {
        // SAFETY: nothing of the module is used afterwards.
        unsafe {
            let _ = sys::cuCtxSetCurrent(self.context);
            let _ = sys::cuModuleUnload(module.0);
        }
    }
}

impl Drop for Device {
    /// A device that is lost refuses; there is nothing left to free then.
    fn drop(&mut self) {
        // SAFETY: all memory and modules of the device have been given back: they keep it alive.
        unsafe {
            if !self.stream.is_null() {
                let _ = sys::cuCtxSetCurrent(self.context);
                let _ = sys::cuStreamSynchronize(self.stream);
                self.staging.get_mut().clear();
                let _ = sys::cuStreamDestroy_v2(self.stream);
            }
            if !self.context.is_null() {
                let _ = sys::cuDevicePrimaryCtxRelease_v2(self.handle);
            }
        }
    }
}

pub struct Module(sys::CUmodule);

#[derive(Clone, Copy)]
pub struct Function(sys::CUfunction);

/// Blocks of a grid, threads of a block, bytes of shared memory that are asked for at the launch.
#[derive(Clone, Copy)]
pub struct Shape {
    pub grid: [u32; 3],
    pub block: u32,
    pub shared: u32,
}
