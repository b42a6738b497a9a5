"""torch's product, one a line of standard input: {layout, m, n, k, into, torch, threads, tries} -> best seconds."""

import json
import sys
import time

import torch

tensors: dict[tuple, torch.Tensor] = {}


def held(dtype: str, *shape: int) -> torch.Tensor:
    if (dtype, shape) not in tensors:
        tensors[dtype, shape] = torch.rand(shape).sub_(0.5).to(getattr(torch, dtype))
    return tensors[dtype, shape]


def product(layout: str, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None) -> None:
    left = a.t() if layout == "tn" else a
    if c is not None:
        c.addmm_(left, b.t() if layout == "nt" else b, alpha=0.5)
    elif layout == "nt":
        torch.nn.functional.linear(left, b)
    else:
        torch.mm(left, b)


@torch.inference_mode()
def measure(layout: str, m: int, n: int, k: int, dtype: str, into: bool, threads: int, tries: int) -> float:
    torch.set_num_threads(threads)
    a = held(dtype, *((k, m) if layout == "tn" else (m, k)))
    b = held(dtype, *((n, k) if layout == "nt" else (k, n)))
    c = held(dtype, m, n) if into else None
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        product(layout, a, b, c)
        best = min(best, time.perf_counter() - start)
    return best


print(json.dumps({"torch": torch.__version__, "cpuCapability": torch.backends.cpu.get_cpu_capability()}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    sizes = {name: asked[name] for name in ("layout", "m", "n", "k", "threads", "tries")}
    print(json.dumps(measure(**sizes, dtype=asked["torch"], into=asked.get("into", False))), flush=True)
