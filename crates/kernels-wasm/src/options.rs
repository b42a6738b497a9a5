//! Objects of JavaScript, read field by field.

use kernels::maths::{Adafactor, AdamW, Lion, Sgd};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    pub type AdamWOptions;
    #[wasm_bindgen(method, getter, structural)]
    pub fn lr(this: &AdamWOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn beta1(this: &AdamWOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn beta2(this: &AdamWOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn epsilon(this: &AdamWOptions) -> f64;
    #[wasm_bindgen(method, getter, structural, js_name = weightDecay)]
    pub fn weight_decay(this: &AdamWOptions) -> f64;

    pub type AttentionOptions;
    #[wasm_bindgen(method, getter, structural, js_name = headDim)]
    pub fn head_dim(this: &AttentionOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn scale(this: &AttentionOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn window(this: &AttentionOptions) -> f64;
    #[wasm_bindgen(method, getter, structural, js_name = softCap)]
    pub fn soft_cap(this: &AttentionOptions) -> f64;

    pub type LionOptions;
    #[wasm_bindgen(method, getter, structural)]
    pub fn lr(this: &LionOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn beta1(this: &LionOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn beta2(this: &LionOptions) -> f64;
    #[wasm_bindgen(method, getter, structural, js_name = weightDecay)]
    pub fn weight_decay(this: &LionOptions) -> f64;

    pub type AdafactorOptions;
    #[wasm_bindgen(method, getter, structural)]
    pub fn lr(this: &AdafactorOptions) -> f64;
    #[wasm_bindgen(method, getter, structural, js_name = weightDecay)]
    pub fn weight_decay(this: &AdafactorOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn epsilon(this: &AdafactorOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn clip(this: &AdafactorOptions) -> f64;
    #[wasm_bindgen(method, getter, structural, js_name = decayRate)]
    pub fn decay_rate(this: &AdafactorOptions) -> f64;

    pub type CodedMoments;
    #[wasm_bindgen(method, getter, structural)]
    pub fn codes(this: &CodedMoments) -> Vec<f64>;
    #[wasm_bindgen(method, getter, structural)]
    pub fn scales(this: &CodedMoments) -> Vec<f64>;

    pub type SgdOptions;
    #[wasm_bindgen(method, getter, structural)]
    pub fn lr(this: &SgdOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn momentum(this: &SgdOptions) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    pub fn nesterov(this: &SgdOptions) -> bool;
    #[wasm_bindgen(method, getter, structural, js_name = weightDecay)]
    pub fn weight_decay(this: &SgdOptions) -> f64;
}

impl AdamWOptions {
    pub fn taken(&self) -> AdamW {
        AdamW {
            lr: self.lr(),
            beta1: self.beta1(),
            beta2: self.beta2(),
            epsilon: self.epsilon(),
            weight_decay: self.weight_decay(),
        }
    }
}

impl SgdOptions {
    pub fn taken(&self) -> Sgd {
        Sgd { lr: self.lr(), momentum: self.momentum(), nesterov: self.nesterov(), weight_decay: self.weight_decay() }
    }
}

impl LionOptions {
    pub fn taken(&self) -> Lion {
        Lion { lr: self.lr(), beta1: self.beta1(), beta2: self.beta2(), weight_decay: self.weight_decay() }
    }
}

impl AdafactorOptions {
    pub fn taken(&self) -> Adafactor {
        Adafactor {
            lr: self.lr(),
            weight_decay: self.weight_decay(),
            epsilon: self.epsilon(),
            clip: self.clip(),
            decay_rate: self.decay_rate(),
        }
    }
}
