"""Every architecture but Llama against transformers and peft: logits, generation, curves, and what is saved."""

import json
from pathlib import Path

import pytest
import test_curves
import torch
from conftest import node_script, our_logits, save_tiny, temper
from test_adapters import assert_close, logits_of, train_config
from test_curves import compare as compare_curves
from test_curves import our_run, reference_run, relative
from test_logits import compare
from safetensors.torch import load_file

QWEN_WINDOW = dict(use_sliding_window=True, sliding_window=6, max_window_layers=1)
GEMMA = dict(kind="Gemma2", head_dim=16, query_pre_attn_scalar=24, sliding_window=7)


def longrope(trained: int, **extra) -> dict:
    """Phi-3 whose rotation changes behind `trained` tokens."""
    factors = dict(short_factor=[1.0, 1.25, 1.75, 2.5], long_factor=[1.5, 4.0, 9.0, 14.0])
    return dict(kind="Phi3", original_max_position_embeddings=trained, rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, **factors, **extra))


# Two configurations of each kind; rows are longer than the windows. The first of a kind is trained too.
MODELS = {
    "qwen2, a window in the second layer": dict(kind="Qwen2", **QWEN_WINDOW),
    "qwen2, tied": dict(kind="Qwen2", tie_word_embeddings=True, num_key_value_heads=1, rms_norm_eps=1e-6),
    "qwen3, a window in the second layer": dict(kind="Qwen3", head_dim=10, **QWEN_WINDOW),
    "qwen3, tied, biases": dict(kind="Qwen3", head_dim=16, tie_word_embeddings=True, attention_bias=True, num_key_value_heads=6),
    "mistral, a window of 5": dict(kind="Mistral", sliding_window=5),
    "mistral, no window, wide heads": dict(kind="Mistral", sliding_window=None, head_dim=24, tie_word_embeddings=True),
    "phi3, half of each head turns, a window of 9": dict(kind="Phi3", sliding_window=9, rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}),
    "phi3 longrope, trained on 31 tokens": longrope(31),
    "phi3 longrope, at the border": longrope(40, attention_factor=1.25),
    "phi3 longrope, one past the border": longrope(39, factor=3.0),
    "phi3, tied": dict(kind="Phi3", num_key_value_heads=6, tie_word_embeddings=True),
    "olmo2, grouped heads": dict(kind="Olmo2", num_key_value_heads=3, rope_parameters={"rope_type": "linear", "rope_theta": 500000.0, "factor": 2.5}),
    "olmo2, tied, biases": dict(kind="Olmo2", tie_word_embeddings=True, attention_bias=True, head_dim=10, rms_norm_eps=1e-3),
    "gemma2, untied, low caps": dict(**GEMMA, tie_word_embeddings=False, attn_logit_softcapping=2.0, final_logit_softcapping=4.0),
    "gemma2, tied, windows in the last layer": dict(**GEMMA, tie_word_embeddings=True, attention_bias=True, layer_types=["full_attention", "sliding_attention"]),
    "gemma2, no caps": dict(**GEMMA, num_key_value_heads=6, attn_logit_softcapping=None, final_logit_softcapping=None),
}
TRAINED = list({name.split(",")[0]: name for name in reversed(MODELS)}.values())
# The longest row of a pass says how all of them turn, as it does there, and generation begins with a half of each. The
# batches of the curves have 28 to 35 tokens.
LENGTHS = {"phi3 longrope, trained on 31 tokens": (64, 50, 49), "phi3 longrope, one past the border": (40, 40)}
ROWS = [[3, 17, 250, 99, 5, 61, 300, 12, 8, 8, 41, 77, 2, 390], [12, 8, 8, 41]]


@pytest.fixture(autouse=True)
def twenty_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_curves, "STEPS", 20)


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_generation(name: str, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", seed=len(name), **MODELS[name])
    torch.manual_seed(1)
    rows = [torch.randint(0, model.config.vocab_size, (length,)).tolist() for length in LENGTHS.get(name, (40, 1, 17))]
    compare(model, our_logits(tmp_path / "model", rows, tmp_path), rows)
    if "past" not in name:
        compare(model, our_logits(tmp_path / "model", rows, tmp_path, cached=True), rows)


def test_generation_across_the_border_of_longrope(tmp_path: Path) -> None:
    """transformers 5.18 drops its cache there and passes the last token alone; what it makes without a cache is right."""
    model = save_tiny(tmp_path / "model", seed=3, **longrope(14))
    prompts = torch.tensor([ROWS[0][:10], ROWS[0][4:14]])
    theirs = model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=16, do_sample=False, use_cache=False, eos_token_id=None)
    (tmp_path / "prompts.json").write_text(json.dumps(prompts.tolist()))
    node_script("greedy.mjs", str(tmp_path / "model"), str(tmp_path / "prompts.json"), str(tmp_path / "answers.json"), "", "16")
    assert json.loads((tmp_path / "answers.json").read_text()) == theirs[:, 10:].tolist()


def load(folder: Path):
    from transformers import AutoModelForCausalLM

    gemma = "gemma2" in (folder / "config.json").read_text()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager" if gemma else "sdpa")


@pytest.mark.parametrize("name", TRAINED)
def test_lora_curve_and_merged_export(name: str, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    save_tiny(tmp_path / "model", seed=11, **MODELS[name])
    torch.manual_seed(12)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(load(tmp_path / "model"), lora).save_pretrained(tmp_path / "adapter")
    model = PeftModel.from_pretrained(load(tmp_path / "model"), tmp_path / "adapter", is_trainable=True)
    ours = our_run(tmp_path, 1e-2, 1.0, finetuning_type="lora", adapter_name_or_path=str(tmp_path / "adapter"))
    compare_curves(ours, reference_run(model, tmp_path / "theirs", 1e-2, 1.0), 0.95)
    model.save_pretrained(tmp_path / "final")
    mine, other = (load_file(tmp_path / folder / "adapter_model.safetensors") for folder in ("ours", "final"))
    assert mine.keys() == other.keys()
    for key in other:
        assert relative(mine[key], other[key]) <= 1e-4, key
    temper("export", f"model_name_or_path={tmp_path / 'model'}", f"adapter_name_or_path={tmp_path / 'ours'}", "template=chatml",
           f"export_dir={tmp_path / 'merged'}", "infer_dtype=float32", cwd=tmp_path)
    assert_close(our_logits(tmp_path / "merged", ROWS, tmp_path), logits_of(load(tmp_path / "merged"), ROWS), 1e-5)
    assert_close(logits_of(load(tmp_path / "merged"), ROWS), logits_of(PeftModel.from_pretrained(load(tmp_path / "model"), tmp_path / "ours").eval(), ROWS), 1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_full_curve_and_saved_model(name: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", seed=13, **MODELS[name])
    model = load(tmp_path / "model")
    ours = our_run(tmp_path, 2e-3, 3.0, finetuning_type="full")
    compare_curves(ours, reference_run(model, tmp_path / "theirs", 2e-3, 3.0), 0.95)
    saved = load(tmp_path / "ours")
    for key, weight in model.state_dict().items():
        assert relative(saved.state_dict()[key], weight) <= 1e-4, key
    assert_close(our_logits(tmp_path / "ours", ROWS, tmp_path), logits_of(saved, ROWS), 1e-5)


@pytest.mark.parametrize("name", [name for name in TRAINED if name.startswith(("qwen3", "phi3,"))])
def test_all_means_the_linear_layers_that_peft_finds(name: str, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    save_tiny(tmp_path / "model", seed=11, **MODELS[name])
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(load(tmp_path / "model"), lora).save_pretrained(tmp_path / "adapter")
    temper("train", str(train_config(tmp_path / "model", tmp_path, max_steps=1)), cwd=tmp_path)
    mine, other = (load_file(tmp_path / folder / "adapter_model.safetensors") for folder in ("saves", "adapter"))
    assert {key: value.shape for key, value in mine.items()} == {key: value.shape for key, value in other.items()}
