"""fixtures/gguf-model/tiny.gguf: a random tiny llama in blocks of several kinds, with the tokenizer of fixtures/llamafactory/model.

Run with the reference environment (gguf 0.19): python tools/python/make_gguf_model.py
"""

import json
from pathlib import Path

import gguf
import numpy as np

FIXTURES = Path(__file__).parents[2] / "fixtures"
OUT = FIXTURES / "gguf-model" / "tiny.gguf"
HIDDEN, INNER, HEADS, KV_HEADS, LAYERS, STD = 64, 256, 4, 2, 2, 0.15
KINDS = gguf.GGMLQuantizationType
# Name in a block → (shape, blocks). Only Q6_K needs rows of 256.
IN_BLOCK = {
    "attn_q": ((HIDDEN, HIDDEN), KINDS.Q8_0),
    "attn_k": ((HIDDEN * KV_HEADS // HEADS, HIDDEN), KINDS.Q5_1),
    "attn_v": ((HIDDEN * KV_HEADS // HEADS, HIDDEN), KINDS.Q4_0),
    "attn_output": ((HIDDEN, HIDDEN), KINDS.Q5_0),
    "ffn_gate": ((INNER, HIDDEN), KINDS.Q4_1),
    "ffn_up": ((INNER, HIDDEN), KINDS.Q8_0),
    "ffn_down": ((HIDDEN, INNER), KINDS.Q6_K),
}
rng = np.random.default_rng(23)


def blocks(shape, kind) -> np.ndarray:
    """Normal weights in a kind of block; gguf writes no Q6_K, so that is random codes under one scale."""
    if kind != KINDS.Q6_K:
        return gguf.quantize(rng.normal(0, STD, shape).astype("f4"), kind)
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    rows = rng.integers(0, 256, (shape[0] * shape[1] // weights, size), dtype=np.uint8)
    # w = d · s · (q − 32), s uniform in int8, q in 0…63.
    scale = STD / (256 / 12**0.5) / (64 / 12**0.5)
    rows[:, 208:210] = np.full((len(rows), 1), scale, "<f2").view(np.uint8)
    return rows.reshape(shape[0], -1)


def write_tokenizer(writer: gguf.GGUFWriter) -> int:
    tokenizer = json.loads((FIXTURES / "llamafactory/model/tokenizer.json").read_text())
    tokens = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(10)
    return len(tokens)


def main() -> None:
    OUT.parent.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(OUT, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    vocabulary = write_tokenizer(writer)
    writer.add_vocab_size(vocabulary)
    norm = lambda: rng.normal(1, 0.1, HIDDEN).astype("f4")  # noqa: E731
    writer.add_tensor("token_embd.weight", blocks((vocabulary, HIDDEN), KINDS.Q8_0), raw_dtype=KINDS.Q8_0)
    writer.add_tensor("output_norm.weight", norm())
    for layer in range(LAYERS):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", norm())
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", norm())
        for name, (shape, kind) in IN_BLOCK.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", blocks(shape, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
