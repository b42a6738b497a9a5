"""Writes fixtures/gguf-blocks: random blocks of each codec and what gguf.dequantize makes of them.

Run with the reference environment (gguf 0.19): python tools/python/make_gguf_blocks.py
"""

from pathlib import Path

import gguf
import numpy as np

ROWS = 4
# Where the half-precision scales of a block lie.
CODECS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "IQ4_NL": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
out = Path(__file__).parents[2] / "fixtures" / "gguf-blocks"
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(7)

for name, places in CODECS.items():
    codec = gguf.GGMLQuantizationType[name]
    weights, size = gguf.GGML_QUANT_SIZES[codec]
    columns = max(64, weights)
    blocks = rng.integers(0, 256, (ROWS * columns // weights, size), dtype=np.uint8)
    scales = rng.normal(0, 0.05, (len(blocks), len(places))).astype("<f2")
    for i, place in enumerate(places):
        blocks[:, place : place + 2] = np.ascontiguousarray(scales[:, i : i + 1]).view(np.uint8)
    rows = blocks.reshape(ROWS, -1)
    (out / f"{name.lower()}.blocks").write_bytes(rows.tobytes())
    (out / f"{name.lower()}.f32").write_bytes(gguf.dequantize(rows, codec).astype("<f4").tobytes())
