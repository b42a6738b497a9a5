//! One exported method for each method of `KernelBackend`, in its order: glue of a few lines each, long as the contract is wide.

use std::cell::RefCell;

use kernels::backend::{Attention, Backend, Codes, Needs};
use kernels::error::{KernelError, Result as Checked};
use kernels::glue::{activation_kind, binary_kind, control, dtype, extent, head, layout, number, numbers, shape, slot};
use kernels::glue::{slots, unary_kind};
use kernels::host::Host;
use kernels::maths::{Adafactor, AdamW, Lion, Sgd};
use kernels::store::Slot;
use kernels::svd::Method;
use kernels_cuda::{Cuda, Options, Precision};
use napi_derive::napi;

use crate::file::{reader, FileRange};
use crate::guard::{guarded, on_backend, Result};
use crate::numbers::{key, RngKey};

#[napi(object)]
pub struct AdamWOptions {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

#[napi(object)]
pub struct AttentionOptions {
    pub head_dim: f64,
    pub scale: f64,
    pub window: f64,
    pub soft_cap: f64,
}

#[napi(object)]
pub struct LionOptions {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub weight_decay: f64,
}

#[napi(object)]
pub struct AdafactorOptions {
    pub lr: f64,
    pub weight_decay: f64,
    pub epsilon: f64,
    pub clip: f64,
    pub decay_rate: f64,
}

/// Slots of 8-bit moments and of their scales.
#[napi(object)]
pub struct CodedMoments {
    pub codes: Vec<f64>,
    pub scales: Vec<f64>,
}

#[napi(object)]
pub struct SgdOptions {
    pub lr: f64,
    pub momentum: f64,
    pub nesterov: bool,
    pub weight_decay: f64,
}

/// At most this many threads; more is a slip of the hand.
const MAX_THREADS: usize = 1024;

/// Which of several GPUs: TEMPER_CUDA_DEVICE, else the first.
fn ordinal() -> Checked<i32> {
    let Some(value) = std::env::var_os("TEMPER_CUDA_DEVICE").filter(|value| !value.is_empty()) else { return Ok(0) };
    value.to_str().and_then(|value| value.parse().ok()).ok_or_else(|| {
        KernelError::argument("openBackend", format!("TEMPER_CUDA_DEVICE must be a whole number, got {value:?}"))
    })
}

/// Compared with the CPU first, but where TEMPER_CUDA_UNCHECKED says not to.
fn open_cuda(precision: Precision) -> Checked<Cuda> {
    let mut cuda = Cuda::open(Options { ordinal: ordinal()?, precision })?;
    if std::env::var_os("TEMPER_CUDA_UNCHECKED").is_none_or(|value| value.is_empty()) {
        kernels_cuda::compare(&mut cuda, precision)?;
    }
    Ok(cuda)
}

fn open(kind: &str, threads: f64, precision: &str) -> Checked<Box<dyn Backend>> {
    let op = "openBackend";
    let threads = extent(op, "threads", threads)?;
    if !(1..=MAX_THREADS).contains(&threads) {
        return Err(KernelError::argument(op, format!("threads must be 1 … {MAX_THREADS}, got {threads}")));
    }
    let precision = match precision {
        "f32" => Precision::F32,
        "tf32" => Precision::Tf32,
        "bf16" => Precision::Bf16,
        "f16" => Precision::F16,
        _ => {
            let message = format!("matmulPrecision must be f32, tf32, bf16 or f16, got {precision:?}");
            return Err(KernelError::argument(op, message));
        }
    };
    match kind {
        "cpu" => Ok(Box::new(Host::cpu(threads, precision == Precision::Bf16))),
        "cuda" => Ok(Box::new(open_cuda(precision)?)),
        "reference" => Ok(Box::new(Host::reference())),
        _ => Err(KernelError::argument(op, format!("there is no backend {kind:?}; use cpu, cuda or reference"))),
    }
}

#[napi]
pub struct NativeBackend {
    backend: RefCell<Box<dyn Backend>>,
}

#[napi]
pub fn open_backend(kind: String, threads: f64, matmul_precision: String) -> Result<NativeBackend> {
    let backend = guarded("openBackend", || open(&kind, threads, &matmul_precision))?;
    Ok(NativeBackend { backend: RefCell::new(backend) })
}

#[napi]
impl NativeBackend {
    fn on<T>(&self, op: &'static str, f: impl FnOnce(&mut dyn Backend) -> Checked<T>) -> Result<T> {
        on_backend(&self.backend, op, f)
    }

    #[napi]
    pub fn name(&self) -> Result<String> {
        self.on("name", |b| Ok(b.name().into()))
    }

    #[napi]
    pub fn description(&self) -> Result<String> {
        self.on("description", |b| Ok(b.description().into()))
    }

    #[napi]
    pub fn alloc(&self, dtype_name: String, axes: Vec<f64>) -> Result<f64> {
        let op = "alloc";
        self.on(op, |b| b.alloc(dtype(op, &dtype_name)?, &shape(op, &axes)?).map(number))
    }

    #[napi]
    pub fn upload(&self, dtype_name: String, axes: Vec<f64>, bytes: &[u8]) -> Result<f64> {
        let op = "upload";
        self.on(op, |b| b.upload(dtype(op, &dtype_name)?, &shape(op, &axes)?, bytes).map(number))
    }

    /// Nothing where the file ends before or cannot be read.
    #[napi]
    pub fn upload_from(&self, dtype_name: String, axes: Vec<f64>, range: FileRange) -> Result<Option<f64>> {
        let op = "uploadFrom";
        self.on(op, |b| {
            let (bytes, mut fill) = reader(op, &range)?;
            let slot = b.upload_from(dtype(op, &dtype_name)?, &shape(op, &axes)?, bytes, &mut fill)?;
            Ok(slot.map(number))
        })
    }

    #[napi]
    pub fn write(&self, x: f64, bytes: &[u8]) -> Result<()> {
        self.on("write", |b| b.write(slot("write", x)?, bytes))
    }

    /// Fills `out`, which has exactly the tensor's bytes.
    #[napi]
    pub fn read(&self, x: f64, mut out: napi::bindgen_prelude::Uint8Array) -> Result<()> {
        // SAFETY: the caller made `out` for this call, and no JavaScript runs before it ends.
        let out = unsafe { out.as_mut() };
        self.on("read", |b| b.read(slot("read", x)?, out))
    }

    #[napi]
    pub fn free(&self, x: f64) -> Result<()> {
        self.on("free", |b| b.free(slot("free", x)?))
    }

    #[napi]
    pub fn dtype(&self, x: f64) -> Result<String> {
        self.on("dtype", |b| b.dtype(slot("dtype", x)?).map(|dtype| dtype.name().into()))
    }

    #[napi]
    pub fn shape(&self, x: f64) -> Result<Vec<f64>> {
        self.on("shape", |b| Ok(b.shape(slot("shape", x)?)?.into_iter().map(|axis| axis as f64).collect()))
    }

    #[napi]
    pub fn byte_length(&self, x: f64) -> Result<f64> {
        self.on("byteLength", |b| b.byte_length(slot("byteLength", x)?).map(|bytes| bytes as f64))
    }

    #[napi]
    pub fn reshape(&self, x: f64, axes: Vec<f64>) -> Result<f64> {
        let op = "reshape";
        self.on(op, |b| b.reshape(slot(op, x)?, &shape(op, &axes)?).map(number))
    }

    #[napi]
    pub fn copy(&self, x: f64) -> Result<f64> {
        self.on("copy", |b| b.copy(slot("copy", x)?).map(number))
    }

    #[napi]
    pub fn cast(&self, x: f64, dtype_name: String) -> Result<f64> {
        self.on("cast", |b| b.cast(slot("cast", x)?, dtype("cast", &dtype_name)?).map(number))
    }

    #[napi]
    pub fn live_tensors(&self) -> Result<f64> {
        self.on("liveTensors", |b| Ok(b.live_tensors() as f64))
    }

    #[napi]
    pub fn live_bytes(&self) -> Result<f64> {
        self.on("liveBytes", |b| Ok(b.live_bytes() as f64))
    }

    #[napi]
    pub fn available_bytes(&self) -> Result<Option<f64>> {
        self.on("availableBytes", |b| Ok(b.available_bytes()?.map(|bytes| bytes as f64)))
    }

    #[napi]
    pub fn fill(&self, x: f64, value: f64) -> Result<()> {
        self.on("fill", |b| b.fill(slot("fill", x)?, value))
    }

    #[napi]
    pub fn binary(&self, kind: String, a: f64, b: f64) -> Result<f64> {
        let op = "binary";
        self.on(op, |backend| backend.binary(binary_kind(&kind)?, slot(op, a)?, slot(op, b)?).map(number))
    }

    #[napi]
    pub fn unary(&self, kind: String, x: f64) -> Result<f64> {
        self.on("unary", |backend| backend.unary(unary_kind(&kind)?, slot("unary", x)?).map(number))
    }

    #[napi]
    pub fn scale(&self, x: f64, factor: f64) -> Result<f64> {
        self.on("scale", |b| b.scale(slot("scale", x)?, factor).map(number))
    }

    #[napi]
    pub fn scale_by(&self, x: f64, s: f64) -> Result<f64> {
        let op = "scaleBy";
        self.on(op, |b| b.scale_by(slot(op, x)?, slot(op, s)?).map(number))
    }

    #[napi]
    pub fn soft_cap(&self, x: f64, cap: f64) -> Result<f64> {
        let op = "softCap";
        self.on(op, |b| b.soft_cap(slot(op, x)?, cap).map(number))
    }

    #[napi]
    pub fn accumulate(&self, acc: f64, x: f64, factor: f64) -> Result<()> {
        let op = "accumulate";
        self.on(op, |b| b.accumulate(slot(op, acc)?, slot(op, x)?, factor))
    }

    #[napi]
    pub fn sum(&self, x: f64) -> Result<f64> {
        self.on("sum", |b| b.sum(slot("sum", x)?).map(number))
    }

    #[napi]
    pub fn sum_rows(&self, x: f64) -> Result<f64> {
        self.on("sumRows", |b| b.sum_rows(slot("sumRows", x)?).map(number))
    }

    #[napi]
    pub fn argmax(&self, x: f64) -> Result<Vec<f64>> {
        self.on("argmax", |b| b.argmax(slot("argmax", x)?).map(numbers))
    }

    #[napi]
    pub fn take_rows(&self, table: f64, ids: f64) -> Result<f64> {
        let op = "takeRows";
        self.on(op, |b| b.take_rows(slot(op, table)?, slot(op, ids)?).map(number))
    }

    #[napi]
    pub fn scatter_add_rows(&self, g: f64, ids: f64, rows: f64) -> Result<f64> {
        let op = "scatterAddRows";
        self.on(op, |b| b.scatter_add_rows(slot(op, g)?, slot(op, ids)?, extent(op, "rows", rows)?).map(number))
    }

    #[napi]
    pub fn write_rows(&self, dst: f64, ids: f64, src: f64) -> Result<()> {
        let op = "writeRows";
        self.on(op, |b| b.write_rows(slot(op, dst)?, slot(op, ids)?, slot(op, src)?))
    }

    #[napi]
    pub fn split_columns(&self, x: f64, widths: Vec<f64>) -> Result<Vec<f64>> {
        let op = "splitColumns";
        self.on(op, |b| {
            let widths = widths.iter().map(|&width| extent(op, "a width", width)).collect::<Checked<Vec<_>>>()?;
            b.split_columns(slot(op, x)?, &widths).map(numbers)
        })
    }

    #[napi]
    pub fn join_columns(&self, parts: Vec<f64>) -> Result<f64> {
        let op = "joinColumns";
        self.on(op, |b| b.join_columns(&slots(op, &parts)?).map(number))
    }

    #[napi]
    pub fn matmul(&self, layout_name: String, a: f64, b: f64, alpha: f64, into: Option<f64>) -> Result<f64> {
        let op = "matmul";
        self.on(op, |backend| {
            let into = into.map(|into| slot(op, into)).transpose()?;
            backend.matmul(layout(&layout_name)?, slot(op, a)?, slot(op, b)?, alpha, into).map(number)
        })
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn matmul_low_rank(
        &self,
        layout_name: String,
        a: f64,
        b: f64,
        u: f64,
        v: f64,
        factor: f64,
        into: Option<f64>,
    ) -> Result<f64> {
        let op = "matmulLowRank";
        self.on(op, |backend| {
            let into = into.map(|into| slot(op, into)).transpose()?;
            let factors = [slot(op, a)?, slot(op, b)?, slot(op, u)?, slot(op, v)?];
            backend.matmul_low_rank(layout(&layout_name)?, factors, factor, into).map(number)
        })
    }

    #[napi]
    pub fn rms_norm(&self, x: f64, w: f64, epsilon: f64) -> Result<Vec<f64>> {
        let op = "rmsNorm";
        self.on(op, |b| b.rms_norm(slot(op, x)?, slot(op, w)?, epsilon).map(numbers))
    }

    #[napi]
    pub fn rms_norm_backward(&self, g: f64, x: f64, w: f64, rstd: f64, needs_w: bool) -> Result<Vec<f64>> {
        let op = "rmsNormBackward";
        self.on(op, |b| {
            b.rms_norm_backward(slot(op, g)?, slot(op, x)?, slot(op, w)?, slot(op, rstd)?, needs_w).map(numbers)
        })
    }

    #[napi]
    pub fn add_rms_norm(&self, acc: f64, x: f64, w: f64, epsilon: f64) -> Result<Vec<f64>> {
        let op = "addRmsNorm";
        self.on(op, |b| b.add_rms_norm(slot(op, acc)?, slot(op, x)?, slot(op, w)?, epsilon).map(numbers))
    }

    #[napi]
    pub fn add_rms_norm_backward(
        &self,
        acc: f64,
        g: f64,
        x: f64,
        w: f64,
        rstd: f64,
        needs_w: bool,
    ) -> Result<Vec<f64>> {
        let op = "addRmsNormBackward";
        self.on(op, |b| {
            let inputs = [slot(op, g)?, slot(op, x)?, slot(op, w)?, slot(op, rstd)?];
            b.add_rms_norm_backward(slot(op, acc)?, inputs, needs_w).map(numbers)
        })
    }

    #[napi]
    pub fn rope_table(&self, positions: f64, frequencies: &[f64], scale: f64) -> Result<Vec<f64>> {
        let op = "ropeTable";
        self.on(op, |b| b.rope_table(slot(op, positions)?, frequencies, scale).map(numbers))
    }

    #[napi]
    pub fn rope(&self, x: f64, cos: f64, sin: f64, head_dim: f64, inverse: bool) -> Result<f64> {
        let op = "rope";
        self.on(op, |b| {
            let head_dim = extent(op, "headDim", head_dim)?;
            b.rope(slot(op, x)?, slot(op, cos)?, slot(op, sin)?, head_dim, inverse).map(number)
        })
    }

    #[napi]
    pub fn attention(&self, q: f64, k: f64, v: f64, layout: f64, options: AttentionOptions) -> Result<Vec<f64>> {
        let op = "attention";
        self.on(op, |b| b.attention(attention_inputs(op, [q, k, v, layout], &options)?).map(numbers))
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn attention_backward(
        &self,
        g: f64,
        q: f64,
        k: f64,
        v: f64,
        o: f64,
        lse: f64,
        layout: f64,
        options: AttentionOptions,
    ) -> Result<Vec<f64>> {
        let op = "attentionBackward";
        self.on(op, |b| {
            let inputs = attention_inputs(op, [q, k, v, layout], &options)?;
            b.attention_backward(slot(op, g)?, inputs, slot(op, o)?, slot(op, lse)?).map(numbers)
        })
    }

    #[napi]
    pub fn swiglu(&self, gate: f64, up: f64) -> Result<f64> {
        let op = "swiglu";
        self.on(op, |b| b.swiglu(slot(op, gate)?, slot(op, up)?).map(number))
    }

    #[napi]
    pub fn swiglu_backward(&self, g: f64, gate: f64, up: f64) -> Result<Vec<f64>> {
        let op = "swigluBackward";
        self.on(op, |b| b.swiglu_backward(slot(op, g)?, slot(op, gate)?, slot(op, up)?).map(numbers))
    }

    #[napi]
    pub fn activate(&self, kind: String, x: f64) -> Result<f64> {
        let op = "activate";
        self.on(op, |b| b.activate(activation_kind(op, &kind)?, slot(op, x)?).map(number))
    }

    #[napi]
    pub fn activate_backward(&self, kind: String, g: f64, x: f64) -> Result<f64> {
        let op = "activateBackward";
        self.on(op, |b| b.activate_backward(activation_kind(op, &kind)?, slot(op, g)?, slot(op, x)?).map(number))
    }

    #[napi]
    pub fn skew_blocks(&self, a: f64, size: f64) -> Result<f64> {
        let op = "skewBlocks";
        self.on(op, |b| b.skew_blocks(slot(op, a)?, extent(op, "size", size)?).map(number))
    }

    #[napi]
    pub fn skew_blocks_backward(&self, g: f64, packed: bool) -> Result<f64> {
        let op = "skewBlocksBackward";
        self.on(op, |b| b.skew_blocks_backward(slot(op, g)?, packed).map(number))
    }

    #[napi]
    pub fn cayley_blocks(&self, q: f64) -> Result<f64> {
        let op = "cayleyBlocks";
        self.on(op, |b| b.cayley_blocks(slot(op, q)?).map(number))
    }

    #[napi]
    pub fn matmul_blocks(&self, layout_name: String, a: f64, b: f64, size: f64) -> Result<f64> {
        let op = "matmulBlocks";
        self.on(op, |backend| {
            let size = extent(op, "size", size)?;
            backend.matmul_blocks(layout(&layout_name)?, slot(op, a)?, slot(op, b)?, size).map(number)
        })
    }

    #[napi]
    pub fn permute_columns(&self, x: f64, order: f64, inverse: bool) -> Result<f64> {
        let op = "permuteColumns";
        self.on(op, |b| b.permute_columns(slot(op, x)?, slot(op, order)?, inverse).map(number))
    }

    /// Exact where `iterations` is −1.
    #[napi]
    pub fn svd(&self, x: f64, rank: f64, iterations: f64, rng_key: RngKey) -> Result<Vec<f64>> {
        let op = "svd";
        self.on(op, |b| {
            let (rank, key) = (extent(op, "rank", rank)?, key(op, rng_key)?);
            let method = match iterations {
                -1.0 => Method::Exact,
                count => Method::Randomized { iterations: extent(op, "iterations", count)?, key },
            };
            b.svd(slot(op, x)?, rank, method).map(numbers)
        })
    }

    #[napi]
    pub fn geglu(&self, gate: f64, up: f64) -> Result<f64> {
        let op = "geglu";
        self.on(op, |b| b.geglu(slot(op, gate)?, slot(op, up)?).map(number))
    }

    #[napi]
    pub fn geglu_backward(&self, g: f64, gate: f64, up: f64) -> Result<Vec<f64>> {
        let op = "gegluBackward";
        self.on(op, |b| b.geglu_backward(slot(op, g)?, slot(op, gate)?, slot(op, up)?).map(numbers))
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn linear_cross_entropy(
        &self,
        h: f64,
        w: f64,
        labels: f64,
        soft_cap: f64,
        needs_h: bool,
        needs_w: bool,
    ) -> Result<Vec<f64>> {
        let op = "linearCrossEntropy";
        let needs = Needs { h: needs_h, w: needs_w };
        self.on(op, |b| b.linear_cross_entropy(head(op, h, w, labels, soft_cap)?, needs).map(numbers))
    }

    #[napi]
    pub fn linear_log_prob(&self, h: f64, w: f64, labels: f64, soft_cap: f64) -> Result<Vec<f64>> {
        let op = "linearLogProb";
        self.on(op, |b| b.linear_log_prob(head(op, h, w, labels, soft_cap)?).map(numbers))
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn linear_log_prob_backward(
        &self,
        g: f64,
        h: f64,
        w: f64,
        labels: f64,
        soft_cap: f64,
        lse: f64,
        needs_h: bool,
        needs_w: bool,
    ) -> Result<Vec<f64>> {
        let op = "linearLogProbBackward";
        let needs = Needs { h: needs_h, w: needs_w };
        self.on(op, |b| {
            b.linear_log_prob_backward(slot(op, g)?, head(op, h, w, labels, soft_cap)?, slot(op, lse)?, needs)
                .map(numbers)
        })
    }

    #[napi]
    pub fn dropout(&self, x: f64, p: f64, rng: RngKey) -> Result<f64> {
        let op = "dropout";
        self.on(op, |b| b.dropout(slot(op, x)?, p, key(op, rng)?).map(number))
    }

    #[napi]
    pub fn uniform(&self, axes: Vec<f64>, low: f64, high: f64, rng: RngKey) -> Result<f64> {
        let op = "uniform";
        self.on(op, |b| b.uniform(&shape(op, &axes)?, low, high, key(op, rng)?).map(number))
    }

    #[napi]
    pub fn normal(&self, axes: Vec<f64>, mean: f64, std: f64, rng: RngKey) -> Result<f64> {
        let op = "normal";
        self.on(op, |b| b.normal(&shape(op, &axes)?, mean, std, key(op, rng)?).map(number))
    }

    #[napi]
    pub fn grad_norm(&self, grads: Vec<f64>) -> Result<f64> {
        let op = "gradNorm";
        self.on(op, |b| b.grad_norm(&slots(op, &grads)?).map(number))
    }

    #[napi]
    pub fn clip_factor(&self, norm: f64, max_norm: f64) -> Result<Vec<f64>> {
        let op = "clipFactor";
        self.on(op, |b| b.clip_factor(slot(op, norm)?, max_norm).map(numbers))
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn adamw(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        m: Vec<f64>,
        v: Vec<f64>,
        step: f64,
        scale: f64,
        skip: f64,
        options: AdamWOptions,
    ) -> Result<()> {
        let op = "adamw";
        let AdamWOptions { lr, beta1, beta2, epsilon, weight_decay } = options;
        let options = AdamW { lr, beta1, beta2, epsilon, weight_decay };
        self.on(op, |b| {
            let (params, grads) = (slots(op, &params)?, slots(op, &grads)?);
            let (m, v) = (slots(op, &m)?, slots(op, &v)?);
            b.adamw(&params, &grads, &m, &v, control(op, step, scale, skip)?, options)
        })
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn sgd(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        momentum: Vec<f64>,
        step: f64,
        scale: f64,
        skip: f64,
        options: SgdOptions,
    ) -> Result<()> {
        let op = "sgd";
        let SgdOptions { lr, momentum: factor, nesterov, weight_decay } = options;
        let options = Sgd { lr, momentum: factor, nesterov, weight_decay };
        self.on(op, |b| {
            let (params, grads, momentum) = (slots(op, &params)?, slots(op, &grads)?, slots(op, &momentum)?);
            b.sgd(&params, &grads, &momentum, control(op, step, scale, skip)?, options)
        })
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn lion(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        m: Vec<f64>,
        step: f64,
        scale: f64,
        skip: f64,
        options: LionOptions,
    ) -> Result<()> {
        let op = "lion";
        let LionOptions { lr, beta1, beta2, weight_decay } = options;
        let options = Lion { lr, beta1, beta2, weight_decay };
        self.on(op, |b| {
            let (params, grads, m) = (slots(op, &params)?, slots(op, &grads)?, slots(op, &m)?);
            b.lion(&params, &grads, &m, control(op, step, scale, skip)?, options)
        })
    }

    #[napi]
    #[allow(clippy::too_many_arguments)]
    pub fn adafactor(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        rows: Vec<f64>,
        columns: Vec<f64>,
        step: f64,
        scale: f64,
        skip: f64,
        options: AdafactorOptions,
    ) -> Result<()> {
        let op = "adafactor";
        let AdafactorOptions { lr, weight_decay, epsilon, clip, decay_rate } = options;
        let options = Adafactor { lr, weight_decay, epsilon, clip, decay_rate };
        self.on(op, |b| {
            let (params, grads) = (slots(op, &params)?, slots(op, &grads)?);
            let (rows, columns) = (slots(op, &rows)?, slots(op, &columns)?);
            b.adafactor(&params, &grads, &rows, &columns, control(op, step, scale, skip)?, options)
        })
    }

    #[napi(js_name = "adamw8bit")]
    #[allow(clippy::too_many_arguments)]
    pub fn adamw_8bit(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        m: CodedMoments,
        v: CodedMoments,
        step: f64,
        scale: f64,
        skip: f64,
        options: AdamWOptions,
    ) -> Result<()> {
        let op = "adamw8bit";
        let AdamWOptions { lr, beta1, beta2, epsilon, weight_decay } = options;
        let options = AdamW { lr, beta1, beta2, epsilon, weight_decay };
        self.on(op, |b| {
            let (params, grads) = (slots(op, &params)?, slots(op, &grads)?);
            let [m_codes, m_scales] = coded(op, &m)?;
            let [v_codes, v_scales] = coded(op, &v)?;
            let m = Codes { codes: &m_codes, scales: &m_scales };
            let v = Codes { codes: &v_codes, scales: &v_scales };
            b.adamw_8bit(&params, &grads, m, v, control(op, step, scale, skip)?, options)
        })
    }
}

fn attention_inputs(op: &'static str, inputs: [f64; 4], options: &AttentionOptions) -> Checked<Attention> {
    let [q, k, v, layout] = inputs;
    Ok(Attention {
        q: slot(op, q)?,
        k: slot(op, k)?,
        v: slot(op, v)?,
        layout: slot(op, layout)?,
        head_dim: extent(op, "headDim", options.head_dim)?,
        scale: options.scale,
        window: extent(op, "window", options.window)?,
        soft_cap: options.soft_cap,
    })
}

fn coded(op: &'static str, moments: &CodedMoments) -> Checked<[Vec<Slot>; 2]> {
    Ok([slots(op, &moments.codes)?, slots(op, &moments.scales)?])
}
