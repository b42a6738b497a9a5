//! Losses over a vocabulary: logits = h · wᵀ, one row at a time. Rows labelled −100 count for nothing.

use crate::maths::{Floats, Real};

const IGNORED: i32 = -100;

fn logits<R: Real>(h: &[R], w: Floats<R>, vocab: usize) -> Vec<R> {
    let d = h.len();
    (0..vocab).map(|token| h.iter().enumerate().map(|(j, &h)| h * w.get(token * d + j)).sum()).collect()
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
    mut dh: Option<&mut [R]>,
    mut dw: Option<&mut [R]>,
) -> R {
    let mut sum = R::zero();
    for (row, label) in counted(labels) {
        let h = &h[row * d..][..d];
        let logits = logits(h, w, vocab);
        let lse = log_sum_exp(&logits);
        sum = sum + (lse - logits[label]);
        if dh.is_none() && dw.is_none() {
            continue;
        }
        let mut dlogits: Vec<R> = logits.iter().map(|&x| (x - lse).exp()).collect();
        dlogits[label] = dlogits[label] - R::one();
        let dh = dh.as_deref_mut().map(|dh| &mut dh[row * d..][..d]);
        spread(&dlogits, h, w, dh, dw.as_deref_mut());
    }
    sum
}

/// logp = logits[label] − lse
pub fn log_prob<R: Real>(h: &[R], w: Floats<R>, labels: &[i32], [d, vocab]: [usize; 2], logp: &mut [R], lse: &mut [R]) {
    for (row, label) in counted(labels) {
        let logits = logits(&h[row * d..][..d], w, vocab);
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
    mut dh: Option<&mut [R]>,
    mut dw: Option<&mut [R]>,
) {
    for (row, label) in counted(labels) {
        let h = &h[row * d..][..d];
        let softmax = logits(h, w, vocab).into_iter().map(|x| (x - lse[row]).exp());
        let mut dlogits: Vec<R> = softmax.map(|p| -g[row] * p).collect();
        dlogits[label] = dlogits[label] + g[row];
        let dh = dh.as_deref_mut().map(|dh| &mut dh[row * d..][..d]);
        spread(&dlogits, h, w, dh, dw.as_deref_mut());
    }
}
