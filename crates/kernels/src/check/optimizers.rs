//! Groups of an optimizer step: everything is checked before the first tensor changes.

use std::collections::HashSet;

use super::{compute_dtype, dtype_is, finite, same_shape, shape_is, within};
use crate::dtype::DType;
use crate::dynamic_code::BLOCK;
use crate::error::{KernelError, Result};
use crate::maths::{Adafactor, AdamW, Lion, Sgd};
use crate::store::Tensor;

/// Tensors of a group by role: parameters, gradients and optimizer state, all of one dtype and pairwise of one shape;
/// but where parameters and states are bf16, gradients are f32.
pub struct Group<B> {
    pub params: Vec<Tensor<B>>,
    pub grads: Vec<Tensor<B>>,
    pub states: Vec<Vec<Tensor<B>>>,
    pub dtype: DType,
}

/// The shape of a state, from its parameter's.
type ShapeOf = fn(&[usize]) -> Vec<usize>;

/// What a state is to the parameter it belongs to.
pub struct State<B> {
    pub name: &'static str,
    pub tensors: Vec<Tensor<B>>,
    /// Its shape, where it is not the parameter's.
    shape: Option<ShapeOf>,
    /// Its dtype, where it is not the parameter's.
    dtype: Option<DType>,
}

impl<B> State<B> {
    /// Of the parameter's own shape and dtype.
    pub fn like(name: &'static str, tensors: Vec<Tensor<B>>) -> State<B> {
        State { name, tensors, shape: None, dtype: None }
    }

    /// One moment a row; none for a vector, whose moment is not factored.
    pub fn rows(tensors: Vec<Tensor<B>>) -> State<B> {
        let shape: ShapeOf = |shape| vec![if shape.len() == 2 { shape[0] } else { 0 }];
        State { name: "rows", tensors, shape: Some(shape), dtype: None }
    }

    pub fn columns(tensors: Vec<Tensor<B>>) -> State<B> {
        let shape: ShapeOf = |shape| vec![shape.last().copied().unwrap_or(0)];
        State { name: "columns", tensors, shape: Some(shape), dtype: None }
    }

    pub fn codes(name: &'static str, tensors: Vec<Tensor<B>>) -> State<B> {
        State { name, tensors, shape: None, dtype: Some(DType::U8) }
    }

    /// One scale for each block of the parameter.
    pub fn scales(name: &'static str, tensors: Vec<Tensor<B>>) -> State<B> {
        let shape: ShapeOf = |shape| vec![shape.iter().product::<usize>().div_ceil(BLOCK)];
        State { name, tensors, shape: Some(shape), dtype: None }
    }

    fn check(&self, op: &'static str, p: &Tensor<B>, x: &Tensor<B>) -> Result<()> {
        match self.shape {
            Some(shape) => shape_is(op, self.name, x, &shape(p.shape()))?,
            None => same_shape(op, ["a parameter", "its gradient or state"], p, x)?,
        }
        self.dtype.map_or(Ok(()), |dtype| dtype_is(op, self.name, x, dtype))
    }
}

/// Whether an optimizer rounds what it updates back to bf16.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    Never,
    ToBf16,
}

fn same_dtype<B>(op: &'static str, own: &[&Tensor<B>], grads: &[Tensor<B>], rounds: Rounds) -> Result<DType> {
    let what = "every parameter, gradient and state";
    let all: Vec<_> = own.iter().copied().chain(grads).collect();
    let dtype = compute_dtype(op, &all)?;
    if rounds == Rounds::ToBf16 && own.first().is_some_and(|p| p.dtype() == DType::Bf16) {
        own.iter().try_for_each(|x| dtype_is(op, "every parameter and state", x, DType::Bf16))?;
        grads.iter().try_for_each(|g| dtype_is(op, "a gradient of bf16", g, DType::F32))?;
        return Ok(DType::Bf16);
    }
    all.iter().try_for_each(|x| dtype_is(op, what, x, dtype))?;
    Ok(dtype)
}

/// No tensor that changes lies on the memory of another one of the group.
fn all_apart<B>(op: &'static str, changed: &[&Tensor<B>], grads: &[Tensor<B>]) -> Result<()> {
    let mut seen = HashSet::new();
    let repeated = changed.iter().find(|x| !seen.insert(x.memory_id()));
    let read = grads.iter().find(|g| seen.contains(&g.memory_id()));
    match repeated.copied().or(read) {
        Some(x) => Err(KernelError::argument(op, format!("{} shares memory with another of the group", x.describe()))),
        None => Ok(()),
    }
}

pub fn group<B>(
    op: &'static str,
    params: Vec<Tensor<B>>,
    grads: Vec<Tensor<B>>,
    states: Vec<State<B>>,
    rounds: Rounds,
) -> Result<Group<B>> {
    let lengths = states.iter().map(|state| (state.name, state.tensors.len()));
    let mut lists = std::iter::once(("grads", grads.len())).chain(lengths);
    if let Some((what, length)) = lists.find(|&(_, length)| length != params.len()) {
        return Err(KernelError::shape(op, format!("{} params but {length} {what}", params.len())));
    }
    for (p, g) in params.iter().zip(&grads) {
        same_shape(op, ["a parameter", "its gradient or state"], p, g)?;
    }
    for state in &states {
        params.iter().zip(&state.tensors).try_for_each(|(p, x)| state.check(op, p, x))?;
    }
    let changed: Vec<_> = params.iter().chain(states.iter().flat_map(|state| &state.tensors)).collect();
    all_apart(op, &changed, &grads)?;
    let own = states.iter().filter(|state| state.dtype.is_none()).flat_map(|state| &state.tensors);
    let dtype = same_dtype(op, &params.iter().chain(own).collect::<Vec<_>>(), &grads, rounds)?;
    Ok(Group { params, grads, states: states.into_iter().map(|state| state.tensors).collect(), dtype })
}

/// The [1] tensors that steer a step.
pub fn control<B>(op: &'static str, group: &Group<B>, [step, scale, skip]: [&Tensor<B>; 3]) -> Result<()> {
    dtype_is(op, "step", step, DType::F32)?;
    if group.params.iter().chain(group.states.iter().flatten()).any(|x| x.shares_memory_with(step)) {
        return Err(KernelError::argument(op, "step shares memory with a parameter or its state"));
    }
    compute_dtype(op, &[scale, skip])?;
    shape_is(op, "step", step, &[1])?;
    shape_is(op, "scale", scale, &[1])?;
    shape_is(op, "skip", skip, &[1])
}

fn all_finite(op: &'static str, numbers: &[(&str, f64)]) -> Result<()> {
    numbers.iter().try_for_each(|&(what, value)| finite(op, what, value).map(drop))
}

fn adam_options(op: &'static str, options: AdamW) -> Result<()> {
    all_finite(op, &[("lr", options.lr), ("weightDecay", options.weight_decay)])?;
    within(op, "beta1", options.beta1, 0.0, 1.0)?;
    within(op, "beta2", options.beta2, 0.0, 1.0)?;
    within(op, "epsilon", options.epsilon, 0.0, f64::INFINITY).map(drop)
}

pub fn adamw(options: AdamW) -> Result<()> {
    adam_options("adamw", options)
}

pub fn adamw_8bit(options: AdamW) -> Result<()> {
    adam_options("adamw8bit", options)
}

/// Whether the step has momentum buffers.
pub fn sgd(options: Sgd, buffers: usize) -> Result<bool> {
    let op = "sgd";
    all_finite(op, &[("lr", options.lr), ("weightDecay", options.weight_decay)])?;
    within(op, "momentum", options.momentum, 0.0, f64::INFINITY)?;
    let plain = options.momentum == 0.0;
    if plain && (options.nesterov || buffers > 0) {
        return Err(KernelError::argument(op, "nesterov and momentum buffers need a momentum above 0"));
    }
    Ok(!plain)
}

pub fn lion(options: Lion) -> Result<()> {
    let op = "lion";
    all_finite(op, &[("lr", options.lr), ("weightDecay", options.weight_decay)])?;
    within(op, "beta1", options.beta1, 0.0, 1.0)?;
    within(op, "beta2", options.beta2, 0.0, 1.0).map(drop)
}

pub fn adafactor<B>(options: Adafactor, params: &[Tensor<B>]) -> Result<()> {
    let op = "adafactor";
    let Adafactor { lr, weight_decay, epsilon, clip, decay_rate } = options;
    all_finite(op, &[("lr", lr), ("weightDecay", weight_decay), ("decayRate", decay_rate)])?;
    within(op, "epsilon", epsilon, 0.0, f64::INFINITY)?;
    within(op, "clip", clip, f64::MIN_POSITIVE, f64::INFINITY)?;
    match params.iter().map(Tensor::shape).find(|shape| !(1..=2).contains(&shape.len())) {
        Some(shape) => Err(KernelError::shape(op, format!("a parameter must have 1 or 2 axes, got {shape:?}"))),
        None => Ok(()),
    }
}

pub fn clip_factor<B>(norm: &Tensor<B>, max_norm: f64) -> Result<DType> {
    within("clipFactor", "maxNorm", max_norm, 0.0, f64::INFINITY)?;
    let dtype = compute_dtype("clipFactor", &[norm])?;
    shape_is("clipFactor", "norm", norm, &[1])?;
    Ok(dtype)
}
