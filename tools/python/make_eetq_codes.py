"""Writes fixtures/eetq: weights quantised by EETQ's formula, laid out as crates/kernels/src/codec/eetq.rs holds them, and
what they expand to.

EETQ runs on a GPU alone. This is `symmetric_quantize` of FasterTransformer, which it calls, for int8 and as TensorRT-LLM still has it, before the
codes are put in the order of its kernel: f32 throughout, `round` of C++, and the scale narrowed at the end as transformers' EetqLinear
holds it.

Run with the reference environment: python tools/python/make_eetq_codes.py
"""

from pathlib import Path

import torch
from codec_fixtures import numbers, save

OUT = Path(__file__).parents[2] / "fixtures" / "eetq"


def quantized(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes [out,in] and scales [out]."""
    scales = weight.abs().amax(1) * (1.0 / (1 << 7))
    ratio = (weight / scales[:, None]).double()
    away = ratio.sign() * (ratio.abs() + 0.5).floor()
    return away.nan_to_num(0).clamp(-128, 127).to(torch.int8), scales.half()


# Rows of odd length; rows of zeros (10 and 11 of 64 columns).
for rows, columns in [(40, 75), (20, 64)]:
    codes, scales = quantized(numbers(rows, columns))
    save(OUT / f"eetq-{rows}x{columns}", [codes, scales], codes.float() * scales.float()[:, None])
