//! Sixteen bytes in a register: what codes of weights are taken apart with. `Portable`'s lines are the plain reference.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::array::from_fn;

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
use std::arch::wasm32::*;

use super::Portable;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
use super::Simd128;
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};

/// Bytes of an instruction set. A token, as `Simd`.
pub trait Bytes: Copy {
    /// Sixteen bytes.
    type B: Copy;
    fn bytes(self, x: &[u8; 16]) -> Self::B;
    fn repeat(self, x: u8) -> Self::B;
    /// x >> shift & mask, for a shift below 8
    fn bits(self, x: Self::B, shift: u32, mask: u8) -> Self::B;
    /// x << shift, where that loses no bit
    fn up(self, x: Self::B, shift: u32) -> Self::B;
    /// a + b, modulo 256
    fn plus(self, a: Self::B, b: Self::B) -> Self::B;
    /// 255 where the bit is set, 0 elsewhere.
    fn spread(self, bits: u16) -> Self::B;
    /// a₀ b₀ a₁ b₁ …
    fn alternate(self, a: Self::B, b: Self::B) -> [Self::B; 2];
}

impl Bytes for Portable {
    type B = [u8; 16];

    #[inline(always)]
    fn bytes(self, x: &[u8; 16]) -> [u8; 16] {
        *x
    }
    #[inline(always)]
    fn repeat(self, x: u8) -> [u8; 16] {
        [x; 16]
    }
    #[inline(always)]
    fn bits(self, x: [u8; 16], shift: u32, mask: u8) -> [u8; 16] {
        x.map(|x| x >> shift & mask)
    }
    #[inline(always)]
    fn up(self, x: [u8; 16], shift: u32) -> [u8; 16] {
        x.map(|x| x << shift)
    }
    #[inline(always)]
    fn plus(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn spread(self, bits: u16) -> [u8; 16] {
        from_fn(|i| if bits >> i & 1 == 1 { 255 } else { 0 })
    }
    #[inline(always)]
    fn alternate(self, a: [u8; 16], b: [u8; 16]) -> [[u8; 16]; 2] {
        let half = |at: usize| from_fn(|i| if i % 2 == 0 { a[at + i / 2] } else { b[at + i / 2] });
        [half(0), half(8)]
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! on_x86 {
    ($($token:ty)*) => {$(
        impl Bytes for $token {
            type B = __m128i;

            #[inline(always)]
            fn bytes(self, x: &[u8; 16]) -> __m128i {
                // SAFETY: sixteen bytes are read; `self` proves the CPU features.
                unsafe { _mm_loadu_si128(x.as_ptr().cast()) }
            }
            #[inline(always)]
            fn repeat(self, x: u8) -> __m128i {
                // SAFETY: `self` proves the CPU features.
                unsafe { _mm_set1_epi8(x as i8) }
            }
            #[inline(always)]
            fn bits(self, x: __m128i, shift: u32, mask: u8) -> __m128i {
                // SAFETY: `self` proves the CPU features.
                unsafe {
                    // Bits of the upper byte come into the lower: the mask must not let them through.
                    let own = mask & (255 >> shift);
                    _mm_and_si128(_mm_srl_epi16(x, _mm_cvtsi32_si128(shift as i32)), _mm_set1_epi8(own as i8))
                }
            }
            #[inline(always)]
            fn up(self, x: __m128i, shift: u32) -> __m128i {
                // SAFETY: `self` proves the CPU features.
                unsafe { _mm_sll_epi16(x, _mm_cvtsi32_si128(shift as i32)) }
            }
            #[inline(always)]
            fn plus(self, a: __m128i, b: __m128i) -> __m128i {
                // SAFETY: `self` proves the CPU features.
                unsafe { _mm_add_epi8(a, b) }
            }
            #[inline(always)]
            fn spread(self, bits: u16) -> __m128i {
                // SAFETY: `self` proves the CPU features.
                unsafe {
                    let own = _mm_set1_epi64x(0x8040_2010_0804_0201u64 as i64);
                    let halves = _mm_set_epi64x(0x0101_0101_0101_0101, 0);
                    let bytes = _mm_shuffle_epi8(_mm_cvtsi32_si128(i32::from(bits)), halves);
                    _mm_cmpeq_epi8(_mm_and_si128(bytes, own), own)
                }
            }
            #[inline(always)]
            fn alternate(self, a: __m128i, b: __m128i) -> [__m128i; 2] {
                // SAFETY: `self` proves the CPU features.
                unsafe { [_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)] }
            }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
on_x86!(Avx2 Avx512);

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
impl Bytes for Simd128 {
    type B = v128;

    #[inline(always)]
    fn bytes(self, x: &[u8; 16]) -> v128 {
        // SAFETY: sixteen bytes are read; loads have no alignment.
        unsafe { v128_load(x.as_ptr().cast()) }
    }
    #[inline(always)]
    fn repeat(self, x: u8) -> v128 {
        u8x16_splat(x)
    }
    #[inline(always)]
    fn bits(self, x: v128, shift: u32, mask: u8) -> v128 {
        v128_and(u8x16_shr(x, shift), u8x16_splat(mask))
    }
    #[inline(always)]
    fn up(self, x: v128, shift: u32) -> v128 {
        u8x16_shl(x, shift)
    }
    #[inline(always)]
    fn plus(self, a: v128, b: v128) -> v128 {
        u8x16_add(a, b)
    }
    #[inline(always)]
    fn spread(self, bits: u16) -> v128 {
        let own = u64x2_splat(0x8040_2010_0804_0201);
        let halves = u64x2(0, 0x0101_0101_0101_0101);
        let bytes = u8x16_swizzle(u16x8_splat(bits), halves);
        u8x16_eq(v128_and(bytes, own), own)
    }
    #[inline(always)]
    fn alternate(self, a: v128, b: v128) -> [v128; 2] {
        [
            u8x16_shuffle::<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>(a, b),
            u8x16_shuffle::<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>(a, b),
        ]
    }
}
