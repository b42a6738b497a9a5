"""Added tokens and the rows they get: files and ids as transformers makes them, rows by LlamaFactory's rules, peft and exports."""

import json
import math
import subprocess
import warnings
from pathlib import Path

import pytest
import test_curves
import torch
from conftest import ROOT, TOKENIZER, our_logits, save_tiny, temper
from safetensors.torch import load_file
from test_adapters import TARGETS, assert_close, logits_of, train_config
from test_curves import compare, our_run, reference_run, tokenized

ADDED = ["<new a>", "lantern", "<new a>"]
SPECIAL = ["<|svg|>", "copper", "<|im_start|>", "<|user|>"]
TOKENS = {"add_tokens": ",".join(ADDED), "add_special_tokens": ",".join(SPECIAL)}
BEFORE, AFTER, WIDTH = 400, 448, 48
ROWS = [[3, 17, 400, 99, 5, 401, 300], [401, 8, 8, 41]]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def extended(folder: Path):
    """The tokenizer after LlamaFactory's patch_tokenizer, and the template's end of turn."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(ADDED, special_tokens=False)
    tokenizer.add_tokens(SPECIAL, special_tokens=True)
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>"})
    return tokenizer


def resized(folder: Path, count: int):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(0)
    model.resize_token_embeddings(count, pad_to_multiple_of=64)
    return model


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_an_adapter_on_a_grown_vocabulary(tied: bool, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # peft says this of every adapter that holds one of two tied layers, its own too: as for LlamaFactory they part here.
    warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
    save_tiny(tmp_path / "model", seed=20, tie_word_embeddings=tied)
    config = train_config(tmp_path / "model", tmp_path, **TOKENS)
    temper("train", str(config), cwd=tmp_path)
    saves = tmp_path / "saves"

    theirs, ours = extended(tmp_path / "model"), AutoTokenizer.from_pretrained(saves)
    assert len(ours) == len(theirs) == BEFORE + 2
    assert {i: repr(token) for i, token in ours.added_tokens_decoder.items()} == {i: repr(token) for i, token in theirs.added_tokens_decoder.items()}
    text = "a lantern<new a> of copper<|svg|>, <|im_start|>silver<new a"
    assert ours.encode(text) == theirs.encode(text)
    assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))

    adapter = load_file(saves / "adapter_model.safetensors")
    assert set(json.loads((saves / "adapter_config.json").read_text())["modules_to_save"]) == {"embed_tokens", "lm_head"}
    assert {tuple(adapter[f"base_model.model.{name}"].shape) for name in (EMBEDDING, HEAD)} == {(AFTER, WIDTH)}
    adapted = PeftModel.from_pretrained(resized(tmp_path / "model", len(ours)), saves).eval()
    logits = logits_of(adapted, ROWS)

    temper("export", str(config), f"adapter_name_or_path={saves}", f"export_dir={tmp_path / 'merged'}", "infer_dtype=float32", cwd=tmp_path)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="auto")
    assert merged.config.vocab_size == AFTER
    assert_close(logits_of(merged, ROWS), logits, 1e-5)
    assert_close(our_logits(tmp_path / "merged", ROWS, tmp_path), logits, 1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").encode(text) == theirs.encode(text)

    plain = [f"model_name_or_path={tmp_path / 'model'}", f"adapter_name_or_path={saves}", f"export_dir={tmp_path / 'no'}", "template=chatml"]
    refused = subprocess.run(["node", str(ROOT / "packages/cli/bin/temper.js"), "export", *plain], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {saves}: was trained with {AFTER} rows of vocabulary, the model has {BEFORE}; give the resize_vocab")

    # Training goes on from the adapter: at learning rate 0 it ends as it began.
    temper("train", str(config), f"adapter_name_or_path={saves}", f"output_dir={tmp_path / 'more'}", "learning_rate=0", cwd=tmp_path)
    more = load_file(tmp_path / "more" / "adapter_model.safetensors")
    assert more.keys() == adapter.keys()
    assert all(torch.equal(more[name], adapter[name]) for name in adapter)


def test_a_curve_from_a_peft_adapter_on_a_grown_vocabulary(tmp_path: Path, monkeypatch) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoTokenizer

    warnings.filterwarnings("ignore", message="Setting `save_embedding_layers`")
    words = ["river cloud", "lantern"]
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    tokenizer.add_tokens(words)
    tokenizer.save_pretrained(tmp_path / "extended")
    monkeypatch.setattr(test_curves, "TOKENIZER", tmp_path / "extended")
    monkeypatch.setattr(test_curves, "STEPS", 10)
    assert any(BEFORE in row["input_ids"] for row in tokenized())
    save_tiny(tmp_path / "model", seed=21)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM", modules_to_save=["embed_tokens", "lm_head"])
    torch.manual_seed(22)
    get_peft_model(resized(tmp_path / "model", BEFORE + 1), lora).save_pretrained(tmp_path / "adapter")
    assert "base_model.model.lm_head.original_module.weight" in load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    model = PeftModel.from_pretrained(resized(tmp_path / "model", BEFORE + 1), tmp_path / "adapter", is_trainable=True)
    theirs = reference_run(model, tmp_path / "theirs", 2e-2, 1.0)
    ours = our_run(tmp_path, 2e-2, 1.0, adapter_name_or_path=str(tmp_path / "adapter"), add_tokens=",".join(words))
    compare(ours, theirs)


DESCRIPTIONS = {"<|svg|>": "a silver lantern", "<|end|>": "the market bridge", "<|none|>": "<|svg|>"}


def started(folder: Path, **settings) -> tuple[dict, dict]:
    """Weights of the base, and as a full run starts from them: one step with learning rate 0."""
    save_tiny(folder / "model", seed=23)
    (folder / "tokens.yaml").write_text("".join(f'"{token}": "{text}"\n' for token, text in DESCRIPTIONS.items()))
    config = train_config(folder / "model", folder, finetuning_type="full", max_steps=1, learning_rate=0, split_special_tokens=False, **settings)
    temper("train", str(config), cwd=folder)
    return load_file(folder / "model" / "model.safetensors"), load_file(folder / "saves" / "model.safetensors")


def assert_normal(values: torch.Tensor) -> None:
    """Kolmogorov–Smirnov against N(0, 1/√D): above 1.95/√n once in a thousand seeds."""
    sorted_values = values.double().flatten().sort().values
    n = len(sorted_values)
    cdf = (1 + torch.erf(sorted_values * math.sqrt(WIDTH / 2))) / 2
    assert (cdf - torch.arange(n) / n).abs().max() < 1.95 / math.sqrt(n)


def test_new_rows_are_the_mean_and_noise(tmp_path: Path) -> None:
    base, model = started(tmp_path, add_tokens="<new a>")
    noise = []
    for name in (EMBEDDING, HEAD):
        assert torch.equal(model[name][:BEFORE], base[name])
        assert model[name].shape == (AFTER, WIDTH)
        noise.append(model[name][BEFORE:] - base[name].mean(0))
        assert_normal(noise[-1])
    assert abs(torch.corrcoef(torch.stack([part.flatten() for part in noise]))[0, 1]) < 4 / math.sqrt(noise[0].numel())


@pytest.mark.parametrize("init", ["desc_init", "desc_init_w_noise"])
def test_new_rows_from_descriptions(init: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    base, model = started(tmp_path, new_special_tokens_config=str(tmp_path / "tokens.yaml"), init_special_tokens=init)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saves")
    for name in (EMBEDDING, HEAD):
        expected = base[name].mean(0).repeat(AFTER - BEFORE, 1)
        for token, text in DESCRIPTIONS.items():
            ids = [i for i in tokenizer.encode(text, add_special_tokens=False) if i < BEFORE]
            if ids:
                # LlamaFactory takes the rows of the embedding for the head too.
                expected[tokenizer.convert_tokens_to_ids(token) - BEFORE] = base[EMBEDDING][ids].mean(0)
        difference = model[name][BEFORE:] - expected
        described = len(DESCRIPTIONS)
        assert difference[described:].abs().max() < 1e-6
        if init == "desc_init":
            assert difference.abs().max() < 1e-6
        else:
            assert_normal(difference[:described])


def test_a_template_whose_end_of_turn_is_missing_gets_a_row(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_tiny(tmp_path / "model", seed=24)
    file = tmp_path / "model" / "tokenizer.json"
    file.write_text(file.read_text().replace("<|im_end|>", "<|other|>"))
    config = train_config(tmp_path / "model", tmp_path, template="chatml", resize_vocab=True, finetuning_type="full", max_steps=1)
    temper("train", str(config), cwd=tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saves")
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", BEFORE)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "saves").config.vocab_size == AFTER
