"""Our f32 logits are no further from transformers' float64 run than twice transformers' own float32 run is."""

import os
from pathlib import Path

import pytest
import torch
from conftest import our_logits, save_tiny
from float64 import in_float64

LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
MODELS = {
    "multi-head": dict(num_key_value_heads=6),
    "grouped 3:1": dict(),
    "multi-query": dict(num_key_value_heads=1),
    "tied": dict(tie_word_embeddings=True),
    "linear rope": dict(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}),
    "dynamic rope, past the trained length": dict(max_position_embeddings=24, rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}),
    "dynamic rope, within it": dict(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}),
    "llama3 rope": dict(rope_parameters=LLAMA3),
    "large theta": dict(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    "biases": dict(attention_bias=True, mlp_bias=True),
    "odd sizes": dict(hidden_size=35, num_attention_heads=5, num_key_value_heads=5, head_dim=14, intermediate_size=61, vocab_size=397),
    "wide heads": dict(hidden_size=64, num_attention_heads=2, num_key_value_heads=1, head_dim=48, num_hidden_layers=3),
    "one layer, tied, epsilon 1e-6": dict(num_hidden_layers=1, tie_word_embeddings=True, rms_norm_eps=1e-6),
    "deep": dict(num_hidden_layers=6, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40),
}


def compare(model, ours: list[torch.Tensor], rows: list[list[int]]) -> None:
    """Over all rows together: a row of one token alone may be right in float32 by luck."""
    exact = in_float64(model)
    with torch.no_grad():
        truth = torch.cat([exact(torch.tensor([row])).logits[0] for row in rows])
        theirs = torch.cat([model(torch.tensor([row])).logits[0] for row in rows]).double()
    assert [len(mine) for mine in ours] == [len(row) for row in rows]
    own, reference = (torch.cat(ours).double() - truth).abs(), (theirs - truth).abs()
    rms = lambda error: float(error.pow(2).mean().sqrt())  # noqa: E731
    assert rms(own) <= 2 * rms(reference), (rms(own), rms(reference))
    assert own.max() <= 2 * reference.max() + 1e-9 * truth.abs().max(), (float(own.max()), float(reference.max()))


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_random_llamas(name: str, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", seed=len(name), **MODELS[name])
    torch.manual_seed(1)
    # Dynamic RoPE stretches with the longest sequence of a batch, as it does there: rows of one length.
    lengths = (40, 40) if "past" in name else (40, 1, 17)
    rows = [torch.randint(0, model.config.vocab_size, (length,)).tolist() for length in lengths]
    compare(model, our_logits(tmp_path / "model", rows, tmp_path), rows)


def test_logits_of_smollm2_from_gguf(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    gguf = Path(os.environ["TEMPER_SMOLLM2"])
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    torch.manual_seed(2)
    rows = [torch.randint(0, 49152, (length,)).tolist() for length in (48, 7)]
    compare(model, our_logits(gguf, rows, tmp_path), rows)
