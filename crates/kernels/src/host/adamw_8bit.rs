use super::optimizers::Update;
use super::{check, Compute, Host};
use crate::backend::{Codes, Control};
use crate::check::{Group, Rounds, State};
use crate::dtype::DType;
use crate::dynamic_code::Quantized;
use crate::error::Result;
use crate::maths::AdamW;
use crate::pool::Block;
use crate::store::Slot;

const OP: &str = "adamw8bit";

impl Host {
    pub(super) fn coded(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        m: Codes,
        v: Codes,
        control: Control,
        options: AdamW,
    ) -> Result<()> {
        check::adamw_8bit(options)?;
        let states = vec![
            State::codes("m", self.get_all(OP, m.codes)?),
            State::scales("mScales", self.get_all(OP, m.scales)?),
            State::codes("v", self.get_all(OP, v.codes)?),
            State::scales("vScales", self.get_all(OP, v.scales)?),
        ];
        let group = self.group(OP, params, grads, states, Rounds::Never)?;
        let update = self.update(OP, control, &group)?;
        if update.skipped {
            return Ok(());
        }
        match group.dtype {
            DType::F64 => self.coded_in::<f64>(&group, &update, options)?,
            _ => self.coded_in::<f32>(&group, &update, options)?,
        }
        update.done();
        Ok(())
    }

    fn coded_in<R: Compute>(&mut self, group: &Group<Block>, update: &Update, options: AdamW) -> Result<()> {
        let maths = R::maths(self, OP)?;
        let (t, grad_scale) = (update.t(), R::from_f64(update.grad_scale));
        for (i, p) in group.params.iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let (mut m, mut m_scales) = (group.states[0][i].view_mut(), group.states[1][i].view_mut());
            let (mut v, mut v_scales) = (group.states[2][i].view_mut(), group.states[3][i].view_mut());
            let m = Quantized { codes: &mut m, scales: &mut m_scales };
            let v = Quantized { codes: &mut v, scales: &mut v_scales };
            maths.adamw_8bit(&mut p.view_mut(), &group.grads[i].view(), m, v, t, grad_scale, options);
        }
        Ok(())
    }
}
