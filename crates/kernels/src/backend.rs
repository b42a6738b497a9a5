//! The slot-level interface that every machine implements: the Rust side of packages/kernels/src/backend.ts, method for
//! method; shapes and formulas are documented there. Implementations check all arguments and never panic on input.

use crate::dtype::DType;
use crate::error::Result;
use crate::maths::{Activation, Adafactor, AdamW, Binary, Layout, Lion, Sgd, Unary};
use crate::rng::Key;
use crate::store::Slot;
use crate::svd::Method;

/// Writes all of the next bytes, or returns false.
pub type Fill<'a> = dyn FnMut(&mut [u8]) -> bool + 'a;

pub trait Memory {
    fn alloc(&mut self, dtype: DType, shape: &[usize]) -> Result<Slot>;
    fn upload(&mut self, dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Slot>;
    /// A tensor of as many bytes as are given, which `fill` writes piece after piece; `None` where it gives up.
    fn upload_from(&mut self, dtype: DType, shape: &[usize], bytes: usize, fill: &mut Fill) -> Result<Option<Slot>>;
    fn write(&mut self, x: Slot, bytes: &[u8]) -> Result<()>;
    /// `out` has exactly the tensor's bytes.
    fn read(&mut self, x: Slot, out: &mut [u8]) -> Result<()>;
    fn free(&mut self, x: Slot) -> Result<()>;
    fn dtype(&self, x: Slot) -> Result<DType>;
    fn shape(&self, x: Slot) -> Result<Vec<usize>>;
    fn byte_length(&self, x: Slot) -> Result<usize>;
    fn reshape(&mut self, x: Slot, shape: &[usize]) -> Result<Slot>;
    fn copy(&mut self, x: Slot) -> Result<Slot>;
    fn cast(&mut self, x: Slot, dtype: DType) -> Result<Slot>;
    fn live_tensors(&self) -> usize;
    fn live_bytes(&self) -> usize;
    /// What tensors may still take, where their memory is not the process's own.
    fn available_bytes(&self) -> Result<Option<usize>> {
        Ok(None)
    }
}

pub trait Elementwise {
    fn fill(&mut self, x: Slot, value: f64) -> Result<()>;
    fn binary(&mut self, kind: Binary, a: Slot, b: Slot) -> Result<Slot>;
    fn unary(&mut self, kind: Unary, x: Slot) -> Result<Slot>;
    fn scale(&mut self, x: Slot, factor: f64) -> Result<Slot>;
    fn scale_by(&mut self, x: Slot, s: Slot) -> Result<Slot>;
    fn soft_cap(&mut self, x: Slot, cap: f64) -> Result<Slot>;
    fn accumulate(&mut self, acc: Slot, x: Slot, factor: f64) -> Result<()>;
    fn sum(&mut self, x: Slot) -> Result<Slot>;
    fn sum_rows(&mut self, x: Slot) -> Result<Slot>;
    /// → [index i32, value] of each row
    fn argmax(&mut self, x: Slot) -> Result<[Slot; 2]>;
}

pub trait Rows {
    fn take_rows(&mut self, table: Slot, ids: Slot) -> Result<Slot>;
    fn scatter_add_rows(&mut self, g: Slot, ids: Slot, rows: usize) -> Result<Slot>;
    fn write_rows(&mut self, dst: Slot, ids: Slot, src: Slot) -> Result<()>;
    fn split_columns(&mut self, x: Slot, widths: &[usize]) -> Result<Vec<Slot>>;
    fn join_columns(&mut self, parts: &[Slot]) -> Result<Slot>;
}

pub trait Layers {
    fn matmul(&mut self, layout: Layout, a: Slot, b: Slot, alpha: f64, into: Option<Slot>) -> Result<Slot>;
    /// `factors` are a, b, u, v
    fn matmul_low_rank(&mut self, layout: Layout, factors: [Slot; 4], factor: f64, into: Option<Slot>) -> Result<Slot>;
    fn rms_norm(&mut self, x: Slot, w: Slot, epsilon: f64) -> Result<[Slot; 2]>;
    fn rms_norm_backward(&mut self, g: Slot, x: Slot, w: Slot, rstd: Slot, needs_w: bool) -> Result<Vec<Slot>>;
    /// acc += x in place, then its norm → [y, rstd]
    fn add_rms_norm(&mut self, acc: Slot, x: Slot, w: Slot, epsilon: f64) -> Result<[Slot; 2]>;
    /// acc += dx of `rms_norm_backward` in place → [dw] or nothing; `inputs` are g, x, w, rstd
    fn add_rms_norm_backward(&mut self, acc: Slot, inputs: [Slot; 4], needs_w: bool) -> Result<Option<Slot>>;
    fn rope_table(&mut self, positions: Slot, frequencies: &[f64], scale: f64) -> Result<[Slot; 2]>;
    fn rope(&mut self, x: Slot, cos: Slot, sin: Slot, head_dim: usize, inverse: bool) -> Result<Slot>;
    fn geglu(&mut self, gate: Slot, up: Slot) -> Result<Slot>;
    fn geglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]>;
    fn swiglu(&mut self, gate: Slot, up: Slot) -> Result<Slot>;
    fn swiglu_backward(&mut self, g: Slot, gate: Slot, up: Slot) -> Result<[Slot; 2]>;
    fn activate(&mut self, kind: Activation, x: Slot) -> Result<Slot>;
    fn activate_backward(&mut self, kind: Activation, g: Slot, x: Slot) -> Result<Slot>;
}

/// Block-diagonal matrices.
pub trait Rotations {
    fn skew_blocks(&mut self, a: Slot, size: usize) -> Result<Slot>;
    fn skew_blocks_backward(&mut self, g: Slot, packed: bool) -> Result<Slot>;
    fn cayley_blocks(&mut self, q: Slot) -> Result<Slot>;
    fn matmul_blocks(&mut self, layout: Layout, a: Slot, b: Slot, size: usize) -> Result<Slot>;
    fn permute_columns(&mut self, x: Slot, order: Slot, inverse: bool) -> Result<Slot>;
}

pub trait Decompositions {
    /// Of `rank` values: exact, or by so many power iterations from a draw.
    fn svd(&mut self, x: Slot, rank: usize, method: Method) -> Result<[Slot; 3]>;
}

/// Inputs of the attention forward pass.
#[derive(Clone, Copy)]
pub struct Attention {
    pub q: Slot,
    pub k: Slot,
    pub v: Slot,
    pub layout: Slot,
    pub head_dim: usize,
    pub scale: f64,
    pub window: usize,
    pub soft_cap: f64,
}

pub trait Attend {
    fn attention(&mut self, inputs: Attention) -> Result<[Slot; 2]>;
    fn attention_backward(&mut self, g: Slot, inputs: Attention, o: Slot, lse: Slot) -> Result<[Slot; 3]>;
}

/// Inputs of the losses over a vocabulary.
#[derive(Clone, Copy)]
pub struct Head {
    pub h: Slot,
    pub w: Slot,
    pub labels: Slot,
    pub soft_cap: f64,
}

/// Which gradients to make.
#[derive(Clone, Copy)]
pub struct Needs {
    pub h: bool,
    pub w: bool,
}

pub trait Losses {
    fn linear_cross_entropy(&mut self, head: Head, needs: Needs) -> Result<Vec<Slot>>;
    fn linear_log_prob(&mut self, head: Head) -> Result<[Slot; 2]>;
    fn linear_log_prob_backward(&mut self, g: Slot, head: Head, lse: Slot, needs: Needs) -> Result<Vec<Slot>>;
}

pub trait Random {
    fn dropout(&mut self, x: Slot, p: f64, key: Key) -> Result<Slot>;
    fn uniform(&mut self, shape: &[usize], low: f64, high: f64, key: Key) -> Result<Slot>;
    fn normal(&mut self, shape: &[usize], mean: f64, std: f64, key: Key) -> Result<Slot>;
}

/// The [1] tensors that steer an optimizer step on the device.
#[derive(Clone, Copy)]
pub struct Control {
    pub step: Slot,
    pub scale: Slot,
    pub skip: Slot,
}

/// Moments of a group in 8-bit codes, and the scales of their blocks.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    pub codes: &'a [Slot],
    pub scales: &'a [Slot],
}

pub trait Optimizers {
    fn grad_norm(&mut self, grads: &[Slot]) -> Result<Slot>;
    fn clip_factor(&mut self, norm: Slot, max_norm: f64) -> Result<[Slot; 2]>;
    fn adamw(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        m: &[Slot],
        v: &[Slot],
        control: Control,
        options: AdamW,
    ) -> Result<()>;
    fn sgd(&mut self, params: &[Slot], grads: &[Slot], momentum: &[Slot], control: Control, options: Sgd)
        -> Result<()>;
    fn lion(&mut self, params: &[Slot], grads: &[Slot], m: &[Slot], control: Control, options: Lion) -> Result<()>;
    fn adafactor(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        rows: &[Slot],
        columns: &[Slot],
        control: Control,
        options: Adafactor,
    ) -> Result<()>;
    fn adamw_8bit(
        &mut self,
        params: &[Slot],
        grads: &[Slot],
        m: Codes,
        v: Codes,
        control: Control,
        options: AdamW,
    ) -> Result<()>;
}

pub trait Backend:
    Memory + Elementwise + Rows + Layers + Rotations + Decompositions + Attend + Losses + Random + Optimizers
{
    fn name(&self) -> &str;
    /// One line about the machine.
    fn description(&self) -> &str;
}
