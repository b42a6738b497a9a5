"""Writes what both sides of bench/decode read: SmolLM2 from its GGUF in float32 and in bfloat16, and prompts of its own words.

usage: make_inputs.py <model.gguf> <folder> <prompts> <tokens a prompt>
"""

import json
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

gguf, folder, count, length = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.manual_seed(0)
read = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
# A model read from a GGUF refuses to be saved: a plain one takes its weights.
settings = {key: value for key, value in read.config.to_dict().items() if key not in ("quantization_config", "dtype")}
model = LlamaForCausalLM(LlamaConfig(**settings)).float().eval()
model.load_state_dict(read.state_dict())
model.save_pretrained(folder / "float32")
# Sampled by the model: greedy decoding of noise would soon stand at ties.
first = torch.randint(1000, settings["vocab_size"], (count, 1))
mask = torch.ones_like(first)
prompts = model.generate(first, attention_mask=mask, do_sample=True, top_k=50, min_new_tokens=length - 1, max_new_tokens=length - 1)
model.to(torch.bfloat16).save_pretrained(folder / "bfloat16")
(folder / "prompts.json").write_text(json.dumps(prompts.tolist()))
