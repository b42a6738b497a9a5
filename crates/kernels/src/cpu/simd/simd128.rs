//! Four lanes with WebAssembly's fixed-width SIMD. A module that holds these instructions is not even loaded where they
//! are missing, so the token needs no proof. Multiply-add is the relaxed instruction, which every machine with a fused one
//! fuses: tools/build-wasm.mjs makes of the module a second one, where it is a product and a sum, for engines without it.

use super::Simd;
use half::{bf16, f16};
use std::arch::wasm32::*;
use std::hint::black_box;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd128 {
    /// Whether this engine rounds a multiply-add once.
    fused: bool,
}

impl Simd128 {
    pub fn detect() -> Self {
        let e = black_box(f32::EPSILON);
        let (a, b, c) = (f32x4_splat(1.0 + e), f32x4_splat(1.0 - e), f32x4_splat(-1.0));
        Simd128 { fused: f32x4_extract_lane::<0>(f32x4_relaxed_madd(a, b, c)) != 0.0 }
    }

    pub fn fuses(self) -> bool {
        self.fused
    }
}

/// 2ⁿ for −127 < n < 128.
#[inline(always)]
fn power(n: v128) -> v128 {
    i32x4_shl(i32x4_add(n, i32x4_splat(127)), 23)
}

impl Simd for Simd128 {
    const LANES: usize = 4;
    // Of 16 registers, which x86 has for them, ten hold sums: with twelve the plain module has half its speed in Node 20,
    // with eight the fused one is a little slower in Chromium 156.
    const ROWS: usize = 5;
    // Where multiply-add is two instructions, there are more than the CPU takes in; those around the sums must be few.
    const STEPS: usize = 4;
    type V = v128;
    type Sixteen = [v128; 4];

    #[inline(always)]
    fn splat(self, x: f32) -> v128 {
        f32x4_splat(x)
    }

    #[inline(always)]
    fn add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn sub(self, a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }

    #[inline(always)]
    fn mul(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    fn div(self, a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: v128, b: v128, c: v128) -> v128 {
        f32x4_relaxed_madd(a, b, c)
    }

    #[inline(always)]
    fn max(self, a: v128, b: v128) -> v128 {
        // "b < a ? b : a" of the operands turned about is "a > b ? a : b".
        f32x4_pmax(b, a)
    }

    #[inline(always)]
    fn min(self, a: v128, b: v128) -> v128 {
        f32x4_pmin(b, a)
    }

    #[inline(always)]
    fn sqrt(self, a: v128) -> v128 {
        f32x4_sqrt(a)
    }

    #[inline(always)]
    fn round(self, a: v128) -> v128 {
        f32x4_nearest(a)
    }

    #[inline(always)]
    fn scale_by_power(self, a: v128, n: v128) -> v128 {
        // In two steps, so that results below 2⁻¹²⁶ and above 2¹²⁷ come out right.
        let n = i32x4_trunc_sat_f32x4(n);
        let first = i32x4_shr(n, 1);
        f32x4_mul(f32x4_mul(a, power(first)), power(i32x4_sub(n, first)))
    }

    #[inline(always)]
    fn sum_lanes(self, a: v128) -> f32 {
        let two = f32x4_add(a, i32x4_shuffle::<2, 3, 2, 3>(a, a));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }

    #[inline(always)]
    fn max_lanes(self, a: v128) -> f32 {
        let two = f32x4_pmax(a, i32x4_shuffle::<2, 3, 2, 3>(a, a));
        f32x4_extract_lane::<0>(f32x4_pmax(two, i32x4_shuffle::<1, 0, 1, 0>(two, two)))
    }

    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> v128 {
        // SAFETY: the caller's promise; loads have no alignment.
        unsafe { v128_load(p.cast()) }
    }

    #[inline(always)]
    unsafe fn store_at(self, a: v128, p: *mut f32) {
        // SAFETY: as above.
        unsafe { v128_store(p.cast(), a) }
    }

    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> v128 {
        // SAFETY: the caller's promise.
        let at = |i: usize| if i < n { unsafe { p.add(i).read() } } else { 0.0 };
        f32x4(at(0), at(1), at(2), at(3))
    }

    #[inline(always)]
    unsafe fn store_first(self, a: v128, p: *mut f32, n: usize) {
        let lanes = [
            f32x4_extract_lane::<0>(a),
            f32x4_extract_lane::<1>(a),
            f32x4_extract_lane::<2>(a),
            f32x4_extract_lane::<3>(a),
        ];
        for (i, x) in lanes.into_iter().enumerate().take(n) {
            // SAFETY: the caller's promise.
            unsafe { p.add(i).write(x) }
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> v128 {
        // SAFETY: the caller's promise.
        i32x4_shl(unsafe { u32x4_load_extend_u16x4(p.cast()) }, 16)
    }

    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> v128 {
        // SAFETY: the caller's promise.
        let at = |i: usize| unsafe { p.add(i).read() }.to_f32();
        f32x4(at(0), at(1), at(2), at(3))
    }

    #[inline(always)]
    fn sixteen(self, x: &[f32; 16]) -> [v128; 4] {
        let mut y = [f32x4_splat(0.0); 4];
        for (y, x) in y.iter_mut().zip(x.chunks_exact(4)) {
            *y = self.load(x);
        }
        y
    }

    #[inline(always)]
    fn choose(self, table: [v128; 4], codes: v128) -> [v128; 4] {
        let (mut values, mut places) = ([0.0; 16], [0u8; 16]);
        for (values, table) in values.chunks_exact_mut(4).zip(table) {
            self.store(table, values);
        }
        // SAFETY: sixteen bytes are written; stores have no alignment.
        unsafe { v128_store(places.as_mut_ptr().cast(), codes) };
        self.sixteen(&places.map(|place| values[usize::from(place & 15)]))
    }

    #[inline(always)]
    fn signed(self, codes: v128) -> [v128; 4] {
        let (low, high) = (i16x8_extend_low_i8x16(codes), i16x8_extend_high_i8x16(codes));
        [
            f32x4_convert_i32x4(i32x4_extend_low_i16x8(low)),
            f32x4_convert_i32x4(i32x4_extend_high_i16x8(low)),
            f32x4_convert_i32x4(i32x4_extend_low_i16x8(high)),
            f32x4_convert_i32x4(i32x4_extend_high_i16x8(high)),
        ]
    }

    #[inline(always)]
    fn half(self, x: [u8; 2]) -> v128 {
        f32x4_splat(f16::from_le_bytes(x).to_f32_const())
    }
}
