"""The low-rank methods against peft: curves from one adapter, files both ways, merges. test_bases.py has other bases."""

from pathlib import Path

import pytest
import test_curves
import torch
from cells import shown
from conftest import our_logits, save_in_both, save_tiny, temper
from safetensors.torch import load_file
from test_adapters import ROWS, TARGETS, assert_close, logits_of, train_config
from test_curves import compare_on_both, reference_run

PLACES = {"target_modules": TARGETS, "task_type": "CAUSAL_LM"}
PATTERNS = {"rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 5}, "alpha_pattern": {"v_proj": 11}}


def lora(**more):
    from peft import LoraConfig

    return LoraConfig(**{"r": 4, "lora_alpha": 8, **PLACES, **more})


def dora(**more):
    return lora(use_dora=True, **more)


def loha(**more):
    from peft import LoHaConfig

    return LoHaConfig(**{"r": 4, "alpha": 16, **PLACES, **more})


def vera(**more):
    from peft import VeraConfig

    own = {key: value for key, value in more.items() if "pattern" not in key}
    return VeraConfig(**{"r": 96, "d_initial": 3.0, "projection_prng_key": 5, **PLACES, **own})


# name → (configuration of peft, the settings here that make the same adapter)
METHODS = {
    "lora": (lora, {}),
    "dora": (dora, {"use_dora": True}),
    "dora with rslora": (lambda **more: dora(use_rslora=True, **more), {"use_dora": True, "use_rslora": True}),
    "loha": (loha, {"finetuning_type": "loha", "lora_dropout": 0}),
    "vera": (vera, {"finetuning_type": "vera", "vera_rank": 24, "vera_dropout": 0.1}),
}

def base_of(folder: Path):
    """The stored weights, computed with in f32 as here."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def save_adapter(model: Path, adapter: Path, config, noise: float = 0) -> None:
    from peft import get_peft_model

    torch.manual_seed(4)
    made = get_peft_model(base_of(model), config)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(noise * torch.randn_like(parameter))
    made.save_pretrained(adapter)


def exported(model: Path, adapter: Path, folder: Path) -> dict[str, torch.Tensor]:
    temper("export", f"model_name_or_path={model}", f"adapter_name_or_path={adapter}", "template=chatml",
           f"export_dir={folder}", "infer_dtype=float32", cwd=folder.parent)
    return load_file(folder / "model.safetensors")


def assert_merged(ours: dict[str, torch.Tensor], theirs) -> None:
    reference = theirs.merge_and_unload().state_dict()
    for name, weight in ours.items():
        assert (weight - reference[name]).abs().max() <= 1e-6 * reference[name].abs().max(), name


def check_trained_adapter(folder: Path, **settings) -> None:
    """Trains one with dropout; peft loads it without a warning, and both merges are the same."""
    from peft import PeftModel

    model, saves = folder / "model", folder / "saves"
    save_tiny(model)
    temper("train", str(train_config(model, folder, **{"lora_dropout": 0.1, **settings})), cwd=folder)
    base = base_of(model)
    plain = logits_of(base, ROWS)
    theirs = PeftModel.from_pretrained(base, saves).eval()
    assert (logits_of(theirs, ROWS)[0] - plain[0]).abs().max() > 1e-3, "the adapter does nothing: its keys did not match"
    assert_close(our_logits(model, ROWS, folder, adapter=saves), logits_of(theirs, ROWS), 1e-5)
    assert_merged(exported(model, saves, folder / "merged"), theirs)


@pytest.mark.parametrize("method", METHODS)
def test_the_curve_and_the_final_adapter_are_pefts(method: str, tmp_path: Path, monkeypatch) -> None:
    from peft import PeftModel

    monkeypatch.setattr(test_curves, "STEPS", 20)
    make, _ = METHODS[method]
    save_in_both(tmp_path, seed=11, attention_bias=True)
    save_adapter(tmp_path / "f32", tmp_path / "adapter", make())
    theirs = PeftModel.from_pretrained(base_of(tmp_path / "f32"), tmp_path / "adapter", is_trainable=True)
    log = reference_run(theirs, tmp_path / "theirs", 2e-2, 1.0)
    theirs.save_pretrained(tmp_path / "final")
    compare_on_both(method, tmp_path, log, tmp_path / "final", 2e-2)


@pytest.mark.parametrize("method", METHODS)
def test_our_adapter_loads_and_merges_in_peft(method: str, tmp_path: Path) -> None:
    _, settings = METHODS[method]
    check_trained_adapter(tmp_path, **settings)
    shown(method, "f32", "loads in peft")


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_of_peft_loads_and_merges_here(method: str, tmp_path: Path) -> None:
    from peft import PeftModel

    make, _ = METHODS[method]
    model, adapter = tmp_path / "model", tmp_path / "adapter"
    save_tiny(model, seed=3, attention_bias=True, mlp_bias=True)
    save_adapter(model, adapter, make(r=3, **PATTERNS), noise=0.1)
    theirs = PeftModel.from_pretrained(base_of(model), adapter).eval()
    assert_close(our_logits(model, ROWS, tmp_path, adapter=adapter), logits_of(theirs, ROWS), 1e-5)
    assert_merged(exported(model, adapter, tmp_path / "merged"), theirs)
    shown(method, "f32", "loads from peft", "merges")
