//! Dropout from Philox4x32-10 (`rng`), sixteen blocks of four numbers at a time.

use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, Isa};
use crate::rng::{Key, M0, M1, W0, W1};
use std::array::from_fn;

/// Blocks drawn together.
const WIDTH: usize = 16;

kernel! {
    /// y = x · factor where the 24 high bits of the element's word reach the threshold, else 0.
    fn keep<S>(s, x: &[f32], key: Key, first_block: u64, threshold: u32, factor: f32, y: &mut [f32]) {
        let _ = s;
        for (i, (x, y)) in x.chunks(4 * WIDTH).zip(y.chunks_mut(4 * WIDTH)).enumerate() {
            let words = blocks(key, first_block + (i * WIDTH) as u64);
            let mut factors = [0.0; 4 * WIDTH];
            for (block, factors) in factors.chunks_exact_mut(4).enumerate() {
                for (kept, words) in factors.iter_mut().zip(&words) {
                    *kept = if words[block] >> 8 >= u64::from(threshold) { factor } else { 0.0 };
                }
            }
            for ((x, kept), y) in x.iter().zip(factors).zip(y) {
                *y = if kept == 0.0 { 0.0 } else { x * kept };
            }
        }
    }
}

/// `Key::block` of WIDTH blocks side by side: word j of block `first + i` at `[j][i]`. Words wait in 64-bit lanes,
/// where their products need room.
#[inline(always)]
fn blocks(key: Key, first: u64) -> [[u64; WIDTH]; 4] {
    const WORD: u64 = 0xFFFF_FFFF;
    let low = from_fn(|i| (first + i as u64) & WORD);
    let high = from_fn(|i| (((first + i as u64) >> 32) & 0xFFFF) | (u64::from(key.rank) << 16));
    let mut counter = [low, high, [u64::from(key.step); WIDTH], [u64::from(key.micro); WIDTH]];
    let mut keys = [key.seed as u32, key.stream ^ (key.seed >> 32) as u32];
    for _ in 0..10 {
        let [a, b, c, d] = counter;
        for i in 0..WIDTH {
            let first = u64::from(M0).wrapping_mul(a[i] & WORD);
            let second = u64::from(M1).wrapping_mul(c[i] & WORD);
            counter[0][i] = (second >> 32) ^ b[i] ^ u64::from(keys[0]);
            counter[1][i] = second & WORD;
            counter[2][i] = (first >> 32) ^ d[i] ^ u64::from(keys[1]);
            counter[3][i] = first & WORD;
        }
        keys = [keys[0].wrapping_add(W0), keys[1].wrapping_add(W1)];
    }
    counter
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
