//! Rectangles of one matrix that several tasks write at the same time.

use std::marker::PhantomData;
use std::ops::Range;

/// A rectangle of a row-major matrix, with the only right to write it.
pub struct Block<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    stride: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: a block is a mutable borrow of its elements, which no other block holds.
unsafe impl Send for Block<'_> {}

impl<'a> Block<'a> {
    /// A whole matrix.
    pub fn new(y: &'a mut [f32], columns: usize) -> Block<'a> {
        let rows = y.len().checked_div(columns).unwrap_or(0);
        Block { start: y.as_mut_ptr(), rows, columns, stride: columns, matrix: PhantomData }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.start
    }

    pub fn row(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows);
        // SAFETY: row i lies inside the matrix, its columns inside this block, and `&mut self` is the only way to it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.stride), self.columns) }
    }

    pub fn part(&mut self, rows: Range<usize>, columns: Range<usize>) -> Block<'_> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        assert!(columns.start <= columns.end && columns.end <= self.columns);
        // An empty part may start past the end of the matrix: it is never read.
        let start = self.start.wrapping_add(rows.start * self.stride + columns.start);
        Block { start, rows: rows.len(), columns: columns.len(), stride: self.stride, matrix: PhantomData }
    }
}

/// Cuts a matrix into a grid of blocks, those of the first row range first. Ranges ascend and do not overlap.
pub fn split<'a>(y: &'a mut [f32], stride: usize, rows: &[Range<usize>], columns: &[Range<usize>]) -> Vec<Block<'a>> {
    let num_rows = y.len().checked_div(stride).unwrap_or(0);
    assert!(ascending(rows, num_rows) && ascending(columns, stride), "blocks of a matrix overlap or leave it");
    let start = y.as_mut_ptr();
    let block = |r: &Range<usize>, c: &Range<usize>| Block {
        start: start.wrapping_add(r.start * stride + c.start),
        rows: r.len(),
        columns: c.len(),
        stride,
        matrix: PhantomData,
    };
    rows.iter().flat_map(|r| columns.iter().map(move |c| block(r, c))).collect()
}

fn ascending(ranges: &[Range<usize>], end: usize) -> bool {
    let mut next = 0;
    ranges.iter().all(|range| {
        let fits = next <= range.start && range.start <= range.end && range.end <= end;
        next = range.end;
        fits
    })
}
