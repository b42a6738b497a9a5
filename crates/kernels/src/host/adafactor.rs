use super::optimizers::{check_finite, Group, State, Update};
use super::{check, Compute, Host};
use crate::backend::Control;
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::maths::Adafactor;
use crate::store::{Slot, Tensor};

const OP: &str = "adafactor";

/// One moment a row; none for a vector, whose moment is not factored.
fn rows_of(shape: &[usize]) -> Vec<usize> {
    vec![if shape.len() == 2 { shape[0] } else { 0 }]
}

fn columns_of(shape: &[usize]) -> Vec<usize> {
    vec![shape.last().copied().unwrap_or(0)]
}

fn check_axes(x: &Tensor) -> Result<()> {
    match x.shape() {
        [_] | [_, _] => Ok(()),
        shape => Err(KernelError::shape(OP, format!("a parameter must have 1 or 2 axes, got {shape:?}"))),
    }
}

impl Host {
    pub(super) fn factored(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        rows: &[Slot],
        columns: &[Slot],
        control: Control,
        options: Adafactor,
    ) -> Result<()> {
        let Adafactor { lr, weight_decay, epsilon, clip, decay_rate } = options;
        check_finite(OP, &[("lr", lr), ("weightDecay", weight_decay), ("decayRate", decay_rate)])?;
        check::within(OP, "epsilon", epsilon, 0.0, f64::INFINITY)?;
        check::within(OP, "clip", clip, f64::MIN_POSITIVE, f64::INFINITY)?;
        self.get_all(OP, params)?.iter().try_for_each(check_axes)?;
        let states = [
            State { name: "rows", slots: rows, shape: Some(rows_of), dtype: None },
            State { name: "columns", slots: columns, shape: Some(columns_of), dtype: None },
        ];
        let group = self.group(OP, params, grads, &states)?;
        let update = self.update(OP, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.factored_in::<f64>(&group, &update, options)?,
            _ => self.factored_in::<f32>(&group, &update, options)?,
        }
        update.done();
        Ok(())
    }

    fn factored_in<R: Compute>(&mut self, group: &Group, update: &Update, options: Adafactor) -> Result<()> {
        let maths = R::maths(self, OP)?;
        let (t, grad_scale) = (update.t(), R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let (mut rows, mut columns) = (group.states[0][i].view_mut(), group.states[1][i].view_mut());
            let rows = (!rows.is_empty()).then_some(&mut rows[..]);
            maths.adafactor(&mut p.view_mut(), &group.grads[i].view(), rows, &mut columns, t, grad_scale, options);
        }
        Ok(())
    }
}
