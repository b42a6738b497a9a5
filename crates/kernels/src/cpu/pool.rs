//! Threads of one backend, and buffers that are reused because first touch of memory is slow.
//!
//! An op of a decoding step takes microseconds, less than it takes to wake a thread. So workers look for the next job for
//! a while before they sleep, and nobody waits for a worker that is late: the caller takes items until none is left, a
//! worker takes what it gets. Which thread takes an item changes nothing, as items are cut by shape alone.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::simd::{lend, Lent};
use crate::fault;

/// Looks for a job before a worker sleeps: about a tenth of a millisecond.
const LOOKS: usize = 4000;
/// Numbers of a cache line.
const LINE: usize = 16;

pub struct Pool {
    board: Arc<Board>,
    workers: Vec<JoinHandle<()>>,
}

/// Where the job of the moment hangs.
#[derive(Default)]
struct Board {
    /// Grows with each job, and at the end.
    number: AtomicUsize,
    sleepers: AtomicUsize,
    notice: Mutex<Notice>,
    changed: Condvar,
}

#[derive(Default)]
struct Notice {
    job: Option<Lent>,
    ended: bool,
}

/// A job that panicked poisons no lock that matters: what it guards is whole between two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    fn post(&self, change: impl FnOnce(&mut Notice)) {
        change(&mut lock(&self.notice));
        self.number.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // A worker that is about to sleep holds the lock until it does.
            drop(lock(&self.notice));
            self.changed.notify_all();
        }
    }

    /// Waits until another notice than number `seen` hangs.
    fn wait(&self, seen: usize) {
        for _ in 0..LOOKS {
            if self.number.load(Ordering::SeqCst) != seen {
                return;
            }
            std::hint::spin_loop();
        }
        let mut notice = lock(&self.notice);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.number.load(Ordering::SeqCst) == seen {
            notice = self.changed.wait(notice).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    fn work(&self) {
        WORKER.set(true);
        let mut seen = 0;
        loop {
            self.wait(seen);
            seen = self.number.load(Ordering::SeqCst);
            let (job, ended) = {
                let notice = lock(&self.notice);
                (notice.job.clone(), notice.ended)
            };
            if ended {
                return;
            }
            if let Some(job) = job {
                job.call();
            }
        }
    }
}

thread_local! {
    static WORKER: Cell<bool> = const { Cell::new(false) };
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

impl Pool {
    /// The caller is one of the threads. Where others cannot be started there are fewer.
    pub fn new(threads: usize) -> Pool {
        let board = Arc::new(Board::default());
        let start = |_| {
            let board = Arc::clone(&board);
            std::thread::Builder::new().name("kernels".into()).spawn(move || board.work()).ok()
        };
        let workers = (1..threads).map_while(start).collect();
        Pool { board, workers }
    }

    pub fn threads(&self) -> usize {
        1 + self.workers.len()
    }

    /// f of every item, in any order.
    pub fn each<T: Send>(&self, items: Vec<T>, f: impl Fn(T) + Sync + Send) {
        // A job inside a job has the thread it is on.
        if items.len() < 2 || self.workers.is_empty() || WORKER.get() {
            return items.into_iter().for_each(|item| run(&f, item));
        }
        let items: Vec<_> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
        let next = AtomicUsize::new(0);
        let panic: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
        let take = || {
            // A lock of its own for each item: nobody waits for one.
            while let Some(place) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(item) = lock(place).take() else { continue };
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| run(&f, item))) {
                    next.store(items.len(), Ordering::Relaxed);
                    lock(&panic).get_or_insert(payload);
                }
            }
        };
        lend(&take, |job| {
            self.board.post(|notice| notice.job = Some(job));
            fault::leave_to_worker();
            take();
        });
        if let Some(payload) = panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(payload);
        }
    }

    /// f of every item, results in the order of the items.
    pub fn map<T: Send, U: Send>(&self, items: Vec<T>, f: impl Fn(T) -> U + Sync + Send) -> Vec<U> {
        let mut results: Vec<Option<U>> = items.iter().map(|_| None).collect();
        let places = items.into_iter().zip(&mut results).collect();
        self.each(places, |(item, place): (T, &mut Option<U>)| *place = Some(f(item)));
        results.into_iter().flatten().collect()
    }
}

fn run<T>(f: &impl Fn(T), item: T) {
    fault::in_job(WORKER.get());
    f(item);
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.board.post(|notice| notice.ended = true);
        for worker in self.workers.drain(..) {
            // It ended by itself, or by a panic that its caller has seen.
            let _ = worker.join();
        }
    }
}

/// Lends a buffer of `length` arbitrary numbers that this thread keeps for the next time.
pub fn with_scratch<U>(length: usize, f: impl FnOnce(&mut [f32]) -> U) -> U {
    let mut buffer = SPARE.with_borrow_mut(|spare| take_fitting(spare, length));
    if buffer.len() < length {
        buffer = vec![0.0; length];
    }
    let result = f(&mut buffer[..length]);
    SPARE.with_borrow_mut(|spare| spare.push(buffer));
    result
}

/// Gives back what this thread keeps of buffers from 4 MiB on.
pub fn forget_large_scratch() {
    SPARE.with_borrow_mut(|spare| spare.retain(|buffer| buffer.len() < 1 << 20));
}

/// As `with_scratch`, from the beginning of a cache line.
pub fn with_aligned_scratch<U>(length: usize, f: impl FnOnce(&mut [f32]) -> U) -> U {
    with_scratch(length + LINE, |buffer| {
        let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>());
        f(&mut buffer[start..start + length])
    })
}

/// The smallest buffer that is long enough, else any, which the caller then replaces.
fn take_fitting(spare: &mut Vec<Vec<f32>>, length: usize) -> Vec<f32> {
    let fits = spare.iter().enumerate().filter(|(_, buffer)| buffer.len() >= length);
    match fits.min_by_key(|(_, buffer)| buffer.len()) {
        Some((i, _)) => spare.swap_remove(i),
        None => spare.pop().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_item_is_met_once_by_workers_that_are_awake_and_by_those_that_slept() {
        let pool = Pool::new(3);
        for round in 0..200 {
            if round % 50 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            let mut items = vec![0; 37];
            pool.each(items.iter_mut().enumerate().collect(), |(i, item): (usize, &mut usize)| *item += i + round);
            assert!(items.iter().enumerate().all(|(i, &item)| item == i + round));
        }
        assert_eq!(pool.map((0..100).collect(), |i: usize| i * i), (0..100).map(|i| i * i).collect::<Vec<_>>());
    }

    #[test]
    fn work_inside_work_is_done() {
        let pool = Pool::new(2);
        let sum = |i: usize| pool.map((0..i).collect(), |j: usize| j).into_iter().sum::<usize>();
        let sums = pool.map((0..8).collect(), sum);
        assert_eq!(sums, [0, 0, 1, 3, 6, 10, 15, 21]);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_works_on() {
        let pool = Pool::new(2);
        for _ in 0..20 {
            let met = catch_unwind(AssertUnwindSafe(|| pool.each((0..50).collect(), |i: usize| assert!(i != 7))));
            assert!(met.is_err());
            assert_eq!(pool.map(vec![1, 2, 3], |i| i + 1), [2, 3, 4]);
        }
    }
}
