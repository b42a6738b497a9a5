//! The stored side of a product: rows of f32, bf16, f16 or of a codec, expanded where they are used.

use super::coded;
use super::expand::expand;
use super::pool::with_scratch;
use super::simd::{pack_transposed, Block, Element, Isa, Pairs, Rows, Spread};
use crate::codec::Coded;
use std::ops::Range;

/// `rows` of `k` elements, `stride` apart, that begin at element `start`.
#[derive(Clone, Copy)]
pub struct Patch {
    pub start: usize,
    pub stride: usize,
    pub rows: usize,
    pub k: usize,
}

pub trait Right: Copy + Send + Sync {
    /// What packing an element costs, where reading one that is packed costs 1.
    const PACKING: usize;
    /// Elements from `start` on.
    fn expand(self, isa: Isa, start: usize, y: &mut [f32]);
    /// f of whole rows of `k` numbers.
    fn with_rows(self, isa: Isa, k: usize, rows: Range<usize>, f: impl FnOnce(&[f32])) {
        with_scratch(rows.len() * k, |x| {
            self.expand(isa, rows.start * k, x);
            f(x);
        });
    }
    /// As `with_rows`, each row in ⌈k/2⌉ slots of two in bf16.
    fn with_pairs(self, pairs: Pairs, k: usize, rows: Range<usize>, f: impl FnOnce(&[f32])) {
        let x = Patch { start: rows.start * k, stride: k, rows: rows.len(), k };
        if let Some(lying) = self.as_pairs(x) {
            return f(lying);
        }
        self.rounded(pairs, x, f);
    }
    /// y = the rows of a patch.
    fn spread(self, isa: Isa, x: Patch, y: Spread);
    /// y `[k, rows]` (rows `y_stride` apart) = xᵀ.
    fn pack_transposed(self, isa: Isa, x: Patch, y: &mut [f32], y_stride: usize);
    /// A row of a patch in bf16, neighbours in one slot.
    fn round(self, pairs: Pairs, start: usize, k: usize, y: &mut [f32]);
    /// The slots of a patch, a row's `stride / 2` apart, where it lies so in memory.
    fn as_pairs(&self, _x: Patch) -> Option<&[f32]> {
        None
    }
    /// As `pack_transposed`, in bf16 with neighbours of k in one slot: y `[⌈k/2⌉, rows]`.
    fn pack_pairs_transposed(self, pairs: Pairs, x: Patch, y: &mut [f32], y_stride: usize) {
        let slots = x.k.div_ceil(2);
        if let Some(lying) = self.as_pairs(x) {
            return pack_transposed(pairs.isa(), lying, x.stride / 2, x.rows, slots, y, y_stride);
        }
        self.rounded(pairs, x, |rounded| pack_transposed(pairs.isa(), rounded, slots, x.rows, slots, y, y_stride));
    }
    /// f of the slots of a patch, one row after another.
    fn rounded(self, pairs: Pairs, x: Patch, f: impl FnOnce(&[f32])) {
        let slots = x.k.div_ceil(2);
        with_scratch(x.rows * slots, |rounded| {
            for (i, row) in rounded.chunks_mut(slots).enumerate() {
                self.round(pairs, x.start + i * x.stride, x.k, row);
            }
            f(rounded);
        });
    }
    /// As `spread`, in bf16 with neighbouring rows in one slot, the first in the lower half.
    fn interleave(self, pairs: Pairs, x: Patch, y: Spread);
    /// c += alpha · a · bᵀ with these rows of b, as long as those of a.
    fn dots(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block);
    /// As `dots`, for few rows of a.
    fn walk(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block);
}

impl<E: Element> Right for &[E] {
    const PACKING: usize = 2;

    fn expand(self, isa: Isa, start: usize, y: &mut [f32]) {
        E::widen(isa, &self[start..][..y.len()], y);
    }

    fn with_rows(self, isa: Isa, k: usize, rows: Range<usize>, f: impl FnOnce(&[f32])) {
        if let Some(x) = E::as_f32(&self[rows.start * k..rows.end * k]) {
            return f(x);
        }
        with_scratch(rows.len() * k, |x| {
            self.expand(isa, rows.start * k, x);
            f(x);
        });
    }

    fn spread(self, isa: Isa, x: Patch, y: Spread) {
        E::deal(isa, patch(self, x), x.rows, y);
    }

    fn pack_transposed(self, isa: Isa, x: Patch, y: &mut [f32], y_stride: usize) {
        pack_transposed(isa, &self[x.start..], x.stride, x.rows, x.k, y, y_stride);
    }

    fn round(self, pairs: Pairs, start: usize, k: usize, y: &mut [f32]) {
        pairs.round(&self[start..][..k], y);
    }

    fn as_pairs(&self, x: Patch) -> Option<&[f32]> {
        E::as_pairs(&self[x.start..], x.stride, x.k)
    }

    fn interleave(self, pairs: Pairs, x: Patch, y: Spread) {
        pairs.deal(patch(self, x), x.rows, y);
    }

    fn dots(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block) {
        E::dots(isa, alpha, a, lying(self, a.length, rows), c);
    }

    fn walk(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block) {
        E::walk(isa, alpha, a, lying(self, a.length, rows), c);
    }
}

/// Rows of a patch.
fn patch<E>(b: &[E], x: Patch) -> Rows<'_, E> {
    Rows { data: &b[x.start..], length: x.k, stride: x.stride }
}

/// Rows of `k` elements.
fn lying<E>(b: &[E], k: usize, rows: Range<usize>) -> Rows<'_, E> {
    Rows { data: &b[rows.start * k..rows.end * k], length: k, stride: k }
}

/// Rows that are expanded at a time for dot products.
const ROWS: usize = 8;

impl Right for Coded<'_> {
    const PACKING: usize = 8;

    fn expand(self, isa: Isa, start: usize, y: &mut [f32]) {
        expand(isa, self, start, y);
    }

    fn spread(self, isa: Isa, x: Patch, y: Spread) {
        with_expanded(self, isa, x, |b, x| b.spread(isa, x, y));
    }

    fn pack_transposed(self, isa: Isa, x: Patch, y: &mut [f32], y_stride: usize) {
        with_expanded(self, isa, x, |b, x| b.pack_transposed(isa, x, y, y_stride));
    }

    fn round(self, pairs: Pairs, start: usize, k: usize, y: &mut [f32]) {
        with_scratch(k, |row| {
            expand(pairs.isa(), self, start, row);
            pairs.round(row, y);
        });
    }

    fn interleave(self, pairs: Pairs, x: Patch, y: Spread) {
        with_expanded(self, pairs.isa(), x, |b, x| b.interleave(pairs, x, y));
    }

    fn dots(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block) {
        expanded(self, isa, a.length, rows, c, |b, c| f32::dots(isa, alpha, a, b, c));
    }

    fn walk(self, isa: Isa, alpha: f32, a: Rows<f32>, rows: Range<usize>, c: &mut Block) {
        if !coded::walk(isa, alpha, a, self, rows.start, c) {
            expanded(self, isa, a.length, rows, c, |b, c| f32::walk(isa, alpha, a, b, c));
        }
    }
}

/// f of a patch in f32, and where it lies there.
fn with_expanded(b: Coded, isa: Isa, x: Patch, f: impl FnOnce(&[f32], Patch)) {
    with_scratch(x.rows * x.k, |expanded| {
        for (i, row) in expanded.chunks_mut(x.k).enumerate() {
            expand(isa, b, x.start + i * x.stride, row);
        }
        f(expanded, Patch { start: 0, stride: x.k, ..x });
    });
}

/// Some rows of b at a time in f32, and their columns of c.
fn expanded(b: Coded, isa: Isa, k: usize, rows: Range<usize>, c: &mut Block, f: impl Fn(Rows<f32>, &mut Block)) {
    for start in (0..rows.len()).step_by(ROWS) {
        let end = rows.len().min(start + ROWS);
        with_scratch((end - start) * k, |x| {
            expand(isa, b, (rows.start + start) * k, x);
            f(Rows { data: x, length: k, stride: k }, &mut c.part(0..c.rows(), start..end));
        });
    }
}
