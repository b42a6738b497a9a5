//! f32 to bf16 and back. The loops are plain: compiled for an instruction set they become its vectors.

use super::elementwise::CHUNK;
use super::expand::expand;
use super::pool::{with_scratch, Pool};
use super::simd::{kernel, Element, Isa};
use crate::maths::Floats;
use half::bf16;

kernel! {
    fn to_bf16<S>(_s, x: &[f32], y: &mut [bf16]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = bf16::from_bits(nearest(x.to_bits()));
        }
    }

    fn from_bf16<S>(_s, x: &[bf16], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = f32::from_bits(u32::from(x.to_bits()) << 16);
        }
    }
}

/// The upper half of the bits, ties to even; a NaN stays one.
#[inline(always)]
fn nearest(bits: u32) -> u16 {
    let odd = (bits >> 16) & 1;
    let rounded = bits.wrapping_add(0x7FFF + odd) >> 16;
    let nan = (bits >> 16) | 0x40;
    (if bits & 0x7FFF_FFFF > 0x7F80_0000 { nan } else { rounded }) as u16
}

pub fn narrow(isa: Isa, pool: &Pool, x: &[f32], y: &mut [bf16]) {
    pool.each(y.chunks_mut(CHUNK).zip(x.chunks(CHUNK)).collect(), |(y, x)| to_bf16(isa, x, y));
}

pub fn widen(isa: Isa, pool: &Pool, x: &[bf16], y: &mut [f32]) {
    pool.each(y.chunks_mut(CHUNK).zip(x.chunks(CHUNK)).collect(), |(y, x)| from_bf16(isa, x, y));
}

/// Lends x in f32, as it lies or expanded.
pub fn with_f32<U>(isa: Isa, pool: &Pool, x: Floats<f32>, f: impl FnOnce(&[f32]) -> U) -> U {
    match x {
        Floats::Real(x) | Floats::F32(x) => f(x),
        Floats::Bf16(x) => widened(isa, pool, x, f),
        Floats::F16(x) => widened(isa, pool, x, f),
        Floats::Coded(x) => with_scratch(x.extent.elements, |y| {
            expand(isa, x, 0, y);
            f(y)
        }),
    }
}

fn widened<E: Element, U>(isa: Isa, pool: &Pool, x: &[E], f: impl FnOnce(&[f32]) -> U) -> U {
    with_scratch(x.len(), |y| {
        pool.each(y.chunks_mut(CHUNK).zip(x.chunks(CHUNK)).collect(), |(y, x)| E::widen(isa, x, y));
        f(y)
    })
}

/// Evaluates an expression over the elements of `Floats` as they lie where they are f32 or bf16, else in f32.
macro_rules! with_elements {
    ($isa:expr, $pool:expr, $x:ident => $body:expr) => {
        match $x {
            $crate::maths::Floats::Bf16($x) => $body,
            other => $crate::cpu::convert::with_f32($isa, $pool, other, |$x| $body),
        }
    };
}
pub(super) use with_elements;
