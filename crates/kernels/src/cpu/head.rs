//! Output head and loss in one: labelled rows meet a block of the vocabulary at a time, and no more logits exist than those
//! of a block, which stay in a cache until they are done with. A row's sum and gradient so far are of e^(logit − the largest
//! so far); where a block has a larger one, they are multiplied by what that changes (Milakov and Gimelshein 2018, "Online
//! normalizer calculation for softmax"). The gradient of the head itself needs the sum of all blocks first, and makes the
//! logits again.

use super::attention::{scaled, steps};
use super::elementwise::{add_scaled, multiply_by};
use super::matmul::{matmul, Problem};
use super::pool::{forget_large_scratch, with_scratch, Pool};
use super::rows::take_rows;
use super::simd::{exp, kernel, largest, load_from, store_to, sum2, tanh, Isa, Pairs};
use crate::maths::{Beta, Floats, Layout};
use std::ops::Range;

/// Rows of a chunk at most.
const ROWS: usize = 1024;
/// Words of a block: whole panels, and rows of it do not share cache sets. 8 MiB of logits with all rows.
const BLOCK: usize = 2016;
/// Exponentials summed in f32 before f64 takes over.
const RUN: usize = 1 << 10;

kernel! {
    fn maximum<S>(s, x: &[f32]) -> f32 {
        largest(s, x)
    }

    /// x → e^(x − maximum); returns the sum.
    fn exponentials<S>(s, x: &mut [f32], maximum: f32) -> f64 {
        let shift = s.splat(maximum);
        let mut total = 0.0;
        for run in x.chunks_mut(RUN) {
            for x in run.chunks_mut(S::LANES) {
                let weight = exp(s, s.sub(s.load_part(x), shift));
                s.store_part(weight, x);
            }
            total += f64::from(sum2(s, run, run, |x, _| x));
        }
        total
    }

    /// x → e^(x − shift)
    fn shifted_exponentials<S>(s, x: &mut [f32], shift: f32) {
        let shift = s.splat(shift);
        for x in x.chunks_mut(S::LANES) {
            s.store_part(exp(s, s.sub(s.load_part(x), shift)), x);
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

/// What a row's logits have come to.
struct Sums {
    label: usize,
    /// The largest so far.
    most: f32,
    /// Σ e^(logit − most)
    total: f64,
    /// The label's.
    own: f32,
}

impl Sums {
    fn of(label: i32) -> Sums {
        Sums { label: label as usize, most: f32::NEG_INFINITY, total: 0.0, own: 0.0 }
    }

    /// Takes in the logits of a block, in whose place their e^(logit − most) remain; returns what the sum was multiplied by.
    fn take_in(&mut self, isa: Isa, words: &Range<usize>, logits: &mut [f32]) -> f32 {
        if words.contains(&self.label) {
            self.own = logits[self.label - words.start];
        }
        let largest = maximum(isa, logits);
        let most = if self.most > largest { self.most } else { largest };
        let change = f64::from(self.most - most).exp();
        self.total = self.total * change + exponentials(isa, logits, most);
        self.most = most;
        change as f32
    }

    /// log Σ e^logit
    fn lse(&self) -> f64 {
        f64::from(self.most) + self.total.ln()
    }

    /// −log p(label)
    fn loss(&self) -> f64 {
        self.lse() - f64::from(self.own)
    }
}

/// The gradient of a row's logits is factor · (e^(logit − shift) − whole · onehot).
#[derive(Clone, Copy, Default)]
struct Share {
    shift: f32,
    whole: f32,
    factor: f32,
}

impl Head<'_> {
    fn labelled(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|&row| self.labels[row] >= 0).collect()
    }

    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        steps(self.vocab, BLOCK)
    }

    /// Calls `f` with the rows of each chunk, their states `[rows, d]`, two more such buffers, and room for the logits of a block.
    fn chunks(&self, mut f: impl FnMut(&[usize], [&mut [f32]; 3], &mut [f32])) {
        for rows in self.labelled().chunks(ROWS) {
            let size = rows.len() * self.d;
            with_scratch(3 * size + rows.len() * self.vocab.min(BLOCK), |scratch| {
                let (states, rest) = scratch.split_at_mut(size);
                let (first, rest) = rest.split_at_mut(size);
                let (second, logits) = rest.split_at_mut(size);
                for (state, &row) in states.chunks_mut(self.d).zip(rows) {
                    state.copy_from_slice(&self.h[row * self.d..][..self.d]);
                }
                f(rows, [states, first, second], logits);
            });
        }
        // The layers' backward passes have more to keep meanwhile.
        forget_large_scratch();
    }

    /// Calls `f` with each block of the vocabulary, its rows of the head and the logits of the states.
    fn each_block(
        &self,
        rows: usize,
        states: &[f32],
        logits: &mut [f32],
        mut f: impl FnMut(&Range<usize>, Floats<f32>, &mut [f32]),
    ) {
        for words in self.blocks() {
            let logits = &mut logits[..rows * words.len()];
            self.with_words(&words, |w| {
                let sizes = [rows, words.len(), self.d];
                self.product(Layout::Nt, sizes, Floats::Real(states), w, Beta::Overwrite, logits);
                f(&words, w, logits);
            });
        }
    }

    /// Rows of the head; those in codes are expanded once for all their products.
    fn with_words(&self, words: &Range<usize>, f: impl FnOnce(Floats<f32>)) {
        let part = words.start * self.d..words.end * self.d;
        match self.w {
            Floats::Real(w) => f(Floats::Real(&w[part])),
            Floats::F32(w) => f(Floats::F32(&w[part])),
            Floats::Bf16(w) => f(Floats::Bf16(&w[part])),
            Floats::F16(w) => f(Floats::F16(&w[part])),
            Floats::Coded(_) => with_scratch(part.len(), |w| {
                let ids: Vec<i32> = words.clone().map(|word| word as i32).collect();
                take_rows(self.isa, self.pool, self.w, self.d, &ids, w);
                f(Floats::Real(w));
            }),
        }
    }

    fn product(
        &self,
        layout: Layout,
        [m, n, k]: [usize; 3],
        a: Floats<f32>,
        b: Floats<f32>,
        beta: Beta,
        c: &mut [f32],
    ) {
        matmul(
            self.isa,
            self.pool,
            &Problem { layout, m, n, k, alpha: 1.0, a, b, beta, pairs: self.pairs, low: None },
            c,
        );
    }

    /// Calls `f` with capped logits, in whose place it may leave their gradient; that of the raw ones remains.
    fn capped<U>(&self, x: &mut [f32], f: impl FnOnce(&mut [f32]) -> U) -> U {
        if self.soft_cap == 0.0 {
            return f(x);
        }
        with_scratch(x.len(), |slopes| {
            cap_with_slopes(self.isa, x, self.soft_cap, slopes);
            let result = f(x);
            multiply_each(self.isa, x, slopes);
            result
        })
    }

    /// d capped / d raw where the logit is `x`.
    fn slope(&self, x: f32) -> f32 {
        if self.soft_cap == 0.0 {
            return 1.0;
        }
        let bent = x / self.soft_cap;
        1.0 - bent * bent
    }

    /// Calls `found` with every labelled row and its sums; dh = Σ p · w − w[label].
    fn walk(&self, mut dh: Option<&mut [f32]>, mut found: impl FnMut(usize, Sums)) {
        let d = self.d;
        self.chunks(|rows, [states, gradients, own], logits| {
            let mut sums: Vec<Sums> = rows.iter().map(|&row| Sums::of(self.labels[row])).collect();
            self.each_block(rows.len(), states, logits, |words, w, logits| {
                let tasks = sums.iter_mut().zip(logits.chunks_mut(words.len())).collect();
                let changes = self.pool.map(tasks, |(sums, logits): (&mut Sums, &mut [f32])| {
                    self.capped(logits, |logits| sums.take_in(self.isa, words, logits))
                });
                if dh.is_none() {
                    return;
                }
                let sizes = [rows.len(), d, words.len()];
                if words.start == 0 {
                    return self.product(Layout::Nn, sizes, Floats::Real(logits), w, Beta::Overwrite, gradients);
                }
                for (gradient, &change) in gradients.chunks_mut(d).zip(&changes).filter(|(_, &change)| change != 1.0) {
                    scaled(self.isa, gradient, change);
                }
                self.product(Layout::Nn, sizes, Floats::Real(logits), w, Beta::Add, gradients);
            });
            if let Some(dh) = dh.as_deref_mut() {
                let labels: Vec<i32> = rows.iter().map(|&row| self.labels[row]).collect();
                take_rows(self.isa, self.pool, self.w, d, &labels, own);
                for (i, (&row, sums)) in rows.iter().zip(&sums).enumerate() {
                    let (dh, part) = (&mut dh[row * d..][..d], i * d..(i + 1) * d);
                    multiply_by(self.isa, &own[part.clone()], -self.slope(sums.own), dh);
                    add_scaled(self.isa, &gradients[part], (1.0 / sums.total) as f32, dh);
                }
            }
            rows.iter().zip(sums).for_each(|(&row, sums)| found(row, sums));
        });
    }

    /// −Σ log p(label), and its gradients.
    pub fn cross_entropy(&self, dh: Option<&mut [f32]>, dw: Option<&mut [f32]>) -> f64 {
        let mut loss = 0.0;
        if dw.is_none() {
            self.walk(dh, |_, sums| loss += sums.loss());
            return loss;
        }
        let mut shares = vec![Share::default(); self.labels.len()];
        self.walk(None, |row, sums| {
            loss += sums.loss();
            shares[row] = Share { shift: sums.most, whole: sums.total as f32, factor: (1.0 / sums.total) as f32 };
        });
        self.pull_back(&shares, dh, dw);
        loss
    }

    /// log p(label) and log Σ e^logit of each labelled row.
    pub fn log_prob(&self, logp: &mut [f32], lse: &mut [f32]) {
        self.walk(None, |row, sums| (logp[row], lse[row]) = (-sums.loss() as f32, sums.lse() as f32));
    }

    /// d logits = g · (onehot − p) = −g · (p − onehot), with p made again from lse.
    pub fn log_prob_backward(&self, g: &[f32], lse: &[f32], dh: Option<&mut [f32]>, dw: Option<&mut [f32]>) {
        let share = |(&g, &lse): (&f32, &f32)| Share { shift: lse, whole: 1.0, factor: -g };
        self.pull_back(&g.iter().zip(lse).map(share).collect::<Vec<_>>(), dh, dw);
    }

    /// dh and dw from the gradient of the logits, made again.
    fn pull_back(&self, shares: &[Share], mut dh: Option<&mut [f32]>, mut dw: Option<&mut [f32]>) {
        let d = self.d;
        self.chunks(|rows, [states, gradients, weighted], logits| {
            for ((weighted, state), &row) in weighted.chunks_mut(d).zip(states.chunks(d)).zip(rows) {
                multiply_by(self.isa, state, shares[row].factor, weighted);
            }
            self.each_block(rows.len(), states, logits, |words, w, logits| {
                let tasks = rows.iter().zip(logits.chunks_mut(words.len())).collect();
                self.pool.each(tasks, |(&row, logits): (&usize, &mut [f32])| {
                    let (label, share) = (self.labels[row] as usize, shares[row]);
                    self.capped(logits, |logits| {
                        shifted_exponentials(self.isa, logits, share.shift);
                        if words.contains(&label) {
                            logits[label - words.start] -= share.whole;
                        }
                    });
                });
                let logits = Floats::Real(logits);
                if dh.is_some() {
                    let beta = if words.start == 0 { Beta::Overwrite } else { Beta::Add };
                    self.product(Layout::Nn, [rows.len(), d, words.len()], logits, w, beta, gradients);
                }
                if let Some(dw) = dw.as_deref_mut() {
                    let dw = &mut dw[words.start * d..words.end * d];
                    let sizes = [words.len(), d, rows.len()];
                    self.product(Layout::Tn, sizes, logits, Floats::Real(weighted), Beta::Add, dw);
                }
            });
            if let Some(dh) = dh.as_deref_mut() {
                for (gradient, &row) in gradients.chunks(d).zip(rows) {
                    multiply_by(self.isa, gradient, shares[row].factor, &mut dh[row * d..][..d]);
                }
            }
        });
    }
}
