//! What the driver answered, as an error of the op that asked.

use cudarc::driver::sys::CUresult;
use kernels::error::{Code, KernelError, Result};

pub fn check(op: &'static str, doing: &str, answer: CUresult) -> Result<()> {
    match answer {
        CUresult::CUDA_SUCCESS => Ok(()),
        other => Err(KernelError::new(Code::DeviceFailed, op, format!("{doing}: {other:?}"))),
    }
}
