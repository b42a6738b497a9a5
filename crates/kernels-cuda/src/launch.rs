//! Compiled kernels of one device, each made when it is first asked for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use kernels::error::{Code, Result};

use crate::compile::Compiler;
pub use crate::driver::Shape;
use crate::driver::{Device, Function, Module};
use crate::sources::Source;

/// Blocks of one axis.
const MOST_BLOCKS: usize = i32::MAX as usize;

pub struct Kernels {
    device: Rc<Device>,
    compiler: Compiler,
    modules: RefCell<HashMap<&'static str, Module>>,
    functions: RefCell<HashMap<(&'static str, &'static str), Function>>,
}

impl Kernels {
    pub fn new(device: Rc<Device>, compiler: Compiler) -> Kernels {
        Kernels { device, compiler, modules: RefCell::default(), functions: RefCell::default() }
    }

    /// A file that carries its hash may still be no image of this driver: it is made once more.
    fn load(&self, op: &'static str, source: &Source) -> Result<Module> {
        let image = self.compiler.image(op, source)?;
        self.device.load(op, &image).or_else(|error| {
            if error.code() == Code::OutOfMemory {
                return Err(error);
            }
            self.compiler.forget(source);
            self.device.load(op, &self.compiler.image(op, source)?)
        })
    }

    fn function(&self, op: &'static str, source: &Source, name: &'static str) -> Result<Function> {
        if let Some(&function) = self.functions.borrow().get(&(source.name, name)) {
            return Ok(function);
        }
        let mut modules = self.modules.borrow_mut();
        if !modules.contains_key(source.name) {
            modules.insert(source.name, self.load(op, source)?);
        }
        let function = self.device.function(op, &modules[source.name], name)?;
        self.functions.borrow_mut().insert((source.name, name), function);
        Ok(function)
    }

    /// Queues the kernel `name` of a file. `arguments` are those of its declaration, eight bytes each (`arg`).
    pub fn launch(
        &self,
        op: &'static str,
        source: &Source,
        name: &'static str,
        shape: Shape,
        arguments: &mut [u64],
    ) -> Result<()> {
        if shape.grid.contains(&0) {
            return Ok(());
        }
        self.device.launch(op, self.function(op, source, name)?, shape, arguments)
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        self.modules.get_mut().values().for_each(|module| self.device.unload(module));
    }
}

/// Blocks of 256 threads for `n` elements.
pub fn over(n: usize) -> Shape {
    blocks(n.div_ceil(256), 256)
}

/// So many blocks on one axis.
pub fn blocks(count: usize, threads: u32) -> Shape {
    Shape { grid: [count.min(MOST_BLOCKS) as u32, 1, 1], block: threads, shared: 0 }
}

/// Threads of a block that takes a row of d numbers.
pub fn threads_for(d: usize) -> u32 {
    d.next_power_of_two().clamp(32, 256) as u32
}

/// Numbers as the eight bytes of an argument.
pub mod arg {
    pub fn float(x: f64) -> u64 {
        u64::from((x as f32).to_bits())
    }

    pub fn double(x: f64) -> u64 {
        x.to_bits()
    }

    pub fn int(x: i32) -> u64 {
        u64::from(x as u32)
    }

    pub fn size(x: usize) -> u64 {
        x as u64
    }
}
