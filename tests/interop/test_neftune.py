"""NEFTune: our curve against transformers', whose embedding gets our noise at the places of its padded batch."""

import json
import math
from pathlib import Path

import test_curves
import torch
from conftest import node_script, save_tiny
from test_curves import compare, our_run, reference_run, tokenized

STEPS, ALPHA, WIDTH, SEED = 20, 5.0, 48, 42
plain_collate = test_curves.collate


def padded_to_eight(rows):
    """As LlamaFactory pads batches for sft."""
    batch = plain_collate(rows)
    extra = -batch["input_ids"].shape[1] % 8
    fillers = {"input_ids": 10, "attention_mask": 0, "labels": -100}
    return {name: torch.nn.functional.pad(values, (0, extra), value=fillers[name]) for name, values in batch.items()}


def our_noise(folder: Path, lengths: list[list[int]]) -> list[torch.Tensor]:
    """Noise [rows, L, D] of each micro-batch: ours on the tokens, none on the padding."""
    padded = [math.ceil(max(batch) / 8) * 8 for batch in lengths]
    batches = [
        {"step": index // 2, "micro": index % 2, "rows": sum(batch), "bound": ALPHA / math.sqrt(length * WIDTH)}
        for index, (batch, length) in enumerate(zip(lengths, padded, strict=True))
    ]
    (folder / "request.json").write_text(json.dumps({"seed": SEED, "width": WIDTH, "batches": batches}))
    node_script("neftune.mjs", str(folder / "request.json"), str(folder / "noise.bin"))
    flat = torch.frombuffer(bytearray((folder / "noise.bin").read_bytes()), dtype=torch.float32).view(-1, WIDTH)
    noise = [torch.zeros(len(batch), length, WIDTH) for batch, length in zip(lengths, padded, strict=True)]
    for batch, packed, target in zip(lengths, flat.split([sum(batch) for batch in lengths]), noise, strict=True):
        for row, values in zip(target, packed.split(batch), strict=True):
            row[: len(values)] = values
    return noise


def test_a_curve_with_our_noise_in_transformers(tmp_path: Path, monkeypatch) -> None:
    from transformers import AutoModelForCausalLM
    from transformers.integrations.neftune import activate_neftune

    monkeypatch.setattr(test_curves, "STEPS", STEPS)
    monkeypatch.setattr(test_curves, "collate", padded_to_eight)
    save_tiny(tmp_path / "model", seed=17, tie_word_embeddings=True)
    rows = [len(row["input_ids"]) for row in tokenized()]
    noise = our_noise(tmp_path, [rows[2 * index : 2 * index + 2] for index in range(2 * STEPS)])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    drawn = []

    def draw(self: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """What transformers' hook draws is ours, and lies between its bounds and close to them."""
        ours = noise[len(drawn)]
        drawn.append(float(high))
        assert low == -high
        assert 0.99 * high <= ours.abs().max() <= high * (1 + 1e-6)
        return self.copy_(ours)

    hook = activate_neftune(model, ALPHA)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "uniform_", draw)
        theirs = reference_run(model, tmp_path / "theirs", 2e-3, 3.0)
    hook.remove()
    assert len(drawn) == 2 * STEPS
    assert len(set(drawn)) > 1, "all batches had one length: the bound was not put to the test"
    ours = our_run(tmp_path, 2e-3, 3.0, finetuning_type="full", neftune_noise_alpha=ALPHA)
    compare(ours, theirs)


def test_the_evaluation_has_no_noise(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", seed=18)
    losses = []
    for alpha in (None, 50.0):
        run = dict(finetuning_type="full", max_steps=2, eval_strategy="steps", eval_steps=1, val_size=8, overwrite_output_dir=True)
        our_run(tmp_path, 0.0, 1.0, neftune_noise_alpha=alpha, **run)
        history = json.loads((tmp_path / "ours" / "trainer_state.json").read_text())["log_history"]
        losses.append([[entry[name] for entry in history if name in entry] for name in ("loss", "eval_loss")])
    (loss, evaluation), (noisy_loss, noisy_evaluation) = losses
    assert evaluation == noisy_evaluation
    assert abs(loss[0] - noisy_loss[0]) > 1e-3
