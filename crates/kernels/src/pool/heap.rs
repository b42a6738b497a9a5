//! Memory from the allocator alone.

use std::ops::{Deref, DerefMut};

/// No block is so large.
pub const OWN_PAGES: usize = usize::MAX;

pub struct Memory(Box<[u8]>);

impl Memory {
    pub fn zeroed(bytes: usize) -> Option<Memory> {
        bytemuck::allocation::try_zeroed_slice_box(bytes).ok().map(Memory)
    }

    pub fn resize(&mut self, _: usize) -> Option<()> {
        None
    }
}

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
