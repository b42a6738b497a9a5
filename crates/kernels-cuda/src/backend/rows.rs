use kernels::backend::Rows;
use kernels::check;
use kernels::dtype::DType;
use kernels::error::Result;
use kernels::store::Slot;

use super::{at, kind, single, Cuda, Output};
use crate::launch::{arg, over};
use crate::sources::ROWS;

/// Rows by id: the ids that occur, where the rows of each begin in `order`, and the rows.
fn by_id(ids: &[i32]) -> [Vec<i32>; 3] {
    let mut order: Vec<i32> = (0..ids.len() as i32).collect();
    order.sort_by_key(|&row| ids[row as usize]);
    let (mut targets, mut starts) = (Vec::new(), Vec::new());
    for (i, &row) in order.iter().enumerate() {
        let id = ids[row as usize];
        if targets.last() != Some(&id) {
            targets.push(id);
            starts.push(i as i32);
        }
    }
    starts.push(ids.len() as i32);
    [targets, starts, order]
}

/// Pairs (id, row) in which no id occurs twice: the last row of an id wins.
fn last_of_each(ids: &[i32]) -> [Vec<i32>; 2] {
    let [targets, starts, order] = by_id(ids);
    let rows = starts.iter().skip(1).map(|&end| order[end as usize - 1]).collect();
    [targets, rows]
}

impl Rows for Cuda {
    fn take_rows(&mut self, table: Slot, ids: Slot) -> Result<Slot> {
        let op = "takeRows";
        let (table, ids) = (self.get(op, table)?, self.get(op, ids)?);
        single(op, check::take_rows(&table, &ids, &self.integers(op, "ids", &ids)?)?)?;
        let d = table.shape()[1];
        let y = self.unset(op, &[ids.len(), d])?;
        let n = y.len();
        if let DType::Coded(codec) = table.dtype() {
            self.expand(op, codec, &table, Some(at(&ids)), y.at(), DType::F32, n)?;
        } else {
            let kind = kind(op, table.dtype())?;
            let mut arguments = [at(&table), kind, at(&ids), arg::size(d), y.at(), arg::size(n)];
            self.kernels.launch(op, &ROWS, "take_rows", over(n), &mut arguments)?;
        }
        self.keep(op, y)
    }

    fn scatter_add_rows(&mut self, g: Slot, ids: Slot, rows: usize) -> Result<Slot> {
        let op = "scatterAddRows";
        let (g, ids) = (self.get(op, g)?, self.get(op, ids)?);
        let values = self.integers(op, "ids", &ids)?;
        single(op, check::scatter_add_rows(&g, &ids, &values, rows)?)?;
        let (d, numbers) = (g.shape()[1], self.reals(op, &g)?);
        let y = self.zeros(op, &[rows, d])?;
        if !g.is_empty() {
            let [targets, starts, order] = by_id(&values);
            let n = targets.len() * d;
            let [targets, starts, order] = [self.sent(op, &targets)?, self.sent(op, &starts)?, self.sent(op, &order)?];
            let lists = [targets.at(), starts.at(), order.at()];
            let mut arguments = [numbers.at(), lists[0], lists[1], lists[2], arg::size(d), y.at(), arg::size(n)];
            self.kernels.launch(op, &ROWS, "scatter_add_rows", over(n), &mut arguments)?;
        }
        self.keep(op, y)
    }

    fn write_rows(&mut self, dst: Slot, ids: Slot, src: Slot) -> Result<()> {
        let op = "writeRows";
        let (dst, ids, src) = (self.get(op, dst)?, self.get(op, ids)?, self.get(op, src)?);
        let values = self.integers(op, "ids", &ids)?;
        let row_bytes = check::write_rows([&dst, &ids, &src], &values)?;
        let [to, from] = last_of_each(&values);
        let n = to.len() * row_bytes;
        if n == 0 {
            return Ok(());
        }
        let (to, from) = (self.sent(op, &to)?, self.sent(op, &from)?);
        let mut arguments = [at(&dst), to.at(), from.at(), at(&src), arg::size(row_bytes), arg::size(n)];
        self.kernels.launch(op, &ROWS, "write_rows", over(n), &mut arguments)?;
        dst.storage().set_integers(None);
        Ok(())
    }

    fn split_columns(&mut self, x: Slot, widths: &[usize]) -> Result<Vec<Slot>> {
        let op = "splitColumns";
        let x = self.get(op, x)?;
        let (dtype, n) = check::split_columns(&x, widths)?;
        single(op, dtype)?;
        let (values, stride) = (self.reals(op, &x)?, x.shape()[1]);
        let mut first = 0;
        let mut parts: Vec<Output> = Vec::with_capacity(widths.len());
        for &width in widths {
            let part = self.unset(op, &[n, width])?;
            let from = values.at() + 4 * first as u64;
            self.copy_columns(op, [from, part.at()], [stride, width], [n, width])?;
            first += width;
            parts.push(part);
        }
        self.keep_all(op, parts)
    }

    fn join_columns(&mut self, parts: &[Slot]) -> Result<Slot> {
        let op = "joinColumns";
        let parts = self.get_all(op, parts)?;
        let (dtype, n, columns) = check::join_columns(&parts)?;
        single(op, dtype)?;
        let y = self.unset(op, &[n, columns])?;
        let mut first = 0;
        for part in &parts {
            let (values, width) = (self.reals(op, part)?, part.shape()[1]);
            self.copy_columns(op, [values.at(), y.at() + 4 * first as u64], [width, columns], [n, width])?;
            first += width;
        }
        self.keep(op, y)
    }
}

impl Cuda {
    /// [n, width] numbers between matrices whose rows are `strides` apart.
    fn copy_columns(
        &self,
        op: &'static str,
        [from, to]: [u64; 2],
        strides: [usize; 2],
        [n, width]: [usize; 2],
    ) -> Result<()> {
        let [x_stride, y_stride] = strides.map(arg::size);
        let mut arguments = [from, x_stride, to, y_stride, arg::size(width), arg::size(n * width)];
        self.kernels.launch(op, &ROWS, "copy_columns", over(n * width), &mut arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_id_keep_their_order_and_the_last_one_wins() {
        assert_eq!(by_id(&[5, 2, 5, 2, 7]), [vec![2, 5, 7], vec![0, 2, 4, 5], vec![1, 3, 0, 2, 4]]);
        assert_eq!(last_of_each(&[5, 2, 5, 2, 7]), [vec![2, 5, 7], vec![3, 2, 4]]);
        assert_eq!(last_of_each(&[]), [vec![], vec![]]);
    }
}
