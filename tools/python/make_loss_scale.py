"""Writes fixtures/optimizers/loss-scale.json: what torch's GradScaler makes of gradients that overflow, and what
accelerate's optimizer and schedule do meanwhile, as transformers' Trainer calls them.

A course is the scale it starts from and, in runs of equal steps, whether their gradients overflow. Recorded is the state
after each run of steps, and in "schedule" each step's learning rate beside it.
Run with the reference environment (torch 2.13.0, accelerate 1.15.0): python tools/python/make_loss_scale.py
"""

import json
from pathlib import Path

import accelerate
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.scheduler import AcceleratedScheduler
from transformers import get_linear_schedule_with_warmup

# (overflows, how many steps)
COURSES = {
    "fresh": (2.0**16, [(True, 3), (False, 1999), (False, 1), (False, 5), (True, 1), (False, 1999), (True, 1), (False, 2001)]),
    "at the top of f32": (2.0**127, [(False, 1999), (False, 1), (False, 2000)]),
    "at the bottom of f32": (2.0**-148, [(True, 1), (True, 1), (True, 1)]),
}
SCHEDULE = [False, False, True, False, True, True, False, False, False, False]


def step(scaler, optimizer, p, overflows):
    p.grad = torch.tensor([float("inf") if overflows else 1.0])
    scaler.scale(torch.zeros(()))  # the scale becomes a tensor at its first use
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()


def state(scaler):
    return [scaler.get_scale(), scaler._get_growth_tracker()]


def course(start, runs):
    p = torch.ones(1, requires_grad=True)
    optimizer, scaler = torch.optim.SGD([p], lr=0.0), torch.amp.GradScaler("cpu", init_scale=start)
    states = []
    for overflows, count in runs:
        for _ in range(count):
            step(scaler, optimizer, p, overflows)
        states.append(state(scaler))
    return {"start": start, "runs": runs, "states": states}


def schedule():
    Accelerator(cpu=True)
    p = torch.ones(1, requires_grad=True)
    scaler = torch.amp.GradScaler("cpu")
    plain = torch.optim.SGD([p], lr=1.0)
    optimizer = AcceleratedOptimizer(plain, device_placement=False, scaler=scaler)
    scheduler = AcceleratedScheduler(get_linear_schedule_with_warmup(plain, 2, len(SCHEDULE)), [optimizer])
    rows = []
    for overflows in SCHEDULE:
        (p * (float("inf") if overflows else 1.0)).backward(scaler.scale(torch.ones(1)))
        scaler.unscale_(plain)
        rate, before = scheduler.get_last_lr()[0], p.item()
        optimizer.step()
        if not optimizer.step_was_skipped:
            scheduler.step()
        optimizer.zero_grad()
        rows.append({"overflows": overflows, "rate": rate, "changed": p.item() != before, "state": state(scaler)})
    return {"warmup": 2, "steps": rows}


result = {
    "torch": torch.__version__,
    "accelerate": accelerate.__version__,
    "defaults": torch.amp.GradScaler("cpu").state_dict(),
    "courses": {name: course(*of) for name, of in COURSES.items()},
    "schedule": schedule(),
}
out = Path(__file__).parents[2] / "fixtures" / "optimizers" / "loss-scale.json"
out.write_text(json.dumps(result) + "\n")
