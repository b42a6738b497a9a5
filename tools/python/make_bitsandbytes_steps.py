"""Writes fixtures/optimizers/bitsandbytes-steps.json and dynamic-{signed,unsigned}.f32: bitsandbytes 0.50.2 on the CPU.

    pip install --no-deps --target /tmp/bitsandbytes bitsandbytes==0.50.2
    PYTHONPATH=/tmp/bitsandbytes python tools/python/make_bitsandbytes_steps.py     (in the reference environment)
lion: parameters after each of three steps; P, gradients and shape as in make_optimizer_steps.py.
adamw8bit: codes, scales and parameters after three steps on 17×257 elements (the last block is not whole), element i being
P[i] = hash(i)/2³² − ½, gradient at t = (hash(i + 4369(t+1))/2³² − ½) · 10^−(i mod 5), hash(i) = 2654435761 i mod 2³².
"""

import base64
import json
from pathlib import Path

import bitsandbytes
import torch
from bitsandbytes.functional import create_dynamic_map

OUT = Path(__file__).parents[2] / "fixtures" / "optimizers"
SHAPE, SIZE = (17, 257), 17 * 257


def grid(value):
    return torch.tensor([[value(i, j) for j in range(6)] for i in range(4)])


def lion():
    p = torch.nn.Parameter(grid(lambda i, j: 0.1 * ((7 * i + 3 * j) % 11 - 5)))
    optimizer = bitsandbytes.optim.Lion([p], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    steps = []
    for t in range(3):
        p.grad = grid(lambda i, j: 0.01 * ((5 * i + 11 * j + 13 * t) % 17 - 8))  # noqa: B023
        optimizer.step()
        steps.append(p.detach().flatten().tolist())
    return steps


def uniform(i):
    return (2654435761 * i % 2**32) / 2**32 - 0.5


def encoded(tensor):
    return base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode()


def adamw_8bit():
    p = torch.nn.Parameter(torch.tensor([uniform(i) for i in range(SIZE)]).view(SHAPE))
    optimizer = bitsandbytes.optim.AdamW([p], lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, optim_bits=8)
    for t in range(3):
        p.grad = torch.tensor([uniform(i + SIZE * (t + 1)) * [1, 0.1, 0.01, 0.001, 0.0001][i % 5] for i in range(SIZE)]).view(SHAPE)
        optimizer.step()
    state = optimizer.state[p]
    names = {"m": "state1", "v": "state2", "mScales": "absmax1", "vScales": "absmax2"}
    return {"p": encoded(p), **{name: encoded(state[key]) for name, key in names.items()}}


result = {"bitsandbytes": bitsandbytes.__version__, "lion": lion(), "adamw8bit": adamw_8bit()}
(OUT / "bitsandbytes-steps.json").write_text(json.dumps(result) + "\n")
for name, signed in (("signed", True), ("unsigned", False)):
    (OUT / f"dynamic-{name}.f32").write_bytes(create_dynamic_map(signed=signed).numpy().tobytes())
