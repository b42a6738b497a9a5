//! Updates of parameters and states in bf16: computed in f32, and rounded once at the end of the step, to the nearest with
//! ties to even, as torch's fused optimizers do. They are widened piece by piece, so that no f32 copy of a tensor exists.

use half::bf16;

use super::optimizers::Update;
use super::Host;
use crate::check::Group;
use crate::error::Result;
use crate::maths::{AdamW, Lion, Maths, Sgd};
use crate::pool::Block;
use crate::store::Tensor;

/// Elements of a piece: large enough for all threads.
const PIECE: usize = 1 << 18;

/// Runs `step` on every piece of what it changes and of the gradient.
fn in_pieces<const N: usize>(
    maths: &dyn Maths<f32>,
    changed: [&Tensor; N],
    gradient: &Tensor,
    mut step: impl FnMut([&mut [f32]; N], &[f32]),
) {
    let mut narrow = changed.map(|x| x.view_mut::<bf16>());
    let gradient = gradient.view::<f32>();
    let mut wide = [(); N].map(|()| vec![0.0; PIECE.min(gradient.len())]);
    for start in (0..gradient.len()).step_by(PIECE) {
        let end = (start + PIECE).min(gradient.len());
        for (wide, narrow) in wide.iter_mut().zip(&narrow) {
            maths.widen(&narrow[start..end], &mut wide[..end - start]);
        }
        step(wide.each_mut().map(|wide| &mut wide[..end - start]), &gradient[start..end]);
        for (wide, narrow) in wide.iter().zip(&mut narrow) {
            maths.narrow(&wide[..end - start], &mut narrow[start..end]);
        }
    }
}

impl Host {
    pub(super) fn adamw_in_bf16(&mut self, group: &Group<Block>, update: &Update, options: AdamW) -> Result<()> {
        let (t, grad_scale) = (update.t(), update.grad_scale as f32);
        for (i, p) in group.params.iter().enumerate() {
            let changed = [p, &group.states[0][i], &group.states[1][i]];
            in_pieces(&*self.single, changed, &group.grads[i], |[p, m, v], g| {
                self.single.adamw(p, g, m, v, t, grad_scale, options);
            });
        }
        Ok(())
    }

    pub(super) fn sgd_in_bf16(&mut self, group: &Group<Block>, update: &Update, options: Sgd) -> Result<()> {
        let (t, grad_scale) = (update.t(), update.grad_scale as f32);
        for (i, p) in group.params.iter().enumerate() {
            match group.states.first() {
                None => in_pieces(&*self.single, [p], &group.grads[i], |[p], g| {
                    self.single.sgd(p, g, None, t, grad_scale, options);
                }),
                Some(momentum) => in_pieces(&*self.single, [p, &momentum[i]], &group.grads[i], |[p, momentum], g| {
                    self.single.sgd(p, g, Some(momentum), t, grad_scale, options);
                }),
            }
        }
        Ok(())
    }

    pub(super) fn lion_in_bf16(&mut self, group: &Group<Block>, update: &Update, options: Lion) -> Result<()> {
        let grad_scale = update.grad_scale as f32;
        for (i, p) in group.params.iter().enumerate() {
            in_pieces(&*self.single, [p, &group.states[0][i]], &group.grads[i], |[p, m], g| {
                self.single.lion(p, g, m, grad_scale, options);
            });
        }
        Ok(())
    }
}
