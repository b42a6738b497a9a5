//! Weights in codecs on their way to floats.

use kernels::codec::{Codec, Eetq};
use kernels::dtype::DType;
use kernels::error::Result;

use super::{at, kind, Cuda, Tensored};
use crate::launch::{arg, over};
use crate::sources::CODECS;

impl Cuda {
    /// n numbers from the start of the matrix, or of its rows `ids`.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn expand(
        &self,
        op: &'static str,
        codec: Codec,
        x: &Tensored,
        ids: Option<u64>,
        to: u64,
        dtype: DType,
        n: usize,
    ) -> Result<()> {
        if !matches!(dtype, DType::F32 | DType::Bf16 | DType::F16) {
            return self.expand_twice(op, codec, x, to, dtype);
        }
        let (bytes, extent) = (at(x), x.extent());
        let (elements, columns) = (arg::size(extent.elements), arg::size(extent.columns.max(1)));
        let rest = [ids.unwrap_or(0), columns, to, kind(op, dtype)?, arg::size(n)];
        match codec {
            Codec::FourBit(codes) => {
                let table = self.four_bit_table(op, codes.table())?;
                let values = if codes.double() { Some(self.dynamic_values(op)?) } else { None };
                let values = values.map_or(0, |values| values.at());
                let own = [bytes, elements, arg::size(codes.block()), table.at(), values];
                self.kernels.launch(op, &CODECS, "four_bit", over(n), &mut [own.as_slice(), &rest].concat())
            }
            Codec::Eetq(Eetq) | Codec::LlmInt8(_) => {
                let halves = arg::int(i32::from(matches!(codec, Codec::Eetq(_))));
                let own = [bytes, elements, halves];
                self.kernels.launch(op, &CODECS, "int8", over(n), &mut [own.as_slice(), &rest].concat())
            }
            Codec::Gguf(blocks) => {
                let (number, runs, size) = blocks.place();
                let own = [bytes, arg::int(number as i32), arg::int(runs as i32), arg::int(size as i32)];
                self.kernels.launch(op, &CODECS, "gguf", over(n), &mut [own.as_slice(), &rest].concat())
            }
        }
    }

    /// Through f32 to a dtype that the kernels do not write.
    fn expand_twice(&self, op: &'static str, codec: Codec, x: &Tensored, to: u64, dtype: DType) -> Result<()> {
        let n = x.len();
        let numbers = self.scratch(op, 4 * n)?;
        self.expand(op, codec, x, None, numbers.at(), DType::F32, n)?;
        self.convert_from(op, numbers.at(), DType::F32, to, dtype, n)
    }
}
