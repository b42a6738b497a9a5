//! Tensors by slot. A slot is generation · 2²² + index, below 2⁵³, so a slot used after its tensor is freed never names
//! another one: an index whose generations are used up is retired.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use crate::codec::Extent;
use crate::dtype::{DType, Element};
use crate::error::{KernelError, Result};
use crate::pool::{Block, Contents, Pool};

const INDEX_BITS: u32 = 22;
const MAX_GENERATION: u64 = (1 << 31) - 1;

/// Index and generation of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u64);

impl Slot {
    fn new(index: usize, generation: u64) -> Self {
        Slot(generation << INDEX_BITS | index as u64)
    }

    fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }

    fn generation(self) -> u64 {
        self.0 >> INDEX_BITS
    }
}

/// Memory behind tensors, wherever it lies.
pub trait Storage {
    /// Bytes.
    fn size(&self) -> usize;
}

impl Storage for Block {
    fn size(&self) -> usize {
        self.len()
    }
}

/// A dtype and a shape on memory that other tensors may share. Cloning shares the memory.
pub struct Tensor<B = Block> {
    dtype: DType,
    shape: Vec<usize>,
    storage: Rc<RefCell<B>>,
}

impl<B> Clone for Tensor<B> {
    fn clone(&self) -> Self {
        Self { dtype: self.dtype, shape: self.shape.clone(), storage: Rc::clone(&self.storage) }
    }
}

impl<B> Tensor<B> {
    pub fn storage(&self) -> Ref<'_, B> {
        self.storage.borrow()
    }

    pub fn storage_mut(&self) -> RefMut<'_, B> {
        self.storage.borrow_mut()
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements and the length of a row.
    pub fn extent(&self) -> Extent {
        Extent { elements: self.len(), columns: self.shape.last().copied().unwrap_or(1) }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// "f32 [2,3]"
    pub fn describe(&self) -> String {
        format!("{} {:?}", self.dtype.name(), self.shape)
    }

    pub fn shares_memory_with(&self, other: &Tensor<B>) -> bool {
        Rc::ptr_eq(&self.storage, &other.storage)
    }

    /// Equal for tensors that share memory, different for all others alive.
    pub fn memory_id(&self) -> usize {
        Rc::as_ptr(&self.storage) as usize
    }
}

impl Tensor {
    pub fn bytes(&self) -> Ref<'_, [u8]> {
        Ref::map(self.storage.borrow(), Block::bytes)
    }

    pub fn bytes_mut(&self) -> RefMut<'_, [u8]> {
        RefMut::map(self.storage.borrow_mut(), Block::bytes_mut)
    }

    pub fn view<T: Element>(&self) -> Ref<'_, [T]> {
        debug_assert_eq!(T::DTYPE, self.dtype);
        Ref::map(self.storage.borrow(), Block::view)
    }

    pub fn view_mut<T: Element>(&self) -> RefMut<'_, [T]> {
        debug_assert_eq!(T::DTYPE, self.dtype);
        RefMut::map(self.storage.borrow_mut(), Block::view_mut)
    }
}

/// Memory that an op fills and then keeps as a tensor.
pub struct Output {
    dtype: DType,
    shape: Vec<usize>,
    block: Block,
}

impl Output {
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.block.bytes_mut()
    }

    pub fn view_mut<T: Element>(&mut self) -> &mut [T] {
        debug_assert_eq!(T::DTYPE, self.dtype);
        self.block.view_mut()
    }

    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }
}

struct Entry<B> {
    generation: u64,
    tensor: Option<Tensor<B>>,
}

/// Which slot names which tensor, and how much memory is behind them all.
pub struct Table<B> {
    entries: Vec<Entry<B>>,
    vacant: Vec<usize>,
    first_generation: u64,
    live_tensors: usize,
    live_bytes: usize,
}

/// Bytes of a tensor, or why there is no such tensor.
pub fn extent(op: &'static str, dtype: DType, shape: &[usize]) -> Result<usize> {
    let elements = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
    let columns = shape.last().copied().unwrap_or(1);
    let bytes = match dtype {
        DType::Coded(codec) => {
            let elements = elements.filter(|&elements| (elements as u64) < 1 << 53);
            elements.and_then(|elements| codec.bytes(Extent { elements, columns }))
        }
        _ => elements.zip(dtype.size()).and_then(|(count, size)| count.checked_mul(size)),
    };
    bytes.filter(|&bytes| (bytes as u64) < 1 << 53).ok_or_else(|| match dtype {
        DType::Coded(codec) => {
            KernelError::shape(op, format!("shape {shape:?} does not fill whole blocks of {}", codec.name()))
        }
        _ => KernelError::shape(op, format!("shape {shape:?} of {} is too large", dtype.name())),
    })
}

impl<B: Storage> Default for Table<B> {
    fn default() -> Self {
        Self::starting_at(1)
    }
}

impl<B: Storage> Table<B> {
    /// `first_generation` is 1 but in tests of the last generation.
    fn starting_at(first_generation: u64) -> Self {
        Self { entries: Vec::new(), vacant: Vec::new(), first_generation, live_tensors: 0, live_bytes: 0 }
    }

    pub fn live_tensors(&self) -> usize {
        self.live_tensors
    }

    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    pub fn keep(&mut self, op: &'static str, dtype: DType, shape: Vec<usize>, memory: B) -> Result<Slot> {
        let size = memory.size();
        let slot = self.insert(op, Tensor { dtype, shape, storage: Rc::new(RefCell::new(memory)) })?;
        self.live_bytes += size;
        Ok(slot)
    }

    /// A second slot on the memory of `x`.
    pub fn share(&mut self, op: &'static str, x: &Tensor<B>, shape: &[usize]) -> Result<Slot> {
        self.insert(op, Tensor { dtype: x.dtype, shape: shape.to_vec(), storage: Rc::clone(&x.storage) })
    }

    pub fn get(&self, op: &'static str, slot: Slot) -> Result<Tensor<B>> {
        let entry = self.entries.get(slot.index()).filter(|entry| entry.generation == slot.generation());
        entry.and_then(|entry| entry.tensor.clone()).ok_or_else(|| disposed(op, slot))
    }

    /// The memory, where no other slot is on it.
    pub fn free(&mut self, op: &'static str, slot: Slot) -> Result<Option<B>> {
        let entry = self.entries.get_mut(slot.index()).filter(|entry| entry.generation == slot.generation());
        let entry = entry.ok_or_else(|| disposed(op, slot))?;
        let tensor = entry.tensor.take().ok_or_else(|| disposed(op, slot))?;
        if entry.generation < MAX_GENERATION {
            entry.generation += 1;
            self.vacant.push(slot.index());
        }
        self.live_tensors -= 1;
        let memory = Rc::try_unwrap(tensor.storage).ok().map(RefCell::into_inner);
        self.live_bytes -= memory.as_ref().map_or(0, B::size);
        Ok(memory)
    }

    fn insert(&mut self, op: &'static str, tensor: Tensor<B>) -> Result<Slot> {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => self.grow(op)?,
        };
        let entry = &mut self.entries[index];
        entry.tensor = Some(tensor);
        self.live_tensors += 1;
        Ok(Slot::new(index, entry.generation))
    }

    fn grow(&mut self, op: &'static str) -> Result<usize> {
        let index = self.entries.len();
        if index >> INDEX_BITS != 0 {
            return Err(KernelError::memory(op, format!("{index} tensors are alive, the most there can be")));
        }
        self.entries.push(Entry { generation: self.first_generation, tensor: None });
        Ok(index)
    }
}

/// Tensors in the memory of this process.
#[derive(Default)]
pub struct Store {
    table: Table<Block>,
    pool: Pool,
}

impl Store {
    pub fn live_tensors(&self) -> usize {
        self.table.live_tensors()
    }

    pub fn live_bytes(&self) -> usize {
        self.table.live_bytes()
    }

    pub fn output(&mut self, op: &'static str, dtype: DType, shape: &[usize], contents: Contents) -> Result<Output> {
        let bytes = extent(op, dtype, shape)?;
        let block = self.pool.take(bytes, contents).ok_or_else(|| {
            KernelError::memory(op, format!("no memory for {} {shape:?}, {bytes} bytes", dtype.name()))
        })?;
        Ok(Output { dtype, shape: shape.to_vec(), block })
    }

    pub fn keep(&mut self, op: &'static str, output: Output) -> Result<Slot> {
        let Output { dtype, shape, block } = output;
        let slot = self.table.keep(op, dtype, shape, block)?;
        self.pool.count(&self.table.get(op, slot)?.storage());
        Ok(slot)
    }

    pub fn share(&mut self, op: &'static str, x: &Tensor, shape: &[usize]) -> Result<Slot> {
        self.table.share(op, x, shape)
    }

    pub fn get(&self, op: &'static str, slot: Slot) -> Result<Tensor> {
        self.table.get(op, slot)
    }

    pub fn free(&mut self, op: &'static str, slot: Slot) -> Result<()> {
        if let Some(block) = self.table.free(op, slot)? {
            self.pool.put(block);
        }
        Ok(())
    }
}

fn disposed(op: &'static str, slot: Slot) -> KernelError {
    KernelError::disposed(op, format!("slot {} names no tensor: it was freed, or never made", slot.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn tensor(store: &mut Store, elements: usize) -> Slot {
        let output = store.output("test", DType::F32, &[elements], Contents::Zeros).unwrap();
        store.keep("test", output).unwrap()
    }

    #[test]
    fn a_freed_slot_is_refused_though_its_index_is_used_again() {
        let mut store = Store::default();
        let old = tensor(&mut store, 4);
        store.free("free", old).unwrap();
        let new = tensor(&mut store, 4);
        assert_eq!(old.index(), new.index());
        assert!(store.get("get", new).is_ok());
        assert_eq!(store.get("get", old).err().unwrap().code(), Code::TensorDisposed);
        assert_eq!(store.free("free", old).err().unwrap().code(), Code::TensorDisposed);
    }

    #[test]
    fn an_index_is_retired_when_its_generations_are_used_up() {
        let mut store = Store { table: Table::starting_at(MAX_GENERATION - 1), pool: Pool::default() };
        let slots: Vec<Slot> = (0..4)
            .map(|_| {
                let slot = tensor(&mut store, 1);
                store.free("free", slot).unwrap();
                slot
            })
            .collect();
        let indices: Vec<usize> = slots.iter().map(|slot| slot.index()).collect();
        assert_eq!(indices, [0, 0, 1, 1]);
        assert!(slots.iter().all(|slot| slot.0 < 1 << 53));
        assert!(slots.iter().all(|&slot| store.get("get", slot).is_err()));
        assert_eq!(store.live_tensors(), 0);
    }

    #[test]
    fn shared_memory_is_counted_once_and_lives_as_long_as_any_slot_on_it() {
        let mut store = Store::default();
        let x = tensor(&mut store, 6);
        let original = store.get("get", x).unwrap();
        let y = store.share("reshape", &original, &[2, 3]).unwrap();
        drop(original);
        assert_eq!((store.live_tensors(), store.live_bytes()), (2, 24));
        store.free("free", x).unwrap();
        assert_eq!((store.live_tensors(), store.live_bytes()), (1, 24));
        assert_eq!(store.get("get", y).unwrap().view::<f32>().len(), 6);
        store.free("free", y).unwrap();
        assert_eq!((store.live_tensors(), store.live_bytes()), (0, 0));
    }

    #[test]
    fn a_shape_beyond_all_memory_is_an_error() {
        let mut store = Store::default();
        let refused = |store: &mut Store, shape: &[usize]| {
            store.output("alloc", DType::F32, shape, Contents::Zeros).err().unwrap().code()
        };
        assert_eq!(refused(&mut store, &[usize::MAX, 2]), Code::InvalidShape);
        assert_eq!(refused(&mut store, &[1 << 50]), Code::OutOfMemory);
    }

    #[test]
    fn a_panic_while_a_tensor_is_written_leaves_it_usable() {
        let mut store = Store::default();
        let x = tensor(&mut store, 2);
        let x = store.get("get", x).unwrap();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut values = x.view_mut::<f32>();
            values[0] = 1.0;
            values[2] = 1.0;
        }));
        assert!(panic.is_err());
        assert_eq!(*x.view::<f32>(), [1.0, 0.0]);
    }
}
