//! WebAssembly glue over the kernels crate: numbers become slots, errors keep their code. Nothing is computed here.
#![deny(unsafe_op_in_unsafe_fn)]

mod backend;
mod guard;
mod numbers;
mod options;
