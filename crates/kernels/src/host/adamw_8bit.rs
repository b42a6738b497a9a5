use super::optimizers::{check_finite, Group, State, Update};
use super::{check, Compute, Host};
use crate::backend::{Codes, Control};
use crate::dtype::DType;
use crate::dynamic_code::{Quantized, BLOCK};
use crate::error::Result;
use crate::maths::AdamW;
use crate::store::Slot;

const OP: &str = "adamw8bit";

/// One scale for each block of the parameter.
fn scales_of(shape: &[usize]) -> Vec<usize> {
    vec![shape.iter().product::<usize>().div_ceil(BLOCK)]
}

fn states<'a>(names: [&'static str; 2], Codes { codes, scales }: Codes<'a>) -> [State<'a>; 2] {
    [
        State { name: names[0], slots: codes, shape: None, dtype: Some(DType::U8) },
        State { name: names[1], slots: scales, shape: Some(scales_of), dtype: None },
    ]
}

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
        check_finite(OP, &[("lr", options.lr), ("weightDecay", options.weight_decay)])?;
        check::within(OP, "beta1", options.beta1, 0.0, 1.0)?;
        check::within(OP, "beta2", options.beta2, 0.0, 1.0)?;
        check::within(OP, "epsilon", options.epsilon, 0.0, f64::INFINITY)?;
        let [m, m_scales] = states(["m", "mScales"], m);
        let [v, v_scales] = states(["v", "vScales"], v);
        let group = self.group(OP, params, grads, &[m, m_scales, v, v_scales])?;
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

    fn coded_in<R: Compute>(&mut self, group: &Group, update: &Update, options: AdamW) -> Result<()> {
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
