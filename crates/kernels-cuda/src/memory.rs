//! Memory of tensors and scratch on a device: freed when dropped, in the order of the stream.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use kernels::backend::Fill;
use kernels::error::Result;
use kernels::store::Storage;

use crate::driver::Device;

pub struct Buffer {
    device: Rc<Device>,
    address: u64,
    bytes: usize,
}

impl Buffer {
    /// `what` it is for, where there is not enough.
    pub fn new(device: &Rc<Device>, op: &'static str, what: &str, bytes: usize) -> Result<Buffer> {
        let address = if bytes == 0 { 0 } else { device.allocate(op, what, bytes)? };
        Ok(Buffer { device: Rc::clone(device), address, bytes })
    }

    /// As an argument of a kernel.
    pub fn at(&self) -> u64 {
        self.address
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn zero(&self, op: &'static str) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.device.zero(op, self.address, self.bytes)
    }

    /// As many bytes as the buffer has.
    pub fn write(&self, op: &'static str, bytes: &[u8]) -> Result<()> {
        debug_assert_eq!(bytes.len(), self.bytes);
        self.device.upload(op, self.address, bytes)
    }

    /// Whether `fill` gave as many bytes as the buffer has.
    pub fn fill(&self, op: &'static str, fill: &mut Fill) -> Result<bool> {
        self.device.upload_from(op, self.address, self.bytes, fill)
    }

    /// As many bytes as the buffer has.
    pub fn read(&self, op: &'static str, out: &mut [u8]) -> Result<()> {
        debug_assert_eq!(out.len(), self.bytes);
        self.device.download(op, self.address, out)
    }

    pub fn copy_from(&self, op: &'static str, other: &Buffer) -> Result<()> {
        debug_assert_eq!(other.bytes, self.bytes);
        if self.bytes == 0 {
            return Ok(());
        }
        self.device.copy(op, other.address, self.address, self.bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.device.release(self.address, self.bytes);
        }
    }
}

/// What was made of a tensor's integers, and for what.
type Plan = (Vec<usize>, Rc<dyn Any>);

/// Memory behind tensors. Integers that came from this process are kept here too: ids, labels and layouts are checked
/// without waiting for the device.
pub struct Memory {
    pub buffer: Buffer,
    integers: RefCell<Option<Rc<[i32]>>>,
    plan: RefCell<Option<Plan>>,
}

impl Memory {
    pub fn new(buffer: Buffer) -> Memory {
        Memory { buffer, integers: RefCell::default(), plan: RefCell::default() }
    }

    pub fn integers(&self) -> Option<Rc<[i32]>> {
        self.integers.borrow().clone()
    }

    /// After every write: what the tensor holds, where that is known.
    pub fn set_integers(&self, values: Option<Rc<[i32]>>) {
        *self.integers.borrow_mut() = values;
        *self.plan.borrow_mut() = None;
    }

    /// A plan made for `key`, kept until the tensor is written.
    pub fn plan<T: 'static>(&self, key: &[usize], make: impl FnOnce() -> Result<T>) -> Result<Rc<T>> {
        if let Some((of, plan)) = &*self.plan.borrow() {
            if let (true, Ok(plan)) = (of == key, Rc::clone(plan).downcast::<T>()) {
                return Ok(plan);
            }
        }
        let plan = Rc::new(make()?);
        *self.plan.borrow_mut() = Some((key.to_vec(), Rc::clone(&plan) as Rc<dyn Any>));
        Ok(plan)
    }
}

impl Storage for Memory {
    fn size(&self) -> usize {
        self.buffer.bytes()
    }
}
