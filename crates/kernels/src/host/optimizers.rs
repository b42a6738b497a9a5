//! Optimizer steps over all tensors of a group. Nothing changes where `skip` is set.

use super::views::{reals, scalar};
use super::{check, in_dtype, Compute, Host};
use crate::backend::{Codes, Control, Optimizers};
use crate::check::{Group, Rounds, State};
use crate::dtype::DType;
use crate::error::Result;
use crate::maths::{Adafactor, AdamW, Lion, Sgd};
use crate::pool::Block;
use crate::store::{Slot, Tensor};

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

impl Host {
    pub(super) fn update(&self, op: &'static str, control: Control, group: &Group<Block>) -> Result<Update> {
        let (step, scale, skip) =
            (self.get(op, control.step)?, self.get(op, control.scale)?, self.get(op, control.skip)?);
        check::control(op, group, [&step, &scale, &skip])?;
        Ok(Update {
            count: scalar(op, "step", &step)?,
            grad_scale: scalar(op, "scale", &scale)?,
            skipped: scalar::<f64>(op, "skip", &skip)? != 0.0,
            step,
        })
    }

    pub(super) fn group(
        &self,
        op: &'static str,
        params: &[Slot],
        grads: &[Slot],
        states: Vec<State<Block>>,
        rounds: Rounds,
    ) -> Result<Group<Block>> {
        check::group(op, self.get_all(op, params)?, self.get_all(op, grads)?, states, rounds)
    }

    fn adamw_in<R: Compute>(&mut self, group: &Group<Block>, update: &Update, options: AdamW) -> Result<()> {
        let maths = R::maths(self, "adamw")?;
        let (t, grad_scale) = (update.t(), R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let (mut m, mut v) = (group.states[0][i].view_mut(), group.states[1][i].view_mut());
            maths.adamw(&mut p.view_mut(), &group.grads[i].view(), &mut m, &mut v, t, grad_scale, options);
        }
        Ok(())
    }

    fn sgd_in<R: Compute>(&mut self, group: &Group<Block>, update: &Update, options: Sgd) -> Result<()> {
        let maths = R::maths(self, "sgd")?;
        let (t, grad_scale) = (update.t(), R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let mut momentum = group.states.first().map(|list| list[i].view_mut());
            let momentum = momentum.as_deref_mut();
            maths.sgd(&mut p.view_mut(), &group.grads[i].view(), momentum, t, grad_scale, options);
        }
        Ok(())
    }

    fn lion_in<R: Compute>(&mut self, group: &Group<Block>, update: &Update, options: Lion) -> Result<()> {
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
        in_dtype!(self, check::clip_factor(&norm, max_norm)?, clip_factor_in(&norm, max_norm))
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
        check::adamw(options)?;
        let states = vec![State::like("m", self.get_all(op, m)?), State::like("v", self.get_all(op, v)?)];
        let group = self.group(op, params, grads, states, Rounds::ToBf16)?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.adamw_in::<f64>(&group, &update, options)?,
            DType::Bf16 => self.adamw_in_bf16(&group, &update, options)?,
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
        let states = match check::sgd(options, momentum.len())? {
            true => vec![State::like("momentum", self.get_all(op, momentum)?)],
            false => Vec::new(),
        };
        let group = self.group(op, params, grads, states, Rounds::ToBf16)?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.sgd_in::<f64>(&group, &update, options)?,
            DType::Bf16 => self.sgd_in_bf16(&group, &update, options)?,
            _ => self.sgd_in::<f32>(&group, &update, options)?,
        }
        update.done();
        Ok(())
    }

    fn lion(&mut self, params: &[Slot], grads: &[Slot], m: &[Slot], control: Control, options: Lion) -> Result<()> {
        let op = "lion";
        check::lion(options)?;
        let states = vec![State::like("m", self.get_all(op, m)?)];
        let group = self.group(op, params, grads, states, Rounds::ToBf16)?;
        let update = self.update(op, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.lion_in::<f64>(&group, &update, options)?,
            DType::Bf16 => self.lion_in_bf16(&group, &update, options)?,
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
