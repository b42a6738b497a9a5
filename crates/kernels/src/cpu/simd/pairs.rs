//! Products in bf16 with the CPU's dot product (`vdpbf16ps`): two neighbours of the depth share a slot of four bytes, and
//! one instruction multiplies sixteen pairs of slots and adds both products to f32 sums. Slots travel as f32, whose bits
//! nobody looks at on the way.

use super::tile::{multiply, Beta, Step, Strided, Tall};
use super::{Avx512, Block, Element, Isa, Rows, Simd, Spread, Tiles};
use std::arch::x86_64::*;

/// Proof that this CPU has AVX512-BF16 besides AVX-512, and perhaps a unit for whole tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    isa: Avx512,
    tiles: Option<Tiles>,
}

impl Pairs {
    /// Intel's dot product has half the speed of its multiply-adds (82 and 165 GFLOP/s on an Emerald Rapids): there it
    /// only serves beside tiles.
    pub fn detect() -> Option<Pairs> {
        let isa = Avx512::detect().filter(|_| is_x86_feature_detected!("avx512bf16"))?;
        let tiles = Tiles::detect();
        (tiles.is_some() || !by_intel()).then_some(Pairs { isa, tiles })
    }

    pub fn isa(self) -> Isa {
        Isa::Avx512(self.isa)
    }

    /// What multiplies large products.
    pub fn tiles(self) -> Option<Tiles> {
        self.tiles
    }

    #[cfg(test)]
    pub fn with_tiles(self, tiles: Option<Tiles>) -> Pairs {
        Pairs { tiles, ..self }
    }

    /// c = alpha · a `[m, 2k]` · b `[2k, n]`, or added to c; k in slots.
    pub fn product(self, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
        fn run(s: Pairs, alpha: f32, k: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
            multiply(s.isa, s, alpha, k, a, b, c, beta);
        }
        // SAFETY: the token exists only where the CPU has these features.
        unsafe { run(self, alpha, k, a, b, c, beta) }
    }

    /// y `[⌈length/2⌉]` = x in bf16, neighbours in one slot; the last is filled up with a zero.
    pub fn round<E: Element>(self, x: &[E], y: &mut [f32]) {
        self.round_lines(x, y, 16);
    }

    /// As `round`, sixteen slots at a time from one multiple of `step` on to the next.
    pub fn round_lines<E: Element>(self, x: &[E], y: &mut [f32], step: usize) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
        fn run<E: Element>(s: Pairs, x: &[E], y: &mut [f32], step: usize) {
            let chunks = x.chunks_exact(32);
            let (rest, whole) = (chunks.remainder(), x.len() / 32);
            for (i, x) in chunks.enumerate() {
                let y = &mut y[i * step..][..16];
                // SAFETY: x has 32 elements, y room for 16 slots.
                unsafe {
                    let low = E::load(s.isa, x.as_ptr());
                    let high = E::load(s.isa, x.as_ptr().add(16));
                    store(y.as_mut_ptr(), _mm512_cvtne2ps_pbh(high, low));
                }
            }
            if rest.is_empty() {
                return;
            }
            for (x, y) in rest.chunks(2).zip(&mut y[whole * step..][..rest.len().div_ceil(2)]) {
                *y = slot(x[0].to_f32(), x.get(1).map_or(0.0, |x| x.to_f32()));
            }
        }
        // SAFETY: the token exists only where the CPU has these features.
        unsafe { run(self, x, y, step) }
    }

    /// y `[length]`: slot i holds element i of two rows that are neighbours in the depth; the second may be missing.
    pub fn interleave<E: Element>(self, first: &[E], second: Option<&[E]>, y: &mut [f32]) {
        // SAFETY: the token exists only where the CPU has these features.
        unsafe { interleaved(self, first, second, y) }
    }

    /// As `interleave`, the first `count` rows of x, two and two.
    pub fn deal<E: Element>(self, x: Rows<E>, count: usize, y: Spread) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
        fn run<E: Element>(s: Pairs, x: Rows<E>, count: usize, y: Spread) {
            let Spread { data, width, stride } = y;
            for (first, y) in (0..x.length).step_by(width).zip(data.chunks_mut(stride)) {
                let length = width.min(x.length - first);
                let piece = |i: usize| &x.row(i)[first..][..length];
                for (i, y) in (0..count).step_by(2).zip(y.chunks_mut(width)) {
                    interleaved(s, piece(i), (i + 1 < count).then(|| piece(i + 1)), &mut y[..length]);
                }
            }
        }
        // SAFETY: as above.
        unsafe { run(self, x, count, y) }
    }
}

impl Step<Avx512> for Pairs {
    #[inline(always)]
    fn step(self, _: Avx512, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves the CPU features; the types have the same bits.
        unsafe {
            _mm512_dpbf16_ps(c, std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b))
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
fn interleaved<E: Element>(s: Pairs, first: &[E], second: Option<&[E]>, y: &mut [f32]) {
    let second = second.map(|row| &row[..first.len()]);
    let y = &mut y[..first.len()];
    let whole = first.len() / 16 * 16;
    let index = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1,
        16, 0,
    );
    for at in (0..whole).step_by(16) {
        // SAFETY: both rows and y have `first.len()` elements, as sliced, which `at` stays 16 below.
        unsafe {
            let low = E::load(s.isa, first.as_ptr().add(at));
            let high = second.map_or(s.isa.zero(), |row| E::load(s.isa, row.as_ptr().add(at)));
            let words: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            let pairs = _mm512_permutexvar_epi16(index, words);
            _mm512_storeu_ps(y.as_mut_ptr().add(at), _mm512_castsi512_ps(pairs));
        }
    }
    for i in whole..first.len() {
        y[i] = slot(first[i].to_f32(), second.map_or(0.0, |row| row[i].to_f32()));
    }
}

fn by_intel() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
}

/// Two numbers in bf16 as one slot, the first in the lower half.
fn slot(first: f32, second: f32) -> f32 {
    let bits = |x: f32| u32::from(half::bf16::from_f32(x).to_bits());
    f32::from_bits(bits(first) | bits(second) << 16)
}

/// # Safety
/// Sixteen slots can be written at `y`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(y: *mut f32, pairs: __m512bh) {
    // SAFETY: the caller's promise; the types have the same bits.
    unsafe { _mm512_storeu_ps(y, std::mem::transmute::<__m512bh, __m512>(pairs)) }
}
