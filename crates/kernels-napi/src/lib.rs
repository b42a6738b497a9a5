//! Node-API glue over the kernels crate: numbers become slots, panics become errors with a code. Nothing is computed here.
#![deny(unsafe_op_in_unsafe_fn)]

mod backend;
mod file;
mod guard;
mod numbers;
