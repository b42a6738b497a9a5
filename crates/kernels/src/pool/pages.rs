//! Memory from the allocator, or pages of one large range of addresses, the reserve. Pages that were written to and given
//! up lie there side by side, and what is taken next may be any stretch of them, whatever blocks they were.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};

use super::LINE;

/// Blocks from this size on are pages of the reserve.
pub const OWN_PAGES: usize = 1 << 20;
/// And below this one: the system refuses a larger one from the allocator where it could never be held.
const TOO_LARGE: usize = 1 << 32;
/// Addresses, which cost nothing until they are written to.
const RESERVE: usize = 1 << 39;
/// Whole pages on any machine, and a divisor of every size that blocks of `OWN_PAGES` have.
const UNIT: usize = 64 << 10;

/// Pages that no block has.
struct Pages {
    map: MmapRaw,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    /// With memory behind them.
    touched: Ranges,
    /// Zeros that the system has yet to find memory for.
    fresh: Ranges,
}

/// Lengths by start; neighbours are one.
#[derive(Default)]
struct Ranges {
    lengths: BTreeMap<usize, usize>,
    total: usize,
}

impl Ranges {
    fn put(&mut self, start: usize, len: usize) {
        self.total += len;
        let (mut start, mut len) = (start, len);
        if let Some(after) = self.lengths.remove(&(start + len)) {
            len += after;
        }
        if let Some((&before, &length)) = self.lengths.range(..start).next_back() {
            if before + length == start {
                (start, len) = (before, length + len);
            }
        }
        self.lengths.insert(start, len);
    }

    /// The beginning of a range.
    fn cut(&mut self, start: usize, len: usize) {
        let length = self.lengths.remove(&start).expect("a range that is there");
        if length > len {
            self.lengths.insert(start + len, length - len);
        }
        self.total -= len;
    }

    fn length(&self, start: usize) -> usize {
        self.lengths.get(&start).copied().unwrap_or(0)
    }

    fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.lengths.iter().map(|(&start, &length)| (start, length))
    }

    /// The shortest range that is long enough.
    fn shortest(&self, len: usize) -> Option<(usize, usize)> {
        self.iter().filter(|&(_, length)| length >= len).min_by_key(|&(_, length)| length)
    }
}

impl Pages {
    fn reserved() -> Option<Pages> {
        let map = MmapOptions::new().len(RESERVE).no_reserve_swap().map_anon().ok()?;
        let mut free = Free::default();
        free.fresh.put(0, RESERVE);
        Some(Pages { map: map.into(), free: Mutex::new(free) })
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(self: &Arc<Self>, bytes: usize) -> Option<Range> {
        let len = bytes.next_multiple_of(UNIT);
        let mut free = self.free();
        let (start, _) = free.fresh.iter().find(|&(_, length)| length >= len)?;
        free.fresh.cut(start, len);
        Some(self.range(start, len))
    }

    fn touched(self: &Arc<Self>, bytes: usize) -> Option<Range> {
        let len = bytes.next_multiple_of(UNIT);
        let mut free = self.free();
        let (start, _) = free.touched.shortest(len)?;
        free.touched.cut(start, len);
        Some(self.range(start, len))
    }

    fn extended(self: &Arc<Self>, bytes: usize) -> Option<Range> {
        let len = bytes.next_multiple_of(UNIT);
        let mut free = self.free();
        let Free { touched, fresh } = &mut *free;
        let fits = |&(start, length): &(usize, usize)| length + fresh.length(start + length) >= len;
        let (start, length) = touched.iter().filter(fits).max_by_key(|&(_, length)| length)?;
        touched.cut(start, length);
        fresh.cut(start + length, len - length);
        Some(self.range(start, len))
    }

    fn range(self: &Arc<Self>, start: usize, len: usize) -> Range {
        Range { pages: Arc::clone(self), start, len }
    }

    /// Takes the memory from behind pages that no block has. Where the system refuses, as for pages that are locked, they
    /// are nobody's from now on.
    fn forget(&self, free: &mut Free, start: usize, len: usize) {
        // SAFETY: nothing refers to these pages, and who takes them next expects the zeros that they now hold.
        let done = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, len) };
        if done.is_ok() {
            free.fresh.put(start, len);
        }
    }
}

/// Where blocks come from.
#[derive(Default)]
pub struct Reserve {
    /// Reserved for the first large block; `None` inside where the system refuses, as under `ulimit -v`.
    pages: Option<Option<Arc<Pages>>>,
}

impl Reserve {
    fn pages(&mut self) -> Option<&Arc<Pages>> {
        self.pages.get_or_insert_with(|| Pages::reserved().map(Arc::new)).as_ref()
    }

    /// Zeros that nothing was written to, from the next cache line on. `None` when the machine has no such memory.
    pub fn zeroed(&mut self, bytes: usize) -> Option<Memory> {
        let own = (OWN_PAGES..TOO_LARGE).contains(&bytes);
        if let Some(range) = own.then(|| self.pages()).flatten().and_then(|pages| pages.fresh(bytes)) {
            return Some(Memory::Range(range));
        }
        bytemuck::allocation::try_zeroed_slice_box(bytes.checked_add(LINE)?).ok().map(Memory::Heap)
    }

    /// Pages that were written to, side by side; what they hold is unspecified.
    pub fn touched(&mut self, bytes: usize) -> Option<Memory> {
        self.pages()?.touched(bytes).map(Memory::Range)
    }

    /// The same where not enough lie side by side, and fresh ones follow.
    pub fn extended(&mut self, bytes: usize) -> Option<Memory> {
        self.pages()?.extended(bytes).map(Memory::Range)
    }

    /// Takes a block's pages and keeps the memory behind them.
    pub fn keep(&mut self, memory: Memory) {
        if let Memory::Range(mut range) = memory {
            range.pages.free().touched.put(range.start, range.len);
            range.len = 0;
        }
    }

    /// Bytes that `touched` can hand out.
    pub fn waiting(&self) -> usize {
        self.pages.iter().flatten().map(|pages| pages.free().touched.total).sum()
    }

    /// Gives memory that waits back to the system, `bytes` or all there is, of short stretches first.
    pub fn give_back(&mut self, bytes: usize) {
        let Some(Some(pages)) = &self.pages else { return };
        let mut free = pages.free();
        let mut left = bytes.next_multiple_of(UNIT);
        while left > 0 {
            let Some((start, length)) = free.touched.shortest(0) else { return };
            let len = length.min(left);
            free.touched.cut(start, len);
            pages.forget(&mut free, start, len);
            left -= len;
        }
    }
}

/// Pages of one owner.
pub struct Range {
    pages: Arc<Pages>,
    start: usize,
    len: usize,
}

impl Drop for Range {
    fn drop(&mut self) {
        if self.len > 0 {
            self.pages.forget(&mut self.pages.free(), self.start, self.len);
        }
    }
}

pub enum Memory {
    Heap(Box<[u8]>),
    Range(Range),
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Memory::Heap(memory) => memory,
            // SAFETY: as below.
            Memory::Range(Range { pages, start, len }) => unsafe {
                std::slice::from_raw_parts(pages.map.as_ptr().add(*start), *len)
            },
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Heap(memory) => memory,
            // SAFETY: a range lies in the reserve, which it keeps alive, in no other range and in no free one.
            Memory::Range(Range { pages, start, len }) => unsafe {
                std::slice::from_raw_parts_mut(pages.map.as_mut_ptr().add(*start), *len)
            },
        }
    }
}
