//! Faults that tests ask for with TEMPER_FAULT, in builds with the feature `faults`; nothing in any other.

use std::sync::atomic::{AtomicBool, Ordering};

static WORKER: AtomicBool = AtomicBool::new(false);

/// What follows `kind:` in TEMPER_FAULT.
pub fn asked(kind: &str) -> Option<String> {
    if !cfg!(feature = "faults") {
        return None;
    }
    Some(std::env::var("TEMPER_FAULT").ok()?.strip_prefix(kind)?.strip_prefix(':')?.to_owned())
}

/// Whether the next job on a thread of the pool is to panic.
pub fn spoil_worker(armed: bool) {
    WORKER.store(armed, Ordering::Relaxed);
}

/// Called by every job of the pool.
pub(crate) fn in_job() {
    let armed = cfg!(feature = "faults") && WORKER.load(Ordering::Relaxed) && rayon::current_thread_index().is_some();
    assert!(!(armed && WORKER.swap(false, Ordering::Relaxed)), "fault asked for by TEMPER_FAULT, in a worker thread");
}

/// Whether `memory:<bytes>` leaves no room for this many live bytes.
pub(crate) fn no_room_for(bytes: usize) -> bool {
    asked("memory").and_then(|most| most.parse().ok()).is_some_and(|most: usize| bytes > most)
}
