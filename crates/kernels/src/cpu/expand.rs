//! Weights in a codec become f32: run by run in registers, or by the codec's own lines. The numbers are those of
//! `Coded::expand`.

use super::runs::{with_runs, Runs, RUN};
use super::simd::{kernel, Simd};
use crate::codec::Coded;

kernel! {
    /// y = elements from `start` on.
    pub fn expand<S>(s, x: Coded, start: usize, y: &mut [f32]) {
        with_runs!(x, runs => write(s, x, runs, start, y), x.expand(start, y));
    }
}

#[inline(always)]
fn write<S: Simd, R: Runs>(s: S, x: Coded, runs: R, start: usize, y: &mut [f32]) {
    let (head, y) = y.split_at_mut((start.next_multiple_of(RUN) - start).min(y.len()));
    x.expand(start, head);
    let first = start + head.len();
    let (whole, tail) = y.as_chunks_mut::<RUN>();
    x.expand(first + whole.len() * RUN, tail);
    for (run, y) in (first / RUN..).zip(whole) {
        for (half, w) in runs.run(s, run).iter().enumerate() {
            for (i, &w) in w.as_ref().iter().enumerate() {
                s.store(w, &mut y[16 * half + i * S::LANES..]);
            }
        }
    }
}
