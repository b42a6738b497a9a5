"""`stage: rm` against LlamaFactory's loss and TRL's value head, written out on transformers and peft: curves, files, scores."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import node_script, save_tiny, temper
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_preference import STEPS, adapter_on_disk, encoded, formula_run, our_run, pairs, peft_model

HEAD = "value_head.safetensors"


def without_dropout(folder: Path) -> None:
    """TRL reads the rate from the model's config.json; two random masks would not be comparable."""
    path = folder / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"summary_dropout_prob": 0.0}))


def head_on_disk(folder: Path) -> None:
    torch.manual_seed(5)
    head = torch.nn.Linear(48, 1)
    save_file({f"v_head.summary.{name}": value.detach().clone() for name, value in head.named_parameters()}, folder / HEAD)


def head_of(folder: Path) -> torch.nn.Linear:
    saved = load_file(folder / HEAD)
    head = torch.nn.Linear(48, 1)
    head.load_state_dict({name.removeprefix("v_head.summary."): value for name, value in saved.items()})
    return head


def scores(decoder, head, rows: list[dict], side: str) -> torch.Tensor:
    """As AutoModelForCausalLMWithValueHead and LlamaFactory's trainer: the value of the last token that is no padding."""
    ids = [torch.tensor(row["prompt_ids"] + row[f"{side}_ids"]) for row in rows]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=10)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
    hidden = decoder(input_ids=padded, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
    return head(hidden).squeeze(-1).gather(-1, mask.sum(-1, keepdim=True) - 1).squeeze(-1)


def objective(decoder, head, rows: list[dict]) -> tuple[torch.Tensor, dict]:
    margins = scores(decoder, head, rows, "chosen") - scores(decoder, head, rows, "rejected")
    loss = -F.logsigmoid(margins).mean()
    return loss, {"loss": loss.item(), "accuracy": (margins > 0).float().mean().item()}


def compare(ours: list[dict], theirs: list[dict]) -> None:
    ours = [entry for entry in ours if "loss" in entry]
    assert len(ours) == len(theirs) == STEPS
    assert len({entry["loss"] for entry in theirs}) > STEPS / 2
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["accuracy"] == other["accuracy"], (mine, other)
        for key, tolerance in (("loss", 5e-5), ("grad_norm", 2e-4)):
            assert abs(mine[key] - other[key]) <= tolerance * abs(other[key]), (key, mine, other)


HELD = {"eval_dataset": "held", "do_eval": True, "do_predict": True, "per_device_eval_batch_size": 3}


class Trained:
    """A run of ours and the same of torch, from one adapter and one head."""

    def __init__(self, folder: Path) -> None:
        adapter_on_disk(folder, dropout=0.0, modules_to_save=["norm"])
        without_dropout(folder)
        head_on_disk(folder / "adapter")
        self.folder, self.ours = folder, folder / "ours"
        self.model = peft_model(folder)
        self.model.v_head = head_of(folder / "adapter")
        self.history = formula_run(self.model, lambda rows: objective(self.model.base_model.model, self.model.v_head, rows))
        self.log = our_run(folder, "sigmoid", stage="rm", adapter_name_or_path=str(folder / "adapter"), **HELD)
        self.held = encoded(pairs(7, start=50))
        self.sequences = [row["prompt_ids"] + row["chosen_ids"] for row in self.held]

    def saved_scores(self) -> list[torch.Tensor]:
        """Of the held-out pairs, by what peft and torch read from our files."""
        saved, head = peft_model(self.folder, "ours", trainable=False).eval(), head_of(self.ours)
        with torch.no_grad():
            return [scores(saved, head, self.held, side) for side in ("chosen", "rejected")]

    def our_scores(self, *model: Path | str) -> list[float]:
        """What `openRewardModel` says of the chosen ones."""
        request, answer = self.folder / "sequences.json", self.folder / "scores.json"
        request.write_text(json.dumps(self.sequences))
        node_script("scores.mjs", *map(str, model), str(request), str(answer))
        return json.loads(answer.read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    return Trained(tmp_path_factory.mktemp("reward"))


def test_lora_run_is_llamafactorys(trained: Trained) -> None:
    compare(trained.log, trained.history)
    with safe_open(trained.ours / HEAD, "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert sorted(file.keys()) == ["v_head.summary.bias", "v_head.summary.weight"]
    assert (head_of(trained.ours).weight - trained.model.v_head.weight).abs().max() < 1e-5


def test_files_score_alike_in_peft_and_here(trained: Trained) -> None:
    wanted = trained.saved_scores()
    lines = [json.loads(line) for line in (trained.ours / "generated_predictions.jsonl").read_text().splitlines()]
    for side, values in zip(("chosen", "rejected"), wanted, strict=True):
        assert max(abs(line[side] - value) for line, value in zip(lines, values.tolist(), strict=True)) <= 0.005 + 1e-4
    # One pair has the same answer twice, whose scores padding rounds apart: a tie is not ranked right.
    margins = wanted[0] - wanted[1]
    assert margins.abs().min() < 1e-6
    results = json.loads((trained.ours / "all_results.json").read_text())
    for prefix in ("eval", "predict"):
        assert results[f"{prefix}_accuracy"] == pytest.approx((margins > 1e-6).float().mean().item(), abs=1e-7)
        assert results[f"{prefix}_loss"] == pytest.approx(-F.logsigmoid(margins).mean().item(), rel=1e-5)
    assert trained.our_scores(trained.folder / "model", trained.ours) == pytest.approx(wanted[0].tolist(), abs=2e-5)


def test_the_head_goes_with_an_export(trained: Trained) -> None:
    from transformers import AutoModelForCausalLM

    merged = trained.folder / "merged"
    settings = {
        "stage": "rm", "model_name_or_path": str(trained.folder / "model"), "adapter_name_or_path": str(trained.ours),
        "template": "chatml", "infer_dtype": "float32", "export_dir": str(merged),
    }
    (trained.folder / "export.json").write_text(json.dumps(settings))
    temper("export", str(trained.folder / "export.json"), cwd=trained.folder)
    wanted = trained.saved_scores()[0].tolist()
    with torch.no_grad():
        found = scores(AutoModelForCausalLM.from_pretrained(merged).eval(), head_of(merged), trained.held, "chosen")
    assert found.tolist() == pytest.approx(wanted, abs=2e-5)
    assert trained.our_scores(merged, "") == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("kind", ["full", "freeze"])
def test_weights_train_under_the_head(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    save_tiny(tmp_path / "model", seed=23)
    without_dropout(tmp_path)
    head_on_disk(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    if kind == "freeze":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("model.layers.1.")
    model.v_head = head_of(tmp_path / "model")
    history = formula_run(model, lambda rows: objective(model, model.v_head, rows))
    compare(our_run(tmp_path, "sigmoid", stage="rm", finetuning_type=kind, freeze_trainable_layers=1), history)
    weights = load_file(tmp_path / "ours" / "model.safetensors")
    assert not [name for name in weights if name.startswith("v_head")]
    assert (weights["model.layers.1.mlp.up_proj.weight"] - model.model.layers[1].mlp.up_proj.weight).abs().max() < 1e-4
    assert (head_of(tmp_path / "ours").weight - model.v_head.weight).abs().max() < 1e-4
