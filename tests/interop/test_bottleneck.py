"""Bottleneck adapters against fixtures of the `adapters` library, which tools/python/make_adapters_cases.py makes."""

import json
import shutil
from pathlib import Path

import pytest
import test_curves
import torch
from cells import shown
from conftest import ROOT, our_logits, save_in_both, temper
from safetensors.torch import load_file, save_file
from test_adapters import ROWS, assert_close, logits_of, train_config
from test_curves import compare, compare_on_both, our_run, reference_run
from test_virtual import our_greedy

FIXTURES = ROOT / "fixtures" / "adapters"
MODEL = ROOT / "fixtures" / "llamafactory" / "model"
NAMES = ["pfeiffer", "houlsby"]
OURS = {"pfeiffer": {"finetuning_type": "pfeiffer"}, "houlsby": {"finetuning_type": "houlsby", "reduction_factor": 8}}


def expected(name: str):
    folder = FIXTURES / name
    values, logits = json.loads((folder / "expected.json").read_text()), load_file(folder / "expected.safetensors")
    return values, [logits[f"logits.{at}"] for at in range(len(values["rows"]))]


class Bottleneck(torch.nn.Module):
    def __init__(self, width: int, hidden: int, activation):
        super().__init__()
        self.adapter_down = torch.nn.Sequential(torch.nn.Linear(hidden, width), activation())
        self.adapter_up = torch.nn.Linear(width, hidden)

    def forward(self, x):
        return x + self.adapter_up(self.adapter_down(x))


def bottlenecked(model, folder: Path):
    """A model of transformers with the adapters of a folder in it, for bases that the library was never run on."""
    settings, tensors = json.loads((folder / "adapter_config.json").read_text()), load_file(folder / "adapter.safetensors")
    name, config = settings["name"], settings["config"]
    activation = {"relu": torch.nn.ReLU, "swish": torch.nn.SiLU}[config["non_linearity"]]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for layer in model.model.layers:
        after_mlp = layer if config["original_ln_before"] else layer.mlp
        places = {"attention_adapters": (config["mh_adapter"], layer.self_attn), "output_adapters": (config["output_adapter"], after_mlp)}
        for place, (used, module) in places.items():
            if not used:
                continue
            adapter = Bottleneck(model.config.hidden_size // int(config["reduction_factor"]), model.config.hidden_size, activation)
            layer.add_module(place, torch.nn.ModuleDict({"adapters": torch.nn.ModuleDict({name: adapter})}))
            module.register_forward_hook(lambda _, __, out, on=adapter: (on(out[0]), *out[1:]) if isinstance(out, tuple) else on(out))
    loaded = model.load_state_dict(tensors, strict=False)
    assert not loaded.unexpected_keys and not any("adapters" in key for key in loaded.missing_keys), loaded
    return model


def base_of(model: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_of_the_library_here(name: str, tmp_path: Path) -> None:
    values, logits = expected(name)
    assert_close(our_logits(MODEL, values["rows"], tmp_path, adapter=FIXTURES / name), logits, 1e-5)
    assert_close(logits_of(bottlenecked(base_of(MODEL), FIXTURES / name), values["rows"]), logits, 1e-6)
    assert our_greedy(MODEL, values["rows"], tmp_path, FIXTURES / name) == values["answers"]
    shown(name, "f32", "loads from peft", mark="from adapters")


@pytest.mark.parametrize("name", NAMES)
def test_curve(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values, _ = expected(name)
    monkeypatch.setattr(test_curves, "STEPS", len(values["log"]))
    shutil.copytree(MODEL, tmp_path / "model")
    ours = our_run(tmp_path, 1e-2, 1.0, adapter_name_or_path=str(FIXTURES / name), **OURS[name])
    compare(ours, values["log"], learned=0.9)
    shown(name, "f32", "trains", "gradients")


@pytest.mark.parametrize("name", NAMES)
def test_curve_and_final_adapter_of_its_layers_in_torch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_curves, "STEPS", 20)
    save_in_both(tmp_path, seed=11)
    shutil.copytree(FIXTURES / name, tmp_path / "adapter")
    theirs = bottlenecked(base_of(tmp_path / "f32"), tmp_path / "adapter")
    log = reference_run(theirs, tmp_path / "theirs", 1e-2, 1.0)
    (tmp_path / "final").mkdir()
    save_file({key: tensor for key, tensor in theirs.state_dict().items() if "_adapters." in key}, tmp_path / "final" / "adapter.safetensors")
    compare_on_both(name, tmp_path, log, tmp_path / "final", 1e-2, learned=0.9, **OURS[name])


@pytest.mark.parametrize("name", NAMES)
def test_our_files_are_those_of_the_library(name: str, tmp_path: Path) -> None:
    temper("train", str(train_config(MODEL, tmp_path, **OURS[name])), cwd=tmp_path)
    folders = [tmp_path / "saves", FIXTURES / name]
    ours, theirs = (json.loads((folder / "adapter_config.json").read_text()) for folder in folders)
    assert {**ours, "model_name": None} == {**theirs, "model_name": None}
    # The library takes a scale that is an int for the name of a method.
    assert isinstance(ours["config"]["scaling"], float)
    mine, other = (load_file(folder / "adapter.safetensors") for folder in folders)
    assert {key: tensor.shape for key, tensor in mine.items()} == {key: tensor.shape for key, tensor in other.items()}
    assert all(tensor.dtype == torch.float32 for tensor in mine.values())
    theirs = bottlenecked(base_of(MODEL), tmp_path / "saves")
    assert_close(our_logits(MODEL, ROWS, tmp_path, adapter=tmp_path / "saves"), logits_of(theirs, ROWS), 1e-5)
    shown(name, "f32", "loads in peft", mark="as adapters")
