//! Vectors of f32 under the instruction sets of an architecture, chosen at run time. Kernels are written once over `Simd`
//! and compiled for each set by `kernel!`. A token (`Avx2`, `Avx512`) exists only where the CPU has been asked, so its methods are safe.
//! This folder holds all `unsafe` code of the CPU backend.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod bytes;
mod depth;
mod dots;
mod int8;
mod lanes;
mod lend;
#[cfg_attr(not(target_arch = "x86_64"), path = "no_pairs.rs")]
mod pairs;
mod portable;
mod prefetch;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod three_by_four;
mod tile;
mod tiles;
mod transpose;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use block::{split, Block};
pub use bytes::Bytes;
pub use dots::{dot, Rows};
pub use int8::products;
pub use lanes::{
    exp, largest, load_any, load_from, map1, map2, scale_in_place, sigmoid, soften, store_to, sum2, tanh, update,
    update2,
};
pub use lend::{lend, Lent};
pub use pairs::Pairs;
pub use portable::Portable;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
pub use simd128::Simd128;
pub use tile::{product, Beta, Strided, Tall};
use tile::{Step, Tile};
pub use tiles::{Tiled, Tiles, AREA, EDGE, SIDE};
pub use transpose::{pack_transposed, Element, Spread};

use half::{bf16, f16};

/// One instruction set: what a vector of f32 can do.
pub trait Simd: Bytes + Copy + Send + Sync + 'static {
    /// f32 in a vector.
    const LANES: usize;
    /// Rows of the register tile that is two vectors wide.
    const ROWS: usize;
    /// Vectors of the widest tile, two or four; it has as many sums.
    const WIDE: usize = 2;
    /// Steps of the depth that this tile takes before it counts its pointers on.
    const STEPS: usize = 1;
    /// Whether these turns are made of the fewest instructions.
    const LEAN: bool = false;
    /// Whether `choose` takes the fewest instructions; if not, `signed` and `look_up` do.
    const CHOOSES: bool = true;
    type V: Copy;
    /// Sixteen f32 in vectors.
    type Sixteen: Copy + AsRef<[Self::V]> + AsMut<[Self::V]>;

    fn splat(self, x: f32) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// a·b + c, fused where the machine can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; `b` where one is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; `b` where one is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// a · 2ⁿ for integral n with |n| < 250.
    fn scale_by_power(self, a: Self::V, n: Self::V) -> Self::V;
    fn sum_lanes(self, a: Self::V) -> f32;
    fn max_lanes(self, a: Self::V) -> f32;

    /// # Safety
    /// `LANES` elements can be read at `p`.
    unsafe fn load_at(self, p: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` elements can be written at `p`.
    unsafe fn store_at(self, a: Self::V, p: *mut f32);
    /// The first `n` ≤ `LANES` elements, then zeros.
    /// # Safety
    /// `n` elements can be read at `p`.
    unsafe fn load_first(self, p: *const f32, n: usize) -> Self::V;
    /// # Safety
    /// `n` ≤ `LANES` elements can be written at `p`.
    unsafe fn store_first(self, a: Self::V, p: *mut f32, n: usize);
    /// # Safety
    /// `LANES` elements can be read at `p`.
    unsafe fn load_bf16(self, p: *const bf16) -> Self::V;
    /// # Safety
    /// `LANES` elements can be read at `p`.
    unsafe fn load_f16(self, p: *const f16) -> Self::V;

    /// Sixteen numbers.
    fn sixteen(self, x: &[f32; 16]) -> Self::Sixteen;
    /// What codes below 16 choose from a table.
    fn choose(self, table: Self::Sixteen, codes: Self::B) -> Self::Sixteen;
    /// What codes below 16 choose from a table whose numbers lie byte by byte, the lowest bytes first.
    #[inline(always)]
    fn look_up(self, table: &[[u8; 16]; 4], first: Self::B, second: Self::B) -> [Self::Sixteen; 2] {
        let number = |i: usize| f32::from_le_bytes(table.map(|bytes| bytes[i]));
        let table = self.sixteen(&std::array::from_fn(number));
        [self.choose(table, first), self.choose(table, second)]
    }
    /// Signed bytes as numbers.
    fn signed(self, codes: Self::B) -> Self::Sixteen;
    /// An f16 number, little-endian, in every lane.
    fn half(self, x: [u8; 2]) -> Self::V;

    /// Adds a · b to the sums of a tile of three rows by four vectors.
    /// # Safety
    /// As `strips` in tile.rs; rows or columns of a are neighbours.
    #[inline(always)]
    unsafe fn three_by_four<P: Step<Self>>(self, how: P, tile: Tile, sums: &mut [[Self::V; 4]; 3]) {
        // SAFETY: the caller's promise.
        unsafe { depth::walk::<Self, P, 3, 4, false, false>(self, how, tile, sums) }
    }

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(0.0)
    }

    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::V {
        assert!(x.len() >= Self::LANES);
        // SAFETY: just checked.
        unsafe { self.load_at(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, a: Self::V, y: &mut [f32]) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: just checked.
        unsafe { self.store_at(a, y.as_mut_ptr()) }
    }

    /// A vector of the first elements of `x`, zeros where it is shorter than a vector. Whole vectors go without a mask:
    /// AVX2's masked store is slow on a Zen 3.
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> Self::V {
        if x.len() >= Self::LANES {
            return self.load(x);
        }
        // SAFETY: x.len() elements are read.
        unsafe { self.load_first(x.as_ptr(), x.len()) }
    }

    #[inline(always)]
    fn store_part(self, a: Self::V, y: &mut [f32]) {
        if y.len() >= Self::LANES {
            return self.store(a, y);
        }
        // SAFETY: y.len() elements are written.
        unsafe { self.store_first(a, y.as_mut_ptr(), y.len()) }
    }
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    Simd128(Simd128),
}

impl Isa {
    /// All that this machine has, the best first.
    pub fn available() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(Avx512::detect().map(Isa::Avx512));
            found.extend(Avx2::detect().map(Isa::Avx2));
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
        found.push(Isa::Simd128(Simd128::detect()));
        found.push(Isa::Portable);
        found
    }

    pub fn best() -> Isa {
        Self::available()[0]
    }

    pub fn description(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2 (avx2, fma, f16c)",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512 (avx512f, avx512bw, avx512dq, avx512vl)",
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Isa::Simd128(s) if s.fuses() => "simd128 (fused multiply-add)",
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Isa::Simd128(_) => "simd128",
        }
    }

    /// f32 in a vector.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Portable => Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => Avx512::LANES,
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Isa::Simd128(_) => Simd128::LANES,
        }
    }

    /// Rows and columns of the widest register tile.
    pub fn tile(self) -> (usize, usize) {
        fn size<S: Simd>() -> (usize, usize) {
            (S::ROWS * 2 / S::WIDE, S::WIDE * S::LANES)
        }
        match self {
            Isa::Portable => size::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => size::<Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => size::<Avx512>(),
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Isa::Simd128(_) => size::<Simd128>(),
        }
    }
}

/// Defines functions over a `Simd` token and makes each callable with an `Isa`: the body is compiled for every
/// instruction set and entered through a `#[target_feature]` function.
macro_rules! kernel {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident<$simd:ident>($s:ident $(, $arg:ident: $ty:ty)* $(,)?) $(-> $out:ty)? $body:block)+) => {
        $($(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::cpu::simd::Isa $(, $arg: $ty)*) $(-> $out)? {
            use $crate::cpu::simd::{Isa, Portable, Simd};
            #[cfg(target_arch = "x86_64")]
            use $crate::cpu::simd::{Avx2, Avx512};
            #[inline(always)]
            fn body<$simd: Simd>($s: $simd $(, $arg: $ty)*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2(s: Avx2 $(, $arg: $ty)*) $(-> $out)? { body(s $(, $arg)*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512(s: Avx512 $(, $arg: $ty)*) $(-> $out)? { body(s $(, $arg)*) }
            match isa {
                Isa::Portable => body(Portable $(, $arg)*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the token exists only where the CPU has these features.
                Isa::Avx2(s) => unsafe { avx2(s $(, $arg)*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the token exists only where the CPU has these features.
                Isa::Avx512(s) => unsafe { avx512(s $(, $arg)*) },
                #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
                Isa::Simd128(s) => body(s $(, $arg)*),
            }
        })+
    };
}
pub(crate) use kernel;
