"""Writes fixtures/kernels/torch-ops.json: layer ops and their gradients by torch's autograd in f64.

Run with the reference environment (torch 2.13.0): python tools/python/make_kernel_ops.py
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
cases = {}


def leaf(*shape):
    """Numbers that f32 holds exactly."""
    return torch.randn(*shape).float().double().requires_grad_(True)


def record(name, inputs, output, extra=None):
    g = torch.randn_like(output).float().double()
    grads = torch.autograd.grad(output, list(inputs.values()), g)
    tensors = {**inputs, "g": g, "y": output, **{f"d{key}": grad for key, grad in zip(inputs, grads)}, **(extra or {})}
    cases[name] = {key: {"shape": list(t.shape), "values": t.detach().flatten().tolist()} for key, t in tensors.items()}


x, w = leaf(5, 12), leaf(12)
record("rmsNorm", {"x": x, "w": w}, F.rms_norm(x, (12,), w, 1e-5))

gate, up = leaf(4, 7), leaf(4, 7)
record("swiglu", {"gate": gate, "up": up}, F.silu(gate) * up)

# Llama's rotate_half on 2 heads of 8, positions 3 … 7.
x = leaf(5, 2, 8)
frequencies = 10000.0 ** (-torch.arange(4) / 4)
angles = torch.outer(torch.arange(3.0, 8.0), frequencies)
cos, sin = (torch.cat([t, t], -1)[:, None] for t in (angles.cos().float().double(), angles.sin().float().double()))
rotated = torch.cat([-x[..., 4:], x[..., :4]], -1)
record("rope", {"x": x}, x * cos + rotated * sin, {"frequencies": frequencies})

# Two packed rows of 4 and 6, 4 query heads on 2 key heads of 8.
q, k, v = leaf(10, 4, 8), leaf(10, 2, 8), leaf(10, 2, 8)
outputs = []
for rows in (slice(0, 4), slice(4, 10)):
    heads = [t[rows].transpose(0, 1) for t in (q, k, v)]
    o = F.scaled_dot_product_attention(*(t[None] for t in heads), is_causal=True, enable_gqa=True)
    outputs.append(o[0].transpose(0, 1))
record("attention", {"q": q, "k": k, "v": v}, torch.cat(outputs))

labels = torch.tensor([3, -100, 0, 8, 8, -100])
h, w = leaf(6, 5), leaf(9, 5)
record("linearCrossEntropy", {"h": h, "w": w}, F.cross_entropy(h @ w.T, labels, reduction="sum")[None], {"labels": labels})
record("linearLogProb", {"h": h, "w": w}, -F.cross_entropy(h @ w.T, labels, reduction="none"), {"labels": labels})

for kind in ("relu", "silu", "tanh"):
    x = leaf(4, 7)
    record(kind, {"x": x}, getattr(torch, kind)(x) if kind != "silu" else F.silu(x))

# Two skew-symmetric blocks of 3 from their upper triangles, and their rotations of rows.
a, x = leaf(2, 3), leaf(4, 2, 3)
skew = torch.zeros(2, 3, 3).index_put((torch.tensor([[0], [1]]), *torch.triu_indices(3, 3, 1)), a)
skew, eye = skew - skew.mT, torch.eye(3)
rotation = torch.linalg.solve(eye + skew, eye - skew, left=False)
record("rotations", {"a": a, "x": x}, torch.einsum("nrk,rkc->nrc", x, rotation))

# What Gemma 2 adds; after all others, whose numbers stay.
gate, up = leaf(4, 7), leaf(4, 7)
record("geglu", {"gate": gate, "up": up}, F.gelu(gate, approximate="tanh") * up)

q, k, v = leaf(10, 4, 8), leaf(10, 2, 8), leaf(10, 2, 8)
outputs = []
for rows in (slice(0, 4), slice(4, 10)):
    queries, keys, values = (t[rows].transpose(0, 1) for t in (q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)))
    scores = 0.7 * torch.tanh(queries @ keys.mT * 8**-0.5 / 0.7)
    distance = torch.arange(scores.shape[-1])[:, None] - torch.arange(scores.shape[-1])
    weights = scores.masked_fill((distance < 0) | (distance >= 3), -torch.inf).softmax(-1)
    outputs.append((weights @ values).transpose(0, 1))
record("attention in a window of 3, capped at 0.7", {"q": q, "k": k, "v": v}, torch.cat(outputs))

h, w = leaf(6, 5), leaf(9, 5)
capped = lambda: 1.5 * torch.tanh(h @ w.T / 1.5)  # noqa: E731
record("linearCrossEntropy capped at 1.5", {"h": h, "w": w}, F.cross_entropy(capped(), labels, reduction="sum")[None], {"labels": labels})
record("linearLogProb capped at 1.5", {"h": h, "w": w}, -F.cross_entropy(capped(), labels, reduction="none"), {"labels": labels})

x = leaf(3, 5)
record("exp", {"x": x}, x.exp())
x = (20 * torch.randn(4, 9)).float().double().requires_grad_(True)
record("logSigmoid", {"x": x}, F.logsigmoid(x))
x = (-torch.logspace(-5, 1, 40)).float().double().requires_grad_(True)
record("logOneMinusExp", {"x": x}, torch.log(-torch.expm1(x)))

x = leaf(4, 7)
record("sqrt", {"x": x}, torch.sqrt(x * x))
for shape in ((5, 8), (8, 5)):
    x = leaf(*shape)
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    # A product of the vectors has no sign to choose.
    record(f"svd of {shape[0]} × {shape[1]}", {"x": x}, u[:, :3] @ vt[:3], {"s": s[:3]})

# Both outputs side by side.
x, delta, w = leaf(5, 12), leaf(5, 12), leaf(12)
sums = x + delta
record("addRmsNorm", {"x": x, "delta": delta, "w": w}, torch.cat([sums, F.rms_norm(sums, (12,), w, 1e-5)], 1))

out = Path(__file__).parents[2] / "fixtures" / "kernels"
out.mkdir(parents=True, exist_ok=True)
(out / "torch-ops.json").write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")
