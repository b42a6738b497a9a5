"""Writes fixtures/bitsandbytes: 4-bit weights as bitsandbytes quantises them on the CPU, laid out as
crates/kernels/src/codec/four_bit.rs holds them, and what they expand to.

bitsandbytes is not in the reference environment: pip install --no-deps --target DIR bitsandbytes==0.50.2, then
PYTHONPATH=DIR python tools/python/make_bitsandbytes_codes.py
"""

from pathlib import Path

import bitsandbytes.functional as F
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from codec_fixtures import numbers, save

OUT = Path(__file__).parents[2] / "fixtures" / "bitsandbytes"
# Odd numbers of weights, whose last block is short; 20,001 weights in blocks of 64 have more than 256 scales.
CASES = [
    *[("nf4", block, double, 3001) for block in (32, 128, 512, 4096) for double in (False, True)],
    *[("fp4", block, double, 3001) for block in (128, 2048) for double in (False, True)],
    *[(table, 64, double, 20_001) for table in ("nf4", "fp4") for double in (False, True)],
]


for table, block, double, count in CASES:
    codes, state = F.quantize_4bit(numbers(count), blocksize=block, quant_type=table, compress_statistics=double)
    parts, absmax = [codes, state.absmax], state.absmax
    if double:
        parts += [state.state2.absmax, state.offset]
        absmax = F.dequantize_blockwise(state.absmax, state.state2) + state.offset
    values = _dequantize_4bit_compute(codes.reshape(-1), absmax, F.get_4bit_type(table, device="cpu"), block, (count,), torch.float32)
    name = f"{table}-{block}{'-double' if double else ''}-{count}"
    save(OUT / name, parts, values)
