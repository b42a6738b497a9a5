use super::views::{reals, stored};
use super::{check, in_dtype, integers, Compute, Host};
use crate::backend::{Attend, Attention};
use crate::check::AttentionInputs;
use crate::dtype::DType;
use crate::error::Result;
use crate::maths::{AttentionShape, Segment};
use crate::store::{Slot, Tensor};

struct Inputs {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    segments: Vec<Segment>,
    shape: AttentionShape,
    dtype: DType,
}

impl Host {
    fn attention_inputs(&self, op: &'static str, inputs: Attention) -> Result<Inputs> {
        let Attention { head_dim, scale, window, soft_cap, .. } = inputs;
        let (q, k, v) = (self.get(op, inputs.q)?, self.get(op, inputs.k)?, self.get(op, inputs.v)?);
        let layout = self.get(op, inputs.layout)?;
        let numbers = integers(op, "layout", &layout)?;
        let options = AttentionInputs { head_dim, scale, window, soft_cap };
        let (dtype, segments, shape) = check::attention(op, [&q, &k, &v, &layout], &numbers, options)?;
        Ok(Inputs { q, k, v, segments, shape, dtype })
    }

    fn attention_in<R: Compute>(&mut self, inputs: &Inputs) -> Result<[Slot; 2]> {
        let op = "attention";
        let maths = R::maths(self, op)?;
        let Inputs { q, k, v, segments, shape, .. } = inputs;
        let mut o = self.zeros::<R>(op, q.shape())?;
        let mut lse = self.zeros::<R>(op, &[shape.queries, shape.query_heads])?;
        if !segments.is_empty() {
            let (q, k, v) = (reals(op, q)?, reals(op, k)?, reals(op, v)?);
            maths.attention(&q, &k, &v, segments, *shape, o.view_mut(), lse.view_mut());
        }
        self.keep_array(op, [o, lse])
    }

    fn attention_backward_in<R: Compute>(
        &mut self,
        g: &Tensor,
        inputs: &Inputs,
        o: &Tensor,
        lse: &Tensor,
    ) -> Result<[Slot; 3]> {
        let op = "attentionBackward";
        let maths = R::maths(self, op)?;
        let Inputs { q, k, v, segments, shape, .. } = inputs;
        let mut dq = self.zeros::<R>(op, q.shape())?;
        let mut dk = self.zeros::<R>(op, k.shape())?;
        let mut dv = self.zeros::<R>(op, v.shape())?;
        if !segments.is_empty() {
            let (q, k, v, o) = (stored(q), stored(k), stored(v), stored(o));
            let (q, k, v, o) = (q.floats(), k.floats(), v.floats(), o.floats());
            let (g, lse) = (reals(op, g)?, reals(op, lse)?);
            let (dq, dk, dv) = (dq.view_mut(), dk.view_mut(), dv.view_mut());
            maths.attention_backward(&g, q, k, v, o, &lse, segments, *shape, dq, dk, dv);
        }
        self.keep_array(op, [dq, dk, dv])
    }
}

impl Attend for Host {
    fn attention(&mut self, inputs: Attention) -> Result<[Slot; 2]> {
        let inputs = self.attention_inputs("attention", inputs)?;
        in_dtype!(self, inputs.dtype, attention_in(&inputs))
    }

    fn attention_backward(&mut self, g: Slot, inputs: Attention, o: Slot, lse: Slot) -> Result<[Slot; 3]> {
        let op = "attentionBackward";
        let inputs = self.attention_inputs(op, inputs)?;
        let (g, o, lse) = (self.get(op, g)?, self.get(op, o)?, self.get(op, lse)?);
        let dtype = check::attention_backward([&g, &inputs.q, &inputs.k, &inputs.v, &o, &lse], inputs.shape)?;
        in_dtype!(self, dtype, attention_backward_in(&g, &inputs, &o, &lse))
    }
}
