//! A device before it is opened: whether it, and the driver, are of an age that serves.

use std::ffi::CStr;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};
use kernels::error::{Code, KernelError, Result};

use crate::answer::check;
use crate::libraries::{missing_in_driver, present};

/// CUDA 12.0: the first whose driver loads what today's NVRTC makes.
const OLDEST_DRIVER: i32 = 12_000;
/// Compute capability 8.0 (Ampere), the first with bf16.
const OLDEST_DEVICE: i32 = 80;
const OP: &str = "openBackend";
/// Newer than the rest of what is called here.
const NEEDED: [&str; 5] =
    ["cuMemAllocAsync", "cuMemFreeAsync", "cuMemPoolTrimTo", "cuDeviceGetDefaultMemPool", "cuMemGetInfo_v2"];

pub struct Found {
    pub handle: sys::CUdevice,
    pub name: String,
    pub capability: i32,
    pub driver: i32,
    pub shared_memory: usize,
    pub total_memory: usize,
    /// Bytes that may be live at a time.
    pub cap: usize,
}

fn none(message: impl Into<String>) -> KernelError {
    KernelError::new(Code::NoBackend, OP, message)
}

fn attribute(handle: sys::CUdevice, attribute: Attribute) -> Result<i32> {
    let mut value = 0;
    // SAFETY: `value` outlives the call.
    check(OP, "cuDeviceGetAttribute", unsafe { sys::cuDeviceGetAttribute(&mut value, attribute, handle) })?;
    Ok(value)
}

/// The driver's version, where there is a driver of an age that serves.
fn driver_version() -> Result<i32> {
    if !present().driver {
        return Err(none("no NVIDIA driver: libcuda was not found"));
    }
    if let Some(name) = missing_in_driver(&NEEDED) {
        return Err(none(format!("the NVIDIA driver is too old: it has no {name}; CUDA 12.0 or later is needed")));
    }
    let mut version = 0;
    // SAFETY: `version` outlives the call.
    check(OP, "cuDriverGetVersion", unsafe { sys::cuDriverGetVersion(&mut version) })?;
    if version < OLDEST_DRIVER {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        return Err(none(format!("the NVIDIA driver is too old: it has CUDA {major}.{minor}, 12.0 is needed")));
    }
    Ok(version)
}

/// The device of an ordinal.
fn device_of(ordinal: i32) -> Result<sys::CUdevice> {
    // SAFETY: out parameters outlive the calls.
    unsafe {
        match sys::cuInit(0) {
            CUresult::CUDA_SUCCESS => {}
            CUresult::CUDA_ERROR_NO_DEVICE => return Err(none("the NVIDIA driver finds no device")),
            other => return Err(none(format!("the NVIDIA driver does not start: {other:?}"))),
        }
        let (mut count, mut handle) = (0, 0);
        check(OP, "cuDeviceGetCount", sys::cuDeviceGetCount(&mut count))?;
        if ordinal < 0 || ordinal >= count {
            return Err(none(format!("there is no device {ordinal}: the NVIDIA driver finds {count}")));
        }
        check(OP, "cuDeviceGet", sys::cuDeviceGet(&mut handle, ordinal))?;
        Ok(handle)
    }
}

fn name_of(handle: sys::CUdevice) -> Result<String> {
    let mut name = [0; 128];
    // SAFETY: the driver writes at most the bytes it is told of and ends them with 0.
    unsafe {
        check(OP, "cuDeviceGetName", sys::cuDeviceGetName(name.as_mut_ptr(), 127, handle))?;
        Ok(CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
    }
}

fn total_memory(handle: sys::CUdevice) -> Result<usize> {
    let mut bytes = 0;
    // SAFETY: `bytes` outlives the call.
    check(OP, "cuDeviceTotalMem", unsafe { sys::cuDeviceTotalMem_v2(&mut bytes, handle) })?;
    Ok(bytes)
}

/// TEMPER_CUDA_MEMORY, else all that the device has.
fn cap(total: usize) -> Result<usize> {
    let Some(value) = std::env::var_os("TEMPER_CUDA_MEMORY").filter(|value| !value.is_empty()) else {
        return Ok(total);
    };
    let bytes = value.to_str().and_then(|value| value.parse().ok());
    bytes.ok_or_else(|| KernelError::argument(OP, format!("TEMPER_CUDA_MEMORY must be bytes, got {value:?}")))
}

impl Found {
    pub fn look(ordinal: i32) -> Result<Found> {
        let driver = driver_version()?;
        let handle = device_of(ordinal)?;
        let name = name_of(handle)?;
        let major = attribute(handle, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(handle, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let capability = 10 * major + minor;
        if capability < OLDEST_DEVICE {
            return Err(none(format!("{name} is too old: compute capability {major}.{minor}, 8.0 is needed")));
        }
        if attribute(handle, Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)? == 0 {
            return Err(none(format!("{name} has no stream-ordered allocator")));
        }
        let shared = attribute(handle, Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let total_memory = total_memory(handle)?;
        let cap = cap(total_memory)?;
        let shared_memory = shared.max(0) as usize;
        Ok(Found { handle, name, capability, driver, shared_memory, total_memory, cap })
    }
}
