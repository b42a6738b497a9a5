"""One optimizer step of transformers + peft: what both paired benches compare with."""

import time
from contextlib import nullcontext

import torch


def step(model, optimizer, ids: torch.Tensor, max_norm: float, forward=nullcontext) -> dict:
    """Every token a label; the forward pass within `forward()`. Reading the loss waits for a GPU."""
    parameters = optimizer.param_groups[0]["params"]
    started = time.perf_counter()
    with forward():
        loss = model(input_ids=ids, labels=ids, use_cache=False, num_items_in_batch=ids.numel()).loss
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()
    optimizer.zero_grad()
    loss, norm = loss.item(), norm.item()
    return {"loss": loss, "gradNorm": norm, "seconds": time.perf_counter() - started}
