//! Memory of tensors: 64-byte aligned blocks, and a bounded store of freed ones.
//! First touch of fresh memory costs about ten times its reuse, so freed blocks wait for the next tensor of their size.
//! Live and waiting bytes together never exceed the most that was ever live.

use std::collections::BTreeMap;

use bytemuck::{Pod, Zeroable};

use crate::fault;

/// One cache line; the unit blocks are made of.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

// SAFETY: Line is a plain array of bytes: all-zero bits are a value of it.
unsafe impl Zeroable for Line {}
// SAFETY: Line is 64 bytes at alignment 64: no padding, no invalid bit pattern, Copy and 'static.
unsafe impl Pod for Line {}

const LINE: usize = std::mem::size_of::<Line>();
/// The allocator recycles smaller blocks well enough itself.
const SMALLEST_KEPT: usize = 16 * 1024;

/// A block of at least `len` bytes. Bytes past `len` are unspecified.
pub struct Block {
    lines: Box<[Line]>,
    len: usize,
}

impl Block {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }

    pub fn view<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }

    pub fn view_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.bytes_mut())
    }
}

/// What a fresh block must hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    Zeros,
    /// The taker writes every element.
    Anything,
}

struct Shelf {
    blocks: Vec<Box<[Line]>>,
    last_used: u64,
}

#[derive(Default)]
pub struct Pool {
    /// By number of lines.
    shelves: BTreeMap<usize, Shelf>,
    clock: u64,
    live: usize,
    waiting: usize,
    peak: usize,
}

/// Rounded up to one of eight steps an octave, so that nearly equal sizes share blocks.
fn lines_for(bytes: usize) -> usize {
    let lines = bytes.div_ceil(LINE).max(1);
    let step = (lines.next_power_of_two() / 16).max(1);
    lines.div_ceil(step) * step
}

impl Pool {
    /// `None` when the machine has no such memory.
    pub fn take(&mut self, bytes: usize, contents: Contents) -> Option<Block> {
        let count = lines_for(bytes);
        let lines = match self.reuse(count) {
            Some(mut lines) => {
                refresh(&mut lines[..bytes.div_ceil(LINE)], contents);
                lines
            }
            None if fault::no_room_for(self.live + count * LINE) => return None,
            None => bytemuck::allocation::try_zeroed_slice_box(count).ok()?,
        };
        Some(Block { lines, len: bytes })
    }

    /// Counts a taken block as live: it comes back by `put`. A block that an error drops before counts for nothing.
    pub fn count(&mut self, block: &Block) {
        self.live += block.lines.len() * LINE;
        self.peak = self.peak.max(self.live);
        self.trim();
    }

    pub fn put(&mut self, block: Block) {
        let count = block.lines.len();
        self.live -= count * LINE;
        if count * LINE < SMALLEST_KEPT {
            return;
        }
        self.clock += 1;
        let shelf = self.shelves.entry(count).or_insert_with(|| Shelf { blocks: Vec::new(), last_used: 0 });
        shelf.last_used = self.clock;
        shelf.blocks.push(block.lines);
        self.waiting += count * LINE;
        self.trim();
    }

    /// Bytes of freed blocks that wait for reuse.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    fn reuse(&mut self, count: usize) -> Option<Box<[Line]>> {
        self.clock += 1;
        let shelf = self.shelves.get_mut(&count)?;
        shelf.last_used = self.clock;
        let lines = shelf.blocks.pop()?;
        self.waiting -= count * LINE;
        Some(lines)
    }

    /// Gives the blocks of the size unused for longest back to the machine, until the bound holds.
    fn trim(&mut self) {
        while self.live + self.waiting > self.peak && self.waiting > 0 {
            let stale = self.shelves.iter().filter(|(_, shelf)| !shelf.blocks.is_empty());
            let Some(count) = stale.min_by_key(|(_, shelf)| shelf.last_used).map(|(count, _)| *count) else { return };
            if let Some(shelf) = self.shelves.get_mut(&count) {
                shelf.blocks.pop();
                self.waiting -= count * LINE;
            }
        }
    }
}

/// Debug builds fill what need not be zero with NaN, so that an op which does not write all of its output shows.
fn refresh(lines: &mut [Line], contents: Contents) {
    match contents {
        Contents::Zeros => lines.fill(Line([0; LINE])),
        Contents::Anything if cfg!(debug_assertions) => lines.fill(Line([0xFF; LINE])),
        Contents::Anything => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_block_comes_back_zeroed() {
        let mut pool = Pool::default();
        let mut block = pool.take(100_000, Contents::Zeros).unwrap();
        pool.count(&block);
        let address = block.bytes().as_ptr();
        assert_eq!(address as usize % 64, 0);
        block.bytes_mut().fill(7);
        pool.put(block);
        assert!(pool.waiting() >= 100_000);
        let again = pool.take(100_000, Contents::Zeros).unwrap();
        assert_eq!(again.bytes().as_ptr(), address);
        assert!(again.bytes().iter().all(|&byte| byte == 0));
        assert_eq!(pool.waiting(), 0);
    }

    #[test]
    fn live_and_waiting_memory_stay_below_the_peak() {
        let mut pool = Pool::default();
        for size in (1..60).map(|i| i * 50_000) {
            let block = pool.take(size, Contents::Zeros).unwrap();
            pool.count(&block);
            pool.put(block);
            assert!(pool.live + pool.waiting <= pool.peak);
        }
        assert!(pool.peak < 60 * 50_000 * 9 / 8);
    }

    #[test]
    fn memory_the_machine_does_not_have_is_refused() {
        assert!(Pool::default().take(1 << 56, Contents::Zeros).is_none());
    }
}
