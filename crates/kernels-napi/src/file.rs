//! Bytes of a file that Node has open, read with pread: a mapped file that another process cuts short would be a SIGBUS.

use kernels::error::{KernelError, Result};
use kernels::glue::extent;
use napi_derive::napi;

/// Descriptor of a file and a range in it.
#[napi(object)]
pub struct FileRange {
    pub fd: f64,
    pub offset: f64,
    pub length: f64,
}

/// How many bytes, and what reads them one piece after the other: false where the file ends before or cannot be read.
pub fn reader(op: &'static str, range: &FileRange) -> Result<(usize, impl FnMut(&mut [u8]) -> bool)> {
    let length = extent(op, "length", range.length)?;
    let mut at = extent(op, "offset", range.offset)? as u64;
    let fd = i32::try_from(extent(op, "fd", range.fd)?)
        .map_err(|_| KernelError::argument(op, format!("fd {} is too large", range.fd)))?;
    let fill = move |bytes: &mut [u8]| {
        let whole = read_exact_at(fd, bytes, at);
        at += bytes.len() as u64;
        whole
    };
    Ok((length, fill))
}

#[cfg(unix)]
fn read_exact_at(fd: i32, bytes: &mut [u8], at: u64) -> bool {
    use std::os::{fd::FromRawFd, unix::fs::FileExt};
    // SAFETY: not negative, and never closed here; a descriptor that is closed is an error of pread.
    let file = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(fd) });
    file.read_exact_at(bytes, at).is_ok()
}

/// A descriptor of Node's C library means nothing to another one.
#[cfg(not(unix))]
fn read_exact_at(_fd: i32, _bytes: &mut [u8], _at: u64) -> bool {
    false
}
