"""Twenty steps of a reward model against transformers, peft and a linear layer on the last token."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from test_preference import adapter_on_disk, compare, formula_run, our_run, peft_model


def test_reward_model(tmp_path: Path) -> None:
    adapter_on_disk(tmp_path, dropout=0.0)
    torch.manual_seed(5)
    model = peft_model(tmp_path)
    model.v_head = torch.nn.Linear(48, 1)
    start = {f"v_head.summary.{name}": value.detach().clone() for name, value in model.v_head.named_parameters()}
    save_file(start, tmp_path / "adapter" / "value_head.safetensors")

    def score(row: dict, side: str) -> torch.Tensor:
        ids = torch.tensor([row["prompt_ids"] + row[f"{side}_ids"]])
        return model.v_head(model.base_model.model.model(input_ids=ids).last_hidden_state[0, -1])

    def objective(rows: list[dict]) -> tuple[torch.Tensor, dict]:
        margins = torch.stack([score(row, "chosen") - score(row, "rejected") for row in rows])
        loss = -F.logsigmoid(margins).mean()
        return loss, {"loss": loss.item(), "accuracy": (margins > 0).float().mean().item()}

    history = formula_run(model, objective)
    log = our_run(tmp_path, "sigmoid", stage="rm", adapter_name_or_path=str(tmp_path / "adapter"))
    compare(log, history, ["loss", "accuracy", "grad_norm"])
    saved = load_file(tmp_path / "ours" / "value_head.safetensors")
    assert (saved["v_head.summary.weight"] - model.v_head.weight).abs().max() < 1e-5
