//! The draw of randomness that JavaScript names, and lists of slots.

use kernels::error::Result;
use kernels::glue;
use kernels::rng::Key;
use kernels::store::Slot;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    pub type RngKey;
    #[wasm_bindgen(method, getter, structural)]
    pub fn seed(this: &RngKey) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn stream(this: &RngKey) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn step(this: &RngKey) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn micro(this: &RngKey) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn rank(this: &RngKey) -> f64;
}

impl RngKey {
    pub fn taken(&self, op: &'static str) -> Result<Key> {
        glue::key(op, [self.seed(), self.stream(), self.step(), self.micro(), self.rank()])
    }
}

/// An array of JavaScript's own, as the Node addon returns; a typed one would answer to `map` otherwise.
pub fn list(slots: impl IntoIterator<Item = Slot>) -> Vec<JsValue> {
    slots.into_iter().map(|slot| JsValue::from_f64(glue::number(slot))).collect()
}
