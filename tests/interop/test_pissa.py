"""PiSSA against peft, which takes the leading part out of the base where ours leaves the base whole: the same curve, and after peft's own
conversion the same adapter. The vectors of the two decompositions have f32's error over the gap between two singular values between them."""

import json
from pathlib import Path

import pytest
import test_curves
import torch
from cells import shown
from conftest import DTYPES, our_logits, save_in_both
from safetensors.torch import load_file, save_file
from test_adapters import ROWS, assert_close, logits_of
from test_curves import compare, our_run, reference_run, relative
from test_low_rank import assert_merged, base_of, check_trained_adapter, exported, lora

METHODS = {
    "pissa": {},
    "pissa with dora": {"use_dora": True},
    "pissa with rslora": {"use_rslora": True},
}


def saved(folder: Path) -> tuple[dict[str, torch.Tensor], dict]:
    return load_file(folder / "adapter_model.safetensors"), json.loads((folder / "adapter_config.json").read_text())


def products(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """B A of every module, and what else there is: a pair of singular vectors may have either sign."""
    rest = {name: tensor for name, tensor in tensors.items() if "lora_A" not in name and "lora_B" not in name}
    return rest | {name: tensor @ tensors[name.replace("lora_B", "lora_A")] for name, tensor in tensors.items() if "lora_B" in name}


def keep_magnitudes(model, folder: Path) -> None:
    """Puts what peft's conversion leaves out, and warns of when it loads the file, where it belongs."""
    from peft import get_peft_model_state_dict

    tensors, _ = saved(folder)
    magnitudes = {name: tensor for name, tensor in get_peft_model_state_dict(model).items() if "lora_magnitude_vector" in name}
    assert magnitudes and not magnitudes.keys() & tensors.keys()
    save_file(tensors | magnitudes, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_the_curve_and_the_converted_adapter_are_pefts(method: str, tmp_path: Path, monkeypatch) -> None:
    from peft import PeftModel, get_peft_model

    monkeypatch.setattr(test_curves, "STEPS", 20)
    flags = METHODS[method]
    model, final = tmp_path / "f32", tmp_path / "final"
    save_in_both(tmp_path, seed=11, attention_bias=True)
    theirs = get_peft_model(base_of(model), lora(init_lora_weights="pissa", **flags))
    # As LlamaFactory does: what is converted must not say that it changes the base.
    theirs.peft_config["default"].init_lora_weights = True
    theirs.save_pretrained(tmp_path / "init")
    log = reference_run(theirs, tmp_path / "theirs", 1e-2, 1.0)
    theirs.save_pretrained(final, path_initial_model_for_weight_conversion=str(tmp_path / "init"))
    if "use_dora" in flags:
        keep_magnitudes(theirs, final)
    other, reference = saved(final)
    for dtype in DTYPES:
        output = tmp_path / f"ours-{dtype}"
        places = dict(model_name_or_path=str(tmp_path / dtype), output_dir=str(output))
        ours = our_run(tmp_path, 1e-2, 1.0, lora_rank=4, lora_alpha=8, pissa_init=True, pissa_iter=-1, **places, **flags)
        compare(ours, log, slack=10)
        mine, settings = saved(output)
        assert [settings[key] for key in ("r", "init_lora_weights")] == [reference[key] for key in ("r", "init_lora_weights")] == [8, True]
        assert settings["lora_alpha"] == pytest.approx(reference["lora_alpha"], rel=1e-12)
        assert {name: tensor.shape for name, tensor in mine.items()} == {name: tensor.shape for name, tensor in other.items()}
        mine = products(mine)
        for name, product in products(other).items():
            assert relative(mine[name], product) <= 1e-4, name
        if method == "pissa":
            shown(method, dtype, "trains", "gradients")

    # peft's file of it here: plain LoRA of twice the rank on the whole base.
    loaded = PeftModel.from_pretrained(base_of(model), final).eval()
    assert_close(our_logits(model, ROWS, tmp_path, adapter=final), logits_of(loaded, ROWS), 1e-5)
    assert_merged(exported(model, final, tmp_path / "merged"), loaded)
    if method == "pissa":
        shown(method, "f32", "loads from peft")


@pytest.mark.parametrize("method", METHODS)
def test_our_adapter_loads_and_merges_in_peft(method: str, tmp_path: Path) -> None:
    settings = {"pissa_init": True, "pissa_iter": 4, "loraplus_lr_ratio": 4, "additional_target": "lm_head", **METHODS[method]}
    check_trained_adapter(tmp_path, **settings)
    if method == "pissa":
        shown(method, "f32", "loads in peft", "merges")
