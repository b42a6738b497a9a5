//! The sides of attention's products: f32 where they lie, or with the CPU's bf16 dot product or its matrix unit rounded, in
//! slots of two neighbours of the depth (simd/pairs.rs). Sums and all that stands between two products are f32 in all, as
//! in flash attention in bf16.

use super::pool::with_scratch;
use super::simd::{
    pack_transposed, product, Beta, Block, Element, Isa, Pairs, Strided, Tall, Tiled, Tiles, EDGE, SIDE,
};

#[derive(Clone, Copy)]
pub struct Operands {
    pub isa: Isa,
    pub pairs: Option<Pairs>,
    /// What multiplies in place of the dot product: rows and slots are filled up to whole tiles with zeros.
    pub tiles: Option<Tiles>,
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
    /// For heads of `head_dim` numbers: the matrix unit takes whole tiles, and beside it the dot product has half the speed of
    /// multiply-adds.
    pub fn new(isa: Isa, pairs: Option<Pairs>, head_dim: usize) -> Operands {
        match pairs.map(|pairs| (pairs, pairs.tiles())) {
            Some((pairs, Some(tiles))) if head_dim.is_multiple_of(SIDE) => {
                Operands { isa, pairs: Some(pairs), tiles: Some(tiles) }
            }
            Some((_, Some(_))) => Operands::in_f32(isa),
            _ => Operands { isa, pairs, tiles: None },
        }
    }

    pub fn in_f32(isa: Isa) -> Operands {
        Operands { isa, pairs: None, tiles: None }
    }

    /// Numbers of the depth that are multiplied together.
    pub fn group(self) -> usize {
        match (self.pairs, self.tiles) {
            (_, Some(_)) => 2 * EDGE,
            (Some(_), None) => 2,
            (None, None) => 1,
        }
    }

    /// Rows of a product that are made at a time, about `rows`.
    pub fn strip(self, rows: usize) -> usize {
        if self.tiles.is_some() {
            SIDE
        } else {
            rows
        }
    }

    /// Slots of `depth` numbers, whole groups of them.
    pub fn slots(self, depth: usize) -> usize {
        let per_group = if self.tiles.is_some() { EDGE } else { 1 };
        depth.div_ceil(self.group()) * per_group
    }

    /// What a side of `rows` × `columns` needs to lie rounded or widened in, beside numbers that stay where they are.
    pub fn room<E: Element>(self, rows: usize, columns: usize) -> usize {
        match self.pairs {
            Some(_) => rows.next_multiple_of(self.group()) * columns.next_multiple_of(self.group()) / 2,
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
        let slots = self.slots(x.length);
        if self.tiles.is_some() {
            y[x.count * slots..].fill(0.0);
        }
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
        if self.tiles.is_none() {
            let Tall { data, stride } = self.tall(x, y);
            return Strided { data, row: 1, column: stride, walked: false };
        }
        let slots = self.slots(x.count);
        with_scratch(slots * x.length, |upright| {
            self.tall(x, upright);
            pack_transposed(self.isa, upright, x.length, slots, x.length, y, slots);
        });
        Strided { data: y, row: slots, column: 1, walked: false }
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
        if self.tiles.is_some() {
            y[x.count.div_ceil(2) * x.length..].fill(0.0);
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
                Operands { tiles: None, ..self }.along(x, rounded);
                pack_transposed(self.isa, rounded, slots, x.count, slots, y, stride);
            });
        }
        Tall { data: y, stride }
    }

    /// c = alpha · a · b over `slots`, or added to c.
    pub fn product(self, alpha: f32, slots: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
        match (self.pairs, self.tiles) {
            (_, Some(tiles)) => in_tiles(tiles, alpha, slots, a, b, c, beta),
            (Some(pairs), None) => pairs.product(alpha, slots, a, b, c, beta),
            (None, None) => product(self.isa, alpha, slots, a, b, c, beta),
        }
    }
}

/// Columns as many as registers hold sums of.
fn in_tiles(tiles: Tiles, alpha: f32, slots: usize, a: Strided, b: Tall, c: &mut Block, beta: Beta) {
    let a = Tiled { data: a.data, stride: EDGE * a.row, line: a.row, step: EDGE };
    let (rows, columns) = (c.rows(), c.columns());
    if slots == 0 {
        return;
    }
    for start in (0..columns).step_by(SIDE) {
        let b = Tall { data: &b.data[start..], ..b };
        tiles.product(alpha, slots / EDGE, a, b, &mut c.part(0..rows, start..columns.min(start + SIDE)), beta);
    }
}
