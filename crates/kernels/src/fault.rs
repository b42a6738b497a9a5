//! Faults that tests ask for with TEMPER_FAULT, in builds with the feature `faults`; nothing in any other.

use std::sync::atomic::{AtomicBool, Ordering};

static WORKER: AtomicBool = AtomicBool::new(false);

/// TEMPER_FAULT: `kind:what`.
pub fn request() -> Option<String> {
    if !cfg!(feature = "faults") {
        return None;
    }
    std::env::var("TEMPER_FAULT").ok()
}

/// What follows `kind:` in TEMPER_FAULT.
pub fn asked(kind: &str) -> Option<String> {
    Some(request()?.strip_prefix(kind)?.strip_prefix(':')?.to_owned())
}

/// Whether the next job on a thread of the pool is to panic.
pub fn spoil_worker(armed: bool) {
    WORKER.store(armed, Ordering::Relaxed);
}

/// Called by every job of the pool.
pub(crate) fn in_job(worker: bool) {
    let armed = cfg!(feature = "faults") && worker && WORKER.load(Ordering::Relaxed);
    assert!(!(armed && WORKER.swap(false, Ordering::Relaxed)), "fault asked for by TEMPER_FAULT, in a worker thread");
}

/// Waits, where a worker is to panic, until one did: the caller could be quicker than all of them.
pub(crate) fn leave_to_worker() {
    while cfg!(feature = "faults") && WORKER.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
}

/// Whether `memory:<bytes>` leaves no room for this many live bytes.
pub(crate) fn no_room_for(bytes: usize) -> bool {
    asked("memory").and_then(|most| most.parse().ok()).is_some_and(|most: usize| bytes > most)
}
