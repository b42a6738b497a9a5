//! bitsandbytes' 4-bit codes (Dettmers et al. 2023, "QLoRA"): w = table[code] · absmax of its block, blocks counted over
//! the whole matrix row-major. Double quantisation keeps absmax − mean in the dynamic 8-bit code, 256 to a block.
//! Codes and absmax are those of bitsandbytes for the same f32 numbers.
//!
//! Bytes: codes, two a byte, the first in the high half; then either absmax as f32, or absmax codes, their absmax as f32,
//! and the mean as f32.

use super::{absmax, each_run, f32_at, put_f32, Extent, Format, Values};
use crate::dynamic_code::DynamicCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    Nf4,
    Fp4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FourBit {
    table: Table,
    block: usize,
    double: bool,
}

/// Quantiles of the normal distribution.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];
const FP4: [f32; 16] = [
    0.0,
    0.0625 / 12.0,
    8.0 / 12.0,
    1.0,
    4.0 / 12.0,
    6.0 / 12.0,
    2.0 / 12.0,
    3.0 / 12.0,
    0.0,
    -0.0625 / 12.0,
    -8.0 / 12.0,
    -1.0,
    -4.0 / 12.0,
    -6.0 / 12.0,
    -2.0 / 12.0,
    -3.0 / 12.0,
];
/// Codes in the order of their values.
const NF4_ORDER: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const FP4_ORDER: [u8; 16] = [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3];

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Nf4 => "nf4",
            Table::Fp4 => "fp4",
        }
    }

    pub fn values(self) -> &'static [f32; 16] {
        match self {
            Table::Nf4 => &NF4,
            Table::Fp4 => &FP4,
        }
    }

    /// Codes by value, and the middles between neighbours.
    fn thresholds(self) -> (&'static [u8; 16], [f32; 15]) {
        let (values, order) = match self {
            Table::Nf4 => (self.values(), &NF4_ORDER),
            Table::Fp4 => (self.values(), &FP4_ORDER),
        };
        let value = |i: usize| values[usize::from(order[i])];
        (order, std::array::from_fn(|i| (value(i) + value(i + 1)) / 2.0))
    }
}

/// A matrix in its pieces.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    pub table: &'static [f32; 16],
    pub codes: &'a [u8],
    /// Elements of a block are 2 to this power.
    block: u32,
    scales: Scales<'a>,
}

#[derive(Clone, Copy)]
enum Scales<'a> {
    Plain(&'a [[u8; 4]]),
    Double { codes: &'a [u8], values: &'static [f32; 256], nested: &'a [[u8; 4]], offset: f32 },
}

impl Parts<'_> {
    /// absmax of the block that an element is in.
    #[inline(always)]
    pub fn scale_at(&self, element: usize) -> f32 {
        let block = element >> self.block;
        match self.scales {
            Scales::Plain(scales) => f32::from_le_bytes(scales[block]),
            Scales::Double { codes, values, nested, offset } => {
                values[usize::from(codes[block])] * f32::from_le_bytes(nested[block / NESTED]) + offset
            }
        }
    }
}

/// Blocks of absmax.
const NESTED: usize = 256;
/// Blocks whose largest number is below count as if it were this.
const SMALLEST: f32 = 1e-38;

impl FourBit {
    /// "nf4/64", "fp4/128/double"
    pub fn from_name(name: &str) -> Option<FourBit> {
        let mut parts = name.split('/');
        let first = parts.next()?;
        let table = [Table::Nf4, Table::Fp4].into_iter().find(|table| table.name() == first)?;
        let block: usize = parts.next()?.parse().ok()?;
        let double = match (parts.next(), parts.next()) {
            (None, None) => false,
            (Some("double"), None) => true,
            _ => return None,
        };
        let codec = FourBit { table, block, double };
        (block.is_power_of_two() && (32..=4096).contains(&block) && codec.name() == name).then_some(codec)
    }

    pub fn table(&self) -> Table {
        self.table
    }

    /// Numbers that share an absmax.
    pub fn block(&self) -> usize {
        self.block
    }

    pub fn double(&self) -> bool {
        self.double
    }

    fn blocks(&self, elements: usize) -> usize {
        elements.div_ceil(self.block)
    }

    /// What the bytes of a matrix hold.
    pub fn parts<'a>(&self, bytes: &'a [u8], extent: Extent) -> Parts<'a> {
        let (codes, scales) = bytes.split_at(extent.elements.div_ceil(2));
        let scales = match self.double {
            false => Scales::Plain(scales.as_chunks().0),
            true => {
                let (codes, nested) = scales.split_at(self.blocks(extent.elements));
                let offset = f32_at(nested, codes.len().div_ceil(NESTED));
                Scales::Double { codes, values: DynamicCode::signed().values(), nested: nested.as_chunks().0, offset }
            }
        };
        Parts { table: self.table.values(), codes, block: self.block.trailing_zeros(), scales }
    }

    /// absmax of every block, codes into `out`.
    fn encode_blocks(&self, values: &Values, elements: usize, out: &mut [u8]) -> Vec<f32> {
        let (order, middles) = self.table.thresholds();
        let (mut block, mut parts) = (vec![0.0; self.block], vec![0.0; self.block]);
        let mut ranks = vec![0; self.block];
        let mut scales = Vec::with_capacity(self.blocks(elements));
        for (start, codes) in (0..elements).step_by(self.block).zip(out.chunks_mut(self.block / 2)) {
            let block = &mut block[..self.block.min(elements - start)];
            values(start, block);
            let most = absmax(block);
            let whole = block.len() == self.block;
            // bitsandbytes multiplies by the reciprocal, but divides in the last block where that is short.
            let (divisor, factor) = if whole { (1.0, 1.0 / most.max(SMALLEST)) } else { (most.max(SMALLEST), 1.0) };
            scales.push(if whole { most } else { divisor });
            // An odd matrix ends with the code of a zero.
            parts.fill(0.0);
            parts.iter_mut().zip(block.iter()).for_each(|(part, x)| *part = (x * factor / divisor).clamp(-1.0, 1.0));
            rank(&middles, &parts, &mut ranks);
            for (byte, pair) in codes.iter_mut().zip(ranks.chunks_exact(2)) {
                *byte = order[usize::from(pair[0])] << 4 | order[usize::from(pair[1])];
            }
        }
        scales
    }
}

impl Format for FourBit {
    fn name(&self) -> String {
        format!("{}/{}{}", self.table.name(), self.block, if self.double { "/double" } else { "" })
    }

    fn bytes(&self, extent: Extent) -> Option<usize> {
        let blocks = self.blocks(extent.elements);
        let scales = match self.double {
            true => blocks + 4 * (blocks.div_ceil(NESTED) + 1),
            false => 4 * blocks,
        };
        Some(extent.elements.div_ceil(2) + scales)
    }

    fn expand(&self, bytes: &[u8], extent: Extent, start: usize, out: &mut [f32]) {
        let parts = self.parts(bytes, extent);
        each_run(start, out, self.block, |at, out| {
            let scale = parts.scale_at(at);
            for (i, value) in (at..).zip(out) {
                let byte = parts.codes[i / 2];
                *value = parts.table[usize::from(if i % 2 == 0 { byte >> 4 } else { byte & 15 })] * scale;
            }
        });
    }

    fn encode(&self, values: &Values, extent: Extent, out: &mut [u8]) -> bool {
        let (codes, scales) = out.split_at_mut(extent.elements.div_ceil(2));
        let absmaxes = self.encode_blocks(values, extent.elements, codes);
        if !self.double {
            put_f32(scales, absmaxes);
            return true;
        }
        let (codes, nested) = scales.split_at_mut(absmaxes.len());
        let sum: f64 = absmaxes.iter().map(|&x| f64::from(x)).sum();
        let offset = (sum / absmaxes.len().max(1) as f64) as f32;
        let deltas: Vec<f32> = absmaxes.iter().map(|x| x - offset).collect();
        let largest = deltas.chunks(NESTED).map(absmax);
        for ((codes, deltas), most) in codes.chunks_mut(NESTED).zip(deltas.chunks(NESTED)).zip(largest.clone()) {
            let factor = 1.0 / most;
            codes.iter_mut().zip(deltas).for_each(|(code, delta)| *code = DynamicCode::signed().code(delta * factor));
        }
        put_f32(nested, largest.chain([offset]));
        true
    }
}

/// How many middles lie below each number. The loops stand so that the compiler makes them vector code.
fn rank(middles: &[f32; 15], values: &[f32], ranks: &mut [u8]) {
    for (values, ranks) in values.chunks_exact(16).zip(ranks.chunks_exact_mut(16)) {
        let mut counts = [0u32; 16];
        for middle in middles {
            counts.iter_mut().zip(values).for_each(|(count, x)| *count += u32::from(middle < x));
        }
        ranks.iter_mut().zip(counts).for_each(|(rank, count)| *rank = count as u8);
    }
}
