//! A device is compared with the CPU before it is used: one layer, its loss, its gradients and an update, output by output.
//! A fault of a driver, of a compiler or of a kernel on a device that nobody tried is then one line, not a spoilt model.

use kernels::backend::{Attention, Backend, Control, Head, Needs};
use kernels::dtype::DType;
use kernels::error::{Code, KernelError, Result};
use kernels::host::Host;
use kernels::maths::{AdamW, Layout};
use kernels::rng::Key;
use kernels::store::Slot;

use crate::Precision;

const OP: &str = "openBackend";
/// Two sequences of packed rows, one longer than a tile of attention, and a vocabulary of no round number.
const LENGTHS: [usize; 2] = [70, 26];
const WIDTH: usize = 128;
const HEAD: usize = 64;
const VOCAB: usize = 203;

/// Of an output's largest element: sums in f32 in another order, or both sides of a product rounded.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::Tf32 => 5e-3,
        Precision::Bf16 => 2e-2,
        Precision::F16 => 5e-3,
    }
}

/// What a step made, and which of it is compared, with the name of the op.
struct Made<'a> {
    k: &'a mut dyn Backend,
    slots: Vec<Slot>,
    judged: Vec<(&'static str, Slot)>,
}

impl Made<'_> {
    fn keep(&mut self, slot: Slot) -> Slot {
        self.slots.push(slot);
        slot
    }

    fn judged(&mut self, op: &'static str, slot: Slot) -> Slot {
        self.judged.push((op, slot));
        self.keep(slot)
    }

    /// Numbers around 0, the same on every machine, so small that no softmax makes an error of bf16 large.
    fn drawn(&mut self, shape: &[usize], stream: u32) -> Result<Slot> {
        let key = Key { seed: 1, stream, step: 0, micro: 0, rank: 0 };
        let slot = self.k.normal(shape, 0.0, 0.25, key)?;
        Ok(self.keep(slot))
    }

    fn integers(&mut self, values: &[i32]) -> Result<Slot> {
        let slot = self.k.upload(DType::I32, &[values.len()], bytemuck::cast_slice(values))?;
        Ok(self.keep(slot))
    }

    fn zeros(&mut self, shape: &[usize]) -> Result<Slot> {
        let slot = self.k.alloc(DType::F32, shape)?;
        Ok(self.keep(slot))
    }

    fn product(&mut self, layout: Layout, a: Slot, b: Slot) -> Result<Slot> {
        let slot = self.k.matmul(layout, a, b, 1.0, None)?;
        Ok(self.judged("matmul", slot))
    }

    fn step(&mut self) -> Result<()> {
        let n = LENGTHS.iter().sum::<usize>();
        let ids: Vec<i32> = (0..n).map(|i| (i * 7 % VOCAB) as i32).collect();
        let positions: Vec<i32> = LENGTHS.iter().flat_map(|&length| 0..length as i32).collect();
        let [a, b] = LENGTHS.map(|length| length as i32);
        let (ids, positions) = (self.integers(&ids)?, self.integers(&positions)?);
        let layout = self.integers(&[0, a, 1, 0, a, a, b, 1, a, b])?;
        let (table, weight) = (self.drawn(&[VOCAB, WIDTH], 1)?, self.drawn(&[WIDTH, WIDTH], 2)?);
        let narrow = self.drawn(&[HEAD, WIDTH], 3)?;
        let gain = self.drawn(&[WIDTH], 4)?;

        let x = self.k.take_rows(table, ids)?;
        let x = self.judged("takeRows", x);
        let [y, rstd] = self.k.rms_norm(x, gain, 1e-5)?;
        let (y, rstd) = (self.judged("rmsNorm", y), self.keep(rstd));
        let (q, v) = (self.product(Layout::Nt, y, weight)?, self.product(Layout::Nt, y, narrow)?);
        let coded = self.k.cast(weight, DType::Bf16)?;
        let coded = self.keep(coded);
        let up = self.product(Layout::Nn, y, coded)?;
        let [cos, sin] = self.k.rope_table(positions, &[1.0, 0.1, 0.01], 1.0)?;
        let (cos, sin) = (self.keep(cos), self.keep(sin));
        let q = self.k.rope(q, cos, sin, HEAD, false)?;
        let q = self.judged("rope", q);
        let inputs = Attention { q, k: v, v, layout, head_dim: HEAD, scale: 0.125, window: 0, soft_cap: 0.0 };
        let [o, lse] = self.k.attention(inputs)?;
        let (o, lse) = (self.judged("attention", o), self.keep(lse));
        let gated = self.k.swiglu(o, up)?;
        let gated = self.judged("swiglu", gated);
        let sum = self.k.copy(x)?;
        let sum = self.judged("addRmsNorm", sum);
        let [normed, inverse] = self.k.add_rms_norm(sum, gated, gain, 1e-5)?;
        let (normed, inverse) = (self.judged("addRmsNorm", normed), self.keep(inverse));

        let head = Head { h: normed, w: table, labels: ids, soft_cap: 0.0 };
        let outputs = self.k.linear_cross_entropy(head, Needs { h: true, w: true })?;
        let outputs: Vec<Slot> = outputs.into_iter().map(|slot| self.judged("linearCrossEntropy", slot)).collect();
        let [_, dh, dw] = outputs[..] else { return Err(KernelError::argument(OP, "a gradient is missing")) };
        let dsum = self.k.copy(dh)?;
        let dsum = self.judged("addRmsNormBackward", dsum);
        if let Some(dgain) = self.k.add_rms_norm_backward(dsum, [dh, sum, gain, inverse], true)? {
            self.judged("addRmsNormBackward", dgain);
        }
        for slot in self.k.swiglu_backward(dh, o, up)? {
            self.judged("swigluBackward", slot);
        }
        for slot in self.k.attention_backward(dh, inputs, o, lse)? {
            self.judged("attentionBackward", slot);
        }
        for slot in self.k.rms_norm_backward(dh, x, gain, rstd, true)? {
            self.judged("rmsNormBackward", slot);
        }
        self.product(Layout::Tn, dh, y)?;
        let norm = self.k.grad_norm(&[dw])?;
        let norm = self.judged("gradNorm", norm);
        let [scale, skip] = self.k.clip_factor(norm, 1.0)?;
        let (scale, skip) = (self.keep(scale), self.keep(skip));
        let (m, v, step) = (self.zeros(&[VOCAB, WIDTH])?, self.zeros(&[VOCAB, WIDTH])?, self.zeros(&[1])?);
        // An ε beside which no gradient is small: the update is no sign of a last bit.
        let options = AdamW { lr: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1.0, weight_decay: 0.1 };
        self.k.adamw(&[table], &[dw], &[m], &[v], Control { step, scale, skip }, options)?;
        self.judged.push(("adamw", table));
        Ok(())
    }

    fn numbers(&mut self) -> Result<Vec<(&'static str, Vec<f32>)>> {
        let read = |&(op, slot): &(&'static str, Slot)| {
            let mut values = vec![0f32; self.k.byte_length(slot)? / 4];
            self.k.read(slot, bytemuck::cast_slice_mut(&mut values))?;
            Ok((op, values))
        };
        self.judged.iter().map(read).collect()
    }
}

/// Outputs of the ops of a step; nothing stays.
fn outputs(k: &mut dyn Backend) -> Result<Vec<(&'static str, Vec<f32>)>> {
    let mut made = Made { k, slots: Vec::new(), judged: Vec::new() };
    let numbers = made.step().and_then(|()| made.numbers());
    let Made { k, slots, .. } = made;
    let freed = slots.into_iter().try_for_each(|slot| k.free(slot));
    numbers.and_then(|numbers| freed.map(|()| numbers))
}

/// The largest distance as a part of the largest element; infinite where something is no number.
fn apart(ours: &[f32], theirs: &[f32]) -> f64 {
    let largest = theirs.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let distance = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    f64::from(ours.iter().zip(theirs).map(distance).fold(0.0, f32::max) / largest)
}

/// NO_BACKEND with the first op whose result is not the CPU's.
pub fn compare(device: &mut dyn Backend, precision: Precision) -> Result<()> {
    let (ours, theirs) = (outputs(device)?, outputs(&mut Host::cpu(1, false))?);
    let tolerance = tolerance(precision);
    for ((op, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        let apart = apart(ours, theirs);
        if apart > tolerance {
            let message = format!("{} is not used: its {op} is {apart:.1e} from the CPU's", device.description());
            return Err(KernelError::new(Code::NoBackend, OP, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kernels::backend::Memory;

    use super::*;

    #[test]
    fn a_step_leaves_nothing_and_says_the_same_twice() {
        let mut host = Host::cpu(1, false);
        let (first, second) = (outputs(&mut host).unwrap(), outputs(&mut host).unwrap());
        assert_eq!((host.live_tensors(), host.live_bytes()), (0, 0));
        assert!(first.iter().all(|(_, values)| values.iter().any(|&x| x != 0.0)));
        assert_eq!(first, second);
        assert!(compare(&mut Host::reference(), Precision::F32).is_ok());
    }

    #[test]
    fn what_is_no_number_is_far() {
        assert_eq!(apart(&[f32::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(apart(&[1.0, 3.0], &[1.0, 4.0]), 0.25);
    }
}
