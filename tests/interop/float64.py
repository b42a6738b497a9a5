"""A transformers model in float64 throughout: its RMSNorm, RoPE and softmax otherwise compute in float32 whatever the weights are."""

import copy
import math
import types

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask


def rms_norm(self, hidden):
    return self.weight * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


def gemma_rms_norm(self, hidden):
    return (1 + self.weight) * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.eps)


def attention(module, query, key, value, mask, scaling, softcap=None, **_):
    key, value = (x.repeat_interleave(module.num_key_value_groups, 1) for x in (key, value))
    scores = query @ key.mT * scaling
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    return ((scores + mask).softmax(-1) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register("float64", attention)
AttentionMaskInterface.register("float64", eager_mask)


def frequencies(config, dim: int, length: int) -> torch.Tensor:
    """Inverse frequencies in float64 from the published formulas."""
    rope = config.rope_parameters
    theta, kind, factor = rope["rope_theta"], rope.get("rope_type", "default"), rope.get("factor", 1.0)
    exponents = torch.arange(0, dim, 2, dtype=torch.float64) / dim
    if kind == "dynamic" and length > config.max_position_embeddings:
        theta = theta * ((factor * length / config.max_position_embeddings) - (factor - 1)) ** (dim / (dim - 2))
    plain = theta ** -exponents
    if kind == "linear":
        return plain / factor
    if kind == "longrope":
        return plain / torch.tensor(rope["long_factor" if length > rope["original_max_position_embeddings"] else "short_factor"], dtype=torch.float64)
    if kind != "llama3":
        return plain
    low, high, trained = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    wave = 2 * math.pi / plain
    smooth = (trained / wave - low) / (high - low)
    blended = (1 - smooth) * plain / factor + smooth * plain
    return torch.where(wave > trained / low, plain / factor, torch.where(wave < trained / high, plain, blended))


def amplitude(config) -> float:
    rope = config.rope_parameters
    if rope.get("rope_type") != "longrope":
        return 1.0
    trained = rope["original_max_position_embeddings"]
    factor = rope.get("factor", config.max_position_embeddings / trained)
    return rope.get("attention_factor", math.sqrt(1 + max(0.0, math.log(factor)) / math.log(trained)))


def rotary(self, x, position_ids):
    dim = getattr(self.config, "head_dim", None) or self.config.hidden_size // self.config.num_attention_heads
    dim = int(dim * self.config.rope_parameters.get("partial_rotary_factor", 1.0))
    inverse = frequencies(self.config, dim, int(position_ids.max()) + 1)
    angles = position_ids[..., None].double() * inverse
    both = torch.cat((angles, angles), dim=-1)
    return both.cos() * amplitude(self.config), both.sin() * amplitude(self.config)


def in_float64(model):
    """A float64 copy of a transformers model with norms, rotations and softmax in float64."""
    exact = copy.deepcopy(model).double()
    exact.set_attn_implementation("float64")
    for module in exact.modules():
        kind = type(module).__name__
        if kind.endswith("RMSNorm"):
            module.forward = types.MethodType(gemma_rms_norm if kind.startswith("Gemma") else rms_norm, module)
        elif kind.endswith("RotaryEmbedding"):
            module.forward = types.MethodType(rotary, module)
    return exact
