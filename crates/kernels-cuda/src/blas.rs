//! Matrix products by cuBLASLt. It counts columns first, so a row-major product c = a·b is its cᵀ = bᵀ·aᵀ: the operands
//! change places and nothing moves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;

use cudarc::cublaslt::sys::{self, cublasStatus_t};
use kernels::dtype::DType;
use kernels::error::{Code, KernelError, Result};
use kernels::maths::Layout;

use crate::driver::Device;
use crate::memory::Buffer;

/// Bytes that an algorithm may use beside its operands.
const WORKSPACE: usize = 32 << 20;

/// What both operands are stored in; sums and the result are f32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    F32,
    Bf16,
    F16,
}

impl Operand {
    /// The dtype of both operands.
    pub fn dtype(self) -> DType {
        match self {
            Operand::F32 => DType::F32,
            Operand::Bf16 => DType::Bf16,
            Operand::F16 => DType::F16,
        }
    }

    fn kind(self) -> sys::cudaDataType {
        match self {
            Operand::F32 => sys::cudaDataType::CUDA_R_32F,
            Operand::Bf16 => sys::cudaDataType::CUDA_R_16BF,
            Operand::F16 => sys::cudaDataType::CUDA_R_16F,
        }
    }
}

/// c = alpha · op(a) · op(b) + beta · c, all by address.
#[derive(Clone, Copy)]
pub struct Gemm {
    pub layout: Layout,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub alpha: f32,
    pub a: u64,
    pub b: u64,
    pub beta: f32,
    pub c: u64,
    pub operand: Operand,
}

/// Products that one algorithm serves.
type Key = (u8, usize, usize, usize, Operand, bool);

pub struct Blas {
    device: Rc<Device>,
    /// Whether factors in f32 may lose all but ten bits of their fraction.
    tf32: bool,
    handle: sys::cublasLtHandle_t,
    workspace: RefCell<Option<Buffer>>,
    algorithms: RefCell<HashMap<Key, sys::cublasLtMatmulAlgo_t>>,
}

fn check(op: &'static str, doing: &str, status: cublasStatus_t) -> Result<()> {
    match status {
        cublasStatus_t::CUBLAS_STATUS_SUCCESS => Ok(()),
        cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => Err(KernelError::memory(op, format!("{doing}: no memory"))),
        other => Err(KernelError::new(Code::DeviceFailed, op, format!("{doing}: {other:?}"))),
    }
}

/// Descriptions of one product, destroyed together.
struct Plan {
    operation: sys::cublasLtMatmulDesc_t,
    left: sys::cublasLtMatrixLayout_t,
    right: sys::cublasLtMatrixLayout_t,
    result: sys::cublasLtMatrixLayout_t,
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: each was made by `Plan::new`, or is null.
        unsafe {
            for layout in [self.left, self.right, self.result].into_iter().filter(|layout| !layout.is_null()) {
                let _ = sys::cublasLtMatrixLayoutDestroy(layout);
            }
            if !self.operation.is_null() {
                let _ = sys::cublasLtMatmulDescDestroy(self.operation);
            }
        }
    }
}

/// Rows and columns of a row-major matrix, as cuBLASLt sees it: turned over.
fn describe(
    op: &'static str,
    kind: sys::cudaDataType,
    [rows, columns]: [usize; 2],
) -> Result<sys::cublasLtMatrixLayout_t> {
    let mut layout = std::ptr::null_mut();
    let (r, c) = (columns as u64, rows as u64);
    // SAFETY: `layout` outlives the call.
    let status = unsafe { sys::cublasLtMatrixLayoutCreate(&mut layout, kind, r, c, columns as i64) };
    check(op, "cublasLtMatrixLayoutCreate", status)?;
    Ok(layout)
}

impl Plan {
    fn new(op: &'static str, job: &Gemm, tf32: bool) -> Result<Plan> {
        let mut plan = Plan {
            operation: std::ptr::null_mut(),
            left: std::ptr::null_mut(),
            right: std::ptr::null_mut(),
            result: std::ptr::null_mut(),
        };
        let compute = match job.operand {
            Operand::F32 if tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            _ => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let scale = sys::cudaDataType::CUDA_R_32F;
        // SAFETY: out parameters outlive the calls.
        let status = unsafe { sys::cublasLtMatmulDescCreate(&mut plan.operation, compute, scale) };
        check(op, "cublasLtMatmulDescCreate", status)?;
        let Gemm { layout, m, n, k, operand, .. } = *job;
        let attributes = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA;
        plan.transpose(op, attributes, layout == Layout::Nt)?;
        let attributes = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB;
        plan.transpose(op, attributes, layout == Layout::Tn)?;
        plan.left = describe(op, operand.kind(), if layout == Layout::Nt { [n, k] } else { [k, n] })?;
        plan.right = describe(op, operand.kind(), if layout == Layout::Tn { [k, m] } else { [m, k] })?;
        plan.result = describe(op, sys::cudaDataType::CUDA_R_32F, [m, n])?;
        Ok(plan)
    }

    fn transpose(&self, op: &'static str, which: sys::cublasLtMatmulDescAttributes_t, transposed: bool) -> Result<()> {
        // CUBLAS_OP_N, CUBLAS_OP_T
        let value = i32::from(transposed);
        // SAFETY: the attribute is an i32, copied in the call.
        let status = unsafe {
            sys::cublasLtMatmulDescSetAttribute(self.operation, which, (&raw const value).cast::<c_void>(), 4)
        };
        check(op, "cublasLtMatmulDescSetAttribute", status)
    }
}

impl Blas {
    /// cuBLASLt is present.
    pub fn new(device: Rc<Device>, tf32: bool, op: &'static str) -> Result<Blas> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: `handle` outlives the call; the device's context is current.
        check(op, "cublasLtCreate", unsafe { sys::cublasLtCreate(&mut handle) })?;
        Ok(Blas { device, tf32, handle, workspace: RefCell::default(), algorithms: RefCell::default() })
    }

    fn key(job: &Gemm) -> Key {
        (job.layout as u8, job.m, job.n, job.k, job.operand, job.beta != 0.0)
    }

    fn algorithm(&self, op: &'static str, job: &Gemm, plan: &Plan) -> Result<sys::cublasLtMatmulAlgo_t> {
        let key = Self::key(job);
        if let Some(&algorithm) = self.algorithms.borrow().get(&key) {
            return Ok(algorithm);
        }
        let algorithm = self.best(op, plan)?;
        self.algorithms.borrow_mut().insert(key, algorithm);
        Ok(algorithm)
    }

    fn best(&self, op: &'static str, plan: &Plan) -> Result<sys::cublasLtMatmulAlgo_t> {
        let (mut preference, mut found) = (std::ptr::null_mut(), 0);
        let bytes = WORKSPACE;
        let attribute = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        // SAFETY: out parameters outlive the calls; one result is asked for and there is room for one. The result is
        // plain numbers, for which zeros are values.
        unsafe {
            let mut result: sys::cublasLtMatmulHeuristicResult_t = std::mem::zeroed();
            check(op, "cublasLtMatmulPreferenceCreate", sys::cublasLtMatmulPreferenceCreate(&mut preference))?;
            let value = (&raw const bytes).cast::<c_void>();
            let set = sys::cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, size_of::<usize>());
            let Plan { operation, left, right, result: c } = *plan;
            let status = sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                operation,
                left,
                right,
                c,
                c,
                preference,
                1,
                &mut result,
                &mut found,
            );
            let _ = sys::cublasLtMatmulPreferenceDestroy(preference);
            check(op, "cublasLtMatmulPreferenceSetAttribute", set)?;
            check(op, "cublasLtMatmulAlgoGetHeuristic", status)?;
            match found {
                0 => Err(KernelError::new(Code::DeviceFailed, op, "cuBLASLt knows no algorithm for this product")),
                _ => Ok(result.algo),
            }
        }
    }

    /// No extent is 0.
    pub fn multiply(&self, op: &'static str, job: &Gemm) -> Result<()> {
        let plan = Plan::new(op, job, self.tf32)?;
        let algorithm = self.algorithm(op, job, &plan)?;
        let mut workspace = self.workspace.borrow_mut();
        let workspace = match &*workspace {
            Some(buffer) => buffer,
            None => workspace.insert(Buffer::new(&self.device, op, "the workspace of cuBLASLt", WORKSPACE)?),
        };
        let pointer = |address: u64| address as *mut c_void;
        // SAFETY: the addresses are of buffers that are alive and as large as the layouts say.
        let status = unsafe {
            sys::cublasLtMatmul(
                self.handle,
                plan.operation,
                (&raw const job.alpha).cast(),
                pointer(job.b),
                plan.left,
                pointer(job.a),
                plan.right,
                (&raw const job.beta).cast(),
                pointer(job.c),
                plan.result,
                pointer(job.c),
                plan.result,
                &algorithm,
                pointer(workspace.at()),
                WORKSPACE,
                self.device.stream().cast(),
            )
        };
        check(op, "cublasLtMatmul", status)
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: nothing uses the handle afterwards.
        let _ = unsafe { sys::cublasLtDestroy(self.handle) };
    }
}
