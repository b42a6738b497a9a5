use super::views::reals;
use super::{check, in_dtype, Compute, Host};
use crate::backend::Random;
use crate::error::Result;
use crate::rng::{normals, unit, Key};
use crate::store::{Slot, Tensor};

/// Four values for each block of the counter.
fn draw(key: Key, y: &mut [f32], values: impl Fn([u32; 4]) -> [f32; 4]) {
    for (block, lanes) in y.chunks_mut(4).enumerate() {
        let values = values(key.block(block as u64));
        lanes.copy_from_slice(&values[..lanes.len()]);
    }
}

impl Random for Host {
    fn dropout(&mut self, x: Slot, p: f64, key: Key) -> Result<Slot> {
        let x = self.get("dropout", x)?;
        in_dtype!(self, check::dropout(&x, p)?, dropout_in(&x, p, key))
    }

    fn uniform(&mut self, shape: &[usize], low: f64, high: f64, key: Key) -> Result<Slot> {
        let op = "uniform";
        let [first, last] = check::uniform(low, high)?;
        let mut y = self.unset::<f32>(op, shape)?;
        draw(key, y.view_mut(), |words| {
            words.map(|word| ((low + (high - low) * f64::from(unit(word))) as f32).clamp(first, last))
        });
        self.keep(op, y)
    }

    fn normal(&mut self, shape: &[usize], mean: f64, std: f64, key: Key) -> Result<Slot> {
        let op = "normal";
        check::normal(mean, std)?;
        let mut y = self.unset::<f32>(op, shape)?;
        draw(key, y.view_mut(), |words| normals(words).map(|z| (mean + std * z) as f32));
        self.keep(op, y)
    }
}

impl Host {
    fn dropout_in<R: Compute>(&mut self, x: &Tensor, p: f64, key: Key) -> Result<Slot> {
        let maths = R::maths(self, "dropout")?;
        let mut y = self.unset::<R>("dropout", x.shape())?;
        if !y.is_empty() {
            maths.dropout(&reals("dropout", x)?, p, key, y.view_mut());
        }
        self.keep("dropout", y)
    }
}
