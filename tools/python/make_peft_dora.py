"""Writes fixtures/peft/dora.json: a DoRA layer of peft in training, its dropout a given mask, and its gradients.

Run with the reference environment (peft 0.21.0): python tools/python/make_peft_dora.py
"""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model


class Mask(torch.nn.Module):
    def __init__(self, mask: torch.Tensor):
        super().__init__()
        self.mask = mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask


def layer_case(bias: bool, rate: float) -> dict:
    model = torch.nn.Sequential(torch.nn.Linear(6, 5, bias=bias))
    layer = get_peft_model(model, LoraConfig(r=2, lora_alpha=3, lora_dropout=rate, use_dora=True, target_modules=["0"])).train().base_model.model[0]
    initial = layer.lora_magnitude_vector["default"].weight.detach().clone()
    parameters = {
        "A": layer.lora_A["default"].weight, "B": layer.lora_B["default"].weight, "m": layer.lora_magnitude_vector["default"].weight,
    }
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(torch.randn_like(parameter))
    x, mask = torch.randn(4, 6, requires_grad=True), (torch.rand(4, 6) >= rate) / (1 - rate)
    if rate > 0:
        layer.lora_dropout["default"] = Mask(mask)
    y = layer(x)
    g = torch.randn_like(y)
    wanted = {"x": x, **parameters}
    gradients = torch.autograd.grad(y, list(wanted.values()), g)
    tensors = {
        **wanted, "W": layer.base_layer.weight, "initial": initial, "g": g, "y": y,
        **({"b": layer.base_layer.bias} if bias else {}), **({"mask": mask} if rate > 0 else {}),
        **{f"d{name}": gradient for name, gradient in zip(wanted, gradients)},
    }
    return {name: {"shape": list(tensor.shape), "values": tensor.detach().flatten().tolist()} for name, tensor in tensors.items()}


torch.manual_seed(5)
cases = {
    "plain": layer_case(bias=False, rate=0),
    "with a bias": layer_case(bias=True, rate=0),
    "with dropout": layer_case(bias=False, rate=0.4),
    "with dropout and a bias": layer_case(bias=True, rate=0.4),
}
out = Path(__file__).resolve().parents[2] / "fixtures/peft/dora.json"
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps(cases) + "\n")
