//! Constant tables on the device, sent when they are first used.

use std::cell::RefCell;
use std::rc::Rc;

use kernels::codec::four_bit::Table;
use kernels::dynamic_code::DynamicCode;
use kernels::error::Result;

use super::Cuda;
use crate::memory::Buffer;

#[derive(Default)]
pub struct Tables {
    four_bit: [RefCell<Option<Rc<Buffer>>>; 2],
    dynamic_values: RefCell<Option<Rc<Buffer>>>,
    dynamic_nearest: RefCell<Option<Rc<Buffer>>>,
}

impl Cuda {
    fn table<T: bytemuck::Pod>(
        &self,
        op: &'static str,
        place: &RefCell<Option<Rc<Buffer>>>,
        values: impl FnOnce() -> Vec<T>,
    ) -> Result<Rc<Buffer>> {
        if let Some(buffer) = &*place.borrow() {
            return Ok(Rc::clone(buffer));
        }
        let buffer = Rc::new(self.sent(op, &values())?);
        *place.borrow_mut() = Some(Rc::clone(&buffer));
        Ok(buffer)
    }

    /// The sixteen values of a 4-bit code.
    pub(crate) fn four_bit_table(&self, op: &'static str, table: Table) -> Result<Rc<Buffer>> {
        let place = &self.tables.four_bit[usize::from(matches!(table, Table::Fp4))];
        self.table(op, place, || table.values().to_vec())
    }

    /// Values of the signed dynamic code, then of the unsigned one.
    pub(crate) fn dynamic_values(&self, op: &'static str) -> Result<Rc<Buffer>> {
        let both = || [DynamicCode::signed(), DynamicCode::unsigned()].map(|code| *code.values()).concat();
        self.table(op, &self.tables.dynamic_values, both)
    }

    /// The nearest codes on their grids, in the same order.
    pub(crate) fn dynamic_nearest(&self, op: &'static str) -> Result<Rc<Buffer>> {
        let both = || [DynamicCode::signed(), DynamicCode::unsigned()].map(DynamicCode::nearest).concat();
        self.table(op, &self.tables.dynamic_nearest, both)
    }
}
