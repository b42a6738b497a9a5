use super::views::{reals, stored};
use super::{check, in_dtype, integers, Compute, Host};
use crate::backend::Rows;
use crate::error::Result;
use crate::store::{Output, Slot, Tensor};

impl Rows for Host {
    fn take_rows(&mut self, table: Slot, ids: Slot) -> Result<Slot> {
        let (table, ids) = (self.get("takeRows", table)?, self.get("takeRows", ids)?);
        let dtype = check::take_rows(&table, &ids, &integers("takeRows", "ids", &ids)?)?;
        in_dtype!(self, dtype, take_rows_in(&table, &ids))
    }

    fn scatter_add_rows(&mut self, g: Slot, ids: Slot, rows: usize) -> Result<Slot> {
        let op = "scatterAddRows";
        let (g, ids) = (self.get(op, g)?, self.get(op, ids)?);
        let dtype = check::scatter_add_rows(&g, &ids, &integers(op, "ids", &ids)?, rows)?;
        in_dtype!(self, dtype, scatter_add_rows_in(&g, &ids, rows))
    }

    fn write_rows(&mut self, dst: Slot, ids: Slot, src: Slot) -> Result<()> {
        let op = "writeRows";
        let (dst, ids, src) = (self.get(op, dst)?, self.get(op, ids)?, self.get(op, src)?);
        let row_bytes = check::write_rows([&dst, &ids, &src], &integers(op, "ids", &ids)?)?;
        copy_rows(&dst, &integers(op, "ids", &ids)?, &src, row_bytes);
        Ok(())
    }

    fn split_columns(&mut self, x: Slot, widths: &[usize]) -> Result<Vec<Slot>> {
        let op = "splitColumns";
        let x = self.get(op, x)?;
        let (dtype, n) = check::split_columns(&x, widths)?;
        in_dtype!(self, dtype, split_columns_in(&x, n, widths))
    }

    fn join_columns(&mut self, parts: &[Slot]) -> Result<Slot> {
        let op = "joinColumns";
        let parts = parts.iter().map(|&part| self.get(op, part)).collect::<Result<Vec<_>>>()?;
        let (dtype, n, columns) = check::join_columns(&parts)?;
        in_dtype!(self, dtype, join_columns_in(&parts, n, columns))
    }
}

/// The rows of the columns from `at` on, `width` of them, of a matrix that is `stride` columns wide.
fn columns<T>(x: &[T], stride: usize, at: usize, width: usize) -> impl Iterator<Item = &[T]> {
    x.chunks(stride.max(1)).map(move |row| &row[at..at + width])
}

/// dst[ids[i]] = src[i]
fn copy_rows(dst: &Tensor, ids: &[i32], src: &Tensor, row_bytes: usize) {
    let (mut dst, src) = (dst.bytes_mut(), src.bytes());
    for (i, &id) in ids.iter().enumerate() {
        let to = id as usize * row_bytes;
        dst[to..to + row_bytes].copy_from_slice(&src[i * row_bytes..(i + 1) * row_bytes]);
    }
}

impl Host {
    fn take_rows_in<R: Compute>(&mut self, table: &Tensor, ids: &Tensor) -> Result<Slot> {
        let maths = R::maths(self, "takeRows")?;
        let d = table.shape()[1];
        let mut y = self.unset::<R>("takeRows", &[ids.len(), d])?;
        if !y.is_empty() {
            maths.take_rows(stored(table).floats(), d, &integers("takeRows", "ids", ids)?, y.view_mut());
        }
        self.keep("takeRows", y)
    }

    fn split_columns_in<R: Compute>(&mut self, x: &Tensor, n: usize, widths: &[usize]) -> Result<Vec<Slot>> {
        let op = "splitColumns";
        let (x, stride) = (reals::<R>(op, x)?, widths.iter().sum());
        let mut at = 0;
        let mut parts: Vec<Output> = Vec::with_capacity(widths.len());
        for &width in widths {
            let mut part = self.unset::<R>(op, &[n, width])?;
            for (to, from) in part.view_mut::<R>().chunks_mut(width.max(1)).zip(columns(&x, stride, at, width)) {
                to.copy_from_slice(from);
            }
            at += width;
            parts.push(part);
        }
        self.keep_all(op, parts)
    }

    fn join_columns_in<R: Compute>(&mut self, parts: &[Tensor], n: usize, stride: usize) -> Result<Slot> {
        let op = "joinColumns";
        let mut y = self.unset::<R>(op, &[n, stride])?;
        let mut at = 0;
        for part in parts {
            let width = part.shape()[1];
            let rows = y.view_mut::<R>().chunks_mut(stride.max(1));
            for (to, from) in rows.zip(reals::<R>(op, part)?.chunks(width.max(1))) {
                to[at..at + width].copy_from_slice(from);
            }
            at += width;
        }
        self.keep(op, y)
    }

    fn scatter_add_rows_in<R: Compute>(&mut self, g: &Tensor, ids: &Tensor, rows: usize) -> Result<Slot> {
        let op = "scatterAddRows";
        let maths = R::maths(self, op)?;
        let d = g.shape()[1];
        let mut y = self.zeros::<R>(op, &[rows, d])?;
        if !g.is_empty() {
            maths.scatter_add_rows(&reals(op, g)?, d, &integers(op, "ids", ids)?, y.view_mut());
        }
        self.keep(op, y)
    }
}
