"""Writes fixtures/gguf-blocks: random blocks of each codec and what gguf.dequantize makes of them.

Run with the reference environment (gguf 0.19): python tools/python/make_gguf_blocks.py
"""

from pathlib import Path

import gguf
import numpy as np

ROWS, COLUMNS = 4, 64
CODECS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
out = Path(__file__).parents[2] / "fixtures" / "gguf-blocks"
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(7)

for name in CODECS:
    codec = gguf.GGMLQuantizationType[name]
    weights, size = gguf.GGML_QUANT_SIZES[codec]
    blocks = rng.integers(0, 256, (ROWS * COLUMNS // weights, size), dtype=np.uint8)
    halves = 2 if name.endswith("_1") else 1
    scales = rng.normal(0, 0.05, (len(blocks), halves)).astype("<f2")
    blocks[:, : 2 * halves] = scales.view(np.uint8)
    rows = blocks.reshape(ROWS, -1)
    (out / f"{name.lower()}.blocks").write_bytes(rows.tobytes())
    (out / f"{name.lower()}.f32").write_bytes(gguf.dequantize(rows, codec).astype("<f4").tobytes())
