//! The stored side of a product: rows of f32, bf16, f16 or of a codec, expanded where they are used.

use super::expand::expand;
use super::pool::with_scratch;
use super::simd::{pack_transposed, Block, Element, Isa, Pairs, Rows};
use crate::codec::Coded;
use std::ops::Range;

/// Where a row of b goes: its first `width` elements into the first panel, the next ones `stride` further on.
pub struct Spread<'a> {
    pub data: &'a mut [f32],
    pub width: usize,
    pub stride: usize,
}

impl Spread<'_> {
    fn pieces(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.data.chunks_mut(self.stride)
    }
}

pub trait Right: Copy + Send + Sync {
    /// What packing an element costs, where reading one that is packed costs 1.
    const PACKING: usize;
    /// Elements from `start` on.
    fn expand(self, start: usize, y: &mut [f32]);
    /// y = `count` elements from `start` on.
    fn spread(self, isa: Isa, start: usize, count: usize, y: Spread);
    /// y `[k, rows]` (rows `y_stride` apart) = xᵀ for x `[rows, k]` that begins at element `start`, rows `stride` apart.
    fn pack_transposed(self, isa: Isa, start: usize, stride: usize, x: [usize; 2], y: &mut [f32], y_stride: usize);
    /// As `pack_transposed`, in bf16 with neighbours of k in one slot: y `[⌈k/2⌉, rows]`.
    #[allow(clippy::too_many_arguments)]
    fn pack_pairs_transposed(
        self,
        pairs: Pairs,
        start: usize,
        stride: usize,
        x: [usize; 2],
        y: &mut [f32],
        y_stride: usize,
    );
    /// y = `count` elements from `first` on in the lower halves of slots, those from `second` on in the upper ones.
    fn interleave(self, pairs: Pairs, first: usize, second: Option<usize>, count: usize, y: Spread);
    /// c += alpha · a · bᵀ with these rows of b, as long as those of a.
    fn dots(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block);
}

impl<E: Element> Right for &[E] {
    const PACKING: usize = 2;

    fn expand(self, start: usize, y: &mut [f32]) {
        y.iter_mut().zip(&self[start..]).for_each(|(y, x)| *y = x.to_f32());
    }

    fn spread(self, isa: Isa, start: usize, count: usize, mut y: Spread) {
        let width = y.width;
        for (x, y) in self[start..][..count].chunks(width).zip(y.pieces()) {
            E::widen(isa, x, &mut y[..x.len()]);
        }
    }

    fn pack_transposed(
        self,
        isa: Isa,
        start: usize,
        stride: usize,
        [rows, k]: [usize; 2],
        y: &mut [f32],
        y_stride: usize,
    ) {
        pack_transposed(isa, &self[start..], stride, rows, k, y, y_stride);
    }

    fn pack_pairs_transposed(
        self,
        pairs: Pairs,
        start: usize,
        stride: usize,
        [rows, k]: [usize; 2],
        y: &mut [f32],
        y_stride: usize,
    ) {
        let slots = k.div_ceil(2);
        if let Some(x) = E::as_pairs(&self[start..], stride, k) {
            return pack_transposed(pairs.isa(), x, stride / 2, rows, slots, y, y_stride);
        }
        with_scratch(rows * slots, |x| {
            for (i, x) in x.chunks_mut(slots).enumerate() {
                pairs.round(&self[start + i * stride..][..k], x);
            }
            pack_transposed(pairs.isa(), x, slots, rows, slots, y, y_stride);
        });
    }

    fn interleave(self, pairs: Pairs, first: usize, second: Option<usize>, count: usize, mut y: Spread) {
        let width = y.width;
        let second = second.map(|at| &self[at..][..count]);
        for (i, (x, y)) in self[first..][..count].chunks(width).zip(y.pieces()).enumerate() {
            pairs.interleave(x, second.map(|row| &row[i * width..][..x.len()]), y);
        }
    }

    fn dots(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block) {
        let k = a.length;
        let b = Rows { data: &self[rows.start * k..rows.end * k], length: k, stride: k };
        E::dots(isa, alpha, a, b, c);
    }
}

/// Rows that are expanded at a time for dot products.
const ROWS: usize = 8;

impl Right for Coded<'_> {
    const PACKING: usize = 8;

    fn expand(self, start: usize, y: &mut [f32]) {
        Coded::expand(&self, start, y);
    }

    fn spread(self, isa: Isa, start: usize, count: usize, y: Spread) {
        with_scratch(count, |x| {
            expand(isa, self, start, x);
            (&*x).spread(isa, 0, count, y);
        });
    }

    fn pack_transposed(
        self,
        isa: Isa,
        start: usize,
        stride: usize,
        [rows, k]: [usize; 2],
        y: &mut [f32],
        y_stride: usize,
    ) {
        with_scratch(rows * k, |x| {
            for (i, x) in x.chunks_mut(k).enumerate() {
                expand(isa, self, start + i * stride, x);
            }
            pack_transposed(isa, x, k, rows, k, y, y_stride);
        });
    }

    fn pack_pairs_transposed(
        self,
        pairs: Pairs,
        start: usize,
        stride: usize,
        [rows, k]: [usize; 2],
        y: &mut [f32],
        y_stride: usize,
    ) {
        let slots = k.div_ceil(2);
        with_scratch(k + rows * slots, |scratch| {
            let (row, x) = scratch.split_at_mut(k);
            for (i, x) in x.chunks_mut(slots).enumerate() {
                expand(pairs.isa(), self, start + i * stride, row);
                pairs.round(row, x);
            }
            pack_transposed(pairs.isa(), x, slots, rows, slots, y, y_stride);
        });
    }

    fn interleave(self, pairs: Pairs, first: usize, second: Option<usize>, count: usize, y: Spread) {
        with_scratch(2 * count, |rows| {
            for (x, start) in rows.chunks_mut(count).zip([Some(first), second].into_iter().flatten()) {
                expand(pairs.isa(), self, start, x);
            }
            (&*rows).interleave(pairs, 0, second.map(|_| count), count, y);
        });
    }

    fn dots(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block) {
        let k = a.length;
        for start in (0..rows.len()).step_by(ROWS) {
            let end = rows.len().min(start + ROWS);
            with_scratch((end - start) * k, |x| {
                expand(isa, self, (rows.start + start) * k, x);
                let b = Rows { data: &*x, length: k, stride: k };
                f32::dots(isa, alpha, a, b, &mut c.part(0..c.rows(), start..end));
            });
        }
    }
}
