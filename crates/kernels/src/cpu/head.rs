//! Output head and loss in one: labelled rows meet the head a chunk at a time, and no more logits exist than a chunk's.

use super::matmul::{matmul, Problem};
use super::pool::{with_scratch, Pool};
use super::simd::{exp, kernel, largest, load_from, scale_in_place, store_to, sum2, tanh, Isa, Pairs};
use crate::maths::{Beta, Floats, Layout};

/// Logits that exist at a time: 64 MiB.
const LOGITS: usize = 1 << 24;
/// Rows of a chunk at most.
const ROWS: usize = 256;
/// Exponentials summed in f32 before f64 takes over.
const RUN: usize = 1 << 10;

kernel! {
    /// x → e^(x − maximum); returns the maximum and the sum.
    fn exponentials<S>(s, x: &mut [f32]) -> (f32, f64) {
        let maximum = largest(s, x);
        let shift = s.splat(maximum);
        let mut total = 0.0;
        for run in x.chunks_mut(RUN) {
            for x in run.chunks_mut(S::LANES) {
                let weight = exp(s, s.sub(s.load_part(x), shift));
                s.store_part(weight, x);
            }
            total += f64::from(sum2(s, run, run, |x, _| x));
        }
        (maximum, total)
    }

    /// x → factor · e^(x − lse)
    fn probabilities<S>(s, x: &mut [f32], lse: f32, factor: f32) {
        let (shift, factor) = (s.splat(lse), s.splat(factor));
        for x in x.chunks_mut(S::LANES) {
            s.store_part(s.mul(factor, exp(s, s.sub(s.load_part(x), shift))), x);
        }
    }

    /// x → cap · tanh(x / cap), slopes = 1 − tanh²
    fn cap_with_slopes<S>(s, x: &mut [f32], cap: f32, slopes: &mut [f32]) {
        let (one, inverse, cap) = (s.splat(1.0), s.splat(1.0 / cap), s.splat(cap));
        for at in (0..x.len()).step_by(S::LANES) {
            let bent = tanh(s, s.mul(load_from(s, x, at), inverse));
            store_to(s, s.mul(cap, bent), x, at);
            store_to(s, s.sub(one, s.mul(bent, bent)), slopes, at);
        }
    }

    /// x → x ⊙ factors
    fn multiply_each<S>(s, x: &mut [f32], factors: &[f32]) {
        for at in (0..x.len()).step_by(S::LANES) {
            store_to(s, s.mul(load_from(s, x, at), load_from(s, factors, at)), x, at);
        }
    }

    fn multiply<S>(s, x: &mut [f32], factor: f32) {
        scale_in_place(s, x, factor);
    }
}

/// The head w `[vocab, d]` over states h `[n, d]`.
pub struct Head<'a> {
    pub isa: Isa,
    pub pool: &'a Pool,
    pub pairs: Option<Pairs>,
    pub h: &'a [f32],
    pub w: Floats<'a, f32>,
    pub labels: &'a [i32],
    pub d: usize,
    pub vocab: usize,
    /// Logits become cap · tanh(logit / cap); 0: they stay.
    pub soft_cap: f32,
}

/// One row of a chunk.
struct Row<'a> {
    /// Row of h.
    at: usize,
    label: usize,
    logits: &'a mut [f32],
}

impl Head<'_> {
    fn labelled(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|&row| self.labels[row] >= 0).collect()
    }

    /// Calls `f` with the rows of each chunk, their states packed `[rows, d]` and their logits `[rows, vocab]`.
    fn chunks(&self, mut f: impl FnMut(&[usize], &[f32], &mut [f32])) {
        let most = (LOGITS / self.vocab.max(1)).clamp(1, ROWS);
        for rows in self.labelled().chunks(most) {
            with_scratch(rows.len() * (self.d + self.vocab), |scratch| {
                let (states, logits) = scratch.split_at_mut(rows.len() * self.d);
                for (state, &row) in states.chunks_mut(self.d.max(1)).zip(rows) {
                    state.copy_from_slice(&self.h[row * self.d..][..self.d]);
                }
                self.multiply(
                    Layout::Nt,
                    [rows.len(), self.vocab, self.d],
                    Floats::Real(states),
                    self.w,
                    Beta::Overwrite,
                    logits,
                );
                f(rows, states, logits);
            });
        }
    }

    fn multiply(
        &self,
        layout: Layout,
        [m, n, k]: [usize; 3],
        a: Floats<f32>,
        b: Floats<f32>,
        beta: Beta,
        c: &mut [f32],
    ) {
        matmul(self.isa, self.pool, &Problem { layout, m, n, k, alpha: 1.0, a, b, beta, pairs: self.pairs }, c);
    }

    fn each_row<U: Send>(&self, rows: &[usize], logits: &mut [f32], f: impl Fn(Row) -> U + Sync + Send) -> Vec<U> {
        let tasks = rows.iter().zip(logits.chunks_mut(self.vocab)).collect();
        self.pool
            .map(tasks, |(&at, logits): (&usize, &mut [f32])| f(Row { at, label: self.labels[at] as usize, logits }))
    }

    /// Calls `f` with the capped logits of a row, in whose place it may leave their gradient; that of the raw ones remains.
    fn capped<U>(&self, logits: &mut [f32], f: impl FnOnce(&mut [f32]) -> U) -> U {
        if self.soft_cap == 0.0 {
            return f(logits);
        }
        with_scratch(logits.len(), |slopes| {
            cap_with_slopes(self.isa, logits, self.soft_cap, slopes);
            let result = f(logits);
            multiply_each(self.isa, logits, slopes);
            result
        })
    }

    /// dh and dw of a chunk from the gradient of its logits.
    fn pull_back(
        &self,
        rows: &[usize],
        states: &[f32],
        logits: &[f32],
        dh: Option<&mut [f32]>,
        dw: Option<&mut [f32]>,
    ) {
        let (d, vocab) = (self.d, self.vocab);
        if let Some(dh) = dh {
            with_scratch(rows.len() * d, |part| {
                let sizes = [rows.len(), d, vocab];
                self.multiply(Layout::Nn, sizes, Floats::Real(logits), self.w, Beta::Overwrite, part);
                for (part, &row) in part.chunks(d.max(1)).zip(rows) {
                    dh[row * d..][..d].copy_from_slice(part);
                }
            });
        }
        if let Some(dw) = dw {
            let sizes = [vocab, d, rows.len()];
            self.multiply(Layout::Tn, sizes, Floats::Real(logits), Floats::Real(states), Beta::Add, dw);
        }
    }

    /// −Σ log p(label); the gradients are those of the sum: p − onehot.
    pub fn cross_entropy(&self, mut dh: Option<&mut [f32]>, mut dw: Option<&mut [f32]>) -> f64 {
        let mut loss = 0.0;
        self.chunks(|rows, states, logits| {
            let losses = self.each_row(rows, logits, |Row { label, logits, .. }| {
                self.capped(logits, |logits| {
                    let own = logits[label];
                    let (maximum, total) = exponentials(self.isa, logits);
                    multiply(self.isa, logits, (1.0 / total) as f32);
                    logits[label] -= 1.0;
                    f64::from(maximum) + total.ln() - f64::from(own)
                })
            });
            loss += losses.into_iter().sum::<f64>();
            self.pull_back(rows, states, logits, dh.as_deref_mut(), dw.as_deref_mut());
        });
        loss
    }

    /// log p(label) and log Σ e^logit of each labelled row.
    pub fn log_prob(&self, logp: &mut [f32], lse: &mut [f32]) {
        self.chunks(|rows, _, logits| {
            let results = self.each_row(rows, logits, |Row { at, label, logits }| {
                self.capped(logits, |logits| {
                    let own = f64::from(logits[label]);
                    let (maximum, total) = exponentials(self.isa, logits);
                    (at, own, f64::from(maximum) + total.ln())
                })
            });
            for (row, own, total) in results {
                (logp[row], lse[row]) = ((own - total) as f32, total as f32);
            }
        });
    }

    /// d logits = g · (onehot − p), with p made again from lse.
    pub fn log_prob_backward(&self, g: &[f32], lse: &[f32], mut dh: Option<&mut [f32]>, mut dw: Option<&mut [f32]>) {
        self.chunks(|rows, states, logits| {
            self.each_row(rows, logits, |Row { at, label, logits }| {
                self.capped(logits, |logits| {
                    probabilities(self.isa, logits, lse[at], -g[at]);
                    logits[label] += g[at];
                });
            });
            self.pull_back(rows, states, logits, dh.as_deref_mut(), dw.as_deref_mut());
        });
    }
}
