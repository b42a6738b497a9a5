use super::optimizers::Update;
use super::{check, Compute, Host};
use crate::backend::Control;
use crate::check::{Group, Rounds, State};
use crate::dtype::DType;
use crate::error::Result;
use crate::maths::Adafactor;
use crate::pool::Block;
use crate::store::Slot;

const OP: &str = "adafactor";

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
        check::adafactor(options, &self.get_all(OP, params)?)?;
        let states = vec![State::rows(self.get_all(OP, rows)?), State::columns(self.get_all(OP, columns)?)];
        let group = self.group(OP, params, grads, states, Rounds::Never)?;
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

    fn factored_in<R: Compute>(&mut self, group: &Group<Block>, update: &Update, options: Adafactor) -> Result<()> {
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
