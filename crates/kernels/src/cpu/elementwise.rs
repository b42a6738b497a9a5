//! Ops on elements and their sums. Slices are cut into chunks of a fixed size, so sums have one tree for any number
//! of threads; chunk sums are added in f64.

use super::pool::Pool;
use super::simd::{kernel, map1, map2, sum2, tanh, update, Isa};
use crate::maths::{Binary, Unary};
use crate::reference;

/// Elements of a task.
pub const CHUNK: usize = 1 << 15;
/// Elements summed in f32 before f64 takes over.
const RUN: usize = 1 << 10;

kernel! {
    fn add<S>(s, a: &[f32], b: &[f32], y: &mut [f32]) {
        map2(s, a, b, y, |a, b| s.add(a, b));
    }

    fn sub<S>(s, a: &[f32], b: &[f32], y: &mut [f32]) {
        map2(s, a, b, y, |a, b| s.sub(a, b));
    }

    fn mul<S>(s, a: &[f32], b: &[f32], y: &mut [f32]) {
        map2(s, a, b, y, |a, b| s.mul(a, b));
    }

    pub fn multiply_by<S>(s, x: &[f32], factor: f32, y: &mut [f32]) {
        let factor = s.splat(factor);
        map1(s, x, y, |x| s.mul(factor, x));
    }

    fn cap_softly<S>(s, x: &[f32], cap: f32, y: &mut [f32]) {
        let (inverse, cap) = (s.splat(1.0 / cap), s.splat(cap));
        map1(s, x, y, |x| s.mul(cap, tanh(s, s.mul(x, inverse))));
    }

    pub fn add_scaled<S>(s, x: &[f32], factor: f32, y: &mut [f32]) {
        let factor = s.splat(factor);
        update(s, x, y, |x, y| s.mul_add(factor, x, y));
    }

    /// The largest of x, and 0 where all of x are finite, else NaN.
    fn largest_and_finite<S>(s, x: &[f32]) -> [f32; 2] {
        let (mut most, mut nothing) = (s.splat(f32::NEG_INFINITY), s.zero());
        let mut chunks = x.chunks_exact(S::LANES);
        for x in &mut chunks {
            let x = s.load(x);
            most = s.max(most, x);
            nothing = s.mul_add(x, s.zero(), nothing);
        }
        let start = [s.max_lanes(most), s.sum_lanes(nothing)];
        chunks.remainder().iter().fold(start, |[most, nothing], &x| [most.max(x), nothing + x * 0.0])
    }

    fn chunk_sum<S>(s, x: &[f32]) -> f64 {
        x.chunks(RUN).map(|x| f64::from(sum2(s, x, x, |x, _| x))).sum()
    }

    fn chunk_sum_of_squares<S>(s, x: &[f32]) -> f64 {
        let _ = s;
        let mut sums = [0.0f64; 16];
        let chunks = x.chunks_exact(16);
        let rest = chunks.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        for x in chunks {
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        sums.iter().sum::<f64>() + rest
    }
}

/// Pairs of equal chunks of an input and an output.
fn chunks<'a>(x: &'a [f32], y: &'a mut [f32]) -> Vec<(&'a [f32], &'a mut [f32])> {
    x.chunks(CHUNK).zip(y.chunks_mut(CHUNK)).collect()
}

pub fn binary(isa: Isa, pool: &Pool, kind: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    let op = match kind {
        Binary::Add => add,
        Binary::Sub => sub,
        Binary::Mul => mul,
    };
    if b.len() == a.len() {
        let tasks = a.chunks(CHUNK).zip(b.chunks(CHUNK)).zip(y.chunks_mut(CHUNK)).collect();
        return pool.each(tasks, |((a, b), y)| op(isa, a, b, y));
    }
    // b is one row, added to each row of a.
    let rows = CHUNK.div_ceil(b.len()) * b.len();
    let tasks = a.chunks(rows).zip(y.chunks_mut(rows)).collect();
    pool.each(tasks, |(a, y): (&[f32], &mut [f32])| {
        for (a, y) in a.chunks(b.len()).zip(y.chunks_mut(b.len())) {
            op(isa, a, b, y);
        }
    });
}

pub fn unary(pool: &Pool, kind: Unary, x: &[f32], y: &mut [f32]) {
    pool.each(chunks(x, y), |(x, y)| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = kind.of(f64::from(x)) as f32;
        }
    });
}

pub fn scale(isa: Isa, pool: &Pool, x: &[f32], factor: f32, y: &mut [f32]) {
    pool.each(chunks(x, y), |(x, y)| multiply_by(isa, x, factor, y));
}

pub fn soft_cap(isa: Isa, pool: &Pool, x: &[f32], cap: f32, y: &mut [f32]) {
    pool.each(chunks(x, y), |(x, y)| cap_softly(isa, x, cap, y));
}

pub fn accumulate(isa: Isa, pool: &Pool, y: &mut [f32], x: &[f32], factor: f32) {
    pool.each(chunks(x, y), |(x, y)| add_scaled(isa, x, factor, y));
}

pub fn sum(isa: Isa, pool: &Pool, x: &[f32]) -> f64 {
    pool.map(x.chunks(CHUNK).collect(), |x| chunk_sum(isa, x)).into_iter().sum()
}

pub fn sum_of_squares(isa: Isa, pool: &Pool, x: &[f32]) -> f64 {
    pool.map(x.chunks(CHUNK).collect(), |x| chunk_sum_of_squares(isa, x)).into_iter().sum()
}

/// Column sums: blocks of rows first, then the blocks.
pub fn sum_rows(isa: Isa, pool: &Pool, x: &[f32], d: usize, y: &mut [f32]) {
    let rows = CHUNK.div_ceil(d);
    let partial = pool.map(x.chunks(rows * d).collect(), |x: &[f32]| {
        let mut sums = vec![0.0; d];
        for x in x.chunks(d) {
            add_scaled(isa, x, 1.0, &mut sums);
        }
        sums
    });
    for sums in partial {
        add_scaled(isa, &sums, 1.0, y);
    }
}

/// Numbers whose largest says whether to look for its place.
const STRETCH: usize = 1 << 10;

pub fn argmax(isa: Isa, pool: &Pool, x: &[f32], d: usize, index: &mut [i32], value: &mut [f32]) {
    let rows = CHUNK.div_ceil(d);
    let outputs = index.chunks_mut(rows).zip(value.chunks_mut(rows));
    let tasks = x.chunks(rows * d).zip(outputs).collect();
    pool.each(tasks, |(x, (index, value)): (&[f32], (&mut [i32], &mut [f32]))| {
        for (x, (index, value)) in x.chunks(d).zip(index.iter_mut().zip(value)) {
            let place = place_of_largest(isa, x);
            (*index, *value) = (place as i32, x[place]);
        }
    });
}

fn place_of_largest(isa: Isa, x: &[f32]) -> usize {
    let mut place = 0;
    for (i, part) in x.chunks(STRETCH).enumerate() {
        let [most, nothing] = largest_and_finite(isa, part);
        if nothing.is_nan() {
            return reference::elementwise::place_of_largest(x);
        }
        if most > x[place] {
            place = i * STRETCH + part.iter().position(|&x| x == most).unwrap_or(0);
        }
    }
    place
}
