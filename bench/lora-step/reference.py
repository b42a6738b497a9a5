"""transformers + peft, one optimizer step for each line on standard input.

usage: reference.py <folder of make_inputs.py> <threads> <learning rate> <max_grad_norm> <float32|bfloat16>
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from peft import PeftModel
from step import step
from transformers import LlamaForCausalLM

folder, threads, rate, max_norm, dtype = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
torch.set_num_threads(threads)
base = LlamaForCausalLM.from_pretrained(folder / "model", dtype=getattr(torch, dtype))
model = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True).train()
parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
batches = torch.tensor(json.loads((folder / "ids.json").read_text()))


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


packages = ["torch", "transformers", "peft"]
say({
    "versions": {"python": sys.version.split()[0], **{name: version(name) for name in packages}},
    "attention": base.config._attn_implementation,
    "cpuCapability": torch.backends.cpu.get_cpu_capability(),
    "trainable": sum(parameter.numel() for parameter in parameters),
})
for line in sys.stdin:
    say(step(model, optimizer, batches[json.loads(line)["step"]], max_norm))
