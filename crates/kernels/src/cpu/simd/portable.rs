//! Eight lanes in plain Rust, for machines without AVX2 and for other architectures.

use super::Simd;
use half::{bf16, f16};
use std::array::from_fn;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable;

type V = [f32; 8];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    from_fn(|i| f(a[i], b[i]))
}

/// Fused only where every machine of the architecture can: elsewhere `mul_add` is a slow library call.
#[inline(always)]
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// 2ⁿ for −127 < n < 128.
#[inline(always)]
fn power(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[inline(always)]
fn scale_by_power(a: f32, n: f32) -> f32 {
    // In two steps, so that results below 2⁻¹²⁶ and above 2¹²⁷ come out right.
    let n = n as i32;
    let first = n >> 1;
    a * power(first) * power(n - first)
}

impl Simd for Portable {
    const LANES: usize = 8;
    const ROWS: usize = 2;
    type V = V;
    type Sixteen = [V; 2];

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        [x; 8]
    }

    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        from_fn(|i| mul_add(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: V, b: V) -> V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn sqrt(self, a: V) -> V {
        a.map(f32::sqrt)
    }

    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding 1.5 · 2²³ leaves no bits for a fraction; right for |a| < 2²².
        const SHIFT: f32 = 12_582_912.0;
        a.map(|a| (a + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn scale_by_power(self, a: V, n: V) -> V {
        zip(a, n, scale_by_power)
    }

    #[inline(always)]
    fn sum_lanes(self, a: V) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }

    #[inline(always)]
    fn max_lanes(self, a: V) -> f32 {
        a.iter().fold(f32::NEG_INFINITY, |m, &x| if m > x { m } else { x })
    }

    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store_at(self, a: V, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<V>().write_unaligned(a) }
    }

    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> V {
        // SAFETY: the caller's promise.
        from_fn(|i| if i < n { unsafe { p.add(i).read() } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store_first(self, a: V, p: *mut f32, n: usize) {
        for (i, x) in a.into_iter().enumerate().take(n) {
            // SAFETY: the caller's promise.
            unsafe { p.add(i).write(x) }
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> V {
        // SAFETY: the caller's promise.
        from_fn(|i| unsafe { p.add(i).read() }.to_f32())
    }

    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> V {
        // SAFETY: the caller's promise.
        from_fn(|i| unsafe { p.add(i).read() }.to_f32())
    }

    #[inline(always)]
    fn sixteen(self, x: &[f32; 16]) -> [V; 2] {
        from_fn(|half| from_fn(|i| x[8 * half + i]))
    }

    #[inline(always)]
    fn choose(self, table: [V; 2], codes: [u8; 16]) -> [V; 2] {
        let value = |code: u8| table[usize::from(code) / 8][usize::from(code) % 8];
        from_fn(|half| from_fn(|i| value(codes[8 * half + i])))
    }

    #[inline(always)]
    fn signed(self, codes: [u8; 16]) -> [V; 2] {
        from_fn(|half| from_fn(|i| f32::from(codes[8 * half + i] as i8)))
    }

    #[inline(always)]
    fn half(self, x: [u8; 2]) -> V {
        [f16::from_le_bytes(x).to_f32_const(); 8]
    }
}
