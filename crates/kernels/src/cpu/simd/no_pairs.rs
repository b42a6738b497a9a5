//! Other architectures have no `vdpbf16ps`: a proof of it that nobody holds.

use super::{Beta, Block, Element, Isa, Rows, Spread, Strided, Tall, Tiles};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {}

impl Pairs {
    pub fn detect() -> Option<Pairs> {
        None
    }

    pub fn isa(self) -> Isa {
        match self {}
    }

    pub fn tiles(self) -> Option<Tiles> {
        match self {}
    }

    #[cfg(test)]
    pub fn with_tiles(self, _tiles: Option<Tiles>) -> Pairs {
        match self {}
    }

    pub fn product(self, _alpha: f32, _k: usize, _a: Strided, _b: Tall, _c: &mut Block, _beta: Beta) {
        match self {}
    }

    pub fn round<E: Element>(self, _x: &[E], _y: &mut [f32]) {
        match self {}
    }

    pub fn round_lines<E: Element>(self, _x: &[E], _y: &mut [f32], _step: usize) {
        match self {}
    }

    pub fn deal<E: Element>(self, _x: Rows<E>, _count: usize, _y: Spread) {
        match self {}
    }

    pub fn interleave<E: Element>(self, _first: &[E], _second: Option<&[E]>, _y: &mut [f32]) {
        match self {}
    }
}
