//! A borrowed function for threads that outlive the borrow: they may call it until the lender takes it back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

type Job<'a> = dyn Fn() + Sync + 'a;

/// Set in `users` once the lender waits for the callers inside to leave; nobody enters any more.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// What threads hold of a lent function.
#[derive(Clone)]
pub struct Lent {
    job: *const Job<'static>,
    /// Callers inside, and `CLOSED`.
    users: Arc<AtomicUsize>,
}

// SAFETY: the function is Sync, and `call` alone dereferences the pointer.
unsafe impl Send for Lent {}

/// Leaves when dropped, so that a panic inside does not keep the lender waiting.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Lent {
    /// Calls the function unless it was taken back.
    pub fn call(&self) {
        let before = self.users.fetch_add(1, Ordering::Acquire);
        let _inside = Inside(&self.users);
        if before & CLOSED == 0 {
            // SAFETY: `lend` returns only after everybody who entered before it closed has left.
            unsafe { (*self.job)() }
        }
    }
}

/// Takes the function back when dropped, on a panic of the body too.
struct Lender<'a>(&'a AtomicUsize);

impl Drop for Lender<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
        let mut waited = 0u32;
        while self.0.load(Ordering::Acquire) != CLOSED {
            waited += 1;
            // A caller without a core of its own needs this one.
            if waited.is_multiple_of(1 << 12) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

/// Runs `body` with the function lent; returns when nobody can be in it any more.
pub fn lend<U>(job: &Job, body: impl FnOnce(Lent) -> U) -> U {
    let job: *const Job = job;
    // SAFETY: only the lifetime changes; `Lender` ends all calls before the borrow does.
    let job = unsafe { std::mem::transmute::<*const Job, *const Job<'static>>(job) };
    let users = Arc::new(AtomicUsize::new(0));
    let _lender = Lender(&users);
    body(Lent { job, users: Arc::clone(&users) })
}
