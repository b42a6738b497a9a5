//! One exported method for each method of `KernelBackend`, in its order: glue of a few lines each, long as the contract is
//! wide. Tensors stay in the module's memory: slots go in and out, bytes only in `upload`, `write` and `read`. Objects are
//! read before the backend is entered: what JavaScript throws there unwinds nothing, and would leave it entered for good.

use std::cell::RefCell;

use kernels::backend::{Attention, Backend, Codes, Needs};
use kernels::error::{KernelError, Result as Checked};
use kernels::glue::unary_kind;
use kernels::glue::{activation_kind, binary_kind, control, dtype, extent, head, layout, number, shape, slot, slots};
use kernels::host::Host;
use kernels::store::Slot;
use kernels::svd::Method;
use wasm_bindgen::prelude::*;

use crate::guard::{guarded, on_backend, Result};
use crate::numbers::{list, RngKey};
use crate::options::{AdafactorOptions, AdamWOptions, AttentionOptions, CodedMoments, LionOptions, SgdOptions};

fn open(kind: &str) -> Checked<Box<dyn Backend>> {
    match kind {
        "wasm" => Ok(Box::new(Host::cpu(1, false))),
        "reference" => Ok(Box::new(Host::reference())),
        _ => Err(KernelError::argument("openBackend", format!("there is no backend {kind:?}; use wasm or reference"))),
    }
}

#[wasm_bindgen]
pub struct WasmBackend {
    backend: RefCell<Box<dyn Backend>>,
}

/// "wasm" or "reference", on the one thread there is.
#[wasm_bindgen(js_name = openBackend)]
pub fn open_backend(kind: String) -> Result<WasmBackend> {
    let backend = guarded(|| open(&kind))?;
    Ok(WasmBackend { backend: RefCell::new(backend) })
}

#[wasm_bindgen]
impl WasmBackend {
    fn on<T>(&self, op: &'static str, f: impl FnOnce(&mut dyn Backend) -> Checked<T>) -> Result<T> {
        on_backend(&self.backend, op, f)
    }

    pub fn name(&self) -> Result<String> {
        self.on("name", |b| Ok(b.name().into()))
    }

    pub fn description(&self) -> Result<String> {
        self.on("description", |b| Ok(b.description().into()))
    }

    pub fn alloc(&self, dtype_name: String, axes: Vec<f64>) -> Result<f64> {
        let op = "alloc";
        self.on(op, |b| b.alloc(dtype(op, &dtype_name)?, &shape(op, &axes)?).map(number))
    }

    pub fn upload(&self, dtype_name: String, axes: Vec<f64>, bytes: &[u8]) -> Result<f64> {
        let op = "upload";
        self.on(op, |b| b.upload(dtype(op, &dtype_name)?, &shape(op, &axes)?, bytes).map(number))
    }

    pub fn write(&self, x: f64, bytes: &[u8]) -> Result<()> {
        self.on("write", |b| b.write(slot("write", x)?, bytes))
    }

    /// Fills `out`, which has exactly the tensor's bytes.
    pub fn read(&self, x: f64, out: &mut [u8]) -> Result<()> {
        self.on("read", |b| b.read(slot("read", x)?, out))
    }

    pub fn free(&self, x: f64) -> Result<()> {
        self.on("free", |b| b.free(slot("free", x)?))
    }

    pub fn dtype(&self, x: f64) -> Result<String> {
        self.on("dtype", |b| b.dtype(slot("dtype", x)?).map(|dtype| dtype.name().into()))
    }

    pub fn shape(&self, x: f64) -> Result<Vec<JsValue>> {
        self.on("shape", |b| {
            Ok(b.shape(slot("shape", x)?)?.into_iter().map(|axis| JsValue::from_f64(axis as f64)).collect())
        })
    }

    #[wasm_bindgen(js_name = byteLength)]
    pub fn byte_length(&self, x: f64) -> Result<f64> {
        self.on("byteLength", |b| b.byte_length(slot("byteLength", x)?).map(|bytes| bytes as f64))
    }

    pub fn reshape(&self, x: f64, axes: Vec<f64>) -> Result<f64> {
        let op = "reshape";
        self.on(op, |b| b.reshape(slot(op, x)?, &shape(op, &axes)?).map(number))
    }

    pub fn copy(&self, x: f64) -> Result<f64> {
        self.on("copy", |b| b.copy(slot("copy", x)?).map(number))
    }

    pub fn cast(&self, x: f64, dtype_name: String) -> Result<f64> {
        self.on("cast", |b| b.cast(slot("cast", x)?, dtype("cast", &dtype_name)?).map(number))
    }

    #[wasm_bindgen(js_name = liveTensors)]
    pub fn live_tensors(&self) -> Result<f64> {
        self.on("liveTensors", |b| Ok(b.live_tensors() as f64))
    }

    #[wasm_bindgen(js_name = liveBytes)]
    pub fn live_bytes(&self) -> Result<f64> {
        self.on("liveBytes", |b| Ok(b.live_bytes() as f64))
    }

    /// Of the 4 GiB that a module can address.
    #[wasm_bindgen(js_name = availableBytes)]
    pub fn available_bytes(&self) -> Result<f64> {
        self.on("availableBytes", |b| Ok((1u64 << 32) as f64 - b.live_bytes() as f64))
    }

    pub fn fill(&self, x: f64, value: f64) -> Result<()> {
        self.on("fill", |b| b.fill(slot("fill", x)?, value))
    }

    pub fn binary(&self, kind: String, a: f64, b: f64) -> Result<f64> {
        let op = "binary";
        self.on(op, |backend| backend.binary(binary_kind(&kind)?, slot(op, a)?, slot(op, b)?).map(number))
    }

    pub fn unary(&self, kind: String, x: f64) -> Result<f64> {
        self.on("unary", |backend| backend.unary(unary_kind(&kind)?, slot("unary", x)?).map(number))
    }

    pub fn scale(&self, x: f64, factor: f64) -> Result<f64> {
        self.on("scale", |b| b.scale(slot("scale", x)?, factor).map(number))
    }

    #[wasm_bindgen(js_name = scaleBy)]
    pub fn scale_by(&self, x: f64, s: f64) -> Result<f64> {
        let op = "scaleBy";
        self.on(op, |b| b.scale_by(slot(op, x)?, slot(op, s)?).map(number))
    }

    #[wasm_bindgen(js_name = softCap)]
    pub fn soft_cap(&self, x: f64, cap: f64) -> Result<f64> {
        let op = "softCap";
        self.on(op, |b| b.soft_cap(slot(op, x)?, cap).map(number))
    }

    pub fn accumulate(&self, acc: f64, x: f64, factor: f64) -> Result<()> {
        let op = "accumulate";
        self.on(op, |b| b.accumulate(slot(op, acc)?, slot(op, x)?, factor))
    }

    pub fn sum(&self, x: f64) -> Result<f64> {
        self.on("sum", |b| b.sum(slot("sum", x)?).map(number))
    }

    #[wasm_bindgen(js_name = sumRows)]
    pub fn sum_rows(&self, x: f64) -> Result<f64> {
        self.on("sumRows", |b| b.sum_rows(slot("sumRows", x)?).map(number))
    }

    pub fn argmax(&self, x: f64) -> Result<Vec<JsValue>> {
        self.on("argmax", |b| b.argmax(slot("argmax", x)?).map(list))
    }

    #[wasm_bindgen(js_name = takeRows)]
    pub fn take_rows(&self, table: f64, ids: f64) -> Result<f64> {
        let op = "takeRows";
        self.on(op, |b| b.take_rows(slot(op, table)?, slot(op, ids)?).map(number))
    }

    #[wasm_bindgen(js_name = scatterAddRows)]
    pub fn scatter_add_rows(&self, g: f64, ids: f64, rows: f64) -> Result<f64> {
        let op = "scatterAddRows";
        self.on(op, |b| b.scatter_add_rows(slot(op, g)?, slot(op, ids)?, extent(op, "rows", rows)?).map(number))
    }

    #[wasm_bindgen(js_name = writeRows)]
    pub fn write_rows(&self, dst: f64, ids: f64, src: f64) -> Result<()> {
        let op = "writeRows";
        self.on(op, |b| b.write_rows(slot(op, dst)?, slot(op, ids)?, slot(op, src)?))
    }

    #[wasm_bindgen(js_name = splitColumns)]
    pub fn split_columns(&self, x: f64, widths: Vec<f64>) -> Result<Vec<JsValue>> {
        let op = "splitColumns";
        self.on(op, |b| {
            let widths = widths.iter().map(|&width| extent(op, "a width", width)).collect::<Checked<Vec<_>>>()?;
            b.split_columns(slot(op, x)?, &widths).map(list)
        })
    }

    #[wasm_bindgen(js_name = joinColumns)]
    pub fn join_columns(&self, parts: Vec<f64>) -> Result<f64> {
        let op = "joinColumns";
        self.on(op, |b| b.join_columns(&slots(op, &parts)?).map(number))
    }

    pub fn matmul(&self, layout_name: String, a: f64, b: f64, alpha: f64, into: Option<f64>) -> Result<f64> {
        let op = "matmul";
        self.on(op, |backend| {
            let into = into.map(|into| slot(op, into)).transpose()?;
            backend.matmul(layout(&layout_name)?, slot(op, a)?, slot(op, b)?, alpha, into).map(number)
        })
    }

    #[wasm_bindgen(js_name = matmulLowRank)]
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

    #[wasm_bindgen(js_name = rmsNorm)]
    pub fn rms_norm(&self, x: f64, w: f64, epsilon: f64) -> Result<Vec<JsValue>> {
        let op = "rmsNorm";
        self.on(op, |b| b.rms_norm(slot(op, x)?, slot(op, w)?, epsilon).map(list))
    }

    #[wasm_bindgen(js_name = rmsNormBackward)]
    pub fn rms_norm_backward(&self, g: f64, x: f64, w: f64, rstd: f64, needs_w: bool) -> Result<Vec<JsValue>> {
        let op = "rmsNormBackward";
        self.on(op, |b| {
            b.rms_norm_backward(slot(op, g)?, slot(op, x)?, slot(op, w)?, slot(op, rstd)?, needs_w).map(list)
        })
    }

    #[wasm_bindgen(js_name = addRmsNorm)]
    pub fn add_rms_norm(&self, acc: f64, x: f64, w: f64, epsilon: f64) -> Result<Vec<JsValue>> {
        let op = "addRmsNorm";
        self.on(op, |b| b.add_rms_norm(slot(op, acc)?, slot(op, x)?, slot(op, w)?, epsilon).map(list))
    }

    #[wasm_bindgen(js_name = addRmsNormBackward)]
    pub fn add_rms_norm_backward(
        &self,
        acc: f64,
        g: f64,
        x: f64,
        w: f64,
        rstd: f64,
        needs_w: bool,
    ) -> Result<Vec<JsValue>> {
        let op = "addRmsNormBackward";
        self.on(op, |b| {
            let inputs = [slot(op, g)?, slot(op, x)?, slot(op, w)?, slot(op, rstd)?];
            b.add_rms_norm_backward(slot(op, acc)?, inputs, needs_w).map(list)
        })
    }

    #[wasm_bindgen(js_name = ropeTable)]
    pub fn rope_table(&self, positions: f64, frequencies: &[f64], scale: f64) -> Result<Vec<JsValue>> {
        let op = "ropeTable";
        self.on(op, |b| b.rope_table(slot(op, positions)?, frequencies, scale).map(list))
    }

    pub fn rope(&self, x: f64, cos: f64, sin: f64, head_dim: f64, inverse: bool) -> Result<f64> {
        let op = "rope";
        self.on(op, |b| {
            let head_dim = extent(op, "headDim", head_dim)?;
            b.rope(slot(op, x)?, slot(op, cos)?, slot(op, sin)?, head_dim, inverse).map(number)
        })
    }

    pub fn attention(&self, q: f64, k: f64, v: f64, layout: f64, options: &AttentionOptions) -> Result<Vec<JsValue>> {
        let op = "attention";
        let inputs = attention_inputs(op, [q, k, v, layout], options);
        self.on(op, |b| b.attention(inputs?).map(list))
    }

    #[wasm_bindgen(js_name = attentionBackward)]
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
        options: &AttentionOptions,
    ) -> Result<Vec<JsValue>> {
        let op = "attentionBackward";
        let inputs = attention_inputs(op, [q, k, v, layout], options);
        self.on(op, |b| b.attention_backward(slot(op, g)?, inputs?, slot(op, o)?, slot(op, lse)?).map(list))
    }

    pub fn swiglu(&self, gate: f64, up: f64) -> Result<f64> {
        let op = "swiglu";
        self.on(op, |b| b.swiglu(slot(op, gate)?, slot(op, up)?).map(number))
    }

    #[wasm_bindgen(js_name = swigluBackward)]
    pub fn swiglu_backward(&self, g: f64, gate: f64, up: f64) -> Result<Vec<JsValue>> {
        let op = "swigluBackward";
        self.on(op, |b| b.swiglu_backward(slot(op, g)?, slot(op, gate)?, slot(op, up)?).map(list))
    }

    pub fn activate(&self, kind: String, x: f64) -> Result<f64> {
        let op = "activate";
        self.on(op, |b| b.activate(activation_kind(op, &kind)?, slot(op, x)?).map(number))
    }

    #[wasm_bindgen(js_name = activateBackward)]
    pub fn activate_backward(&self, kind: String, g: f64, x: f64) -> Result<f64> {
        let op = "activateBackward";
        self.on(op, |b| b.activate_backward(activation_kind(op, &kind)?, slot(op, g)?, slot(op, x)?).map(number))
    }

    #[wasm_bindgen(js_name = skewBlocks)]
    pub fn skew_blocks(&self, a: f64, size: f64) -> Result<f64> {
        let op = "skewBlocks";
        self.on(op, |b| b.skew_blocks(slot(op, a)?, extent(op, "size", size)?).map(number))
    }

    #[wasm_bindgen(js_name = skewBlocksBackward)]
    pub fn skew_blocks_backward(&self, g: f64, packed: bool) -> Result<f64> {
        let op = "skewBlocksBackward";
        self.on(op, |b| b.skew_blocks_backward(slot(op, g)?, packed).map(number))
    }

    #[wasm_bindgen(js_name = cayleyBlocks)]
    pub fn cayley_blocks(&self, q: f64) -> Result<f64> {
        let op = "cayleyBlocks";
        self.on(op, |b| b.cayley_blocks(slot(op, q)?).map(number))
    }

    #[wasm_bindgen(js_name = matmulBlocks)]
    pub fn matmul_blocks(&self, layout_name: String, a: f64, b: f64, size: f64) -> Result<f64> {
        let op = "matmulBlocks";
        self.on(op, |backend| {
            let size = extent(op, "size", size)?;
            backend.matmul_blocks(layout(&layout_name)?, slot(op, a)?, slot(op, b)?, size).map(number)
        })
    }

    #[wasm_bindgen(js_name = permuteColumns)]
    pub fn permute_columns(&self, x: f64, order: f64, inverse: bool) -> Result<f64> {
        let op = "permuteColumns";
        self.on(op, |b| b.permute_columns(slot(op, x)?, slot(op, order)?, inverse).map(number))
    }

    /// Exact where `iterations` is −1.
    pub fn svd(&self, x: f64, rank: f64, iterations: f64, rng_key: &RngKey) -> Result<Vec<JsValue>> {
        let op = "svd";
        let key = rng_key.taken(op);
        self.on(op, |b| {
            let (rank, key) = (extent(op, "rank", rank)?, key?);
            let method = match iterations {
                -1.0 => Method::Exact,
                count => Method::Randomized { iterations: extent(op, "iterations", count)?, key },
            };
            b.svd(slot(op, x)?, rank, method).map(list)
        })
    }

    pub fn geglu(&self, gate: f64, up: f64) -> Result<f64> {
        let op = "geglu";
        self.on(op, |b| b.geglu(slot(op, gate)?, slot(op, up)?).map(number))
    }

    #[wasm_bindgen(js_name = gegluBackward)]
    pub fn geglu_backward(&self, g: f64, gate: f64, up: f64) -> Result<Vec<JsValue>> {
        let op = "gegluBackward";
        self.on(op, |b| b.geglu_backward(slot(op, g)?, slot(op, gate)?, slot(op, up)?).map(list))
    }

    #[wasm_bindgen(js_name = linearCrossEntropy)]
    #[allow(clippy::too_many_arguments)]
    pub fn linear_cross_entropy(
        &self,
        h: f64,
        w: f64,
        labels: f64,
        soft_cap: f64,
        needs_h: bool,
        needs_w: bool,
    ) -> Result<Vec<JsValue>> {
        let op = "linearCrossEntropy";
        let needs = Needs { h: needs_h, w: needs_w };
        self.on(op, |b| b.linear_cross_entropy(head(op, h, w, labels, soft_cap)?, needs).map(list))
    }

    #[wasm_bindgen(js_name = linearLogProb)]
    pub fn linear_log_prob(&self, h: f64, w: f64, labels: f64, soft_cap: f64) -> Result<Vec<JsValue>> {
        let op = "linearLogProb";
        self.on(op, |b| b.linear_log_prob(head(op, h, w, labels, soft_cap)?).map(list))
    }

    #[wasm_bindgen(js_name = linearLogProbBackward)]
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
    ) -> Result<Vec<JsValue>> {
        let op = "linearLogProbBackward";
        let needs = Needs { h: needs_h, w: needs_w };
        self.on(op, |b| {
            b.linear_log_prob_backward(slot(op, g)?, head(op, h, w, labels, soft_cap)?, slot(op, lse)?, needs).map(list)
        })
    }

    pub fn dropout(&self, x: f64, p: f64, rng: &RngKey) -> Result<f64> {
        let op = "dropout";
        let key = rng.taken(op);
        self.on(op, |b| b.dropout(slot(op, x)?, p, key?).map(number))
    }

    pub fn uniform(&self, axes: Vec<f64>, low: f64, high: f64, rng: &RngKey) -> Result<f64> {
        let op = "uniform";
        let key = rng.taken(op);
        self.on(op, |b| b.uniform(&shape(op, &axes)?, low, high, key?).map(number))
    }

    pub fn normal(&self, axes: Vec<f64>, mean: f64, std: f64, rng: &RngKey) -> Result<f64> {
        let op = "normal";
        let key = rng.taken(op);
        self.on(op, |b| b.normal(&shape(op, &axes)?, mean, std, key?).map(number))
    }

    #[wasm_bindgen(js_name = gradNorm)]
    pub fn grad_norm(&self, grads: Vec<f64>) -> Result<f64> {
        let op = "gradNorm";
        self.on(op, |b| b.grad_norm(&slots(op, &grads)?).map(number))
    }

    #[wasm_bindgen(js_name = clipFactor)]
    pub fn clip_factor(&self, norm: f64, max_norm: f64) -> Result<Vec<JsValue>> {
        let op = "clipFactor";
        self.on(op, |b| b.clip_factor(slot(op, norm)?, max_norm).map(list))
    }

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
        options: &AdamWOptions,
    ) -> Result<()> {
        let op = "adamw";
        let options = options.taken();
        self.on(op, |b| {
            let (params, grads) = (slots(op, &params)?, slots(op, &grads)?);
            let (m, v) = (slots(op, &m)?, slots(op, &v)?);
            b.adamw(&params, &grads, &m, &v, control(op, step, scale, skip)?, options)
        })
    }

    #[allow(clippy::too_many_arguments)]
    pub fn sgd(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        momentum: Vec<f64>,
        step: f64,
        scale: f64,
        skip: f64,
        options: &SgdOptions,
    ) -> Result<()> {
        let op = "sgd";
        let options = options.taken();
        self.on(op, |b| {
            let (params, grads, momentum) = (slots(op, &params)?, slots(op, &grads)?, slots(op, &momentum)?);
            b.sgd(&params, &grads, &momentum, control(op, step, scale, skip)?, options)
        })
    }

    #[allow(clippy::too_many_arguments)]
    pub fn lion(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        m: Vec<f64>,
        step: f64,
        scale: f64,
        skip: f64,
        options: &LionOptions,
    ) -> Result<()> {
        let op = "lion";
        let options = options.taken();
        self.on(op, |b| {
            let (params, grads, m) = (slots(op, &params)?, slots(op, &grads)?, slots(op, &m)?);
            b.lion(&params, &grads, &m, control(op, step, scale, skip)?, options)
        })
    }

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
        options: &AdafactorOptions,
    ) -> Result<()> {
        let op = "adafactor";
        let options = options.taken();
        self.on(op, |b| {
            let (params, grads) = (slots(op, &params)?, slots(op, &grads)?);
            let (rows, columns) = (slots(op, &rows)?, slots(op, &columns)?);
            b.adafactor(&params, &grads, &rows, &columns, control(op, step, scale, skip)?, options)
        })
    }

    #[wasm_bindgen(js_name = adamw8bit)]
    #[allow(clippy::too_many_arguments)]
    pub fn adamw_8bit(
        &self,
        params: Vec<f64>,
        grads: Vec<f64>,
        m: &CodedMoments,
        v: &CodedMoments,
        step: f64,
        scale: f64,
        skip: f64,
        options: &AdamWOptions,
    ) -> Result<()> {
        let op = "adamw8bit";
        let options = options.taken();
        let (m, v) = (coded(op, m), coded(op, v));
        self.on(op, |b| {
            let (params, grads) = (slots(op, &params)?, slots(op, &grads)?);
            let ([m_codes, m_scales], [v_codes, v_scales]) = (m?, v?);
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
        head_dim: extent(op, "headDim", options.head_dim())?,
        scale: options.scale(),
        window: extent(op, "window", options.window())?,
        soft_cap: options.soft_cap(),
    })
}

fn coded(op: &'static str, moments: &CodedMoments) -> Checked<[Vec<Slot>; 2]> {
    Ok([slots(op, &moments.codes())?, slots(op, &moments.scales())?])
}
