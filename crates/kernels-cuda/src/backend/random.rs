use kernels::backend::Random;
use kernels::check;
use kernels::error::Result;
use kernels::rng::Key;
use kernels::store::Slot;

use super::{single, Cuda};
use crate::launch::{arg, over};
use crate::sources::RANDOM;

/// The key's words as cu/random.cu takes them, and the rest of the counter.
fn words(key: Key) -> [u64; 5] {
    let Key { seed, stream, step, micro, rank } = key;
    [seed as u32, stream ^ (seed >> 32) as u32, u32::from(rank), step, micro].map(u64::from)
}

impl Random for Cuda {
    fn dropout(&mut self, x: Slot, p: f64, key: Key) -> Result<Slot> {
        let op = "dropout";
        let x = self.get(op, x)?;
        single(op, check::dropout(&x, p)?)?;
        let (values, y) = (self.reals(op, &x)?, self.unset(op, x.shape())?);
        // u < p for u = bits / 2²⁴ is the same as bits < ⌈p · 2²⁴⌉.
        let threshold = u64::from((p * 16_777_216.0).ceil() as u32);
        let own = [values.at(), threshold, arg::float(1.0 / (1.0 - p))];
        let mut arguments = [own.as_slice(), &words(key), &[y.at(), arg::size(y.len())]].concat();
        self.kernels.launch(op, &RANDOM, "dropout", over(y.len().div_ceil(4)), &mut arguments)?;
        self.keep(op, y)
    }

    fn uniform(&mut self, shape: &[usize], low: f64, high: f64, key: Key) -> Result<Slot> {
        let op = "uniform";
        let [first, last] = check::uniform(low, high)?;
        let y = self.unset(op, shape)?;
        let own = [arg::double(low), arg::double(high), arg::float(f64::from(first)), arg::float(f64::from(last))];
        let mut arguments = [own.as_slice(), &words(key), &[y.at(), arg::size(y.len())]].concat();
        self.kernels.launch(op, &RANDOM, "uniform", over(y.len().div_ceil(4)), &mut arguments)?;
        self.keep(op, y)
    }

    fn normal(&mut self, shape: &[usize], mean: f64, std: f64, key: Key) -> Result<Slot> {
        let op = "normal";
        check::normal(mean, std)?;
        let y = self.unset(op, shape)?;
        let own = [arg::double(mean), arg::double(std)];
        let mut arguments = [own.as_slice(), &words(key), &[y.at(), arg::size(y.len())]].concat();
        self.kernels.launch(op, &RANDOM, "normal", over(y.len().div_ceil(4)), &mut arguments)?;
        self.keep(op, y)
    }
}
