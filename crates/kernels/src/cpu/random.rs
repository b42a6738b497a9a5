//! Dropout from Philox4x32-10 (`rng`), sixteen blocks of four numbers at a time.

use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, Isa};
use crate::rng::Key;

/// Blocks drawn together.
const WIDTH: usize = 16;

kernel! {
    /// y = x · factor where the 24 high bits of the element's word reach the threshold, else 0.
    fn keep<S>(s, x: &[f32], key: Key, first_block: u64, threshold: u32, factor: f32, y: &mut [f32]) {
        let _ = s;
        let mut words = [[0; 4]; WIDTH];
        for (i, (x, y)) in x.chunks(4 * WIDTH).zip(y.chunks_mut(4 * WIDTH)).enumerate() {
            for (block, lanes) in words.iter_mut().enumerate() {
                *lanes = key.block(first_block + (i * WIDTH + block) as u64);
            }
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                *y = if words[i >> 2][i & 3] >> 8 >= threshold { x * factor } else { 0.0 };
            }
        }
    }
}

/// Zero with probability p, else x/(1−p).
pub fn dropout(isa: Isa, pool: &Pool, x: &[f32], p: f64, key: Key, y: &mut [f32]) {
    // u < p for u = bits / 2²⁴ is the same as bits < ⌈p · 2²⁴⌉.
    let threshold = (p * 16_777_216.0).ceil() as u32;
    let factor = (1.0 / (1.0 - p)) as f32;
    let tasks = x.chunks(CHUNK).zip(y.chunks_mut(CHUNK)).enumerate().collect();
    pool.each(tasks, |(i, (x, y))| {
        keep(isa, x, key, (i * CHUNK / 4) as u64, threshold, factor, y);
    });
}
