//! JavaScript numbers to the integers they must be: `as` would cut or saturate them without a word.

use kernels::error::{KernelError, Result};
use kernels::rng::Key;
use kernels::store::Slot;
use napi_derive::napi;

const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// A whole number in 0 … max.
fn whole(op: &'static str, what: &str, value: f64, max: f64) -> Result<u64> {
    if value.fract() == 0.0 && (0.0..=max).contains(&value) {
        return Ok(value as u64);
    }
    Err(KernelError::argument(op, format!("{what} must be a whole number in 0 … {max}, got {value}")))
}

pub fn extent(op: &'static str, what: &str, value: f64) -> Result<usize> {
    let value = whole(op, what, value, MAX_SAFE)?;
    usize::try_from(value).map_err(|_| KernelError::argument(op, format!("{what} {value} is too large")))
}

pub fn slot(op: &'static str, value: f64) -> Result<Slot> {
    whole(op, "a slot", value, MAX_SAFE).map(Slot)
}

pub fn slots(op: &'static str, values: &[f64]) -> Result<Vec<Slot>> {
    values.iter().map(|&value| slot(op, value)).collect()
}

pub fn shape(op: &'static str, values: &[f64]) -> Result<Vec<usize>> {
    values.iter().map(|&value| extent(op, "an axis of the shape", value)).collect()
}

#[napi(object)]
pub struct RngKey {
    pub seed: f64,
    pub stream: f64,
    pub step: f64,
    pub micro: f64,
    pub rank: f64,
}

pub fn key(op: &'static str, key: RngKey) -> Result<Key> {
    let word = |what, value| whole(op, what, value, f64::from(u32::MAX)).map(|value| value as u32);
    Ok(Key {
        seed: whole(op, "seed", key.seed, MAX_SAFE)?,
        stream: word("stream", key.stream)?,
        step: word("step", key.step)?,
        micro: word("micro", key.micro)?,
        rank: whole(op, "rank", key.rank, f64::from(u16::MAX))? as u16,
    })
}

pub fn number(slot: Slot) -> f64 {
    slot.0 as f64
}

pub fn numbers(slots: impl IntoIterator<Item = Slot>) -> Vec<f64> {
    slots.into_iter().map(number).collect()
}
