//! Memory from the allocator alone.

use std::ops::{Deref, DerefMut};

use super::LINE;

/// No block is so large.
pub const OWN_PAGES: usize = usize::MAX;

#[derive(Default)]
pub struct Reserve;

impl Reserve {
    pub fn zeroed(&mut self, bytes: usize) -> Option<Memory> {
        bytemuck::allocation::try_zeroed_slice_box(bytes.checked_add(LINE)?).ok().map(Memory)
    }

    pub fn touched(&mut self, _: usize) -> Option<Memory> {
        None
    }

    pub fn extended(&mut self, _: usize) -> Option<Memory> {
        None
    }

    pub fn keep(&mut self, _: Memory) {}

    pub fn waiting(&self) -> usize {
        0
    }

    pub fn give_back(&mut self, _: usize) {}
}

pub struct Memory(Box<[u8]>);

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
