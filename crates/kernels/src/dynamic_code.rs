//! The dynamic 8-bit codes that bitsandbytes keeps optimizer state and nested scales in (Dettmers et al. 2021, arXiv
//! 2110.02861): sign, decimal exponent and a linear fraction, for blocks of 256 numbers divided by their largest magnitude.

use std::sync::OnceLock;

use crate::maths::Real;

/// Numbers that share a scale.
pub const BLOCK: usize = 256;
/// bitsandbytes looks the nearest code up on a grid of this many steps over [−1, 1], so ours does: equal codes.
const GRID: usize = 1 << 16;

pub struct DynamicCode {
    values: [f32; 256],
    nearest: Vec<u8>,
}

/// Codes of a tensor, and the scale of each block of 256.
pub struct Quantized<'a, R> {
    pub codes: &'a mut [u8],
    pub scales: &'a mut [R],
}

impl DynamicCode {
    /// For numbers of either sign.
    pub fn signed() -> &'static DynamicCode {
        static SIGNED: OnceLock<DynamicCode> = OnceLock::new();
        SIGNED.get_or_init(|| DynamicCode::new(true))
    }

    /// For numbers from 0: one bit more of fraction.
    pub fn unsigned() -> &'static DynamicCode {
        static UNSIGNED: OnceLock<DynamicCode> = OnceLock::new();
        UNSIGNED.get_or_init(|| DynamicCode::new(false))
    }

    fn new(signed: bool) -> DynamicCode {
        let values = values(signed);
        let middles: Vec<f32> = values.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect();
        let nearest = (0..GRID).map(|step| {
            let value = -1.0 + (2 * step) as f32 / (GRID - 1) as f32;
            middles.partition_point(|&middle| middle < value) as u8
        });
        DynamicCode { nearest: nearest.collect(), values }
    }

    pub fn values(&self) -> &[f32; 256] {
        &self.values
    }

    /// The code of each step of the grid.
    pub fn nearest(&self) -> &[u8] {
        &self.nearest
    }

    #[inline(always)]
    pub fn decode<R: Real>(&self, codes: &[u8], scale: R, out: &mut [R]) {
        for (out, &code) in out.iter_mut().zip(codes) {
            *out = R::from_f64(f64::from(self.values[usize::from(code)])) * scale;
        }
    }

    /// Codes of one block; returns its scale. A block of zeros has scale 0 and code 0.
    #[inline(always)]
    pub fn encode<R: Real>(&self, block: &[R], codes: &mut [u8]) -> R {
        let scale = block.iter().fold(R::zero(), |most, x| most.max(x.abs()));
        if scale == R::zero() {
            codes.fill(0);
            return scale;
        }
        for (code, &x) in codes.iter_mut().zip(block) {
            *code = self.code(x / scale);
        }
        scale
    }

    /// The code of x in [−1, 1].
    #[inline(always)]
    pub fn code<R: Real>(&self, x: R) -> u8 {
        let [half, steps] = [0.5, (GRID - 1) as f64].map(R::from_f64);
        let step = (x + R::one()) * half * steps + half;
        self.nearest[(step.to_f64() as usize).min(GRID - 1)]
    }
}

/// All codes in order: 0, 1, and for each decimal exponent −6 … 0 the middles of equal parts of [0.1, 1].
fn values(signed: bool) -> [f32; 256] {
    let mut all = vec![0.0f32, 1.0];
    for exponent in 0..7 {
        let parts = if signed { 1 << exponent } else { 2 << exponent };
        let power = 10f64.powi(exponent - 6) as f32;
        let edges = edges(parts);
        for pair in edges.windows(2) {
            let value = power * ((pair[0] + pair[1]) / 2.0);
            all.push(value);
            if signed {
                all.push(-value);
            }
        }
    }
    all.sort_by(f32::total_cmp);
    std::array::from_fn(|i| all[i])
}

/// torch.linspace(0.1, 1, parts + 1): counted from the nearer end, fused.
fn edges(parts: usize) -> Vec<f32> {
    let step = (1.0 - 0.1f32) / parts as f32;
    let count = parts + 1;
    let edge = |i: usize| {
        if i < count / 2 {
            step.mul_add(i as f32, 0.1)
        } else {
            (-step).mul_add((parts - i) as f32, 1.0)
        }
    };
    (0..count).map(edge).collect()
}
