//! Optimizer steps over all tensors of a group. Everything is checked before the first tensor changes, and nothing
//! changes where `skip` is set.

use std::collections::HashSet;

use super::views::{reals, scalar};
use super::{check, in_compute_dtype, Compute, Host};
use crate::backend::{Control, Optimizers};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::{AdamW, Sgd};
use crate::store::{Slot, Tensor};

/// Tensors of a group by role: parameters, gradients and optimizer state, all of one dtype and pairwise of one shape.
struct Group {
    params: Vec<Tensor>,
    grads: Vec<Tensor>,
    states: Vec<Vec<Tensor>>,
    dtype: DType,
}

/// What `Control` says about this update.
struct Update {
    step: Tensor,
    count: f32,
    grad_scale: f64,
    skipped: bool,
}

fn same_dtype(op: &'static str, tensors: &[&Tensor]) -> Result<DType> {
    let dtype = check::compute_dtype(op, tensors)?;
    tensors.iter().try_for_each(|x| check::dtype_is(op, "every parameter, gradient and state", x, dtype))?;
    Ok(dtype)
}

/// No tensor that changes lies on the memory of another one of the group.
fn all_apart(op: &'static str, changed: &[&Tensor], grads: &[Tensor]) -> Result<()> {
    let mut seen = HashSet::new();
    let repeated = changed.iter().find(|x| !seen.insert(x.memory_id()));
    let read = grads.iter().find(|g| seen.contains(&g.memory_id()));
    match repeated.copied().or(read) {
        Some(x) => Err(KernelError::argument(op, format!("{} shares memory with another of the group", x.describe()))),
        None => Ok(()),
    }
}

fn check_finite(op: &'static str, numbers: &[(&str, f64)]) -> Result<()> {
    numbers.iter().try_for_each(|&(what, value)| check::finite(op, what, value).map(drop))
}

impl Host {
    fn group(&self, op: &'static str, params: &[Slot], grads: &[Slot], states: &[(&str, &[Slot])]) -> Result<Group> {
        let mut lists = std::iter::once(("grads", grads)).chain(states.iter().copied());
        if let Some((what, list)) = lists.find(|(_, list)| list.len() != params.len()) {
            let message = format!("{} params but {} {what}", params.len(), list.len());
            return Err(KernelError::shape(op, message));
        }
        let (params, grads) = (self.get_all(op, params)?, self.get_all(op, grads)?);
        let states = states.iter().map(|(_, list)| self.get_all(op, list)).collect::<Result<Vec<_>>>()?;
        for list in std::iter::once(&grads).chain(&states) {
            for (p, other) in params.iter().zip(list) {
                check::same_shape(op, ["a parameter", "its gradient or state"], p, other)?;
            }
        }
        let changed: Vec<&Tensor> = params.iter().chain(states.iter().flatten()).collect();
        all_apart(op, &changed, &grads)?;
        let dtype = same_dtype(op, &changed.iter().copied().chain(&grads).collect::<Vec<_>>())?;
        Ok(Group { params, grads, states, dtype })
    }

    fn update(&self, op: &'static str, control: Control, group: &Group) -> Result<Update> {
        let step = self.get(op, control.step)?;
        check::dtype_is(op, "step", &step, DType::F32)?;
        if group.params.iter().chain(group.states.iter().flatten()).any(|x| x.shares_memory_with(&step)) {
            return Err(KernelError::argument(op, "step shares memory with a parameter or its state"));
        }
        let (scale, skip) = (self.get(op, control.scale)?, self.get(op, control.skip)?);
        check::compute_dtype(op, &[&scale, &skip])?;
        Ok(Update {
            count: scalar(op, "step", &step)?,
            grad_scale: scalar(op, "scale", &scale)?,
            skipped: scalar::<f64>(op, "skip", &skip)? != 0.0,
            step,
        })
    }

    fn adamw_in<R: Compute>(&mut self, group: &Group, update: &Update, options: AdamW) -> Result<()> {
        let maths = R::maths(self, "adamw")?;
        let (t, grad_scale) = (f64::from(update.count) + 1.0, R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let (mut m, mut v) = (group.states[0][i].view_mut(), group.states[1][i].view_mut());
            maths.adamw(&mut p.view_mut(), &group.grads[i].view(), &mut m, &mut v, t, grad_scale, options);
        }
        Ok(())
    }

    fn sgd_in<R: Compute>(&mut self, group: &Group, update: &Update, options: Sgd) -> Result<()> {
        let maths = R::maths(self, "sgd")?;
        let (t, grad_scale) = (f64::from(update.count) + 1.0, R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let mut momentum = group.states.first().map(|list| list[i].view_mut());
            let momentum = momentum.as_deref_mut();
            maths.sgd(&mut p.view_mut(), &group.grads[i].view(), momentum, t, grad_scale, options);
        }
        Ok(())
    }

    fn grad_norm_in<R: Compute>(&mut self, grads: &[Tensor]) -> Result<Slot> {
        let maths = R::maths(self, "gradNorm")?;
        let mut squares = 0.0;
        for g in grads.iter().filter(|g| !g.is_empty()) {
            squares += maths.sum_of_squares(&reals::<R>("gradNorm", g)?);
        }
        let mut norm = self.zeros::<R>("gradNorm", &[1])?;
        norm.view_mut::<R>()[0] = R::from_f64(squares.sqrt());
        self.keep("gradNorm", norm)
    }

    fn clip_factor_in<R: Compute>(&mut self, norm: &Tensor, max_norm: f64) -> Result<[Slot; 2]> {
        let op = "clipFactor";
        let norm: R = scalar(op, "norm", norm)?;
        let mut scale = self.zeros::<R>(op, &[1])?;
        let mut skip = self.zeros::<R>(op, &[1])?;
        let clipped = (R::from_f64(max_norm) / (norm + R::from_f64(1e-6))).min(R::one());
        scale.view_mut()[0] = if max_norm == 0.0 { R::one() } else { clipped };
        skip.view_mut()[0] = if norm.is_finite() { R::zero() } else { R::one() };
        self.keep_array(op, [scale, skip])
    }
}

impl Optimizers for Host {
    fn grad_norm(&mut self, grads: &[Slot]) -> Result<Slot> {
        let grads = self.get_all("gradNorm", grads)?;
        match check::compute_dtype("gradNorm", &grads.iter().collect::<Vec<_>>())? {
            DType::F64 => self.grad_norm_in::<f64>(&grads),
            _ => self.grad_norm_in::<f32>(&grads),
        }
    }

    fn clip_factor(&mut self, norm: Slot, max_norm: f64) -> Result<[Slot; 2]> {
        let norm = self.get("clipFactor", norm)?;
        check::within("clipFactor", "maxNorm", max_norm, 0.0, f64::INFINITY)?;
        in_compute_dtype!(self, "clipFactor", [&norm], clip_factor_in(&norm, max_norm))
    }

    fn adamw(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        m: &[Slot],
        v: &[Slot],
        control: Control,
        options: AdamW,
    ) -> Result<()> {
        let op = "adamw";
        check_finite(op, &[("lr", options.lr), ("weightDecay", options.weight_decay)])?;
        check::within(op, "beta1", options.beta1, 0.0, 1.0)?;
        check::within(op, "beta2", options.beta2, 0.0, 1.0)?;
        check::within(op, "epsilon", options.epsilon, 0.0, f64::INFINITY)?;
        let group = self.group(op, params, grads, &[("m", m), ("v", v)])?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.adamw_in::<f64>(&group, &update, options)?,
            _ => self.adamw_in::<f32>(&group, &update, options)?,
        }
        update.step.view_mut::<f32>()[0] = update.count + 1.0;
        Ok(())
    }

    fn sgd(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        momentum: &[Slot],
        control: Control,
        options: Sgd,
    ) -> Result<()> {
        let op = "sgd";
        check_finite(op, &[("lr", options.lr), ("weightDecay", options.weight_decay)])?;
        check::within(op, "momentum", options.momentum, 0.0, f64::INFINITY)?;
        let plain = options.momentum == 0.0;
        if plain && (options.nesterov || !momentum.is_empty()) {
            return Err(KernelError::argument(op, "nesterov and momentum buffers need a momentum above 0"));
        }
        let states: &[(&str, &[Slot])] = if plain { &[] } else { &[("momentum", momentum)] };
        let group = self.group(op, params, grads, states)?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.sgd_in::<f64>(&group, &update, options)?,
            _ => self.sgd_in::<f32>(&group, &update, options)?,
        }
        update.step.view_mut::<f32>()[0] = update.count + 1.0;
        Ok(())
    }
}
