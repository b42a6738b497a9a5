use crate::maths::{Binary, Real, Unary};
use crate::rng::Key;

/// y = a ∘ b, b repeated over the rows of a where it is shorter.
pub fn binary<R: Real>(kind: Binary, a: &[R], b: &[R], y: &mut [R]) {
    for (i, y) in y.iter_mut().enumerate() {
        let (a, b) = (a[i], b[i % b.len()]);
        *y = match kind {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
        };
    }
}

/// y = f(x)
pub fn unary<R: Real>(kind: Unary, x: &[R], y: &mut [R]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = R::from_f64(kind.of(Real::to_f64(x)));
    }
}

/// y = factor · x
pub fn scale<R: Real>(x: &[R], factor: R, y: &mut [R]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = factor * x;
    }
}

/// cap · tanh(x / cap) and its slope; x and 1 where the cap is 0.
pub fn capped<R: Real>(x: R, cap: R) -> (R, R) {
    if cap == R::zero() {
        return (x, R::one());
    }
    let bent = (x / cap).tanh();
    (cap * bent, R::one() - bent * bent)
}

pub fn soft_cap<R: Real>(x: &[R], cap: R, y: &mut [R]) {
    for (x, y) in x.iter().zip(y) {
        *y = capped(*x, cap).0;
    }
}

/// acc += factor · x
pub fn accumulate<R: Real>(acc: &mut [R], x: &[R], factor: R) {
    for (acc, &x) in acc.iter_mut().zip(x) {
        *acc = *acc + factor * x;
    }
}

/// Σ x
pub fn sum<R: Real>(x: &[R]) -> R {
    x.iter().copied().sum()
}

/// y[j] = Σᵢ x[i, j]
pub fn sum_rows<R: Real>(x: &[R], d: usize, y: &mut [R]) {
    for row in x.chunks_exact(d) {
        accumulate(y, row, R::one());
    }
}

pub fn argmax<R: Real>(x: &[R], d: usize, index: &mut [i32], value: &mut [R]) {
    for (i, row) in x.chunks_exact(d).enumerate() {
        let place = place_of_largest(row);
        (index[i], value[i]) = (place as i32, row[place]);
    }
}

/// The first that no other exceeds, where a NaN exceeds all numbers.
pub fn place_of_largest<R: Real>(x: &[R]) -> usize {
    let larger = |a: R, b: R| a > b || (a.is_nan() && !b.is_nan());
    (1..x.len()).fold(0, |best, i| if larger(x[i], x[best]) { i } else { best })
}

/// Σ x² in f64
pub fn sum_of_squares<R: Real>(x: &[R]) -> f64 {
    x.iter().map(|&x| Real::to_f64(x) * Real::to_f64(x)).sum()
}

/// y = x / (1 − p) where the element's uniform number is at least p, else 0
pub fn dropout<R: Real>(x: &[R], p: f64, key: Key, y: &mut [R]) {
    let factor = R::from_f64(1.0 / (1.0 - p));
    for (i, (y, &x)) in y.iter_mut().zip(x).enumerate() {
        let kept = f64::from(key.uniform(i as u64)) >= p;
        *y = if kept { x * factor } else { R::zero() };
    }
}
