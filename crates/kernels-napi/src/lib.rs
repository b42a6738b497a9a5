//! Node-API glue over the kernels crate.
