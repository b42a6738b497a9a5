//! Memory of tensors: 64-byte aligned blocks, and a bounded store of freed ones.
//! First touch of fresh memory costs about ten times its reuse, so freed blocks wait for the next tensor of their size.
//! Live and waiting bytes together never exceed the most that was ever live. Large blocks are pages of one range of addresses
//! (64-bit Linux): none is left to an allocator that may keep it, and those that would have to go for a block of another size
//! become that block, side by side.

#[cfg_attr(all(target_os = "linux", target_pointer_width = "64"), path = "pool/pages.rs")]
#[cfg_attr(not(all(target_os = "linux", target_pointer_width = "64")), path = "pool/heap.rs")]
mod memory;

use std::collections::BTreeMap;

use bytemuck::Pod;

use crate::fault;

use memory::{Memory, Reserve};

/// One cache line: the unit of blocks, and their alignment.
const LINE: usize = 64;
/// The allocator recycles smaller blocks well enough itself.
const SMALLEST_KEPT: usize = 16 * 1024;
/// Fresh zeros below this size are written at once: an op that adds to them would fault twice a page, for the read and
/// for the write.
const SMALLEST_UNTOUCHED: usize = 64 << 20;

/// Whole lines. They begin at the first line boundary of an unaligned allocation: the allocator hands out
/// zeroed pages untouched, but fills memory itself where more alignment is asked for than its own.
struct Lines {
    memory: Memory,
    start: usize,
    count: usize,
}

impl Lines {
    fn of(memory: Memory, count: usize) -> Lines {
        let start = memory.as_ptr().addr().wrapping_neg() % LINE;
        Lines { memory, start, count }
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
    /// What was on no shelf, or is no longer.
    reserve: Reserve,
    clock: u64,
    live: usize,
    shelved: usize,
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
                let mut lines = Lines::of(self.reserve.zeroed(count.checked_mul(LINE)?)?, count);
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
        self.shelved += count * LINE;
        self.trim();
    }

    /// Bytes of freed blocks that wait for reuse.
    pub fn waiting(&self) -> usize {
        self.shelved + self.reserve.waiting()
    }

    fn reuse(&mut self, count: usize) -> Option<Lines> {
        self.clock += 1;
        if let Some(shelf) = self.shelves.get_mut(&count) {
            shelf.last_used = self.clock;
        }
        self.waiting_block(count).or_else(|| self.made_of_others(count))
    }

    fn waiting_block(&mut self, count: usize) -> Option<Lines> {
        let lines = self.shelves.get_mut(&count)?.blocks.pop()?;
        self.shelved -= count * LINE;
        Some(lines)
    }

    /// Pages that large blocks had, whose first touch is done. Those on shelves give theirs, the first to go first, where a
    /// fresh block would make them go.
    fn made_of_others(&mut self, count: usize) -> Option<Lines> {
        let bytes = count.checked_mul(LINE)?;
        if !is_large(count) || fault::no_room_for(self.live + bytes) {
            return None;
        }
        loop {
            if let Some(memory) = self.reserve.touched(bytes) {
                return Some(Lines::of(memory, count));
            }
            if self.live + self.waiting() + bytes <= self.peak {
                return None;
            }
            let Some(size) = self.stalest(is_large) else { break };
            self.take_apart(size);
        }
        Some(Lines::of(self.reserve.extended(bytes)?, count))
    }

    fn take_apart(&mut self, count: usize) {
        if let Some(lines) = self.waiting_block(count) {
            self.reserve.keep(lines.memory);
        }
    }

    /// The size unused for longest among those that have blocks.
    fn stalest(&self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let waiting = self.shelves.iter().filter(|(&count, shelf)| eligible(count) && !shelf.blocks.is_empty());
        waiting.min_by_key(|(_, shelf)| shelf.last_used).map(|(&count, _)| count)
    }

    /// Gives memory back to the machine until the bound holds: what is on no shelf, then blocks of the size unused for longest.
    fn trim(&mut self) {
        loop {
            let over = (self.live + self.waiting()).saturating_sub(self.peak);
            if over == 0 {
                return;
            }
            if self.reserve.waiting() > 0 {
                self.reserve.give_back(over);
                continue;
            }
            let Some(count) = self.stalest(|_| true) else { return };
            self.take_apart(count);
        }
    }
}

/// Whether a block of so many lines may lie in the reserve.
fn is_large(count: usize) -> bool {
    count >= memory::OWN_PAGES / LINE
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

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

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
            assert!(pool.live + pool.waiting() <= pool.peak);
        }
        assert!(pool.peak < 60 * 50_000 * 9 / 8);
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    #[test]
    fn large_blocks_become_one_of_another_size_rather_than_more() {
        let mut pool = Pool::default();
        let mut blocks: Vec<Block> = (0..3).map(|_| pool.take(8 << 20, Contents::Anything).unwrap()).collect();
        for block in &mut blocks {
            pool.count(block);
            block.bytes_mut().fill(7);
        }
        let places: Vec<usize> = blocks.iter().map(|block| block.bytes().as_ptr().addr()).collect();
        let last = blocks.pop().unwrap();
        for block in blocks {
            pool.put(block);
        }
        // Two neighbours of 8 MiB, of which none is long enough; then what is left of them and a bit.
        for (size, left) in [(14 << 20, 2 << 20), (6 << 20, 10 << 20), (16 << 20, 0)] {
            let block = pool.take(size, Contents::Zeros).unwrap();
            assert_eq!(pool.waiting(), left, "its memory was theirs");
            assert_eq!((block.len(), block.bytes().as_ptr().addr()), (size, places[0]));
            assert!(block.bytes().iter().all(|&byte| byte == 0));
            pool.count(&block);
            pool.put(block);
        }
        pool.put(last);
        // All three and what follows them: the most that was live grows.
        let block = pool.take(30 << 20, Contents::Zeros).unwrap();
        pool.count(&block);
        assert_eq!((block.bytes().as_ptr().addr(), pool.waiting(), pool.peak), (places[0], 0, 30 << 20));
        assert!(block.bytes().iter().all(|&byte| byte == 0));
        pool.put(block);
        let block = pool.take(12 << 20, Contents::Anything).unwrap();
        pool.count(&block);
        pool.reserve.give_back(18 << 20);
        pool.put(block);
        // Below the peak it waits for its like.
        assert!(pool.take(3 << 20, Contents::Zeros).is_some());
        assert_eq!(pool.waiting(), 12 << 20);
    }

    #[test]
    fn no_two_blocks_share_memory_whatever_they_were_made_of() {
        let mut pool = Pool::default();
        let mut blocks: Vec<(u8, Block)> = Vec::new();
        let mut state = 1u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        let holds = |stamp: u8, block: &Block| block.bytes().iter().step_by(16 * 1024).all(|&byte| byte == stamp);
        for round in 0..3000 {
            // In waves, so that the most that was ever live is reached again and again.
            let full = blocks.len() >= if round / 100 % 2 == 0 { 24 } else { 4 };
            if full || (!blocks.is_empty() && random(3) == 0) {
                let (stamp, block) = blocks.swap_remove(random(blocks.len()));
                assert!(holds(stamp, &block), "round {round}");
                pool.put(block);
            } else {
                let contents = if random(2) == 0 { Contents::Zeros } else { Contents::Anything };
                let mut block = pool.take((1 + random(80)) << 16, contents).unwrap();
                assert!(contents == Contents::Anything || holds(0, &block), "round {round}");
                pool.count(&block);
                let stamp = round as u8;
                block.bytes_mut().iter_mut().step_by(16 * 1024).for_each(|byte| *byte = stamp);
                blocks.push((stamp, block));
            }
            assert!(pool.live + pool.waiting() <= pool.peak, "round {round}");
        }
        assert!(blocks.iter().all(|(stamp, block)| holds(*stamp, block)));
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    #[test]
    fn pages_given_back_are_zeros_without_memory() {
        let mut pool = Pool::default();
        let mut block = pool.take(512 << 20, Contents::Anything).unwrap();
        pool.count(&block);
        block.bytes_mut().fill(7);
        let full = resident();
        pool.put(block);
        pool.take_apart(lines_for(512 << 20));
        pool.reserve.give_back(480 << 20);
        assert_eq!(pool.waiting(), 32 << 20);
        assert!(full - resident() > 256 << 20);
        pool.reserve.give_back(32 << 20);
        let again = pool.take(512 << 20, Contents::Zeros).unwrap();
        assert!(again.bytes().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn memory_the_machine_does_not_have_is_refused() {
        assert!(Pool::default().take(1 << 56, Contents::Zeros).is_none());
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    #[test]
    fn large_memory_is_not_touched_before_it_is_used() {
        let before = resident();
        let mut block = Pool::default().take(1 << 30, Contents::Zeros).unwrap();
        let bytes = block.bytes_mut();
        assert_eq!((bytes[0], bytes[bytes.len() - 1]), (0, 0));
        assert!(resident() - before < 1 << 28);
    }
}
