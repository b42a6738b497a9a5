//! Memory from the allocator, or pages of its own: those go back to the system at once, and a mapping moves to another
//! length without its pages being touched.

use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, RemapOptions};

/// Blocks from this size on have pages of their own.
pub const OWN_PAGES: usize = 1 << 20;

pub enum Memory {
    Heap(Box<[u8]>),
    Pages(MmapMut),
}

impl Memory {
    pub fn zeroed(bytes: usize) -> Option<Memory> {
        if bytes < OWN_PAGES {
            return bytemuck::allocation::try_zeroed_slice_box(bytes).ok().map(Memory::Heap);
        }
        MmapMut::map_anon(bytes).ok().map(Memory::Pages)
    }

    /// `None` where the system refuses.
    pub fn resize(&mut self, bytes: usize) -> Option<()> {
        let Memory::Pages(pages) = self else { return None };
        // SAFETY: no file lies behind these pages; what is read past the old length are zeros.
        unsafe { pages.remap(bytes, RemapOptions::new().may_move(true)) }.ok()
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Memory::Heap(memory) => memory,
            Memory::Pages(pages) => pages,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(memory) => memory,
            Memory::Pages(pages) => pages,
        }
    }
}
