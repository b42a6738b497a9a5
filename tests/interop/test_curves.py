"""Fifty optimizer steps, ours against transformers' Trainer and peft, from one adapter over the same rows in order."""

import json
from pathlib import Path

import pytest
import torch
from cells import shown
from conftest import DTYPES, TOKENIZER, save_in_both, save_tiny, temper
from safetensors.torch import load_file

STEPS = 50
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WORDS = "river stone cloud lantern window garden silver copper market bridge winter summer".split()


def texts() -> list[tuple[str, str]]:
    pick = lambda i, n: " ".join(WORDS[(i * 5 + k * (2 + i % 3)) % len(WORDS)] for k in range(n))  # noqa: E731
    return [(f"Say {pick(i, 2 + i % 5)}", pick(i + 3, 2 + (3 * i) % 7)) for i in range(90)]


def tokenized():
    """Rows as LlamaFactory's chatml template makes them: prompt masked, answer and its end token learned."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    for prompt, answer in texts():
        source = tokenizer.encode(f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)
        target = tokenizer.encode(f"{answer}<|im_end|>\n", add_special_tokens=False)
        yield {"input_ids": source + target, "labels": [-100] * len(source) + target}


def collate(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    pad = lambda values, filler: values + [filler] * (longest - len(values))  # noqa: E731
    return {
        "input_ids": torch.tensor([pad(row["input_ids"], 10) for row in rows]),
        "attention_mask": torch.tensor([pad([1] * len(row["input_ids"]), 0) for row in rows]),
        "labels": torch.tensor([pad(row["labels"], -100) for row in rows]),
    }


def reference_run(model, folder: Path, learning_rate: float, clip: float, **extra):
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments

    class InOrder(Trainer):
        def _get_train_sampler(self, *_):
            return SequentialSampler(self.train_dataset)

    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=learning_rate,
        weight_decay=0.1, max_grad_norm=clip, lr_scheduler_type="cosine", warmup_steps=5, logging_steps=1, save_strategy="no",
        report_to="none", use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, remove_unused_columns=False, **extra,
    )
    trainer = InOrder(model=model, args=arguments, train_dataset=list(tokenized()), data_collator=collate)
    trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def our_run(folder: Path, learning_rate: float, clip: float, **extra):
    (folder / "rows.json").write_text(json.dumps([{"instruction": prompt, "output": answer} for prompt, answer in texts()]))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    settings = {
        "model_name_or_path": str(folder / "model"), "stage": "sft", "do_train": True, "dataset": "rows", "dataset_dir": str(folder),
        "template": "chatml", "cutoff_len": 256, "output_dir": str(folder / "ours"), "max_steps": STEPS, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2, "learning_rate": learning_rate, "weight_decay": 0.1, "max_grad_norm": clip,
        "lr_scheduler_type": "cosine", "warmup_steps": 5, "logging_steps": 1, "save_strategy": "no", "disable_shuffling": True, **extra,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    temper("train", str(folder / "config.json"), cwd=folder)
    return [entry for entry in json.loads((Path(settings["output_dir"]) / "trainer_state.json").read_text())["log_history"] if "loss" in entry]


def compare(ours, theirs, learned: float = 0.8, slack: float = 1) -> None:
    assert len(ours) == len(theirs) == STEPS
    assert theirs[-1]["loss"] < learned * theirs[0]["loss"], "the reference learned nothing: the comparison would be empty"
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["step"] == other["step"]
        assert abs(mine["loss"] - other["loss"]) <= slack * 2e-6 * other["loss"], (mine, other)
        assert abs(mine["grad_norm"] - other["grad_norm"]) <= slack * 2e-5 * other["grad_norm"], (mine, other)
        assert abs(mine["learning_rate"] - other["learning_rate"]) <= 1e-12, (mine, other)


def relative(mine: torch.Tensor, other: torch.Tensor) -> float:
    return float((mine - other).norm() / other.norm())


def compare_on_both(method: str, folder: Path, theirs, final: Path, learning_rate: float, learned: float = 0.8, **extra) -> None:
    """Our runs with the adapter in folder/adapter on the models of `save_in_both` against one of the reference."""
    [file] = final.glob("*.safetensors")
    other = load_file(file)
    for dtype in DTYPES:
        output = folder / f"ours-{dtype}"
        places = dict(model_name_or_path=str(folder / dtype), adapter_name_or_path=str(folder / "adapter"), output_dir=str(output))
        compare(our_run(folder, learning_rate, 1.0, **places, **extra), theirs, learned)
        mine = load_file(output / file.name)
        assert mine.keys() == other.keys()
        for key in other:
            assert relative(mine[key], other[key]) <= 1e-4, key
        shown(method, dtype, "trains", "gradients")


@pytest.mark.parametrize("clip", [1.0])
def test_lora_curve_and_final_adapter(clip: float, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    save_tiny(tmp_path / "model", seed=11)
    torch.manual_seed(12)
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(tmp_path / "model"), LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM"))
    made.save_pretrained(tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    model = PeftModel.from_pretrained(base, tmp_path / "adapter", is_trainable=True)
    theirs = reference_run(model, tmp_path / "theirs", 1e-2, clip)
    ours = our_run(tmp_path, 1e-2, clip, finetuning_type="lora", adapter_name_or_path=str(tmp_path / "adapter"))
    compare(ours, theirs)
    model.save_pretrained(tmp_path / "final")
    mine, other = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("ours", "final"))
    assert mine.keys() == other.keys()
    for name in other:
        assert relative(mine[name], other[name]) <= 1e-4, name


def test_full_curve_and_final_weights(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save_in_both(tmp_path, seed=13, tie_word_embeddings=True)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "f32")
    theirs = reference_run(model, tmp_path / "theirs", 2e-3, 3.0)
    for dtype in DTYPES:
        output = tmp_path / f"ours-{dtype}"
        compare(our_run(tmp_path, 2e-3, 3.0, finetuning_type="full", model_name_or_path=str(tmp_path / dtype), output_dir=str(output)), theirs)
        after, loading = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32, output_loading_info=True)
        assert not any(loading.values()), loading
        for name, weight in model.named_parameters():
            assert relative(after.get_parameter(name).detach(), weight.detach()) <= 1e-4, name
        shown("full", dtype, "trains", "gradients")
        shown("full", dtype, "loads in peft", "loads from peft", mark="whole model")
        shown("full", dtype, "merges", mark="nothing to merge")
