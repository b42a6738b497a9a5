"""VeRA's random matrices are torch's, bit for bit, so an adapter may be saved without them, here and by peft."""

import json
from pathlib import Path

import pytest
import torch
from conftest import our_logits, save_tiny, temper
from safetensors.torch import load_file
from test_adapters import ROWS, TARGETS, assert_close, logits_of, train_config
from test_low_rank import base_of, save_adapter, vera

KEY = 2**32 + 77


def warned():
    """peft says of every adapter without matrices that another machine may draw others."""
    return pytest.warns(UserWarning, match="Specified to not (save|load) vera_A and vera_B")


def trained(folder: Path, **settings) -> Path:
    save_tiny(folder / "model", seed=6)
    own = {"finetuning_type": "vera", "vera_rank": 40, "projection_prng_key": KEY, **settings}
    temper("train", str(train_config(folder / "model", folder, **own)), cwd=folder)
    return folder / "saves"


@pytest.mark.parametrize("targets", ["q_proj,v_proj", "k_proj,down_proj", "all"])
def test_a_fresh_adapter_has_the_matrices_and_the_configuration_of_pefts(targets: str, tmp_path: Path) -> None:
    from peft import get_peft_model

    saves = trained(tmp_path, vera_target=targets, max_steps=1)
    named = {"target_modules": TARGETS if targets == "all" else targets.split(",")}
    made = get_peft_model(base_of(tmp_path / "model"), vera(r=40, d_initial=0.1, projection_prng_key=KEY, **named))
    made.save_pretrained(tmp_path / "theirs")
    mine, other = (load_file(folder / "adapter_model.safetensors") for folder in (saves, tmp_path / "theirs"))
    assert {name: weight.shape for name, weight in mine.items()} == {name: weight.shape for name, weight in other.items()}
    for name in ("base_model.vera_A", "base_model.vera_B"):
        assert torch.equal(mine[name], other[name]), name
    ours, theirs = (json.loads((folder / "adapter_config.json").read_text()) for folder in (saves, tmp_path / "theirs"))
    # A set in peft.
    assert sorted(ours.pop("target_modules")) == sorted(theirs.pop("target_modules"))
    assert ours == {**theirs, "base_model_name_or_path": str(tmp_path / "model")}


def test_our_adapter_without_matrices_loads_in_peft(tmp_path: Path) -> None:
    from peft import PeftModel

    saves = trained(tmp_path, save_projection=False)
    assert all("lambda" in name for name in load_file(saves / "adapter_model.safetensors"))
    base = base_of(tmp_path / "model")
    plain = logits_of(base, ROWS)
    with warned():
        theirs = logits_of(PeftModel.from_pretrained(base, saves).eval(), ROWS)
    assert (theirs[0] - plain[0]).abs().max() > 1e-3
    assert_close(our_logits(tmp_path / "model", ROWS, tmp_path, adapter=saves), theirs, 1e-5)


def test_an_adapter_of_peft_without_matrices_loads_here(tmp_path: Path) -> None:
    from peft import PeftModel

    model, adapter = tmp_path / "model", tmp_path / "adapter"
    save_tiny(model, seed=3)
    with warned():
        save_adapter(model, adapter, vera(save_projection=False), noise=0.1)
        theirs = PeftModel.from_pretrained(base_of(model), adapter).eval()
    assert_close(our_logits(model, ROWS, tmp_path, adapter=adapter), logits_of(theirs, ROWS), 1e-5)
