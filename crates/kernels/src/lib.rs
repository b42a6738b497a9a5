//! Maths on slices and the backends that run it. Knows nothing of Node, WASM or CUDA.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod backend;
pub mod check;
pub mod codec;
pub mod cpu;
pub mod dtype;
pub mod dynamic_code;
pub mod error;
pub mod fault;
pub mod glue;
pub mod host;
pub mod maths;
pub mod pool;
pub mod reference;
pub mod rng;
pub mod store;
pub mod svd;
