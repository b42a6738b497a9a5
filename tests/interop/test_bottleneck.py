"""Bottleneck adapters against fixtures of the `adapters` library, which tools/python/make_adapters_cases.py makes."""

import json
import shutil
from pathlib import Path

import pytest
import test_curves
import torch
from cells import shown
from conftest import ROOT, our_logits, temper
from safetensors.torch import load_file
from test_adapters import assert_close, train_config
from test_curves import compare, our_run
from test_virtual import our_greedy

FIXTURES = ROOT / "fixtures" / "adapters"
MODEL = ROOT / "fixtures" / "llamafactory" / "model"
NAMES = ["pfeiffer", "houlsby"]
OURS = {"pfeiffer": {"finetuning_type": "pfeiffer"}, "houlsby": {"finetuning_type": "houlsby", "reduction_factor": 8}}


def expected(name: str):
    folder = FIXTURES / name
    values, logits = json.loads((folder / "expected.json").read_text()), load_file(folder / "expected.safetensors")
    return values, [logits[f"logits.{at}"] for at in range(len(values["rows"]))]


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_of_the_library_here(name: str, tmp_path: Path) -> None:
    values, logits = expected(name)
    assert_close(our_logits(MODEL, values["rows"], tmp_path, adapter=FIXTURES / name), logits, 1e-5)
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
