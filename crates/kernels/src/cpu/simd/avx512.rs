//! Sixteen lanes with AVX-512.

use super::{Avx2, Simd};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Proof that this CPU has AVX-512 F, BW, DQ and VL besides AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(Avx2);

impl Avx512 {
    pub fn detect() -> Option<Avx512> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| found).map(Avx512)
    }

    pub fn avx2(self) -> Avx2 {
        self.0
    }
}

macro_rules! proven {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $out {
            // SAFETY: `self` proves the CPU features.
            unsafe { $body }
        }
    )*};
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    const ROWS: usize = 12;
    const STEPS: usize = 4;
    type V = __m512;
    type Sixteen = [__m512; 1];

    proven! {
        fn splat(x: f32) -> __m512 = _mm512_set1_ps(x);
        fn add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        fn sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        fn mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        fn div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        fn max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        fn min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        fn sqrt(a: __m512) -> __m512 = _mm512_sqrt_ps(a);
        fn round(a: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        fn scale_by_power(a: __m512, n: __m512) -> __m512 = _mm512_scalef_ps(a, n);
        fn sum_lanes(a: __m512) -> f32 = _mm512_reduce_add_ps(a);
        fn max_lanes(a: __m512) -> f32 = _mm512_reduce_max_ps(a);
        fn sixteen(x: &[f32; 16]) -> [__m512; 1] = [_mm512_loadu_ps(x.as_ptr())];
        fn choose(table: [__m512; 1], codes: __m128i) -> [__m512; 1] =
            [_mm512_permutexvar_ps(_mm512_cvtepu8_epi32(codes), table[0])];
        fn signed(codes: __m128i) -> [__m512; 1] = [_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes))];
        fn half(x: [u8; 2]) -> __m512 = _mm512_cvtph_ps(_mm256_set1_epi16(i16::from_le_bytes(x)));
    }

    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> __m512 {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store_at(self, a: __m512, p: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(p, a) }
    }

    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> __m512 {
        // SAFETY: as above; masked lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps(mask(n), p) }
    }

    #[inline(always)]
    unsafe fn store_first(self, a: __m512, p: *mut f32, n: usize) {
        // SAFETY: as above; masked lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(p, mask(n), a) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> __m512 {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe {
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> __m512 {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
    }
}

#[inline(always)]
fn mask(n: usize) -> u16 {
    ((1u32 << n) - 1) as u16
}
