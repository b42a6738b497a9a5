use super::views::{reals, stored};
use super::{check, in_compute_dtype, integers, Compute, Host};
use crate::backend::Rows;
use crate::error::{KernelError, Result};
use crate::store::{Slot, Tensor};

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
