//! Compiling without a device: for the table of registers and for a check of all sources.

use cudarc::nvrtc::sys;
use kernels::error::{Code, KernelError, Result};

use crate::compile::Compiler;
use crate::libraries::present;
use crate::sources::ALL;

const OP: &str = "compile";

/// Architectures that the NVRTC of this machine knows, as 90 for sm_90.
pub fn architectures() -> Result<Vec<i32>> {
    if !present().nvrtc {
        return Err(KernelError::new(Code::NoBackend, OP, "NVRTC (libnvrtc) was not found"));
    }
    crate::compile::architectures(OP)
}

/// Name and image of every source, for "sm_90" (machine code) or "compute_90" (PTX).
pub fn images(target: &str) -> Result<Vec<(&'static str, Vec<u8>)>> {
    architectures()?;
    let compiler = Compiler { version: version()?, target: target.to_owned(), cache: None };
    ALL.iter().map(|source| Ok((source.name, compiler.image(OP, source)?))).collect()
}

pub fn version() -> Result<(i32, i32)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both outlive the call, and NVRTC is present.
    crate::compile::check(OP, "has no version", unsafe { sys::nvrtcVersion(&mut major, &mut minor) })?;
    Ok((major, minor))
}
