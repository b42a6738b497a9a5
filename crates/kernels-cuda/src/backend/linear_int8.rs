//! LLM.int8: a linear layer that multiplies integers.

use kernels::codec::LlmInt8;
use kernels::error::Result;

use super::{at, Cuda, Tensored};
use crate::launch::{arg, blocks, over, threads_for, Shape};
use crate::sources::LINEAR_INT8;

/// Numbers of c that a block makes along each axis.
const TILE: usize = 16;

impl Cuda {
    /// c [m, rows of w] += alpha · a · wᵀ by the rules of the codec; no extent is 0.
    pub(crate) fn multiply_int8(
        &self,
        codec: LlmInt8,
        [m, n, k]: [usize; 3],
        alpha: f64,
        a: u64,
        w: &Tensored,
        c: u64,
    ) -> Result<()> {
        let op = "matmul";
        let threshold = arg::float(f64::from(codec.threshold()));
        let (flags, codes, scales) = (self.scratch(op, k)?, self.scratch(op, m * k)?, self.scratch(op, 4 * m)?);
        let mut arguments = [a, arg::size(m), arg::size(k), threshold, flags.at()];
        self.kernels.launch(op, &LINEAR_INT8, "outliers", over(k), &mut arguments)?;
        let mut arguments = [a, arg::size(k), threshold, flags.at(), codes.at(), scales.at()];
        self.kernels.launch(op, &LINEAR_INT8, "quantize", blocks(m, threads_for(k)), &mut arguments)?;
        // The scales of w lie behind its codes, and need not lie where an f32 may.
        let w_scales = self.scratch(op, 4 * n)?;
        self.device.copy(op, at(w) + (n * k) as u64, w_scales.at(), 4 * n)?;
        let [left, right] = [m, n].map(|extent| extent.div_ceil(TILE) as u32);
        let own = [a, codes.at(), scales.at(), flags.at(), at(w), w_scales.at(), arg::float(alpha)];
        let extents = [arg::size(m), arg::size(n), arg::size(k), c];
        let shape = Shape { grid: [right, left, 1], block: (TILE * TILE) as u32, shared: 0 };
        self.kernels.launch(op, &LINEAR_INT8, "linear_int8", shape, &mut [own.as_slice(), &extents].concat())
    }
}
