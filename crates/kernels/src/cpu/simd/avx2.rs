//! Eight lanes with AVX2 and FMA.

use super::{three_by_four, Simd, Step, Tile};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Proof that this CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Avx2> {
        let found =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        found.then_some(Avx2(()))
    }
}

/// `MASKS[8 − n..]` starts with n set lanes.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

macro_rules! proven {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $ty),*) -> $out {
            // SAFETY: `self` proves the CPU features.
            unsafe { $body }
        }
    )*};
}

impl Simd for Avx2 {
    const CHOOSES: bool = false;
    const LANES: usize = 8;
    const ROWS: usize = 6;
    const WIDE: usize = 4;
    const STEPS: usize = 4;
    const LEAN: bool = true;
    type V = __m256;
    type Sixteen = [__m256; 2];

    proven! {
        fn splat(x: f32) -> __m256 = _mm256_set1_ps(x);
        fn add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        fn sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        fn mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
        fn div(a: __m256, b: __m256) -> __m256 = _mm256_div_ps(a, b);
        fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
        fn max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps(a, b);
        fn min(a: __m256, b: __m256) -> __m256 = _mm256_min_ps(a, b);
        fn sqrt(a: __m256) -> __m256 = _mm256_sqrt_ps(a);
        fn round(a: __m256) -> __m256 = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        fn scale_by_power(a: __m256, n: __m256) -> __m256 = {
            // In two steps, so that results below 2⁻¹²⁶ and above 2¹²⁷ come out right.
            let n = _mm256_cvtps_epi32(n);
            let first = _mm256_srai_epi32::<1>(n);
            _mm256_mul_ps(_mm256_mul_ps(a, power(first)), power(_mm256_sub_epi32(n, first)))
        };
        fn sum_lanes(a: __m256) -> f32 = {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        };
        fn max_lanes(a: __m256) -> f32 = {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        };
        fn sixteen(x: &[f32; 16]) -> [__m256; 2] = [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))];
        fn choose(table: [__m256; 2], codes: __m128i) -> [__m256; 2] =
            [choose(table, codes), choose(table, _mm_srli_si128::<8>(codes))];
        fn look_up(table: &[[u8; 16]; 4], first: __m128i, second: __m128i) -> [[__m256; 2]; 2] = {
            // Fours of codes: the even ones below, the odd ones above. Bytes meet within half a vector and so end in order.
            let fours = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
            let codes = _mm256_permutevar8x32_epi32(_mm256_set_m128i(second, first), fours);
            let (b0, b1) = (chosen_bytes(&table[0], codes), chosen_bytes(&table[1], codes));
            let (b2, b3) = (chosen_bytes(&table[2], codes), chosen_bytes(&table[3], codes));
            let (low, high) = (_mm256_unpacklo_epi8(b0, b1), _mm256_unpacklo_epi8(b2, b3));
            let first = [_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high)];
            let (low, high) = (_mm256_unpackhi_epi8(b0, b1), _mm256_unpackhi_epi8(b2, b3));
            let second = [_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high)];
            [
                [_mm256_castsi256_ps(first[0]), _mm256_castsi256_ps(first[1])],
                [_mm256_castsi256_ps(second[0]), _mm256_castsi256_ps(second[1])],
            ]
        };
        fn signed(codes: __m128i) -> [__m256; 2] = {
            let upper = _mm_srli_si128::<8>(codes);
            [_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(upper))]
        };
        fn half(x: [u8; 2]) -> __m256 = _mm256_cvtph_ps(_mm_set1_epi16(i16::from_le_bytes(x)));
    }

    /// A slot is one f32: AVX2 multiplies no other.
    #[inline(always)]
    unsafe fn three_by_four<P: Step<Avx2>>(self, _: P, tile: Tile, sums: &mut [[__m256; 4]; 3]) {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { three_by_four::add_up(tile, sums) }
    }

    #[inline(always)]
    unsafe fn load_at(self, p: *const f32) -> __m256 {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store_at(self, a: __m256, p: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(p, a) }
    }

    #[inline(always)]
    unsafe fn load_first(self, p: *const f32, n: usize) -> __m256 {
        // SAFETY: as above; masked lanes are not touched.
        unsafe { _mm256_maskload_ps(p, mask(n)) }
    }

    #[inline(always)]
    unsafe fn store_first(self, a: __m256, p: *mut f32, n: usize) {
        // SAFETY: as above; masked lanes are not touched.
        unsafe { _mm256_maskstore_ps(p, mask(n), a) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> __m256 {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe {
            let words = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(self, p: *const f16) -> __m256 {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(p.cast())) }
    }
}

/// A byte of the table for each of 32 codes.
#[inline(always)]
unsafe fn chosen_bytes(table: &[u8; 16], codes: __m256i) -> __m256i {
    // SAFETY: sixteen bytes are read; only called where AVX2 is proven.
    unsafe {
        let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
        _mm256_shuffle_epi8(table, codes)
    }
}

/// What the first eight codes choose.
#[inline(always)]
unsafe fn choose(table: [__m256; 2], codes: __m128i) -> __m256 {
    // SAFETY: only called where AVX2 is proven.
    unsafe {
        let index = _mm256_cvtepu8_epi32(codes);
        // The permutation looks at three bits; the fourth, moved to the sign, chooses the half of the table.
        let [low, high] = table.map(|half| _mm256_permutevar8x32_ps(half, index));
        _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index)))
    }
}

/// 2ⁿ for −127 < n < 128.
#[inline(always)]
unsafe fn power(n: __m256i) -> __m256 {
    // SAFETY: only called where AVX2 is proven.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127)))) }
}

#[inline(always)]
unsafe fn mask(n: usize) -> __m256i {
    assert!(n <= 8);
    // SAFETY: eight elements from index 8 − n lie inside the sixteen; only called where AVX2 is proven.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast()) }
}
