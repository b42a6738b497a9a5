//! Memory of tensors: 64-byte aligned blocks, and a bounded store of freed ones.
//! First touch of fresh memory costs about ten times its reuse, so freed blocks wait for the next tensor of their size.
//! Live and waiting bytes together never exceed the most that was ever live. Large blocks are pages of their own (Linux):
//! none is left to an allocator that may keep it, and a block that no tensor fits becomes longer or shorter where it
//! would have to go.

#[cfg_attr(target_os = "linux", path = "pool/pages.rs")]
#[cfg_attr(not(target_os = "linux"), path = "pool/heap.rs")]
mod memory;

use std::collections::BTreeMap;

use bytemuck::Pod;

use crate::fault;

use memory::Memory;

/// One cache line: the unit of blocks, and their alignment.
const LINE: usize = 64;
/// The allocator recycles smaller blocks well enough itself.
const SMALLEST_KEPT: usize = 16 * 1024;
/// Fresh zeros below this size are written at once: an op that adds to them would fault twice a page, for the read and
/// for the write.
const SMALLEST_UNTOUCHED: usize = 64 << 20;

/// Whole lines, zero at first. They begin at the first line boundary of an unaligned allocation: the allocator hands out
/// zeroed pages untouched, but fills memory itself where more alignment is asked for than its own.
struct Lines {
    memory: Memory,
    start: usize,
    count: usize,
}

impl Lines {
    fn zeroed(count: usize) -> Option<Lines> {
        let bytes = count.checked_mul(LINE)?.checked_add(LINE)?;
        let memory = Memory::zeroed(bytes)?;
        let start = memory.as_ptr().addr().wrapping_neg() % LINE;
        Some(Lines { memory, start, count })
    }

    /// The same memory with another length; what it holds is unspecified.
    fn resized(mut self, count: usize) -> Option<Lines> {
        self.memory.resize(count.checked_mul(LINE)?.checked_add(LINE)?)?;
        Some(Lines { count, ..self })
    }

    fn bytes(&self, len: usize) -> &[u8] {
        &self.memory[self.start..][..len]
    }

    fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        &mut self.memory[self.start..][..len]
    }
}

/// A block of at least `len` bytes. Bytes past `len` are unspecified.
pub struct Block {
    lines: Lines,
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
        self.lines.bytes(self.len)
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.lines.bytes_mut(self.len)
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
    blocks: Vec<Lines>,
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
                refresh(lines.bytes_mut(bytes), contents);
                lines
            }
            None if fault::no_room_for(self.live + count * LINE) => return None,
            None => {
                let mut lines = Lines::zeroed(count)?;
                if bytes < SMALLEST_UNTOUCHED {
                    refresh(lines.bytes_mut(bytes), contents);
                }
                lines
            }
        };
        Some(Block { lines, len: bytes })
    }

    /// Counts a taken block as live: it comes back by `put`. A block that an error drops before counts for nothing.
    pub fn count(&mut self, block: &Block) {
        self.live += block.lines.count * LINE;
        self.peak = self.peak.max(self.live);
        self.trim();
    }

    pub fn put(&mut self, block: Block) {
        let count = block.lines.count;
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

    fn reuse(&mut self, count: usize) -> Option<Lines> {
        self.clock += 1;
        if let Some(shelf) = self.shelves.get_mut(&count) {
            shelf.last_used = self.clock;
        }
        self.waiting_block(count).or_else(|| self.other_size(count))
    }

    fn waiting_block(&mut self, count: usize) -> Option<Lines> {
        let lines = self.shelves.get_mut(&count)?.blocks.pop()?;
        self.waiting -= count * LINE;
        Some(lines)
    }

    /// Where a fresh block would make others go: of the large ones the first to go, with another length. Its pages need no
    /// first touch.
    fn other_size(&mut self, count: usize) -> Option<Lines> {
        let fits = self.live + self.waiting + count * LINE <= self.peak;
        if fits || !resizes(count) || fault::no_room_for(self.live + count * LINE) {
            return None;
        }
        let size = self.stalest(resizes)?;
        self.waiting_block(size)?.resized(count)
    }

    /// The size unused for longest among those that have blocks.
    fn stalest(&self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let waiting = self.shelves.iter().filter(|(&count, shelf)| eligible(count) && !shelf.blocks.is_empty());
        waiting.min_by_key(|(_, shelf)| shelf.last_used).map(|(&count, _)| count)
    }

    /// Gives the blocks of the size unused for longest back to the machine, until the bound holds.
    fn trim(&mut self) {
        while self.live + self.waiting > self.peak {
            let Some(count) = self.stalest(|_| true) else { return };
            self.waiting_block(count);
        }
    }
}

/// Whether a block of so many lines may become one of another size.
fn resizes(count: usize) -> bool {
    count * LINE >= memory::OWN_PAGES
}

/// Debug builds fill what need not be zero with NaN, so that an op which does not write all of its output shows.
fn refresh(bytes: &mut [u8], contents: Contents) {
    match contents {
        Contents::Zeros => bytes.fill(0),
        Contents::Anything if cfg!(debug_assertions) => bytes.fill(0xFF),
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_block_becomes_one_of_another_size_rather_than_two() {
        let mut pool = Pool::default();
        let mut first = pool.take(8 << 20, Contents::Anything).unwrap();
        pool.count(&first);
        first.bytes_mut().fill(7);
        pool.put(first);
        for size in [6 << 20, 9 << 20, 2 << 20] {
            let block = pool.take(size, Contents::Zeros).unwrap();
            assert_eq!(pool.waiting(), 0, "its memory was the one that waited");
            assert_eq!((block.len(), block.bytes().as_ptr() as usize % 64), (size, 0));
            assert!(block.bytes().iter().all(|&byte| byte == 0));
            pool.count(&block);
            pool.put(block);
        }
        // Below the peak it waits for its like.
        assert!(pool.take(3 << 20, Contents::Zeros).is_some());
        assert!(pool.waiting() >= 2 << 20);
    }

    #[test]
    fn memory_the_machine_does_not_have_is_refused() {
        assert!(Pool::default().take(1 << 56, Contents::Zeros).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn large_memory_is_not_touched_before_it_is_used() {
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let before = resident();
        let mut block = Pool::default().take(1 << 30, Contents::Zeros).unwrap();
        let bytes = block.bytes_mut();
        assert_eq!((bytes[0], bytes[bytes.len() - 1]), (0, 0));
        assert!(resident() - before < 1 << 28);
    }
}
