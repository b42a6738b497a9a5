//! The draw of randomness that JavaScript names.

use kernels::error::Result;
use kernels::glue;
use kernels::rng::Key;
use napi_derive::napi;

#[napi(object)]
pub struct RngKey {
    pub seed: f64,
    pub stream: f64,
    pub step: f64,
    pub micro: f64,
    pub rank: f64,
}

pub fn key(op: &'static str, key: RngKey) -> Result<Key> {
    glue::key(op, [key.seed, key.stream, key.step, key.micro, key.rank])
}
