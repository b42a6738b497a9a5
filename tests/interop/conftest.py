"""Interop with the real wheels. A warning is a failure: peft only warns when an adapter's keys do not match."""

import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
import torch

warnings.simplefilter("error")
torch.set_num_threads(2)

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "fixtures" / "llamafactory" / "model"


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def temper(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Runs the real command and insists that it succeeds."""
    result = subprocess.run(
        ["node", str(ROOT / "packages/cli/bin/temper.js"), *arguments], cwd=cwd, capture_output=True, text=True, timeout=600,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert result.returncode == 0, f"temper {' '.join(arguments)} exited with {result.returncode}:\n{result.stderr[-3000:]}"
    return result


def node_script(name: str, *arguments: str) -> None:
    result = subprocess.run(["node", str(Path(__file__).parent / name), *arguments], capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-3000:]


def save_tiny(folder: Path, seed: int = 0, kind: str = "Llama", **overrides):
    """A random tiny model of a kind with the fixture tokenizer, saved in f32."""
    import transformers

    settings = dict(
        hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, vocab_size=400,
        max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False, initializer_range=0.15,
        bos_token_id=0, eos_token_id=1, pad_token_id=10,
    )
    settings.update(overrides)
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**settings)
    # Its other attention implementations leave the soft cap out.
    config._attn_implementation = "eager" if kind == "Gemma2" else "sdpa"
    model = getattr(transformers, f"{kind}ForCausalLM")(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.add_(0.1 * torch.randn_like(parameter))
            if name.endswith("bias"):
                parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(TOKENIZER / file, folder / file)
    return model


DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def save_in_both(folder: Path, **settings) -> None:
    """A tiny model in folders named by DTYPES, in both the same numbers: what a reference makes of one holds for both."""
    model = save_tiny(folder / "f32", **settings)
    shutil.copytree(folder / "f32", folder / "bf16")
    model.bfloat16().save_pretrained(folder / "bf16")
    model.float().save_pretrained(folder / "f32")


def our_logits(model: Path, rows: list[list[int]], folder: Path, adapter: Path | None = None, cached: bool = False) -> list[torch.Tensor]:
    """f32 logits [len(row), V] of each row from tests/interop/logits.mjs; `cached` as generation computes them."""
    request, answer = folder / "rows.json", folder / "logits.bin"
    request.write_text(json.dumps(rows))
    node_script("logits.mjs", str(model), str(request), str(answer), *([str(adapter)] if adapter else []), *(["cached"] if cached else []))
    flat = torch.frombuffer(bytearray(answer.read_bytes()), dtype=torch.float32)
    vocabulary = flat.numel() // sum(map(len, rows))
    return list(flat.view(-1, vocabulary).split([len(row) for row in rows]))
