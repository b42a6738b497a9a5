use super::views::{reals, stored};
use super::{check, in_dtype, integers, Compute, Host};
use crate::backend::{Head, Losses, Needs};
use crate::check::HeadShape;
use crate::error::Result;
use crate::store::{Output, Slot, Tensor};

struct Inputs {
    h: Tensor,
    w: Tensor,
    labels: Tensor,
    shape: HeadShape,
}

impl Host {
    fn head(&self, op: &'static str, head: Head) -> Result<Inputs> {
        let (h, w, labels) = (self.get(op, head.h)?, self.get(op, head.w)?, self.get(op, head.labels)?);
        let shape = check::head(op, [&h, &w, &labels], &integers(op, "labels", &labels)?, head.soft_cap)?;
        Ok(Inputs { h, w, labels, shape })
    }

    /// Zeros for the gradients that are asked for.
    fn gradients<R: Compute>(
        &mut self,
        op: &'static str,
        inputs: &Inputs,
        needs: Needs,
    ) -> Result<(Option<Output>, Option<Output>)> {
        let dh = needs.h.then(|| self.zeros::<R>(op, inputs.h.shape())).transpose()?;
        let dw = needs.w.then(|| self.zeros::<R>(op, inputs.w.shape())).transpose()?;
        Ok((dh, dw))
    }

    fn linear_cross_entropy_in<R: Compute>(&mut self, inputs: &Inputs, needs: Needs) -> Result<Vec<Slot>> {
        let op = "linearCrossEntropy";
        let maths = R::maths(self, op)?;
        let mut sum = self.zeros::<R>(op, &[1])?;
        let (mut dh, mut dw) = self.gradients::<R>(op, inputs, needs)?;
        let Inputs { h, w, labels, shape: HeadShape { d, vocab, soft_cap, .. } } = inputs;
        let soft_cap = R::from_f64(*soft_cap);
        if !h.is_empty() {
            let (h, w, labels) = (reals(op, h)?, stored(w), integers(op, "labels", labels)?);
            let (dh, dw) = (dh.as_mut().map(Output::view_mut), dw.as_mut().map(Output::view_mut));
            sum.view_mut::<R>()[0] = maths.linear_cross_entropy(&h, w.floats(), &labels, *d, *vocab, soft_cap, dh, dw);
        }
        self.keep_all(op, [Some(sum), dh, dw].into_iter().flatten().collect())
    }

    fn linear_log_prob_in<R: Compute>(&mut self, inputs: &Inputs) -> Result<[Slot; 2]> {
        let op = "linearLogProb";
        let maths = R::maths(self, op)?;
        let Inputs { h, w, labels, shape: HeadShape { d, vocab, soft_cap, .. } } = inputs;
        let soft_cap = R::from_f64(*soft_cap);
        let mut logp = self.zeros::<R>(op, labels.shape())?;
        let mut lse = self.zeros::<R>(op, labels.shape())?;
        if !h.is_empty() {
            let (h, w, labels) = (reals(op, h)?, stored(w), integers(op, "labels", labels)?);
            maths.linear_log_prob(&h, w.floats(), &labels, *d, *vocab, soft_cap, logp.view_mut(), lse.view_mut());
        }
        self.keep_array(op, [logp, lse])
    }

    fn linear_log_prob_backward_in<R: Compute>(
        &mut self,
        g: &Tensor,
        inputs: &Inputs,
        lse: &Tensor,
        needs: Needs,
    ) -> Result<Vec<Slot>> {
        let op = "linearLogProbBackward";
        let maths = R::maths(self, op)?;
        let (mut dh, mut dw) = self.gradients::<R>(op, inputs, needs)?;
        let Inputs { h, w, labels, shape: HeadShape { d, vocab, soft_cap, .. } } = inputs;
        let soft_cap = R::from_f64(*soft_cap);
        if !h.is_empty() {
            let (h, w, labels) = (reals(op, h)?, stored(w), integers(op, "labels", labels)?);
            let (g, lse) = (reals(op, g)?, reals(op, lse)?);
            let (dh, dw) = (dh.as_mut().map(Output::view_mut), dw.as_mut().map(Output::view_mut));
            maths.linear_log_prob_backward(&g, &h, w.floats(), &labels, &lse, *d, *vocab, soft_cap, dh, dw);
        }
        self.keep_all(op, [dh, dw].into_iter().flatten().collect())
    }
}

impl Losses for Host {
    fn linear_cross_entropy(&mut self, head: Head, needs: Needs) -> Result<Vec<Slot>> {
        let op = "linearCrossEntropy";
        let inputs = self.head(op, head)?;
        in_dtype!(self, inputs.shape.dtype, linear_cross_entropy_in(&inputs, needs))
    }

    fn linear_log_prob(&mut self, head: Head) -> Result<[Slot; 2]> {
        let op = "linearLogProb";
        let inputs = self.head(op, head)?;
        in_dtype!(self, inputs.shape.dtype, linear_log_prob_in(&inputs))
    }

    fn linear_log_prob_backward(&mut self, g: Slot, head: Head, lse: Slot, needs: Needs) -> Result<Vec<Slot>> {
        let op = "linearLogProbBackward";
        let inputs = self.head(op, head)?;
        let (g, lse) = (self.get(op, g)?, self.get(op, lse)?);
        let dtype = check::log_prob_backward([&g, &inputs.h, &inputs.w, &inputs.labels, &lse])?;
        in_dtype!(self, dtype, linear_log_prob_backward_in(&g, &inputs, &lse, needs))
    }
}
