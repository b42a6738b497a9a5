"""Turns the GGUF into a model folder in float32 and draws a fresh LoRA adapter, as peft draws it.

usage: make_adapter.py <model.gguf> <folder> <rank> <alpha>
"""

import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

gguf, folder, rank, alpha = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.manual_seed(0)
read = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
# A model read from a GGUF refuses to be saved: a plain one takes its weights.
settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
model = LlamaForCausalLM(LlamaConfig(**settings)).float()
model.load_state_dict(read.state_dict())
model.save_pretrained(folder / "model")
lora = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
get_peft_model(model, lora).save_pretrained(folder / "adapter")
