use super::views::{reals, stored};
use super::{check, in_compute_dtype, integers, Compute, Host};
use crate::backend::Rows;
use crate::dtype::DType;
use crate::error::{KernelError, Result};
use crate::store::{Output, Slot, Tensor};

impl Rows for Host {
    fn take_rows(&mut self, table: Slot, ids: Slot) -> Result<Slot> {
        let (table, ids) = (self.get("takeRows", table)?, self.get("takeRows", ids)?);
        let (rows, _) = check::matrix("takeRows", "table", &table)?;
        check::vector("takeRows", "ids", &ids)?;
        check::ids_in("takeRows", "ids", &integers("takeRows", "ids", &ids)?, rows)?;
        in_compute_dtype!(self, "takeRows", [], weight & table, take_rows_in(&table, &ids))
    }

    fn scatter_add_rows(&mut self, g: Slot, ids: Slot, rows: usize) -> Result<Slot> {
        let op = "scatterAddRows";
        let (g, ids) = (self.get(op, g)?, self.get(op, ids)?);
        let (n, _) = check::matrix(op, "g", &g)?;
        check::shape_is(op, "ids", &ids, &[n])?;
        check::ids_in(op, "ids", &integers(op, "ids", &ids)?, rows)?;
        in_compute_dtype!(self, op, [&g], scatter_add_rows_in(&g, &ids, rows))
    }

    fn write_rows(&mut self, dst: Slot, ids: Slot, src: Slot) -> Result<()> {
        let op = "writeRows";
        let (dst, ids, src) = (self.get(op, dst)?, self.get(op, ids)?, self.get(op, src)?);
        let (rows, d) = check::matrix(op, "dst", &dst)?;
        let n = check::vector(op, "ids", &ids)?;
        check::shape_is(op, "src", &src, &[n, d])?;
        check::dtype_is(op, "src", &src, dst.dtype())?;
        check::ids_in(op, "ids", &integers(op, "ids", &ids)?, rows)?;
        let Some(size) = dst.dtype().size() else {
            return Err(KernelError::dtype(op, format!("dst must not be in a codec, got {}", dst.describe())));
        };
        check::apart(op, ["dst", "src"], &dst, &src)?;
        check::apart(op, ["dst", "ids"], &dst, &ids)?;
        copy_rows(&dst, &integers(op, "ids", &ids)?, &src, d * size);
        Ok(())
    }

    fn split_columns(&mut self, x: Slot, widths: &[usize]) -> Result<Vec<Slot>> {
        let op = "splitColumns";
        let x = self.get(op, x)?;
        let (n, d) = check::matrix(op, "x", &x)?;
        if widths.iter().try_fold(0usize, |sum, &width| sum.checked_add(width)) != Some(d) {
            return Err(KernelError::shape(op, format!("widths {widths:?} must add up to the {d} columns of x")));
        }
        in_compute_dtype!(self, op, [&x], split_columns_in(&x, n, widths))
    }

    fn join_columns(&mut self, parts: &[Slot]) -> Result<Slot> {
        let op = "joinColumns";
        let parts = parts.iter().map(|&part| self.get(op, part)).collect::<Result<Vec<_>>>()?;
        let extents = parts.iter().map(|part| check::matrix(op, "a part", part)).collect::<Result<Vec<_>>>()?;
        let &(n, _) = extents.first().ok_or_else(|| KernelError::argument(op, "needs at least one part"))?;
        if let Some((rows, _)) = extents.iter().find(|(rows, _)| *rows != n) {
            return Err(KernelError::shape(op, format!("parts must have one number of rows, got {n} and {rows}")));
        }
        let columns = extents.iter().map(|(_, columns)| columns).sum();
        match check::compute_dtype(op, &parts.iter().collect::<Vec<_>>())? {
            DType::F64 => self.join_columns_in::<f64>(&parts, n, columns),
            _ => self.join_columns_in::<f32>(&parts, n, columns),
        }
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
