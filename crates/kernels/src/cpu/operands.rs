//! The sides of attention's products: f32 where they lie, or with the CPU's bf16 dot product rounded, in slots of two
//! neighbours of the depth (simd/pairs.rs). Sums and all that stands between two products are f32 in both, as in flash
//! attention in bf16.

use super::pool::with_scratch;
use super::simd::{pack_transposed, product, Beta, Block, Element, Isa, Pairs, Strided, Tall};

#[derive(Clone, Copy)]
pub struct Operands {
    pub isa: Isa,
    pub pairs: Option<Pairs>,
}

/// `count` rows of `length` numbers, `stride` apart.
#[derive(Clone, Copy)]
pub struct Lines<'a, E> {
    pub data: &'a [E],
    pub stride: usize,
    pub count: usize,
    pub length: usize,
}

impl<E> Lines<'_, E> {
    fn row(&self, i: usize) -> &[E] {
        &self.data[i * self.stride..][..self.length]
    }
}

impl<E: Element> Lines<'_, E> {
    /// y = the rows, one behind the other.
    fn widen(&self, isa: Isa, y: &mut [f32]) {
        for (i, y) in y.chunks_mut(self.length).enumerate().take(self.count) {
            E::widen(isa, self.row(i), y);
        }
    }
}

impl Operands {
    /// Slots of `depth` numbers.
    pub fn slots(self, depth: usize) -> usize {
        if self.pairs.is_some() {
            depth.div_ceil(2)
        } else {
            depth
        }
    }

    /// What a side of `rows` × `columns` needs to lie rounded or widened in, beside numbers that stay where they are.
    pub fn room<E: Element>(self, rows: usize, columns: usize) -> usize {
        match self.pairs {
            Some(_) => rows.next_multiple_of(2) * columns.next_multiple_of(2) / 2,
            None if E::as_f32(&[]).is_some() => 0,
            None => rows * columns,
        }
    }

    /// A left side whose depth runs along the rows.
    pub fn along<'a, E: Element>(self, x: Lines<'a, E>, y: &'a mut [f32]) -> Strided<'a> {
        let Some(pairs) = self.pairs else {
            let Tall { data, stride } = self.tall(x, y);
            return Strided { data, row: stride, column: 1, walked: false };
        };
        let slots = x.length.div_ceil(2);
        if x.stride == x.length && x.length.is_multiple_of(2) {
            pairs.round(&x.data[..x.count * x.stride], y);
        } else {
            for (i, y) in y.chunks_mut(slots).enumerate().take(x.count) {
                pairs.round(x.row(i), y);
            }
        }
        Strided { data: y, row: slots, column: 1, walked: false }
    }

    /// A left side whose depth runs across the rows.
    pub fn across<'a, E: Element>(self, x: Lines<'a, E>, y: &'a mut [f32]) -> Strided<'a> {
        let Tall { data, stride } = self.tall(x, y);
        Strided { data, row: 1, column: stride, walked: false }
    }

    /// A right side whose depth runs across the rows.
    pub fn tall<'a, E: Element>(self, x: Lines<'a, E>, y: &'a mut [f32]) -> Tall<'a> {
        let Some(pairs) = self.pairs else {
            if let Some(data) = E::as_f32(x.data) {
                return Tall { data, stride: x.stride };
            }
            x.widen(self.isa, y);
            return Tall { data: y, stride: x.length };
        };
        for (i, y) in y.chunks_mut(x.length).enumerate().take(x.count.div_ceil(2)) {
            pairs.interleave(x.row(2 * i), (2 * i + 1 < x.count).then(|| x.row(2 * i + 1)), y);
        }
        Tall { data: y, stride: x.length }
    }

    /// A right side whose depth runs along the rows: y `[slots, count]`, rows `stride` apart.
    pub fn turned<'a, E: Element>(self, x: Lines<E>, y: &'a mut [f32], stride: usize) -> Tall<'a> {
        if self.pairs.is_none() {
            pack_transposed(self.isa, x.data, x.stride, x.count, x.length, y, stride);
        } else {
            let slots = x.length.div_ceil(2);
            with_scratch(x.count * slots, |rounded| {
                self.along(x, rounded);
                pack_transposed(self.isa, rounded, slots, x.count, slots, y, stride);
            });
        }
        Tall { data: y, stride }
    }

    /// c = alpha · a · b over `slots`, or added to c.
    pub fn product(self, alpha: f32, slots: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
        match self.pairs {
            Some(pairs) => pairs.product(alpha, slots, a, b, c, beta),
            None => product(self.isa, alpha, slots, a, b, c, beta),
        }
    }
}
