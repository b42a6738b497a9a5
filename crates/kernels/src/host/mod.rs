//! A backend whose tensors lie in the memory of this process. Arguments are checked (`check`) before any maths, so the
//! fast one and the naive one get slices that fit.
//! Ops compute in f64 where a float input is f64, else in f32; narrower inputs are expanded first.

mod adafactor;
mod adamw_8bit;
mod attention;
mod decompositions;
mod elementwise;
mod layers;
mod losses;
mod memory;
mod optimizers;
mod random;
mod rotations;
mod rounded;
mod rows;
mod views;

use std::rc::Rc;

use crate::backend::Backend;
use crate::check;
use crate::cpu::Cpu;
use crate::dtype::Element;
use crate::error::{KernelError, Result};
use crate::maths::{Maths, Real};
use crate::pool::Contents;
use crate::reference::Naive;
use crate::store::{Output, Slot, Store, Tensor};

pub struct Host {
    name: &'static str,
    description: String,
    single: Rc<dyn Maths<f32>>,
    double: Option<Rc<dyn Maths<f64>>>,
    store: Store,
}

impl Host {
    /// SIMD kernels on `threads` threads; computes in f32 only, or with large products in bf16 where that is faster.
    pub fn cpu(threads: usize, bf16_products: bool) -> Host {
        let cpu = if bf16_products { Cpu::new(threads).in_bf16() } else { Cpu::new(threads) };
        Host {
            name: if cfg!(target_arch = "wasm32") { "wasm" } else { "cpu" },
            description: cpu.description(),
            single: Rc::new(cpu),
            double: None,
            store: Store::default(),
        }
    }

    /// Obvious loops in f32 and f64, one thread.
    pub fn reference() -> Host {
        Host {
            name: "reference",
            description: "naive loops in f32 and f64, 1 thread".into(),
            single: Rc::new(Naive),
            double: Some(Rc::new(Naive)),
            store: Store::default(),
        }
    }
}

impl Backend for Host {
    fn name(&self) -> &str {
        self.name
    }

    fn description(&self) -> &str {
        &self.description
    }
}

/// The types that ops compute in.
trait Compute: Real + Element {
    fn maths(host: &Host, op: &'static str) -> Result<Rc<dyn Maths<Self>>>;
}

impl Compute for f32 {
    fn maths(host: &Host, _op: &'static str) -> Result<Rc<dyn Maths<f32>>> {
        Ok(Rc::clone(&host.single))
    }
}

impl Compute for f64 {
    fn maths(host: &Host, op: &'static str) -> Result<Rc<dyn Maths<f64>>> {
        host.double.clone().ok_or_else(|| {
            let name = host.name;
            KernelError::dtype(op, format!("an input is f64; the {name} backend computes in f32, reference in both"))
        })
    }
}

/// Runs a generic method in a compute dtype.
macro_rules! in_dtype {
    ($host:expr, $dtype:expr, $method:ident($($argument:expr),* $(,)?)) => {
        match $dtype {
            $crate::dtype::DType::F64 => $host.$method::<f64>($($argument),*),
            _ => $host.$method::<f32>($($argument),*),
        }
    };
}
use in_dtype;

impl Host {
    fn zeros<R: Element>(&mut self, op: &'static str, shape: &[usize]) -> Result<Output> {
        self.store.output(op, R::DTYPE, shape, Contents::Zeros)
    }

    /// For outputs that the op assigns element by element.
    fn unset<R: Element>(&mut self, op: &'static str, shape: &[usize]) -> Result<Output> {
        self.store.output(op, R::DTYPE, shape, Contents::Anything)
    }

    fn keep(&mut self, op: &'static str, output: Output) -> Result<Slot> {
        self.store.keep(op, output)
    }

    /// All outputs or none: an error frees those kept before it.
    fn keep_all(&mut self, op: &'static str, outputs: Vec<Output>) -> Result<Vec<Slot>> {
        let mut slots = Vec::with_capacity(outputs.len());
        for output in outputs {
            match self.store.keep(op, output) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    slots.into_iter().try_for_each(|slot| self.store.free(op, slot))?;
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    fn keep_array<const N: usize>(&mut self, op: &'static str, outputs: [Output; N]) -> Result<[Slot; N]> {
        let slots = self.keep_all(op, outputs.into())?;
        slots.try_into().map_err(|_| KernelError::argument(op, "outputs were lost"))
    }

    fn get(&self, op: &'static str, slot: Slot) -> Result<Tensor> {
        self.store.get(op, slot)
    }

    fn get_all(&self, op: &'static str, slots: &[Slot]) -> Result<Vec<Tensor>> {
        slots.iter().map(|&slot| self.store.get(op, slot)).collect()
    }
}

/// i32 tensors hold ids, labels, positions and layouts.
fn integers<'a>(op: &'static str, what: &str, x: &'a Tensor) -> Result<std::cell::Ref<'a, [i32]>> {
    check::integers(op, what, x)?;
    Ok(x.view::<i32>())
}
