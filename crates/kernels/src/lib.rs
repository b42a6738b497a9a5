//! Maths on slices and the backends that run it. Knows nothing of Node, WASM or CUDA.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod cpu;
pub mod maths;
pub mod rng;
