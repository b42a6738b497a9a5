"""Twenty steps of `stage: dpo` against TRL's own DPOTrainer where it has the loss, and against the loss as its paper states it, on peft."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import TOKENIZER, save_tiny, temper
from test_curves import TARGETS, WORDS

STEPS = 20
BETA = 0.1
AVERAGED = ("ipo", "orpo", "simpo")
REFERENCE_FREE = ("orpo", "simpo")


def pairs(count: int, start: int = 0) -> list[dict]:
    pick = lambda i, n: " ".join(WORDS[(i * 5 + k * (2 + i % 3)) % len(WORDS)] for k in range(n))  # noqa: E731
    return [
        {"instruction": f"Say {pick(i, 2 + i % 5)}", "chosen": pick(i + 3, 2 + (3 * i) % 7), "rejected": pick(2 * i + 1, 1 + (2 * i) % 6)}
        for i in range(start, start + count)
    ]


def encoded(rows: list[dict]) -> list[dict]:
    """Prompt and answers as LlamaFactory's chatml template makes them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    ids = lambda text: tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    return [
        {"prompt_ids": ids(f"<|im_start|>user\n{row['instruction']}<|im_end|>\n<|im_start|>assistant\n")}
        | {f"{side}_ids": ids(f"{row[side]}<|im_end|>\n") for side in ("chosen", "rejected")}
        for row in rows
    ]


def adapter_on_disk(folder: Path, dropout: float = 0.3, **extra) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    save_tiny(folder / "model", seed=21)
    torch.manual_seed(22)
    # Dropout of the adapter must not act: the reference would not be comparable.
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=TARGETS, task_type="CAUSAL_LM", **extra)
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder / "model"), config).save_pretrained(folder / "adapter")


def peft_model(folder: Path, adapter: str = "adapter", trainable: bool = True):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder / "model")
    return PeftModel.from_pretrained(base, folder / adapter, is_trainable=trainable)


def our_run(folder: Path, loss: str, **extra) -> list[dict]:
    columns = {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}
    for name, rows in (("rows", pairs(40)), ("held", pairs(7, start=50))):
        (folder / f"{name}.json").write_text(json.dumps(rows))
    entries = {name: {"file_name": f"{name}.json", "ranking": True, "columns": columns} for name in ("rows", "held")}
    (folder / "dataset_info.json").write_text(json.dumps(entries))
    settings = {
        "model_name_or_path": str(folder / "model"), "stage": "dpo", "do_train": True, "dataset": "rows", "dataset_dir": str(folder),
        "template": "chatml", "cutoff_len": 256, "output_dir": str(folder / "ours"), "max_steps": STEPS, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1, "learning_rate": 2e-3, "lr_scheduler_type": "cosine", "logging_steps": 1, "save_strategy": "no",
        "disable_shuffling": True, "pref_loss": loss, "pref_beta": BETA, **extra,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    temper("train", str(folder / "config.json"), cwd=folder)
    return json.loads((folder / "ours" / "trainer_state.json").read_text())["log_history"]


def arguments(folder: Path) -> dict:
    return dict(
        output_dir=str(folder / "theirs"), max_steps=STEPS, per_device_train_batch_size=2, learning_rate=2e-3, lr_scheduler_type="cosine",
        logging_steps=1, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
        remove_unused_columns=False,
    )


METRICS = [f"{name}/{side}" for name in ("rewards", "logps", "logits") for side in ("chosen", "rejected")]
METRICS += ["rewards/accuracies", "rewards/margins", "loss", "grad_norm"]


def compare(ours: list[dict], theirs: list[dict], keys=METRICS) -> None:
    ours, theirs = ([entry for entry in log if "loss" in entry] for log in (ours, theirs))
    assert len(ours) == len(theirs) == STEPS
    assert theirs[-1]["loss"] != theirs[0]["loss"]
    for mine, other in zip(ours, theirs, strict=True):
        for key in keys:
            tolerance = {"loss": 2e-6, "grad_norm": 2e-5}.get(key, 5e-6)
            assert abs(mine[key] - other[key]) <= tolerance * max(1, abs(other[key])), (key, mine, other)


@pytest.mark.parametrize("loss", ["sigmoid", "hinge", "ipo"])
def test_lora_run_is_trls(loss: str, tmp_path: Path) -> None:
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    class InOrder(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

        def _get_train_sampler(self, *_):
            return SequentialSampler(self.train_dataset)

    adapter_on_disk(tmp_path)
    config = DPOConfig(**arguments(tmp_path), beta=BETA, loss_type=[loss], bf16=False, gradient_checkpointing=False, max_length=None)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    trainer = InOrder(model=peft_model(tmp_path), args=config, train_dataset=Dataset.from_list(encoded(pairs(40))), processing_class=tokenizer)
    trainer.train()
    # Of ipo TRL logs the summed log-ratios, we, as LlamaFactory, the means that the loss is made of.
    keys = ["loss", "grad_norm", "logits/chosen", "logits/rejected"] if loss == "ipo" else METRICS
    compare(our_run(tmp_path, loss, adapter_name_or_path=str(tmp_path / "adapter")), trainer.state.log_history, keys)


def answer_logps(model, rows: list[dict], side: str, averaged: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the answers, summed or meant over their tokens, and the logits that they come from."""
    logps, logits = [], []
    for row in rows:
        prompt, answer = row["prompt_ids"], row[f"{side}_ids"]
        out = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        tokens = out.log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])[:, 0]
        logps.append(tokens.mean() if averaged else tokens.sum())
        logits.append(out.detach())
    return torch.stack(logps), torch.cat(logits)


def log_odds(c: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    return c - r - (torch.log1p(-torch.exp(c)) - torch.log1p(-torch.exp(r)))


def pair_loss(name: str, c: torch.Tensor, r: torch.Tensor, smoothing: float, gamma: float) -> torch.Tensor:
    """c, r: log-ratios to the reference, or log-probabilities where there is none."""
    z = c - r
    match name:
        case "sigmoid":
            return -(1 - smoothing) * F.logsigmoid(BETA * z) - smoothing * F.logsigmoid(-BETA * z)
        case "hinge":
            return F.relu(1 - BETA * z)
        case "ipo":
            return (z - 1 / (2 * BETA)) ** 2
        case "kto_pair":
            kl_c, kl_r = c.mean().clamp(min=0), r.mean().clamp(min=0)
            return torch.cat([1 - torch.sigmoid(BETA * (c - kl_r)), 1 - torch.sigmoid(BETA * (kl_c - r))])
        case "orpo":
            return -c - BETA * F.logsigmoid(log_odds(c, r))
        case "simpo":
            return -F.logsigmoid(BETA * z - gamma)
    raise ValueError(name)


def objective(model, reference, rows: list[dict], name: str, smoothing=0.0, gamma=0.5, ftx=0.0) -> tuple[torch.Tensor, dict]:
    """The loss of a batch and what LlamaFactory logs of it; `reference` gives log-probabilities as `answer_logps` does."""
    averaged = name in AVERAGED
    (c, chosen_logits), (r, rejected_logits) = (answer_logps(model, rows, side, averaged) for side in ("chosen", "rejected"))
    ratio_c, ratio_r = c, r
    if name not in REFERENCE_FREE:
        ratio_c, ratio_r = c - reference(rows, "chosen", averaged), r - reference(rows, "rejected", averaged)
    lengths = torch.tensor([1 if averaged else len(row["chosen_ids"]) for row in rows])
    nll = -(c / lengths).mean()
    loss = pair_loss(name, ratio_c, ratio_r, smoothing, gamma).mean() + ftx * nll
    rewards = [BETA * ratio.detach() for ratio in (ratio_c, ratio_r)]
    values = {
        "rewards/chosen": rewards[0].mean(), "rewards/rejected": rewards[1].mean(), "rewards/margins": (rewards[0] - rewards[1]).mean(),
        "rewards/accuracies": (rewards[0] > rewards[1]).float().mean(), "logps/chosen": c.mean(), "logps/rejected": r.mean(),
        "logits/chosen": chosen_logits.mean(), "logits/rejected": rejected_logits.mean(),
    }
    if name == "orpo":
        values |= {"sft_loss": nll, "odds_ratio_loss": -F.logsigmoid(log_odds(c, r)).mean()}
    return loss, {key: value.detach().item() for key, value in (values | {"loss": loss}).items()}


def adapter_off(model):
    def reference(rows, side, averaged):
        with torch.no_grad(), model.disable_adapter():
            return answer_logps(model, rows, side, averaged)[0]

    return reference


def frozen(model):
    def reference(rows, side, averaged):
        with torch.no_grad():
            return answer_logps(model, rows, side, averaged)[0]

    return reference


def formula_run(model, batch_loss) -> list[dict]:
    """AdamW, cosine schedule and clipping as transformers' Trainer has them."""
    rows = encoded(pairs(40))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / STEPS)))
    model.eval()
    history = []
    for step in range(STEPS):
        loss, logged = batch_loss(rows[2 * step : 2 * step + 2])
        loss.backward()
        logged["grad_norm"] = torch.nn.utils.clip_grad_norm_(parameters, 1.0).item()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        history.append(logged)
    return history


@pytest.mark.parametrize(
    ("loss", "ours", "theirs"),
    [
        ("sigmoid", {"dpo_label_smoothing": 0.1, "pref_ftx": 0.5}, {"smoothing": 0.1, "ftx": 0.5}),
        ("ipo", {}, {}),
        ("kto_pair", {}, {}),
        ("orpo", {}, {}),
        ("simpo", {"simpo_gamma": 0.2}, {"gamma": 0.2}),
    ],
)
def test_lora_run_is_the_papers_and_evaluates_alike(loss: str, ours: dict, theirs: dict, tmp_path: Path) -> None:
    # What is trained in full beside the adapter is taken off with it.
    adapter_on_disk(tmp_path, modules_to_save=["lm_head", "norm"] if loss == "sigmoid" else None)
    model = peft_model(tmp_path)
    history = formula_run(model, lambda rows: objective(model, adapter_off(model), rows, loss, **theirs))
    evaluation = {"eval_dataset": "held", "do_eval": True, "per_device_eval_batch_size": 3}
    log = our_run(tmp_path, loss, adapter_name_or_path=str(tmp_path / "adapter"), **evaluation, **ours)
    compare(log, history, METRICS + (["sft_loss", "odds_ratio_loss"] if loss == "orpo" else []))
    evaluated = json.loads((tmp_path / "ours" / "eval_results.json").read_text())
    saved = peft_model(tmp_path, "ours", trainable=False).eval()
    rows = encoded(pairs(7, start=50))
    batches = [rows[start : start + 3] for start in range(0, 7, 3)]
    with torch.no_grad():
        wanted = [objective(saved, adapter_off(saved), batch, loss, **theirs)[1] for batch in batches]
    for key in wanted[0]:
        # The loss is a mean over rows, metrics are means over batches, as in LlamaFactory.
        weights = [len(batch) if key == "loss" else 1 for batch in batches]
        mean = sum(weight * value[key] for weight, value in zip(weights, wanted, strict=True)) / sum(weights)
        assert abs(evaluated[f"eval_{key}"] - mean) <= 5e-6 * max(1, abs(mean)), (key, evaluated, mean)


def test_full_run_keeps_a_frozen_copy(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save_tiny(tmp_path / "model", seed=23)
    model, start = (AutoModelForCausalLM.from_pretrained(tmp_path / "model") for _ in range(2))
    history = formula_run(model, lambda rows: objective(model, frozen(start.eval()), rows, "sigmoid"))
    compare(our_run(tmp_path, "sigmoid", finetuning_type="full"), history)


def test_ref_model_is_the_reference(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    adapter_on_disk(tmp_path)
    save_tiny(tmp_path / "other", seed=24)
    other = AutoModelForCausalLM.from_pretrained(tmp_path / "other").eval()
    model = peft_model(tmp_path)
    history = formula_run(model, lambda rows: objective(model, frozen(other), rows, "hinge"))
    log = our_run(tmp_path, "hinge", adapter_name_or_path=str(tmp_path / "adapter"), ref_model=str(tmp_path / "other"))
    compare(log, history)


def reference_adapter(folder: Path):
    """`other` and an adapter for it that does something, and both as peft runs them."""
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    save_tiny(folder / "other", seed=24)
    torch.manual_seed(25)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder / "other"), config).save_pretrained(folder / "theirs")
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "other"), folder / "theirs").eval()


def apart(one: list[dict], other: list[dict]) -> float:
    """The largest difference of losses and rewards."""
    keys = ("loss", "rewards/chosen", "rewards/rejected")
    return max(abs(mine[key] - theirs[key]) for mine, theirs in zip(one, other, strict=True) if "loss" in mine for key in keys)


def test_ref_model_adapters_are_on_the_reference(tmp_path: Path) -> None:
    adapter_on_disk(tmp_path)
    other, model = reference_adapter(tmp_path), peft_model(tmp_path)
    history = formula_run(model, lambda rows: objective(model, frozen(other), rows, "sigmoid"))
    common = {"adapter_name_or_path": str(tmp_path / "adapter")}
    log = our_run(tmp_path, "sigmoid", **common, ref_model=str(tmp_path / "other"), ref_model_adapters=str(tmp_path / "theirs"))
    compare(log, history)
    other.merge_and_unload().save_pretrained(tmp_path / "merged")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / file, tmp_path / "merged" / file)
    assert apart(our_run(tmp_path, "sigmoid", **common, ref_model=str(tmp_path / "merged"), overwrite_output_dir=True), log) <= 1e-6


def test_a_quantised_reference_is_its_expansion(tmp_path: Path) -> None:
    adapter_on_disk(tmp_path)
    reference_adapter(tmp_path)
    temper("export", f"model_name_or_path={tmp_path / 'other'}", "quantization_bit=4", "quantization_type=fp4", "template=chatml",
           f"export_dir={tmp_path / 'expanded'}", "infer_dtype=float32", cwd=tmp_path)
    common = {"adapter_name_or_path": str(tmp_path / "adapter"), "ref_model_adapters": str(tmp_path / "theirs"), "overwrite_output_dir": True}
    run = lambda name, **extra: our_run(tmp_path, "sigmoid", **common, ref_model=str(tmp_path / name), **extra)  # noqa: E731
    quantised = run("other", ref_model_quantization_bit=4, quantization_type="fp4")
    assert apart(quantised, run("expanded")) <= 1e-6
    assert apart(quantised, run("other")) > 1e-3
