//! y = a · bᵀ of 8-bit codes, summed in i32 and so exact: every instruction set gives the same integers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
use std::arch::wasm32::*;

use super::Isa;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
use super::Simd128;
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};

/// Sums of products of codes. A token of an instruction set, as `Simd`.
trait Codes: Copy {
    /// Codes in a vector.
    const WIDTH: usize;
    type Left: Copy;
    type Right: Copy;
    type Sum: Copy;
    fn zero(self) -> Self::Sum;
    /// # Safety
    /// `WIDTH` codes can be read at `p`.
    unsafe fn left(self, p: *const i8) -> Self::Left;
    /// # Safety
    /// `WIDTH` codes can be read at `p`.
    unsafe fn right(self, p: *const i8) -> Self::Right;
    fn add(self, sum: Self::Sum, left: Self::Left, right: Self::Right) -> Self::Sum;
    /// The sum over lanes; `left` is that of the codes on the left.
    fn total(self, sum: Self::Sum, left: i32) -> i32;
}

#[derive(Clone, Copy)]
struct Portable;

impl Codes for Portable {
    const WIDTH: usize = 16;
    type Left = [i8; 16];
    type Right = [i8; 16];
    type Sum = [i32; 16];

    #[inline(always)]
    fn zero(self) -> [i32; 16] {
        [0; 16]
    }
    #[inline(always)]
    unsafe fn left(self, p: *const i8) -> [i8; 16] {
        // SAFETY: the caller's promise; arrays of bytes have no alignment.
        unsafe { p.cast::<[i8; 16]>().read() }
    }
    #[inline(always)]
    unsafe fn right(self, p: *const i8) -> [i8; 16] {
        // SAFETY: as above.
        unsafe { p.cast::<[i8; 16]>().read() }
    }
    #[inline(always)]
    fn add(self, sum: [i32; 16], left: [i8; 16], right: [i8; 16]) -> [i32; 16] {
        std::array::from_fn(|i| sum[i] + i32::from(left[i]) * i32::from(right[i]))
    }
    #[inline(always)]
    fn total(self, sum: [i32; 16], _left: i32) -> i32 {
        sum.iter().sum()
    }
}

#[cfg(target_arch = "x86_64")]
impl Codes for Avx2 {
    const WIDTH: usize = 16;
    type Left = __m256i;
    type Right = __m256i;
    type Sum = __m256i;

    #[inline(always)]
    fn zero(self) -> __m256i {
        // SAFETY: `self` proves the CPU features.
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn left(self, p: *const i8) -> __m256i {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast())) }
    }
    #[inline(always)]
    unsafe fn right(self, p: *const i8) -> __m256i {
        // SAFETY: as above.
        unsafe { self.left(p) }
    }
    #[inline(always)]
    fn add(self, sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
        // SAFETY: `self` proves the CPU features.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(left, right)) }
    }
    #[inline(always)]
    fn total(self, sum: __m256i, _left: i32) -> i32 {
        // SAFETY: `self` proves the CPU features.
        unsafe {
            let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Codes for Avx512 {
    const WIDTH: usize = 32;
    type Left = __m512i;
    type Right = __m512i;
    type Sum = __m512i;

    #[inline(always)]
    fn zero(self) -> __m512i {
        // SAFETY: `self` proves the CPU features.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    unsafe fn left(self, p: *const i8) -> __m512i {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(p.cast())) }
    }
    #[inline(always)]
    unsafe fn right(self, p: *const i8) -> __m512i {
        // SAFETY: as above.
        unsafe { self.left(p) }
    }
    #[inline(always)]
    fn add(self, sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: `self` proves the CPU features.
        unsafe { _mm512_add_epi32(sum, _mm512_madd_epi16(left, right)) }
    }
    #[inline(always)]
    fn total(self, sum: __m512i, _left: i32) -> i32 {
        // SAFETY: `self` proves the CPU features.
        unsafe { _mm512_reduce_add_epi32(sum) }
    }
}

/// Proof of AVX-512 VNNI. Its products take unsigned codes on one side: the right ones get 128 more, and 128 times the
/// left ones is taken off in the end.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Vnni(Avx512);

#[cfg(target_arch = "x86_64")]
impl Vnni {
    fn detect(avx512: Avx512) -> Option<Vnni> {
        is_x86_feature_detected!("avx512vnni").then_some(Vnni(avx512))
    }
}

#[cfg(target_arch = "x86_64")]
impl Codes for Vnni {
    const WIDTH: usize = 64;
    type Left = __m512i;
    type Right = __m512i;
    type Sum = __m512i;

    #[inline(always)]
    fn zero(self) -> __m512i {
        Codes::zero(self.0)
    }
    #[inline(always)]
    unsafe fn left(self, p: *const i8) -> __m512i {
        // SAFETY: the caller's promise, and `self` proves the CPU features.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    unsafe fn right(self, p: *const i8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_xor_si512(_mm512_loadu_si512(p.cast()), _mm512_set1_epi8(-128)) }
    }
    #[inline(always)]
    fn add(self, sum: __m512i, left: __m512i, right: __m512i) -> __m512i {
        // SAFETY: `self` proves the CPU features.
        unsafe { _mm512_dpbusd_epi32(sum, right, left) }
    }
    #[inline(always)]
    fn total(self, sum: __m512i, left: i32) -> i32 {
        // SAFETY: `self` proves the CPU features.
        unsafe { _mm512_reduce_add_epi32(sum) }.wrapping_sub(left.wrapping_mul(128))
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
impl Codes for Simd128 {
    const WIDTH: usize = 8;
    type Left = v128;
    type Right = v128;
    type Sum = v128;

    #[inline(always)]
    fn zero(self) -> v128 {
        i32x4_splat(0)
    }
    #[inline(always)]
    unsafe fn left(self, p: *const i8) -> v128 {
        // SAFETY: the caller's promise.
        unsafe { i16x8_load_extend_i8x8(p) }
    }
    #[inline(always)]
    unsafe fn right(self, p: *const i8) -> v128 {
        // SAFETY: as above.
        unsafe { self.left(p) }
    }
    #[inline(always)]
    fn add(self, sum: v128, left: v128, right: v128) -> v128 {
        i32x4_add(sum, i32x4_dot_i16x8(left, right))
    }
    #[inline(always)]
    fn total(self, sum: v128, _left: i32) -> i32 {
        let two = i32x4_add(sum, i32x4_shuffle::<2, 3, 2, 3>(sum, sum));
        i32x4_extract_lane::<0>(two).wrapping_add(i32x4_extract_lane::<1>(two))
    }
}

/// y `[m, n]` = a · bᵀ for a `[m, k]` and b `[n, k]`; `sums` are those of the rows of a.
pub fn products(isa: Isa, k: usize, a: &[i8], sums: &[i32], b: &[i8], y: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn avx2(s: Avx2, k: usize, a: &[i8], sums: &[i32], b: &[i8], y: &mut [i32]) {
        body(s, k, a, sums, b, y);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    fn avx512(s: Avx512, k: usize, a: &[i8], sums: &[i32], b: &[i8], y: &mut [i32]) {
        body(s, k, a, sums, b, y);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    fn vnni(s: Vnni, k: usize, a: &[i8], sums: &[i32], b: &[i8], y: &mut [i32]) {
        body(s, k, a, sums, b, y);
    }
    match isa {
        Isa::Portable => body(Portable, k, a, sums, b, y),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the token exists only where the CPU has these features.
        Isa::Avx2(s) => unsafe { avx2(s, k, a, sums, b, y) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(s) => match Vnni::detect(s) {
            // SAFETY: as above.
            Some(s) => unsafe { vnni(s, k, a, sums, b, y) },
            // SAFETY: as above.
            None => unsafe { avx512(s, k, a, sums, b, y) },
        },
        #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
        Isa::Simd128(s) => body(s, k, a, sums, b, y),
    }
}

/// Rows of a and of b that are multiplied at a time.
const TILE: usize = 4;

#[inline(always)]
fn body<C: Codes>(s: C, k: usize, a: &[i8], sums: &[i32], b: &[i8], y: &mut [i32]) {
    let (m, n) = (a.len() / k, b.len() / k);
    assert!(sums.len() == m && y.len() == m * n);
    for j in (0..n).step_by(TILE) {
        for i in (0..m).step_by(TILE) {
            if m - i >= TILE && n - j >= TILE {
                cell::<C, TILE, TILE>(s, k, a, sums, b, y, [i, j, n]);
                continue;
            }
            for i in i..m.min(i + TILE) {
                (j..n.min(j + TILE)).for_each(|j| cell::<C, 1, 1>(s, k, a, sums, b, y, [i, j, n]));
            }
        }
    }
}

/// L × R products at row i and column j of y, which has n columns.
#[inline(always)]
fn cell<C: Codes, const L: usize, const R: usize>(
    s: C,
    k: usize,
    a: &[i8],
    sums: &[i32],
    b: &[i8],
    y: &mut [i32],
    [i, j, n]: [usize; 3],
) {
    let a: [&[i8]; L] = std::array::from_fn(|x| &a[(i + x) * k..][..k]);
    let b: [&[i8]; R] = std::array::from_fn(|x| &b[(j + x) * k..][..k]);
    let mut totals = [[s.zero(); R]; L];
    let full = k / C::WIDTH * C::WIDTH;
    for p in (0..full).step_by(C::WIDTH) {
        // SAFETY: every row has k ≥ p + WIDTH codes.
        let left: [C::Left; L] = std::array::from_fn(|x| unsafe { s.left(a[x].as_ptr().add(p)) });
        for (z, b) in b.iter().enumerate() {
            // SAFETY: as above.
            let right = unsafe { s.right(b.as_ptr().add(p)) };
            (0..L).for_each(|x| totals[x][z] = s.add(totals[x][z], left[x], right));
        }
    }
    if full < k {
        let left: [C::Left; L] = std::array::from_fn(|x| {
            let codes = padded(&a[x][full..]);
            // SAFETY: 64 codes are no fewer than a vector has.
            unsafe { s.left(codes.as_ptr()) }
        });
        for (z, b) in b.iter().enumerate() {
            let codes = padded(&b[full..]);
            // SAFETY: as above.
            let right = unsafe { s.right(codes.as_ptr()) };
            (0..L).for_each(|x| totals[x][z] = s.add(totals[x][z], left[x], right));
        }
    }
    for x in 0..L {
        (0..R).for_each(|z| y[(i + x) * n + j + z] = s.total(totals[x][z], sums[i + x]));
    }
}

/// The codes, then zeros up to the widest vector.
#[inline(always)]
fn padded(codes: &[i8]) -> [i8; 64] {
    let mut all = [0; 64];
    all[..codes.len()].copy_from_slice(codes);
    all
}
