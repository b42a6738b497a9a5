//! Threads of one backend, and buffers that are reused because first touch of memory is slow.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::fault;

pub struct Pool {
    threads: Option<rayon::ThreadPool>,
}

impl Pool {
    /// One thread, or where threads cannot be started, none but the caller's.
    pub fn new(threads: usize) -> Pool {
        let start = || rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
        Pool { threads: (threads > 1).then(start).flatten() }
    }

    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// f of every item, in any order.
    pub fn each<T: Send>(&self, items: Vec<T>, f: impl Fn(T) + Sync + Send) {
        let f = |item| {
            fault::in_job();
            f(item)
        };
        match &self.threads {
            Some(pool) if items.len() > 1 => pool.install(|| items.into_par_iter().with_max_len(1).for_each(f)),
            _ => items.into_iter().for_each(f),
        }
    }

    /// f of every item, results in the order of the items.
    pub fn map<T: Send, U: Send>(&self, items: Vec<T>, f: impl Fn(T) -> U + Sync + Send) -> Vec<U> {
        let f = |item| {
            fault::in_job();
            f(item)
        };
        match &self.threads {
            Some(pool) if items.len() > 1 => pool.install(|| items.into_par_iter().with_max_len(1).map(f).collect()),
            _ => items.into_iter().map(f).collect(),
        }
    }
}

thread_local! {
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
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

/// The smallest buffer that is long enough, else any, which the caller then replaces.
fn take_fitting(spare: &mut Vec<Vec<f32>>, length: usize) -> Vec<f32> {
    let fits = spare.iter().enumerate().filter(|(_, buffer)| buffer.len() >= length);
    match fits.min_by_key(|(_, buffer)| buffer.len()) {
        Some((i, _)) => spare.swap_remove(i),
        None => spare.pop().unwrap_or_default(),
    }
}
