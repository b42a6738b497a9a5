"""transformers + peft doing the whole job in a plain loop: no Trainer, no gradient checkpointing, padding to the longest of a batch.

usage: reference.py <folder>, the job as JSON on standard input; prints one line of JSON
"""

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from peft import PeftModel
from transformers import LlamaForCausalLM, get_scheduler

folder, job = Path(sys.argv[1]), json.load(sys.stdin)
torch.set_num_threads(job["threads"])
base = LlamaForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
model = PeftModel.from_pretrained(base, folder / "adapter", is_trainable=True).train()
parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(parameters, lr=job["learningRate"], weight_decay=0.0)
steps = len(job["batches"])
schedule = get_scheduler(job["scheduler"], optimizer, num_warmup_steps=job["warmupSteps"], num_training_steps=steps)


def padded(rows: list[list[int]], filling: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filling] * (longest - len(row)) for row in rows])


def step(batch: list[dict]) -> tuple[float, float]:
    ids, labels = padded([row["inputIds"] for row in batch], 0), padded([row["labels"] for row in batch], -100)
    mask = padded([[1] * len(row["inputIds"]) for row in batch], 0)
    loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, job["maxGradNorm"])
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    return loss.item(), norm.item()


started = time.perf_counter()
results = [step(batch) for batch in job["batches"]]
print(json.dumps({
    "seconds": time.perf_counter() - started,
    "losses": [loss for loss, _ in results],
    "gradNorms": [norm for _, norm in results],
    "peakMemoryBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "versions": {"python": sys.version.split()[0], **{name: version(name) for name in ["torch", "transformers", "peft"]}},
}))
