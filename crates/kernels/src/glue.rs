//! JavaScript's numbers and words as what they must be: what the glue of every machine shares. `as` would cut or saturate
//! numbers without a word.

use crate::backend::{Control, Head};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::{Activation, Binary, Layout, Unary};
use crate::rng::Key;
use crate::store::Slot;

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

/// seed, stream, step, micro and rank of a draw.
pub fn key(op: &'static str, [seed, stream, step, micro, rank]: [f64; 5]) -> Result<Key> {
    let word = |what, value| whole(op, what, value, f64::from(u32::MAX)).map(|value| value as u32);
    Ok(Key {
        seed: whole(op, "seed", seed, MAX_SAFE)?,
        stream: word("stream", stream)?,
        step: word("step", step)?,
        micro: word("micro", micro)?,
        rank: whole(op, "rank", rank, f64::from(u16::MAX))? as u16,
    })
}

pub fn number(slot: Slot) -> f64 {
    slot.0 as f64
}

pub fn numbers(slots: impl IntoIterator<Item = Slot>) -> Vec<f64> {
    slots.into_iter().map(number).collect()
}

pub fn dtype(op: &'static str, name: &str) -> Result<DType> {
    DType::from_name(name).ok_or_else(|| KernelError::dtype(op, format!("there is no dtype {name:?}")))
}

pub fn layout(name: &str) -> Result<Layout> {
    match name {
        "nn" => Ok(Layout::Nn),
        "nt" => Ok(Layout::Nt),
        "tn" => Ok(Layout::Tn),
        _ => Err(KernelError::argument("matmul", format!("there is no layout {name:?}; use nn, nt or tn"))),
    }
}

pub fn binary_kind(name: &str) -> Result<Binary> {
    match name {
        "add" => Ok(Binary::Add),
        "sub" => Ok(Binary::Sub),
        "mul" => Ok(Binary::Mul),
        _ => Err(KernelError::argument("binary", format!("there is no kind {name:?}; use add, sub or mul"))),
    }
}

pub fn activation_kind(op: &'static str, name: &str) -> Result<Activation> {
    match name {
        "relu" => Ok(Activation::Relu),
        "silu" => Ok(Activation::Silu),
        "tanh" => Ok(Activation::Tanh),
        _ => Err(KernelError::argument(op, format!("there is no kind {name:?}; use relu, silu or tanh"))),
    }
}

pub fn unary_kind(name: &str) -> Result<Unary> {
    match name {
        "exp" => Ok(Unary::Exp),
        "logSigmoid" => Ok(Unary::LogSigmoid),
        "logOneMinusExp" => Ok(Unary::LogOneMinusExp),
        "sqrt" => Ok(Unary::Sqrt),
        "step" => Ok(Unary::Step),
        _ => Err(KernelError::argument("unary", format!("there is no kind {name:?}"))),
    }
}

pub fn head(op: &'static str, h: f64, w: f64, labels: f64, soft_cap: f64) -> Result<Head> {
    Ok(Head { h: slot(op, h)?, w: slot(op, w)?, labels: slot(op, labels)?, soft_cap })
}

pub fn control(op: &'static str, step: f64, scale: f64, skip: f64) -> Result<Control> {
    Ok(Control { step: slot(op, step)?, scale: slot(op, scale)?, skip: slot(op, skip)? })
}
