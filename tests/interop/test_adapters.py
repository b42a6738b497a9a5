"""Our adapter in peft, our merged export in transformers, and a peft-made adapter here."""

import json
from pathlib import Path

import pytest
import torch
from conftest import our_logits, save_tiny, temper
from safetensors.torch import load_file

ROWS = [[3, 17, 250, 99, 5, 61, 300], [12, 8, 8, 41]]
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def train_config(model: Path, folder: Path, **extra) -> Path:
    rows = [{"instruction": f"Say word {i}", "input": "", "output": f"word {i * 3}"} for i in range(12)]
    (folder / "data.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps({"words": {"file_name": "data.json"}}))
    settings = {
        "model_name_or_path": str(model), "stage": "sft", "do_train": True, "finetuning_type": "lora", "lora_rank": 4, "lora_target": "all",
        "dataset": "words", "dataset_dir": str(folder), "template": "chatml", "output_dir": str(folder / "saves"), "max_steps": 4,
        "per_device_train_batch_size": 2, "learning_rate": 0.02, "logging_steps": 1, "save_strategy": "no", **extra,
    }
    path = folder / "config.json"
    path.write_text(json.dumps(settings))
    return path


def logits_of(model, rows):
    with torch.no_grad():
        return [model(torch.tensor([row])).logits[0] for row in rows]


def assert_close(ours, theirs, tolerance: float) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).abs().max() <= tolerance * other.abs().max()


VARIANTS = {
    "lora on all projections": {},
    "rslora": {"use_rslora": True, "lora_alpha": 6},
    "two targets": {"lora_target": "q_proj,v_proj"},
    "embedding and head saved in full": {"additional_target": "embed_tokens,lm_head"},
    "a norm saved in full": {"additional_target": "norm"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_adapter_loads_in_peft_and_our_export_in_transformers(variant: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_tiny(tmp_path / "model")
    config = train_config(tmp_path / "model", tmp_path, **VARIANTS[variant])
    temper("train", str(config), cwd=tmp_path)
    saves = tmp_path / "saves"
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    plain = logits_of(base, ROWS)
    adapted = PeftModel.from_pretrained(base, saves).eval()
    theirs = logits_of(adapted, ROWS)
    assert (theirs[0] - plain[0]).abs().max() > 1e-3, "the adapter does nothing: its keys did not match"
    assert_close(our_logits(tmp_path / "model", ROWS, tmp_path, adapter=saves), theirs, 1e-5)

    temper("export", str(config), f"adapter_name_or_path={saves}", f"export_dir={tmp_path / 'merged'}", "infer_dtype=float32", cwd=tmp_path)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="auto")
    assert merged.dtype == torch.float32
    assert_close(our_logits(tmp_path / "merged", ROWS, tmp_path), logits_of(merged, ROWS), 1e-5)
    assert_close(logits_of(merged, ROWS), theirs, 1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").encode("river stone") == AutoTokenizer.from_pretrained(tmp_path / "model").encode("river stone")


@pytest.mark.parametrize("rslora", [False, True])
def test_a_peft_adapter_loads_and_merges_here(rslora: bool, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    save_tiny(tmp_path / "model", seed=3)
    lora = LoraConfig(r=3, lora_alpha=7, target_modules=TARGETS, task_type="CAUSAL_LM", use_rslora=rslora, modules_to_save=["lm_head"])
    torch.manual_seed(4)
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(tmp_path / "model"), lora)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    made.save_pretrained(tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert_close(our_logits(tmp_path / "model", ROWS, tmp_path, adapter=tmp_path / "adapter"), logits_of(theirs, ROWS), 1e-5)
    reference = theirs.merge_and_unload().state_dict()
    temper("export", f"model_name_or_path={tmp_path / 'model'}", f"adapter_name_or_path={tmp_path / 'adapter'}", "template=chatml",
           f"export_dir={tmp_path / 'merged'}", "infer_dtype=float32", cwd=tmp_path)
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert merged.keys() == {name for name in reference if "rotary" not in name}
    for name, weight in merged.items():
        assert (weight - reference[name]).abs().max() <= 1e-6 * reference[name].abs().max(), name


def test_a_bf16_export_is_the_f32_merge_rounded(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", seed=5)
    config = train_config(tmp_path / "model", tmp_path)
    temper("train", str(config), cwd=tmp_path)
    for dtype in ("float32", "bfloat16"):
        temper("export", str(config), f"adapter_name_or_path={tmp_path / 'saves'}", f"export_dir={tmp_path / dtype}", f"infer_dtype={dtype}", cwd=tmp_path)
    exact, rounded = (load_file(tmp_path / dtype / "model.safetensors") for dtype in ("float32", "bfloat16"))
    for name, weight in exact.items():
        assert torch.equal(weight.bfloat16(), rounded[name]), name
