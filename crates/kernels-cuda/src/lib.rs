//! The kernel contract on NVIDIA GPUs: executed on an emulator, compiled for sm_90, not yet run on a GPU.
//! Nothing of CUDA is needed to build this; what is missing when a device is opened is one line of an error.
#![deny(unsafe_op_in_unsafe_fn)]

mod agreement;
mod answer;
mod backend;
mod blas;
mod compile;
mod driver;
mod found;
mod launch;
mod libraries;
mod memory;
pub mod offline;
mod sources;
mod staging;

pub use agreement::compare;
pub use backend::{Cuda, Options, Precision};
