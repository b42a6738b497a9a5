//! Memory that is wanted soon. The CPU foresees a long walk by itself, not where the next of many short rows begins.

/// Slots of four bytes in a cache line.
pub const SLOTS: usize = 16;

/// Whether asking does anything.
pub const PREFETCHES: bool = cfg!(target_arch = "x86_64");

/// Asks for the cache line of an address, whatever lies there, without waiting for it.
#[inline(always)]
pub fn prefetch_at<E>(p: *const E) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        // SAFETY: a prefetch reads nothing that a program sees and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}
