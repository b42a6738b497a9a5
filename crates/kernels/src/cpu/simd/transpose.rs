//! Rows of a matrix become columns of a panel while a product packs its right side.

use super::prefetch::prefetch_at;
use super::{Block, Isa, Rows, Simd};

/// Panels: where the first `width` elements of rows lie one behind the other, the next `width` of each `stride` further on.
pub struct Spread<'a> {
    pub data: &'a mut [f32],
    pub width: usize,
    pub stride: usize,
}

/// Elements that weights are stored in: f32, bf16, f16.
pub trait Element: Copy + Send + Sync {
    fn to_f32(self) -> f32;
    /// y = x
    fn widen(isa: Isa, x: &[Self], y: &mut [f32]);
    /// y = the first `count` rows of x.
    fn deal(isa: Isa, x: Rows<Self>, count: usize, y: Spread);
    /// c += alpha · a · bᵀ
    fn dots(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<Self>, c: &mut Block);
    /// As `dots`, for few rows of a.
    fn walk(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<Self>, c: &mut Block);
    /// # Safety
    /// `S::LANES` elements can be read at `p`.
    unsafe fn load<S: Simd>(s: S, p: *const Self) -> S::V;
    /// Rows of `k` elements, `stride` apart, as slots of two where they lie so in memory.
    fn as_pairs(_x: &[Self], _stride: usize, _k: usize) -> Option<&[f32]> {
        None
    }
    /// The same elements where they are f32.
    fn as_f32(_x: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Element for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    fn widen(_isa: Isa, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
    }
    fn deal(isa: Isa, x: Rows<f32>, count: usize, y: Spread) {
        deal_f32(isa, x, count, y);
    }
    fn dots(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<f32>, c: &mut Block) {
        super::dots::dots_f32(isa, alpha, a, b, c);
    }
    fn walk(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<f32>, c: &mut Block) {
        super::dots::walk_f32(isa, alpha, a, b, c);
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const f32) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_at(p) }
    }
    fn as_f32(x: &[f32]) -> Option<&[f32]> {
        Some(x)
    }
}

impl Element for half::bf16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        half::bf16::to_f32(self)
    }
    fn widen(isa: Isa, x: &[half::bf16], y: &mut [f32]) {
        widen_bf16(isa, x, y);
    }
    fn deal(isa: Isa, x: Rows<half::bf16>, count: usize, y: Spread) {
        deal_bf16(isa, x, count, y);
    }
    fn dots(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<half::bf16>, c: &mut Block) {
        super::dots::dots_bf16(isa, alpha, a, b, c);
    }
    fn walk(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<half::bf16>, c: &mut Block) {
        super::dots::walk_bf16(isa, alpha, a, b, c);
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const half::bf16) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_bf16(p) }
    }
    fn as_pairs(x: &[half::bf16], stride: usize, k: usize) -> Option<&[f32]> {
        let even = x.len() / 2 * 2;
        let whole = stride.is_multiple_of(2) && k.is_multiple_of(2);
        whole.then(|| bytemuck::try_cast_slice(&x[..even]).ok()).flatten()
    }
}

impl Element for half::f16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        half::f16::to_f32(self)
    }
    fn widen(isa: Isa, x: &[half::f16], y: &mut [f32]) {
        widen_f16(isa, x, y);
    }
    fn deal(isa: Isa, x: Rows<half::f16>, count: usize, y: Spread) {
        deal_f16(isa, x, count, y);
    }
    fn dots(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<half::f16>, c: &mut Block) {
        super::dots::dots_f16(isa, alpha, a, b, c);
    }
    fn walk(isa: Isa, alpha: f32, a: Rows<f32>, b: Rows<half::f16>, c: &mut Block) {
        super::dots::walk_f16(isa, alpha, a, b, c);
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const half::f16) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_f16(p) }
    }
}

super::kernel! {
    fn widen_bf16<S>(s, x: &[half::bf16], y: &mut [f32]) {
        widen(s, x, y);
    }

    fn widen_f16<S>(s, x: &[half::f16], y: &mut [f32]) {
        widen(s, x, y);
    }

    fn deal_f32<S>(s, x: Rows<f32>, count: usize, y: Spread) {
        deal(s, x, count, y);
    }

    fn deal_bf16<S>(s, x: Rows<half::bf16>, count: usize, y: Spread) {
        deal(s, x, count, y);
    }

    fn deal_f16<S>(s, x: Rows<half::f16>, count: usize, y: Spread) {
        deal(s, x, count, y);
    }
}

#[inline(always)]
fn deal<S: Simd, E: Element>(s: S, x: Rows<E>, count: usize, y: Spread) {
    let Spread { data, width, stride } = y;
    assert!(count == 0 || (count - 1) * x.stride + x.length <= x.data.len());
    // Pieces of rows are too short for the CPU to see where the next ones are.
    for i in count..2 * count {
        let next = x.data.as_ptr().wrapping_add(i * x.stride);
        (0..x.length).step_by(64 / size_of::<E>()).for_each(|at| prefetch_at(next.wrapping_add(at)));
    }
    for (first, y) in (0..x.length).step_by(width).zip(data.chunks_mut(stride)) {
        let length = width.min(x.length - first);
        let y = &mut y[..count * width];
        // SAFETY: a panel's part of each row of x lies in it, and y has `width` elements for each.
        unsafe {
            let from = x.data.as_ptr().add(first);
            match (length == width, width / S::LANES, width % S::LANES) {
                (true, 4, 0) => lines::<S, E, 4>(s, from, x.stride, y),
                (true, 2, 0) => lines::<S, E, 2>(s, from, x.stride, y),
                _ => {
                    for (i, y) in y.chunks_mut(width).enumerate() {
                        widen(s, &x.row(i)[first..][..length], &mut y[..length]);
                    }
                }
            }
        }
    }
}

/// Rows of N vectors, `stride` apart, become neighbours.
/// # Safety
/// N vectors can be read at `x` and at every `stride` further on for which y has as much.
#[inline(always)]
unsafe fn lines<S: Simd, E: Element, const N: usize>(s: S, x: *const E, stride: usize, y: &mut [f32]) {
    for (i, y) in y.chunks_exact_mut(N * S::LANES).enumerate() {
        for at in 0..N {
            // SAFETY: the caller's promise; y has N vectors.
            unsafe {
                let vector = E::load(s, x.add(i * stride + at * S::LANES));
                s.store_at(vector, y.as_mut_ptr().add(at * S::LANES));
            }
        }
    }
}

#[inline(always)]
fn widen<S: Simd, E: Element>(s: S, x: &[E], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    let whole = x.len() / S::LANES * S::LANES;
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: x has LANES elements from `at` on.
        s.store(unsafe { E::load(s, x.as_ptr().add(at)) }, &mut y[at..]);
    }
    for (y, x) in y[whole..].iter_mut().zip(&x[whole..]) {
        *y = x.to_f32();
    }
}

/// y `[k, rows]` (rows `stride` apart) = xᵀ for x `[rows, k]` (rows `x_stride` apart).
pub fn pack_transposed<E: Element>(
    isa: Isa,
    x: &[E],
    x_stride: usize,
    rows: usize,
    k: usize,
    y: &mut [f32],
    stride: usize,
) {
    if rows == 0 || k == 0 {
        return;
    }
    assert!((rows - 1) * x_stride + k <= x.len());
    assert!(rows <= stride && (k - 1) * stride + rows <= y.len());
    let (full_rows, full_k) = match isa {
        Isa::Portable => (0, 0),
        _ => (rows / 8 * 8, k / 8 * 8),
    };
    #[cfg(target_arch = "x86_64")]
    {
        let token = match isa {
            Isa::Portable => None,
            Isa::Avx2(s) => Some(s),
            Isa::Avx512(s) => Some(s.avx2()),
        };
        if let Some(s) = token {
            // SAFETY: the token proves the features; the blocks lie inside x and y, as asserted.
            unsafe { x86::blocks(s, x.as_ptr(), x_stride, full_rows, full_k, y.as_mut_ptr(), stride) };
        }
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    if let Isa::Simd128(s) = isa {
        // SAFETY: the blocks lie inside x and y, as asserted.
        unsafe { wasm::blocks(s, x.as_ptr(), x_stride, full_rows, full_k, y.as_mut_ptr(), stride) };
    }
    for i in 0..rows {
        let from = if i < full_rows { full_k } else { 0 };
        for p in from..k {
            y[p * stride + i] = x[i * x_stride + p].to_f32();
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::Avx2;
    use super::Element;
    use std::arch::x86_64::*;

    /// # Safety
    /// x holds `rows` × `k` and y `k` × `rows` elements at their strides, both multiples of 8.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn blocks<E: Element>(
        s: Avx2,
        x: *const E,
        x_stride: usize,
        rows: usize,
        k: usize,
        y: *mut f32,
        stride: usize,
    ) {
        for i in (0..rows).step_by(8) {
            for p in (0..k).step_by(8) {
                let mut v = [_mm256_setzero_ps(); 8];
                for (j, v) in v.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    *v = unsafe { E::load(s, x.add((i + j) * x_stride + p)) };
                }
                for (j, v) in transpose(v).into_iter().enumerate() {
                    // SAFETY: the caller's promise.
                    unsafe { _mm256_storeu_ps(y.add((p + j) * stride + i), v) };
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn transpose(v: [__m256; 8]) -> [__m256; 8] {
        let low = |i: usize| _mm256_unpacklo_ps(v[i], v[i + 1]);
        let high = |i: usize| _mm256_unpackhi_ps(v[i], v[i + 1]);
        let (a, b, c, d) = (low(0), low(2), low(4), low(6));
        let (e, f, g, h) = (high(0), high(2), high(4), high(6));
        let quads = [
            _mm256_shuffle_ps::<0x44>(a, b),
            _mm256_shuffle_ps::<0xEE>(a, b),
            _mm256_shuffle_ps::<0x44>(e, f),
            _mm256_shuffle_ps::<0xEE>(e, f),
            _mm256_shuffle_ps::<0x44>(c, d),
            _mm256_shuffle_ps::<0xEE>(c, d),
            _mm256_shuffle_ps::<0x44>(g, h),
            _mm256_shuffle_ps::<0xEE>(g, h),
        ];
        let first = |i: usize| _mm256_permute2f128_ps::<0x20>(quads[i], quads[i + 4]);
        let second = |i: usize| _mm256_permute2f128_ps::<0x31>(quads[i], quads[i + 4]);
        [first(0), first(1), first(2), first(3), second(0), second(1), second(2), second(3)]
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
mod wasm {
    use super::super::{Simd, Simd128};
    use super::Element;
    use std::arch::wasm32::*;

    /// # Safety
    /// x holds `rows` × `k` and y `k` × `rows` elements at their strides, both multiples of 4.
    pub unsafe fn blocks<E: Element>(
        s: Simd128,
        x: *const E,
        x_stride: usize,
        rows: usize,
        k: usize,
        y: *mut f32,
        stride: usize,
    ) {
        for i in (0..rows).step_by(4) {
            for p in (0..k).step_by(4) {
                // SAFETY: the caller's promise.
                let v = std::array::from_fn(|j| unsafe { E::load(s, x.add((i + j) * x_stride + p)) });
                for (j, v) in transpose(v).into_iter().enumerate() {
                    // SAFETY: the caller's promise.
                    unsafe { s.store_at(v, y.add((p + j) * stride + i)) };
                }
            }
        }
    }

    #[inline(always)]
    fn transpose([a, b, c, d]: [v128; 4]) -> [v128; 4] {
        let (ab, cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
        let (high_ab, high_cd) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        [
            i64x2_shuffle::<0, 2>(ab, cd),
            i64x2_shuffle::<1, 3>(ab, cd),
            i64x2_shuffle::<0, 2>(high_ab, high_cd),
            i64x2_shuffle::<1, 3>(high_ab, high_cd),
        ]
    }
}
