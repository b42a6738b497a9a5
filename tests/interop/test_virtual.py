"""Methods that wrap no projection, ours against peft: virtual tokens and prefixes of keys and values."""

import json
from pathlib import Path

import pytest
import test_curves
import torch
from cells import shown
from conftest import node_script, our_logits, save_in_both, save_tiny, temper
from safetensors.torch import load_file
from test_adapters import ROWS, assert_close, logits_of, train_config
from test_curves import compare, compare_on_both, our_run, reference_run, relative

TOKENS = 12


def greedy_of(model, rows):
    """Greedy decoding by a full forward pass a token: no cache that could be wrong in the same way."""
    answers = []
    for row in rows:
        longer = list(row)
        for _ in range(TOKENS):
            longer.append(int(logits_of(model, [longer])[0][-1].argmax()))
        answers.append(longer[len(row):])
    return answers


def our_greedy(model: Path, rows, folder: Path, adapter: Path):
    request, answer = folder / "prompts.json", folder / "answers.json"
    request.write_text(json.dumps(rows))
    node_script("greedy.mjs", str(model), str(request), str(answer), str(adapter), str(TOKENS))
    return json.loads(answer.read_text())


def peft_config(name: str, model: Path):
    from peft import PrefixTuningConfig, PromptTuningConfig

    text = dict(prompt_tuning_init="TEXT", prompt_tuning_init_text="river stone", tokenizer_name_or_path=str(model))
    make = {
        "prompt": lambda: PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "prompt from text": lambda: PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=7, **text),
        "prefix": lambda: PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
        "projected prefix": lambda: PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, prefix_projection=True, encoder_hidden_size=24),
    }
    return make[name]()


OURS = {
    "prompt": {"finetuning_type": "prompt_tuning", "num_virtual_tokens": 5},
    "prompt from text": {"finetuning_type": "prompt_tuning", "num_virtual_tokens": 7, "prompt_tuning_init": "TEXT", "prompt_tuning_init_text": "river stone"},
    "prefix": {"finetuning_type": "prefix_tuning", "num_virtual_tokens": 5},
    "projected prefix": {"finetuning_type": "prefix_tuning", "num_virtual_tokens": 5, "prefix_projection": True, "encoder_hidden_size": 24},
}


def base_of(model: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


def method_of(name: str) -> str:
    return "prompt tuning" if name.startswith("prompt") else "prefix tuning"


@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_curve_of_a_peft_adapter(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import get_peft_model

    monkeypatch.setattr(test_curves, "STEPS", 30)
    save_in_both(tmp_path, seed=11)
    torch.manual_seed(12)
    model = get_peft_model(base_of(tmp_path / "f32"), peft_config(name, tmp_path / "f32"))
    model.save_pretrained(tmp_path / "adapter")
    theirs = reference_run(model, tmp_path / "theirs", 0.03, 1.0)
    model.save_pretrained(tmp_path / "final")
    start, other = (load_file(tmp_path / folder / "adapter_model.safetensors") for folder in ("adapter", "final"))
    for key in other:
        assert relative(other[key], start[key]) > 0.1, "the reference hardly moved: the comparison would be empty"
    more = dict(finetuning_type=OURS[name]["finetuning_type"], max_steps=30)
    compare_on_both(method_of(name), tmp_path, theirs, tmp_path / "final", 0.03, learned=0.98, **more)


def test_curve_of_a_projected_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """peft saves what the network makes, never the network: ours starts, and peft's gets its starting values."""
    from peft import get_peft_model

    monkeypatch.setattr(test_curves, "STEPS", 30)
    model = tmp_path / "model"
    save_tiny(model, seed=11)
    our_run(tmp_path, 0, 1.0, **OURS["projected prefix"], max_steps=1)
    start = load_file(tmp_path / "ours" / "trained_parameters.safetensors")
    theirs = get_peft_model(base_of(model), peft_config("projected prefix", model))
    theirs.prompt_encoder["default"].load_state_dict(start)
    reference = reference_run(theirs, tmp_path / "theirs", 0.01, 1.0)
    compare(our_run(tmp_path, 0.01, 1.0, **OURS["projected prefix"], max_steps=30, overwrite_output_dir=True), reference, learned=0.98)
    mine, other = load_file(tmp_path / "ours" / "trained_parameters.safetensors"), theirs.prompt_encoder["default"].state_dict()
    assert mine.keys() == other.keys()
    for key in other:
        assert relative(other[key], start[key]) > 0.03, "the reference hardly moved: the comparison would be empty"
        assert relative(mine[key], other[key]) <= 1e-4, key


@pytest.mark.parametrize("name", OURS)
def test_our_adapter_in_peft_and_greedy_decoding(name: str, tmp_path: Path) -> None:
    from peft import PeftModel, get_peft_model

    model, saves = tmp_path / "model", tmp_path / "saves"
    save_tiny(model)
    temper("train", str(train_config(model, tmp_path, **OURS[name])), cwd=tmp_path)
    adapted = PeftModel.from_pretrained(base_of(model), saves).eval()
    theirs = logits_of(adapted, ROWS)
    assert (theirs[0][-len(ROWS[0]):] - logits_of(base_of(model), ROWS)[0]).abs().max() > 1e-3, "the adapter does nothing"
    assert_close(our_logits(model, ROWS, tmp_path, adapter=saves), [logits[-len(row):] for logits, row in zip(theirs, ROWS, strict=True)], 1e-5)
    assert our_greedy(model, ROWS, tmp_path, saves) == greedy_of(adapted, ROWS)
    get_peft_model(base_of(model), peft_config(name, model)).save_pretrained(tmp_path / "theirs")
    written, expected = (json.loads((folder / "adapter_config.json").read_text()) for folder in (saves, tmp_path / "theirs"))
    assert {**written, "base_model_name_or_path": None} == {**expected, "base_model_name_or_path": None}
    shown(method_of(name), "f32", "loads in peft")


@pytest.mark.parametrize("name", ["prompt", "prefix", "projected prefix"])
def test_a_peft_adapter_here(name: str, tmp_path: Path) -> None:
    from peft import PeftModel, get_peft_model

    model, adapter = tmp_path / "model", tmp_path / "adapter"
    save_tiny(model, seed=3)
    torch.manual_seed(4)
    get_peft_model(base_of(model), peft_config(name, model)).save_pretrained(adapter)
    theirs = PeftModel.from_pretrained(base_of(model), adapter).eval()
    expected = [logits[-len(row):] for logits, row in zip(logits_of(theirs, ROWS), ROWS, strict=True)]
    assert_close(our_logits(model, ROWS, tmp_path, adapter=adapter), expected, 1e-5)
    shown(method_of(name), "f32", "loads from peft")


def test_a_text_gives_the_same_start_as_peft(tmp_path: Path) -> None:
    from peft import get_peft_model

    model = tmp_path / "model"
    save_tiny(model)
    temper("train", str(train_config(model, tmp_path, **OURS["prompt from text"], learning_rate=0, max_steps=1)), cwd=tmp_path)
    get_peft_model(base_of(model), peft_config("prompt from text", model)).save_pretrained(tmp_path / "theirs")
    ours, theirs = (load_file(tmp_path / name / "adapter_model.safetensors")["prompt_embeddings"] for name in ("saves", "theirs"))
    assert torch.equal(ours, theirs)
