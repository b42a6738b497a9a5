"""Writes what both sides of bench/lora-step read: a random Llama, a random LoRA adapter on all its linear layers, token ids.

usage: make_inputs.py <folder>, the description as JSON on standard input
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

folder = Path(sys.argv[1])
description = json.load(sys.stdin)
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(**description["model"], tie_word_embeddings=True, bos_token_id=0, eos_token_id=1)).float()
model.save_pretrained(folder / "model")
# B is random too: with zeros there, A would get no gradient in the first step.
lora = LoraConfig(r=description["r"], lora_alpha=description["alpha"], target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
adapter = get_peft_model(model, lora)
for name, parameter in adapter.named_parameters():
    if "lora_B" in name:
        torch.nn.init.normal_(parameter, 0.0, 0.01)
adapter.save_pretrained(folder / "adapter")
ids = torch.randint(0, description["model"]["vocab_size"], (description["steps"], description["rows"], description["length"]))
(folder / "ids.json").write_text(json.dumps(ids.tolist()))
