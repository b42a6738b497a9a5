//! Output head and loss in one: labelled rows meet the head a chunk at a time, and no more logits exist than a chunk's.
//! These lie in blocks of the vocabulary: rows as long as all of it would share cache sets, and be far apart.

use super::attention::steps;
use super::matmul::{matmul, Problem};
use super::pool::{forget_large_scratch, with_scratch, Pool};
use super::simd::{exp, kernel, largest, load_from, scale_in_place, store_to, sum2, tanh, Isa, Pairs};
use crate::maths::{Beta, Floats, Layout};
use std::ops::Range;

/// Logits that exist at a time, 48 MiB: 256 rows of SmolLM2, 98 of Llama 3.
const LOGITS: usize = 12 << 20;
/// Rows of a chunk at most.
const ROWS: usize = 256;
/// Words of a block: whole panels, and rows of it do not share cache sets.
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

    /// x → e^(x − lse)
    fn probabilities<S>(s, x: &mut [f32], lse: f32) {
        let shift = s.splat(lse);
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
    /// Its piece of each block.
    logits: Vec<&'a mut [f32]>,
    block: usize,
}

impl Row<'_> {
    fn own(&mut self) -> &mut f32 {
        &mut self.logits[self.label / self.block][self.label % self.block]
    }
}

impl Head<'_> {
    fn labelled(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|&row| self.labels[row] >= 0).collect()
    }

    /// Calls `f` with the rows of each chunk, their states packed `[rows, d]` and their logits,
    /// `[rows, words]` for each block.
    fn chunks(&self, mut f: impl FnMut(&[usize], &mut [f32], &mut [f32])) {
        let most = (LOGITS / self.vocab.max(1)).clamp(1, ROWS);
        for rows in self.labelled().chunks(most) {
            with_scratch(rows.len() * (self.d + self.vocab), |scratch| {
                let (states, logits) = scratch.split_at_mut(rows.len() * self.d);
                for (state, &row) in states.chunks_mut(self.d.max(1)).zip(rows) {
                    state.copy_from_slice(&self.h[row * self.d..][..self.d]);
                }
                for words in self.blocks() {
                    let logits = &mut logits[rows.len() * words.start..rows.len() * words.end];
                    let sizes = [rows.len(), words.len(), self.d];
                    self.multiply(Layout::Nt, sizes, Floats::Real(states), self.words(&words), Beta::Overwrite, logits);
                }
                f(rows, states, logits);
            });
        }
        // The layers' backward passes have more to keep meanwhile.
        forget_large_scratch();
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
        matmul(
            self.isa,
            self.pool,
            &Problem { layout, m, n, k, alpha: 1.0, a, b, beta, pairs: self.pairs, low: None },
            c,
        );
    }

    /// A weight in a codec cannot be cut: one block.
    fn block(&self) -> usize {
        if matches!(self.w, Floats::Coded(_)) {
            self.vocab
        } else {
            BLOCK
        }
    }

    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        steps(self.vocab, self.block())
    }

    /// Rows of the head.
    fn words(&self, words: &Range<usize>) -> Floats<'_, f32> {
        let part = words.start * self.d..words.end * self.d;
        match self.w {
            Floats::Real(w) => Floats::Real(&w[part]),
            Floats::F32(w) => Floats::F32(&w[part]),
            Floats::Bf16(w) => Floats::Bf16(&w[part]),
            Floats::F16(w) => Floats::F16(&w[part]),
            Floats::Coded(w) => Floats::Coded(w),
        }
    }

    fn each_row<U: Send>(&self, rows: &[usize], logits: &mut [f32], f: impl Fn(&mut Row) -> U + Sync + Send) -> Vec<U> {
        let row = |&at: &usize| Row { at, label: self.labels[at] as usize, logits: Vec::new(), block: self.block() };
        let mut tasks: Vec<Row> = rows.iter().map(row).collect();
        let mut rest = logits;
        for words in self.blocks() {
            let (block, behind) = std::mem::take(&mut rest).split_at_mut(rows.len() * words.len());
            tasks.iter_mut().zip(block.chunks_mut(words.len())).for_each(|(row, piece)| row.logits.push(piece));
            rest = behind;
        }
        self.pool.map(tasks, |mut row| f(&mut row))
    }

    /// Calls `f` with the capped logits of a row, in whose place it may leave their gradient; that of the raw ones remains.
    fn capped<U>(&self, row: &mut Row, f: impl FnOnce(&mut Row) -> U) -> U {
        if self.soft_cap == 0.0 {
            return f(row);
        }
        with_scratch(self.vocab, |slopes| {
            for (x, slopes) in row.logits.iter_mut().zip(slopes.chunks_mut(row.block)) {
                cap_with_slopes(self.isa, x, self.soft_cap, slopes);
            }
            let result = f(row);
            for (x, slopes) in row.logits.iter_mut().zip(slopes.chunks(row.block)) {
                multiply_each(self.isa, x, slopes);
            }
            result
        })
    }

    /// Turns logits into e^(logit − maximum); returns the maximum and the sum.
    fn exponentials(&self, row: &mut Row) -> (f32, f64) {
        let most =
            row.logits.iter().map(|x| maximum(self.isa, x)).fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
        (most, row.logits.iter_mut().map(|x| exponentials(self.isa, x, most)).sum())
    }

    /// dh and dw of a chunk from the gradient of its logits, which is `factors` of the rows times what lies there.
    fn pull_back(
        &self,
        rows: &[usize],
        states: &mut [f32],
        logits: &[f32],
        factors: &[f32],
        dh: Option<&mut [f32]>,
        dw: Option<&mut [f32]>,
    ) {
        let d = self.d;
        let block = |words: &Range<usize>| &logits[rows.len() * words.start..rows.len() * words.end];
        if let Some(dh) = dh {
            with_scratch(rows.len() * d, |part| {
                for words in self.blocks() {
                    let sizes = [rows.len(), d, words.len()];
                    let beta = if words.start == 0 { Beta::Overwrite } else { Beta::Add };
                    self.multiply(Layout::Nn, sizes, Floats::Real(block(&words)), self.words(&words), beta, part);
                }
                for ((part, &row), &factor) in part.chunks_mut(d.max(1)).zip(rows).zip(factors) {
                    multiply(self.isa, part, factor);
                    dh[row * d..][..d].copy_from_slice(part);
                }
            });
        }
        if let Some(dw) = dw {
            for (state, &factor) in states.chunks_mut(d.max(1)).zip(factors) {
                multiply(self.isa, state, factor);
            }
            for words in self.blocks() {
                let sizes = [words.len(), d, rows.len()];
                let dw = &mut dw[words.start * d..words.end * d];
                self.multiply(Layout::Tn, sizes, Floats::Real(block(&words)), Floats::Real(states), Beta::Add, dw);
            }
        }
    }

    /// −Σ log p(label); the gradients are those of the sum: p − onehot, of which the chunk holds `total` times as much.
    pub fn cross_entropy(&self, mut dh: Option<&mut [f32]>, mut dw: Option<&mut [f32]>) -> f64 {
        let mut loss = 0.0;
        self.chunks(|rows, states, logits| {
            let found = self.each_row(rows, logits, |row| {
                self.capped(row, |row| {
                    let own = *row.own();
                    let (maximum, total) = self.exponentials(row);
                    *row.own() -= total as f32;
                    (f64::from(maximum) + total.ln() - f64::from(own), (1.0 / total) as f32)
                })
            });
            let (losses, factors): (Vec<f64>, Vec<f32>) = found.into_iter().unzip();
            loss += losses.into_iter().sum::<f64>();
            self.pull_back(rows, states, logits, &factors, dh.as_deref_mut(), dw.as_deref_mut());
        });
        loss
    }

    /// log p(label) and log Σ e^logit of each labelled row.
    pub fn log_prob(&self, logp: &mut [f32], lse: &mut [f32]) {
        self.chunks(|rows, _, logits| {
            let results = self.each_row(rows, logits, |row| {
                self.capped(row, |row| {
                    let own = f64::from(*row.own());
                    let (maximum, total) = self.exponentials(row);
                    (row.at, own, f64::from(maximum) + total.ln())
                })
            });
            for (row, own, total) in results {
                (logp[row], lse[row]) = ((own - total) as f32, total as f32);
            }
        });
    }

    /// d logits = g · (onehot − p) = −g · (p − onehot), with p made again from lse.
    pub fn log_prob_backward(&self, g: &[f32], lse: &[f32], mut dh: Option<&mut [f32]>, mut dw: Option<&mut [f32]>) {
        self.chunks(|rows, states, logits| {
            self.each_row(rows, logits, |row| {
                self.capped(row, |row| {
                    let at = row.at;
                    row.logits.iter_mut().for_each(|x| probabilities(self.isa, x, lse[at]));
                    *row.own() -= 1.0;
                });
            });
            let factors: Vec<f32> = rows.iter().map(|&row| -g[row]).collect();
            self.pull_back(rows, states, logits, &factors, dh.as_deref_mut(), dw.as_deref_mut());
        });
    }
}
