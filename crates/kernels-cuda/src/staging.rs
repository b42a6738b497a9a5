//! Pinned memory between this process and the device. A buffer is free again when the device has passed the event behind
//! its copy; together they never exceed `MOST`.

use std::collections::VecDeque;
use std::ffi::c_void;

use cudarc::driver::sys::{self, CUresult};
use kernels::backend::Fill;
use kernels::error::Result;

use crate::answer::check;

/// Bytes that one copy takes.
const PIECE: usize = 8 << 20;
const SMALLEST: usize = 64 << 10;
const MOST: usize = 64 << 20;

struct Pinned {
    memory: *mut c_void,
    bytes: usize,
}

#[derive(Default)]
pub struct Staging {
    free: Vec<Pinned>,
    busy: VecDeque<(sys::CUevent, Pinned)>,
    bytes: usize,
}

impl Staging {
    pub fn upload(&mut self, op: &'static str, stream: sys::CUstream, to: u64, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        let mut next = |out: &mut [u8]| {
            let (piece, after) = rest.split_at(out.len());
            out.copy_from_slice(piece);
            rest = after;
            true
        };
        self.upload_from(op, stream, to, bytes.len(), &mut next).map(drop)
    }

    /// What `fill` writes, piece after piece; false where it gives up.
    pub fn upload_from(
        &mut self,
        op: &'static str,
        stream: sys::CUstream,
        to: u64,
        bytes: usize,
        fill: &mut Fill,
    ) -> Result<bool> {
        for start in (0..bytes).step_by(PIECE) {
            let length = PIECE.min(bytes - start);
            let pinned = self.take(op, length)?;
            // SAFETY: the buffer has as many bytes, each of them written once (`take`), and is not used by the device.
            if !fill(unsafe { std::slice::from_raw_parts_mut(pinned.memory.cast(), length) }) {
                self.free.push(pinned);
                return Ok(false);
            }
            // SAFETY: the range at `to` is the caller's.
            let answer = unsafe { sys::cuMemcpyHtoDAsync_v2(to + start as u64, pinned.memory, length, stream) };
            self.queue(op, stream, pinned)?;
            check(op, "cuMemcpyHtoDAsync", answer)?;
        }
        Ok(true)
    }

    pub fn download(&mut self, op: &'static str, stream: sys::CUstream, from: u64, out: &mut [u8]) -> Result<()> {
        for (i, piece) in out.chunks_mut(PIECE).enumerate() {
            let pinned = self.take(op, piece.len())?;
            // SAFETY: the buffer holds the piece; the device has written it when the stream is at its end.
            let answer = unsafe {
                let copied = sys::cuMemcpyDtoHAsync_v2(pinned.memory, from + (i * PIECE) as u64, piece.len(), stream);
                let waited = sys::cuStreamSynchronize(stream);
                let whole = copied == CUresult::CUDA_SUCCESS && waited == CUresult::CUDA_SUCCESS;
                if whole {
                    std::ptr::copy_nonoverlapping(pinned.memory.cast(), piece.as_mut_ptr(), piece.len());
                }
                if copied == CUresult::CUDA_SUCCESS {
                    waited
                } else {
                    copied
                }
            };
            self.free.push(pinned);
            check(op, "cuMemcpyDtoHAsync", answer)?;
        }
        Ok(())
    }

    /// The buffer is free when the device has come here.
    fn queue(&mut self, op: &'static str, stream: sys::CUstream, pinned: Pinned) -> Result<()> {
        let mut event = std::ptr::null_mut();
        // SAFETY: `event` outlives the call. 2: without times.
        let answer = unsafe {
            match sys::cuEventCreate(&mut event, 2) {
                CUresult::CUDA_SUCCESS => sys::cuEventRecord(event, stream),
                other => other,
            }
        };
        if !event.is_null() && answer == CUresult::CUDA_SUCCESS {
            self.busy.push_back((event, pinned));
            return Ok(());
        }
        // SAFETY: without an event only the end of the stream tells that the copy is over.
        unsafe {
            let _ = sys::cuStreamSynchronize(stream);
            if !event.is_null() {
                let _ = sys::cuEventDestroy_v2(event);
            }
        }
        self.free.push(pinned);
        check(op, "cuEventRecord", answer)
    }

    fn take(&mut self, op: &'static str, bytes: usize) -> Result<Pinned> {
        let bytes = bytes.max(SMALLEST).next_power_of_two();
        self.collect(false);
        while self.bytes + bytes > MOST && self.fitting(bytes).is_none() && !self.busy.is_empty() {
            self.collect(true);
        }
        if let Some(at) = self.fitting(bytes) {
            return Ok(self.free.swap_remove(at));
        }
        let mut memory = std::ptr::null_mut();
        // SAFETY: `memory` outlives the call.
        check(op, "cuMemHostAlloc", unsafe { sys::cuMemHostAlloc(&mut memory, bytes, 0) })?;
        // SAFETY: the memory is as long and nobody else's; what lies in it may be uninitialised and is read as bytes later.
        unsafe { std::ptr::write_bytes(memory.cast::<u8>(), 0, bytes) };
        self.bytes += bytes;
        Ok(Pinned { memory, bytes })
    }

    fn fitting(&self, bytes: usize) -> Option<usize> {
        self.free.iter().position(|pinned| pinned.bytes >= bytes)
    }

    /// Frees buffers whose copies are over; `wait`s for the oldest where none is.
    fn collect(&mut self, wait: bool) {
        let mut wait = wait;
        while let Some((event, _)) = self.busy.front() {
            // SAFETY: the event was recorded.
            let answer = unsafe {
                if wait {
                    sys::cuEventSynchronize(*event)
                } else {
                    sys::cuEventQuery(*event)
                }
            };
            if answer == CUresult::CUDA_ERROR_NOT_READY {
                return;
            }
            wait = false;
            if let Some((event, pinned)) = self.busy.pop_front() {
                // SAFETY: nothing waits for it any more.
                let _ = unsafe { sys::cuEventDestroy_v2(event) };
                self.free.push(pinned);
            }
        }
    }

    /// After the end of the stream.
    pub fn clear(&mut self) {
        for (event, pinned) in self.busy.drain(..) {
            // SAFETY: the stream is at its end.
            let _ = unsafe { sys::cuEventDestroy_v2(event) };
            self.free.push(pinned);
        }
        for pinned in self.free.drain(..) {
            // SAFETY: no copy uses it.
            let _ = unsafe { sys::cuMemFreeHost(pinned.memory) };
        }
    }
}
