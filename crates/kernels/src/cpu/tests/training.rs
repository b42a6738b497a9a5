//! The loss and what updates weights.

use super::super::{Cpu, Isa};
use super::{conforms, joined, numbers, zeros};
use crate::dynamic_code::{Quantized, BLOCK};
use crate::maths::{Adafactor, AdamW, Floats, Lion, Maths, Real, Sgd};
use crate::reference::Naive;

fn head<R: Real>(maths: &dyn Maths<R>, [n, d, vocab]: [usize; 3], soft_cap: f64) -> Vec<f64> {
    let cap = R::from_f64(soft_cap);
    let (h, g) = (numbers::<R>(n * d, 1), numbers::<R>(n, 3));
    let w: Vec<_> = numbers::<f32>(vocab * d, 2).iter().map(|&x| half::bf16::from_f32(x)).collect();
    let labels: Vec<i32> = (0..n).map(|i| if i % 3 == 1 { -100 } else { (i * 2003 % vocab) as i32 }).collect();
    let (mut dh, mut dw, mut gh, mut gw) = (zeros(n * d), zeros(vocab * d), zeros(n * d), zeros(vocab * d));
    let w = Floats::Bf16(&w);
    let loss = maths.linear_cross_entropy(&h, w, &labels, d, vocab, cap, Some(&mut dh), Some(&mut dw));
    assert!(maths.linear_cross_entropy(&h, w, &labels, d, vocab, cap, None, None) == loss);
    // Through a frozen head the gradient grows block by block.
    let mut frozen = zeros(n * d);
    assert!(maths.linear_cross_entropy(&h, w, &labels, d, vocab, cap, Some(&mut frozen), None) == loss);
    let (mut logp, mut lse) = (zeros(n), zeros(n));
    maths.linear_log_prob(&h, w, &labels, d, vocab, cap, &mut logp, &mut lse);
    maths.linear_log_prob_backward(&g, &h, w, &labels, &lse, d, vocab, cap, Some(&mut gh), Some(&mut gw));
    joined(&[&[loss], &dh, &dw, &frozen, &logp, &gh, &gw])
}

#[test]
fn head_losses_and_their_gradients_are_right() {
    for size in [[1, 3, 2], [2, 5, 17], [40, 33, 1025], [400, 9, 260], [30, 7, 4100], [1600, 3, 40]] {
        conforms!(head(size, 0.0));
        conforms!(head(size, 2.0));
    }
}

fn optimizers<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let adamw = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };
    let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 };
    let (mut p, mut m, mut v) = (numbers::<R>(length, 1), zeros(length), zeros(length));
    let (mut a, mut b, mut buffer) = (p.clone(), p.clone(), zeros(length));
    for t in 1..4 {
        let g = numbers::<R>(length, 10 + t);
        let (t, scale) = (f64::from(t), R::from_f64(0.5));
        maths.adamw(&mut p, &g, &mut m, &mut v, t, scale, adamw);
        maths.sgd(&mut a, &g, Some(&mut buffer), t, scale, sgd);
        maths.sgd(&mut b, &g, None, t, scale, Sgd { momentum: 0.0, nesterov: false, ..sgd });
    }
    joined(&[&p, &m, &v, &a, &b, &buffer])
}

#[test]
fn optimizers_are_right() {
    for length in [1, 17, 70_001] {
        conforms!(optimizers(length));
    }
}

fn lion<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let options = Lion { lr: 0.01, beta1: 0.9, beta2: 0.99, weight_decay: 0.1 };
    let (mut p, mut m) = (numbers::<R>(length, 1), zeros(length));
    for t in 1..4 {
        maths.lion(&mut p, &numbers::<R>(length, 10 + t), &mut m, R::from_f64(0.5), options);
    }
    joined(&[&p, &m])
}

fn adafactor<R: Real>(maths: &dyn Maths<R>, [height, width]: [usize; 2]) -> Vec<f64> {
    let options = Adafactor { lr: 0.01, weight_decay: 0.1, epsilon: 1e-30, clip: 1.0, decay_rate: -0.8 };
    let (mut p, mut rows, mut columns) = (numbers::<R>(height * width, 1), zeros(height), zeros(width));
    let (mut vector, mut moment) = (numbers::<R>(width, 2), zeros(width));
    for t in 1..4 {
        let (g, h) = (numbers::<R>(height * width, 10 + t), numbers::<R>(width, 20 + t));
        let (t, scale) = (f64::from(t), R::from_f64(0.5));
        maths.adafactor(&mut p, &g, Some(&mut rows), &mut columns, t, scale, options);
        maths.adafactor(&mut vector, &h, None, &mut moment, t, scale, options);
    }
    joined(&[&p, &rows, &columns, &vector, &moment])
}

fn adamw_8bit<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let options = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };
    let blocks = length.div_ceil(BLOCK);
    let (mut p, mut m, mut v) = (numbers::<R>(length, 1), vec![0; length], vec![0; length]);
    let (mut m_scales, mut v_scales) = (zeros(blocks), zeros(blocks));
    for t in 1..4 {
        let m = Quantized { codes: &mut m, scales: &mut m_scales };
        let v = Quantized { codes: &mut v, scales: &mut v_scales };
        maths.adamw_8bit(&mut p, &numbers::<R>(length, 10 + t), m, v, f64::from(t), R::from_f64(0.5), options);
    }
    let codes: Vec<R> = m.iter().chain(&v).map(|&code| R::from_f64(f64::from(code))).collect();
    joined(&[&p, &codes, &m_scales, &v_scales])
}

#[test]
fn lion_is_right() {
    for length in [1, 17, 70_001] {
        conforms!(lion(length));
    }
}

#[test]
fn adafactor_is_right() {
    for shape in [[1, 1], [3, 17], [300, 129], [2, 40_000]] {
        conforms!(adafactor(shape));
    }
}

#[test]
fn adamw_on_8_bits_is_right() {
    for length in [1, 257, 70_001] {
        conforms!(adamw_8bit(length));
    }
}

#[test]
fn a_sign_is_that_of_any_number_however_small_and_0_of_0() {
    let options = Lion { lr: 1.0, beta1: 0.0, beta2: 0.5, weight_decay: 0.0 };
    let g = [f32::MIN_POSITIVE / 1024.0, -f32::MIN_POSITIVE, 0.0, -0.0, 3e38, -3e38];
    let run = |maths: &dyn Maths<f32>| {
        let (mut p, mut m) = ([0.0; 6], [0.0; 6]);
        maths.lion(&mut p, &g, &mut m, 1.0, options);
        p
    };
    assert_eq!(run(&Naive), [-1.0, 1.0, 0.0, 0.0, -1.0, 1.0]);
    for isa in Isa::available() {
        assert_eq!(run(&Cpu::with_isa(1, isa)), run(&Naive));
    }
}
