"""transformers' greedy `generate`, one call for each line on standard input.

usage: reference.py <model folder> <prompts.json> <threads> <float32|bfloat16>
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

folder, prompts, threads, dtype = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
model.generation_config.eos_token_id = None
model.generation_config.pad_token_id = 0
rows = torch.tensor(json.loads(Path(prompts).read_text()))


def generate(batch: int, tokens: int) -> dict:
    ids = rows[:batch]
    started = time.perf_counter()
    made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tokens": made[:, ids.shape[1] :].tolist()}


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


packages = ["torch", "transformers"]
say({"versions": {"python": sys.version.split()[0], **{name: version(name) for name in packages}}})
for line in sys.stdin:
    say(generate(**json.loads(line)))
