//! Codecs of weights: matrices that stay in blocks of a few bits and are expanded to f32 piece by piece while an op uses
//! them. A codec is one file with a `Format`, and its lines in `Codec`: docs/guides/add-a-codec.md.

pub mod eetq;
pub mod four_bit;
pub mod gguf;
pub mod gguf_k;
pub mod llm_int8;

pub use eetq::Eetq;
pub use four_bit::FourBit;
pub use gguf::Blocks;
pub use llm_int8::LlmInt8;

/// Where a matrix ends: its elements, row-major, in rows of `columns`.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub elements: usize,
    pub columns: usize,
}

impl Extent {
    pub fn rows(self) -> usize {
        self.elements.checked_div(self.columns).unwrap_or(0)
    }
}

/// Puts the elements from one on into a slice: a matrix to encode, which need not exist in f32 as a whole.
pub type Values<'a> = dyn Fn(usize, &mut [f32]) + 'a;

/// Values that lie in f32.
pub fn values_of(all: &[f32]) -> impl Fn(usize, &mut [f32]) + '_ {
    |start, out| out.copy_from_slice(&all[start..][..out.len()])
}

pub trait Format {
    /// As `StorageType` of packages/kernels/src/backend.ts names it.
    fn name(&self) -> String;
    /// Bytes of a matrix, `None` where its rows do not fit the blocks or the number overflows.
    fn bytes(&self, extent: Extent) -> Option<usize>;
    /// Elements `start` … `start + out.len()` of a matrix that is in `bytes`.
    fn expand(&self, bytes: &[u8], extent: Extent, start: usize, out: &mut [f32]);
    /// Fills `out`, which has `bytes` for the matrix; false where the codec is only read.
    fn encode(&self, _values: &Values, _extent: Extent, _out: &mut [u8]) -> bool {
        false
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    Eetq(Eetq),
    Gguf(Blocks),
    FourBit(FourBit),
    LlmInt8(LlmInt8),
}

impl Codec {
    pub fn from_name(name: &str) -> Option<Codec> {
        let known = [
            Eetq::from_name(name).map(Codec::Eetq),
            Blocks::from_name(name).map(Codec::Gguf),
            FourBit::from_name(name).map(Codec::FourBit),
            LlmInt8::from_name(name).map(Codec::LlmInt8),
        ];
        known.into_iter().flatten().next()
    }

    fn format(&self) -> &dyn Format {
        match self {
            Codec::Eetq(codes) => codes,
            Codec::Gguf(blocks) => blocks,
            Codec::FourBit(codes) => codes,
            Codec::LlmInt8(codes) => codes,
        }
    }

    pub fn name(&self) -> String {
        self.format().name()
    }

    pub fn bytes(&self, extent: Extent) -> Option<usize> {
        self.format().bytes(extent)
    }

    pub fn encode(&self, values: &Values, extent: Extent, out: &mut [u8]) -> bool {
        self.format().encode(values, extent, out)
    }
}

/// A matrix in its codec, borrowed.
#[derive(Clone, Copy)]
pub struct Coded<'a> {
    pub codec: Codec,
    pub bytes: &'a [u8],
    pub extent: Extent,
}

impl Coded<'_> {
    /// Elements from `start` on.
    pub fn expand(&self, start: usize, out: &mut [f32]) {
        self.codec.format().expand(self.bytes, self.extent, start, out);
    }

    pub fn get(&self, i: usize) -> f32 {
        let mut value = [0.0];
        self.expand(i, &mut value);
        value[0]
    }
}

/// Cuts `out`, elements `start` and on of a matrix, at multiples of `length`; `each` gets where a piece begins, and the piece.
#[inline(always)]
fn each_run(start: usize, out: &mut [f32], length: usize, mut each: impl FnMut(usize, &mut [f32])) {
    let (mut at, mut rest) = (start, out);
    while !rest.is_empty() {
        let (now, later) = rest.split_at_mut((length - at % length).min(rest.len()));
        each(at, now);
        (at, rest) = (at + now.len(), later);
    }
}

/// The little-endian f32 number `i` of `bytes`.
fn f32_at(bytes: &[u8], i: usize) -> f32 {
    let at = 4 * i;
    f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put_f32(bytes: &mut [u8], values: impl IntoIterator<Item = f32>) {
    for (bytes, value) in bytes.chunks_exact_mut(4).zip(values) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

/// The largest magnitude; NaN where there is one.
fn absmax(values: &[f32]) -> f32 {
    let larger = |most: f32, x: f32| if x > most || x.is_nan() { x } else { most };
    // Lanes, so that the compiler makes vector code of it.
    let mut lanes = [0.0f32; 16];
    for values in values.chunks(16) {
        lanes.iter_mut().zip(values).for_each(|(most, x)| *most = larger(*most, x.abs()));
    }
    lanes.into_iter().fold(0.0, larger)
}
