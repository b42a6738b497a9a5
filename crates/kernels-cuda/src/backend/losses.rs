//! Losses over a vocabulary: logits of some rows at a time by cuBLASLt, their softmax by a kernel, gradients by cuBLASLt.

use kernels::backend::{Head as Arguments, Losses, Needs};
use kernels::check::{self, HeadShape};
use kernels::dtype::DType;
use kernels::error::Result;
use kernels::maths::Layout;
use kernels::store::Slot;

use super::layers::Factor;
use super::{at, single, Cuda, Output, Tensored};
use crate::blas::{Gemm, Operand};
use crate::launch::{arg, blocks, threads_for};
use crate::memory::Buffer;
use crate::sources::LOSS;

/// Bytes of the logits that exist at a time.
const LOGITS: usize = 256 << 20;
/// Pieces begin at multiples of so many rows: then their numbers begin where cuBLASLt takes every matrix to begin, at
/// multiples of 256 bytes.
const ALIGNED: usize = 128;

struct Inputs {
    h: Tensored,
    w: Tensored,
    labels: Tensored,
    shape: HeadShape,
}

/// Rows first … first + rows.
#[derive(Clone, Copy)]
struct Piece {
    first: usize,
    rows: usize,
}

/// What the pieces of one call share.
struct Head<'a> {
    op: &'static str,
    inputs: &'a Inputs,
    operand: Operand,
    h: Factor,
    w: Factor,
    logits: Buffer,
    pieces: Vec<Piece>,
}

impl Head<'_> {
    /// The start of a piece in numbers [n, of] of so many bytes each.
    fn at(&self, base: u64, piece: Piece, of: usize, bytes: usize) -> u64 {
        base + (piece.first * of * bytes) as u64
    }

    fn labels(&self, piece: Piece) -> u64 {
        self.at(at(&self.inputs.labels), piece, 1, 4)
    }

    /// The piece's rows of h, as products read them.
    fn rows(&self, piece: Piece) -> u64 {
        let bytes = if self.operand == Operand::F32 { 4 } else { 2 };
        self.at(self.h.at(), piece, self.inputs.shape.d, bytes)
    }
}

impl Cuda {
    fn head_inputs(&self, op: &'static str, head: Arguments) -> Result<Inputs> {
        let (h, w, labels) = (self.get(op, head.h)?, self.get(op, head.w)?, self.get(op, head.labels)?);
        let values = self.integers(op, "labels", &labels)?;
        let shape = check::head(op, [&h, &w, &labels], &values, head.soft_cap)?;
        single(op, shape.dtype)?;
        Ok(Inputs { h, w, labels, shape })
    }

    fn head<'a>(&self, op: &'static str, inputs: &'a Inputs) -> Result<Head<'a>> {
        let HeadShape { d, vocab, .. } = inputs.shape;
        let n = inputs.labels.len();
        let operand = self.operand(n * d * vocab);
        let most = (LOGITS / (4 * vocab) / ALIGNED).max(1) * ALIGNED;
        let most = most.min(n);
        let pieces = (0..n).step_by(most).map(|first| Piece { first, rows: most.min(n - first) }).collect();
        Ok(Head {
            op,
            inputs,
            operand,
            h: self.factor(op, &inputs.h, operand)?,
            w: self.factor(op, &inputs.w, operand)?,
            logits: self.scratch(op, 4 * vocab * most)?,
            pieces,
        })
    }

    fn logits(&self, head: &Head, piece: Piece) -> Result<()> {
        let HeadShape { d, vocab, .. } = head.inputs.shape;
        self.blas.multiply(
            head.op,
            &Gemm {
                layout: Layout::Nt,
                m: piece.rows,
                n: vocab,
                k: d,
                alpha: 1.0,
                a: head.rows(piece),
                b: head.w.at(),
                beta: 0.0,
                c: head.logits.at(),
                operand: head.operand,
            },
        )
    }

    /// dh = dlogits · w and dw += dlogitsᵀ · h of a piece.
    fn spread(&self, head: &Head, piece: Piece, dh: Option<&Output>, dw: Option<&Output>) -> Result<()> {
        let HeadShape { d, vocab, .. } = head.inputs.shape;
        let n = piece.rows * vocab;
        let narrow = match head.operand {
            Operand::F32 => None,
            Operand::Bf16 | Operand::F16 => Some(self.scratch(head.op, 2 * n)?),
        };
        if let Some(narrow) = &narrow {
            self.convert_from(head.op, head.logits.at(), DType::F32, narrow.at(), head.operand.dtype(), n)?;
        }
        let a = narrow.as_ref().map_or(head.logits.at(), Buffer::at);
        let product = Gemm {
            layout: Layout::Nn,
            m: piece.rows,
            n: d,
            k: vocab,
            alpha: 1.0,
            a,
            b: head.w.at(),
            beta: 0.0,
            c: 0,
            operand: head.operand,
        };
        if let Some(dh) = dh {
            self.blas.multiply(head.op, &Gemm { c: head.at(dh.at(), piece, d, 4), ..product })?;
        }
        if let Some(dw) = dw {
            let (m, k, b, c) = (vocab, piece.rows, head.rows(piece), dw.at());
            self.blas.multiply(head.op, &Gemm { layout: Layout::Tn, m, k, b, beta: 1.0, c, ..product })?;
        }
        Ok(())
    }

    /// Zeros for the gradients that are asked for.
    fn gradients(&self, op: &'static str, inputs: &Inputs, needs: Needs) -> Result<[Option<Output>; 2]> {
        let dh = if needs.h { Some(self.zeros(op, inputs.h.shape())?) } else { None };
        let dw = if needs.w { Some(self.zeros(op, inputs.w.shape())?) } else { None };
        Ok([dh, dw])
    }
}

impl Losses for Cuda {
    fn linear_cross_entropy(&mut self, head: Arguments, needs: Needs) -> Result<Vec<Slot>> {
        let op = "linearCrossEntropy";
        let inputs = self.head_inputs(op, head)?;
        let [dh, dw] = self.gradients(op, &inputs, needs)?;
        let (sum, n) = (self.zeros(op, &[1])?, inputs.labels.len());
        let losses = self.scratch(op, 4 * n)?;
        if n > 0 {
            let head = self.head(op, &inputs)?;
            let HeadShape { vocab, soft_cap, .. } = inputs.shape;
            let gradient = arg::int(i32::from(needs.h || needs.w));
            for &piece in &head.pieces {
                self.logits(&head, piece)?;
                let (labels, losses) = (head.labels(piece), head.at(losses.at(), piece, 1, 4));
                let (vocab, cap, logits) = (arg::size(vocab), arg::float(soft_cap), head.logits.at());
                let shape = blocks(piece.rows, threads_for(inputs.shape.vocab));
                let mut arguments = [logits, labels, vocab, cap, gradient, losses];
                self.kernels.launch(op, &LOSS, "cross_entropy", shape, &mut arguments)?;
                self.spread(&head, piece, dh.as_ref(), dw.as_ref())?;
            }
            self.sum_into(op, losses.at(), n, sum.at())?;
        }
        self.keep_all(op, [Some(sum), dh, dw].into_iter().flatten().collect())
    }

    fn linear_log_prob(&mut self, head: Arguments) -> Result<[Slot; 2]> {
        let op = "linearLogProb";
        let inputs = self.head_inputs(op, head)?;
        let (logp, lse) = (self.unset(op, inputs.labels.shape())?, self.unset(op, inputs.labels.shape())?);
        if !inputs.labels.is_empty() {
            let head = self.head(op, &inputs)?;
            let [vocab, cap] = [arg::size(inputs.shape.vocab), arg::float(inputs.shape.soft_cap)];
            for &piece in &head.pieces {
                self.logits(&head, piece)?;
                let (own, all) = (head.at(logp.at(), piece, 1, 4), head.at(lse.at(), piece, 1, 4));
                let shape = blocks(piece.rows, threads_for(inputs.shape.vocab));
                let mut arguments = [head.logits.at(), head.labels(piece), vocab, cap, own, all];
                self.kernels.launch(op, &LOSS, "log_prob", shape, &mut arguments)?;
            }
        }
        self.keep_array(op, [logp, lse])
    }

    fn linear_log_prob_backward(&mut self, g: Slot, head: Arguments, lse: Slot, needs: Needs) -> Result<Vec<Slot>> {
        let op = "linearLogProbBackward";
        let inputs = self.head_inputs(op, head)?;
        let (g, lse) = (self.get(op, g)?, self.get(op, lse)?);
        single(op, check::log_prob_backward([&g, &inputs.h, &inputs.w, &inputs.labels, &lse])?)?;
        let [dh, dw] = self.gradients(op, &inputs, needs)?;
        if !inputs.labels.is_empty() {
            let (head, g, lse) = (self.head(op, &inputs)?, self.reals(op, &g)?, self.reals(op, &lse)?);
            let [vocab, cap] = [arg::size(inputs.shape.vocab), arg::float(inputs.shape.soft_cap)];
            for &piece in &head.pieces {
                self.logits(&head, piece)?;
                let (own, all) = (head.at(g.at(), piece, 1, 4), head.at(lse.at(), piece, 1, 4));
                let shape = blocks(piece.rows, threads_for(inputs.shape.vocab));
                let mut arguments = [own, head.logits.at(), head.labels(piece), all, vocab, cap];
                self.kernels.launch(op, &LOSS, "log_prob_backward", shape, &mut arguments)?;
                self.spread(&head, piece, dh.as_ref(), dw.as_ref())?;
            }
        }
        self.keep_all(op, [dh, dw].into_iter().flatten().collect())
    }
}
