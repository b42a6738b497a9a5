//! Optimizer steps over all tensors of a group. Everything is checked before the first tensor changes, and nothing
//! changes where `skip` is set.

use std::collections::HashSet;

use super::views::{reals, scalar};
use super::{check, in_compute_dtype, Compute, Host};
use crate::backend::{Codes, Control, Optimizers};
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::{Adafactor, AdamW, Lion, Sgd};
use crate::store::{Slot, Tensor};

/// Tensors of a group by role: parameters, gradients and optimizer state, all of one dtype and pairwise of one shape.
pub(super) struct Group {
    pub params: Vec<Tensor>,
    pub grads: Vec<Tensor>,
    pub states: Vec<Vec<Tensor>>,
    pub dtype: DType,
}

/// What `Control` says about this update.
pub(super) struct Update {
    step: Tensor,
    count: f32,
    pub grad_scale: f64,
    pub skipped: bool,
}

impl Update {
    /// The number of this update, from 1.
    pub fn t(&self) -> f64 {
        f64::from(self.count) + 1.0
    }

    pub fn done(&self) {
        self.step.view_mut::<f32>()[0] = self.count + 1.0;
    }
}

/// The shape of a state, from its parameter's.
type ShapeOf = fn(&[usize]) -> Vec<usize>;

/// What a state is to the parameter it belongs to.
pub(super) struct State<'a> {
    pub name: &'static str,
    pub slots: &'a [Slot],
    /// Its shape, where it is not the parameter's.
    pub shape: Option<ShapeOf>,
    /// Its dtype, where it is not the parameter's.
    pub dtype: Option<DType>,
}

impl<'a> State<'a> {
    /// A state of the parameter's own shape and dtype.
    fn like(name: &'static str, slots: &'a [Slot]) -> State<'a> {
        State { name, slots, shape: None, dtype: None }
    }
}

fn same_dtype(op: &'static str, tensors: &[&Tensor]) -> Result<DType> {
    let dtype = check::compute_dtype(op, tensors)?;
    tensors.iter().try_for_each(|x| check::dtype_is(op, "every parameter, gradient and state", x, dtype))?;
    Ok(dtype)
}

fn check_state(op: &'static str, state: &State, p: &Tensor, x: &Tensor) -> Result<()> {
    match state.shape {
        Some(shape) => check::shape_is(op, state.name, x, &shape(p.shape()))?,
        None => check::same_shape(op, ["a parameter", "its gradient or state"], p, x)?,
    }
    state.dtype.map_or(Ok(()), |dtype| check::dtype_is(op, state.name, x, dtype))
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

pub(super) fn check_finite(op: &'static str, numbers: &[(&str, f64)]) -> Result<()> {
    numbers.iter().try_for_each(|&(what, value)| check::finite(op, what, value).map(drop))
}

impl Host {
    pub(super) fn group(&self, op: &'static str, params: &[Slot], grads: &[Slot], states: &[State]) -> Result<Group> {
        let mut lists = std::iter::once(("grads", grads)).chain(states.iter().map(|state| (state.name, state.slots)));
        if let Some((what, list)) = lists.find(|(_, list)| list.len() != params.len()) {
            let message = format!("{} params but {} {what}", params.len(), list.len());
            return Err(KernelError::shape(op, message));
        }
        let (params, grads) = (self.get_all(op, params)?, self.get_all(op, grads)?);
        for (p, g) in params.iter().zip(&grads) {
            check::same_shape(op, ["a parameter", "its gradient or state"], p, g)?;
        }
        let of = |state: &State| -> Result<Vec<Tensor>> {
            let list = self.get_all(op, state.slots)?;
            params.iter().zip(&list).try_for_each(|(p, x)| check_state(op, state, p, x))?;
            Ok(list)
        };
        let tensors = states.iter().map(of).collect::<Result<Vec<_>>>()?;
        let changed: Vec<&Tensor> = params.iter().chain(tensors.iter().flatten()).collect();
        all_apart(op, &changed, &grads)?;
        let own = states.iter().zip(&tensors).filter(|(state, _)| state.dtype.is_none()).flat_map(|(_, list)| list);
        let dtype = same_dtype(op, &params.iter().chain(&grads).chain(own).collect::<Vec<_>>())?;
        Ok(Group { params, grads, states: tensors, dtype })
    }

    pub(super) fn update(&self, op: &'static str, control: Control, group: &Group) -> Result<Update> {
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
        let (t, grad_scale) = (update.t(), R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let (mut m, mut v) = (group.states[0][i].view_mut(), group.states[1][i].view_mut());
            maths.adamw(&mut p.view_mut(), &group.grads[i].view(), &mut m, &mut v, t, grad_scale, options);
        }
        Ok(())
    }

    fn sgd_in<R: Compute>(&mut self, group: &Group, update: &Update, options: Sgd) -> Result<()> {
        let maths = R::maths(self, "sgd")?;
        let (t, grad_scale) = (update.t(), R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let mut momentum = group.states.first().map(|list| list[i].view_mut());
            let momentum = momentum.as_deref_mut();
            maths.sgd(&mut p.view_mut(), &group.grads[i].view(), momentum, t, grad_scale, options);
        }
        Ok(())
    }

    fn lion_in<R: Compute>(&mut self, group: &Group, update: &Update, options: Lion) -> Result<()> {
        let maths = R::maths(self, "lion")?;
        let grad_scale = R::from_f64(update.grad_scale);
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let mut m = group.states[0][i].view_mut();
            maths.lion(&mut p.view_mut(), &group.grads[i].view(), &mut m, grad_scale, options);
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
        let group = self.group(op, params, grads, &[State::like("m", m), State::like("v", v)])?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.adamw_in::<f64>(&group, &update, options)?,
            _ => self.adamw_in::<f32>(&group, &update, options)?,
        }
        update.done();
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
        let states: &[State] = if plain { &[] } else { &[State::like("momentum", momentum)] };
        let group = self.group(op, params, grads, states)?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.sgd_in::<f64>(&group, &update, options)?,
            _ => self.sgd_in::<f32>(&group, &update, options)?,
        }
        update.done();
        Ok(())
    }

    fn lion(&mut self, params: &[Slot], grads: &[Slot], m: &[Slot], control: Control, options: Lion) -> Result<()> {
        let op = "lion";
        check_finite(op, &[("lr", options.lr), ("weightDecay", options.weight_decay)])?;
        check::within(op, "beta1", options.beta1, 0.0, 1.0)?;
        check::within(op, "beta2", options.beta2, 0.0, 1.0)?;
        let group = self.group(op, params, grads, &[State::like("m", m)])?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.lion_in::<f64>(&group, &update, options)?,
            _ => self.lion_in::<f32>(&group, &update, options)?,
        }
        update.done();
        Ok(())
    }

    fn adafactor(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        rows: &[Slot],
        columns: &[Slot],
        control: Control,
        options: Adafactor,
    ) -> Result<()> {
        self.factored(params, grads, rows, columns, control, options)
    }

    fn adamw_8bit(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        m: Codes,
        v: Codes,
        control: Control,
        options: AdamW,
    ) -> Result<()> {
        self.coded(params, grads, m, v, control, options)
    }
}
