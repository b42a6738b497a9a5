//! CPU SIMD maths.
