"""Writes fixtures/optimizers/torch-steps.json: parameters after each of three steps of torch's AdamW and SGD, and of
transformers' Adafactor as its Trainer builds it, on a matrix and on a vector; of parameters in bf16 by the fused AdamW and
SGD, which round once a step, with the moments after the last one, and by the plain AdamW, which rounds after every op.

P[i][j] = 0.1((7i+3j) mod 11 − 5), gradient at t = 0.01((5i+11j+13t) mod 17 − 8), shape 4×6.
Run with the reference environment (torch 2.13.0): python tools/python/make_optimizer_steps.py
"""

import json
from pathlib import Path

import torch
from transformers.optimization import Adafactor

RUNS = {
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}),
    "adafactor": (Adafactor, {"lr": 0.01, "scale_parameter": False, "relative_step": False, "weight_decay": 0.1}),
    "adafactor-vector": (Adafactor, {"lr": 0.01, "scale_parameter": False, "relative_step": False, "weight_decay": 0.1}),
    "sgd": (torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.01}),
    "sgd-momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "sgd-nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
}


FUSED = ["adamw", "sgd", "sgd-momentum", "sgd-nesterov"]


def run(make, options, dtype, vector, count=3):
    p = torch.tensor([[0.1 * ((7 * i + 3 * j) % 11 - 5) for j in range(6)] for i in range(4)], dtype=dtype)
    p = p.flatten() if vector else p
    p.requires_grad_(True)
    optimizer = make([p], **options)
    steps = []
    for t in range(count):
        g = [[0.01 * ((5 * i + 11 * j + 13 * t) % 17 - 8) for j in range(6)] for i in range(4)]
        p.grad = torch.tensor(g, dtype=dtype).view_as(p)
        optimizer.step()
        steps.append(p.detach().flatten().tolist())
    return steps


def fused(make, options):
    """In bf16, each row a parameter: torch 2.13's fused SGD writes no bf16 of the CPU's whole vectors."""
    rows = [torch.tensor([0.1 * ((7 * i + 3 * j) % 11 - 5) for j in range(6)], dtype=torch.bfloat16) for i in range(4)]
    optimizer = make([row.requires_grad_(True) for row in rows], fused=True, **options)
    steps = []
    for t in range(3):
        for i, row in enumerate(rows):
            row.grad = torch.tensor([0.01 * ((5 * i + 11 * j + 13 * t) % 17 - 8) for j in range(6)], dtype=torch.bfloat16)
        optimizer.step()
        steps.append(torch.cat([row.detach() for row in rows]).tolist())
    names = [name for name in ("exp_avg", "exp_avg_sq", "momentum_buffer") if optimizer.state[rows[0]].get(name) is not None]
    return {"steps": steps, **{name: torch.cat([optimizer.state[row][name] for row in rows]).tolist() for name in names}}


out = Path(__file__).parents[2] / "fixtures" / "optimizers"
out.mkdir(parents=True, exist_ok=True)
result = {"torch": torch.__version__}
for name, (make, options) in RUNS.items():
    vector = name.endswith("vector")
    result[name] = {
        "f32": run(make, options, torch.float32, vector),
        "f64": run(make, options, torch.float64, vector),
    }
for name in FUSED:
    make, options = RUNS[name]
    result[name]["bf16"] = fused(make, options)
result["adamw"]["bf16-plain"] = run(RUNS["adamw"][0], {**RUNS["adamw"][1], "foreach": False}, torch.bfloat16, False, 20)
result["adamw"]["f32-long"] = run(*RUNS["adamw"], torch.float32, False, 20)
(out / "torch-steps.json").write_text(json.dumps(result) + "\n")
