//! Losses over a vocabulary: logits = h · wᵀ, one row at a time. Rows labelled −100 count for nothing.

use super::elementwise::capped;
use crate::maths::{Floats, Real};

const IGNORED: i32 = -100;

/// Logits after the soft cap, and the slope of the cap at each.
fn logits<R: Real>(h: &[R], w: Floats<R>, vocab: usize, soft_cap: R) -> (Vec<R>, Vec<R>) {
    let d = h.len();
    let raw = |token: usize| h.iter().enumerate().map(|(j, &h)| h * w.get(token * d + j)).sum();
    (0..vocab).map(|token| capped(raw(token), soft_cap)).unzip()
}

fn times<R: Real>(values: &mut [R], factors: &[R]) {
    for (value, &factor) in values.iter_mut().zip(factors) {
        *value = *value * factor;
    }
}

/// log Σ eˣ
fn log_sum_exp<R: Real>(x: &[R]) -> R {
    let max = x.iter().copied().fold(R::neg_infinity(), R::max);
    max + x.iter().map(|&x| (x - max).exp()).sum::<R>().ln()
}

fn counted(labels: &[i32]) -> impl Iterator<Item = (usize, usize)> + '_ {
    labels.iter().enumerate().filter(|(_, &label)| label != IGNORED).map(|(row, &label)| (row, label as usize))
}

/// Adds dlogits · w to dh and dlogitsᵀ · h to dw.
fn spread<R: Real>(dlogits: &[R], h: &[R], w: Floats<R>, mut dh: Option<&mut [R]>, mut dw: Option<&mut [R]>) {
    let d = h.len();
    for (token, &dlogit) in dlogits.iter().enumerate() {
        for (j, &h) in h.iter().enumerate() {
            if let Some(dh) = &mut dh {
                dh[j] = dh[j] + dlogit * w.get(token * d + j);
            }
            if let Some(dw) = &mut dw {
                dw[token * d + j] = dw[token * d + j] + dlogit * h;
            }
        }
    }
}

/// −Σ log softmax(logits)[label];  dlogits = softmax − onehot
pub fn cross_entropy<R: Real>(
    h: &[R],
    w: Floats<R>,
    labels: &[i32],
    [d, vocab]: [usize; 2],
    soft_cap: R,
    mut dh: Option<&mut [R]>,
    mut dw: Option<&mut [R]>,
) -> R {
    let mut sum = R::zero();
    for (row, label) in counted(labels) {
        let h = &h[row * d..][..d];
        let (logits, slopes) = logits(h, w, vocab, soft_cap);
        let lse = log_sum_exp(&logits);
        sum = sum + (lse - logits[label]);
        if dh.is_none() && dw.is_none() {
            continue;
        }
        let mut dlogits: Vec<R> = logits.iter().map(|&x| (x - lse).exp()).collect();
        dlogits[label] = dlogits[label] - R::one();
        times(&mut dlogits, &slopes);
        let dh = dh.as_deref_mut().map(|dh| &mut dh[row * d..][..d]);
        spread(&dlogits, h, w, dh, dw.as_deref_mut());
    }
    sum
}

/// logp = logits[label] − lse
pub fn log_prob<R: Real>(
    h: &[R],
    w: Floats<R>,
    labels: &[i32],
    [d, vocab]: [usize; 2],
    soft_cap: R,
    logp: &mut [R],
    lse: &mut [R],
) {
    for (row, label) in counted(labels) {
        let (logits, _) = logits(&h[row * d..][..d], w, vocab, soft_cap);
        lse[row] = log_sum_exp(&logits);
        logp[row] = logits[label] - lse[row];
    }
}

/// dlogits = g · (onehot − softmax)
#[allow(clippy::too_many_arguments)]
pub fn log_prob_backward<R: Real>(
    g: &[R],
    h: &[R],
    w: Floats<R>,
    labels: &[i32],
    lse: &[R],
    [d, vocab]: [usize; 2],
    soft_cap: R,
    mut dh: Option<&mut [R]>,
    mut dw: Option<&mut [R]>,
) {
    for (row, label) in counted(labels) {
        let h = &h[row * d..][..d];
        let (logits, slopes) = logits(h, w, vocab, soft_cap);
        let softmax = logits.into_iter().map(|x| (x - lse[row]).exp());
        let mut dlogits: Vec<R> = softmax.map(|p| -g[row] * p).collect();
        dlogits[label] = dlogits[label] + g[row];
        times(&mut dlogits, &slopes);
        let dh = dh.as_deref_mut().map(|dh| &mut dh[row * d..][..d]);
        spread(&dlogits, h, w, dh, dw.as_deref_mut());
    }
}
