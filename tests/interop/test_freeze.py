"""Freeze tuning against transformers with the same parameters trainable: the curve, and the whole model it leaves."""

from pathlib import Path

import pytest
import test_curves
import torch
from cells import shown
from conftest import DTYPES, save_in_both
from safetensors.torch import load_file
from test_curves import compare, our_run, reference_run, relative

CASES = {
    "last-block": (dict(freeze_trainable_layers=1), ("model.layers.2.",)),
    "first-mlps-and-head": (
        dict(freeze_trainable_layers=-2, freeze_trainable_modules="mlp", freeze_extra_modules="lm_head"),
        ("model.layers.0.mlp", "model.layers.1.mlp", "lm_head"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_freeze_curve_and_final_model(name: str, tmp_path: Path, monkeypatch) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(test_curves, "STEPS", 20)
    settings, trained = CASES[name]
    save_in_both(tmp_path, seed=17, num_hidden_layers=3)
    start = load_file(tmp_path / "f32" / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "f32")
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key.startswith(trained))
    theirs = reference_run(model, tmp_path / "theirs", 2e-2, 3.0)
    for dtype in DTYPES:
        output = tmp_path / f"ours-{dtype}"
        places = dict(model_name_or_path=str(tmp_path / dtype), output_dir=str(output))
        compare(our_run(tmp_path, 2e-2, 3.0, finetuning_type="freeze", **places, **settings), theirs)
        after, loading = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32, output_loading_info=True)
        assert not any(loading.values()), loading
        for key, weight in model.named_parameters():
            mine = after.get_parameter(key).detach()
            if key.startswith(trained):
                assert relative(mine, weight.detach()) <= 1e-4, key
                assert relative(mine, start[key]) > 1e-3, f"{key} did not move"
            else:
                assert mine.equal(start[key]), f"{key} moved"
        shown("freeze", dtype, "trains", "gradients")
        shown("freeze", dtype, "loads in peft", "loads from peft", mark="whole model")
        shown("freeze", dtype, "merges", mark="nothing to merge")
