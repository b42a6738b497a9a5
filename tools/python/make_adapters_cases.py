"""fixtures/adapters: what the `adapters` library makes of fixtures/llamafactory/model, for tests/interop/test_bottleneck.py.

It wants older transformers than the reference stack, so it is no part of that and has a folder of its own:

    pip install --no-deps --target DIR adapters==1.3.0 transformers==4.57.6 huggingface_hub==0.36.2 tokenizers==0.22.2
    PYTHONPATH=DIR python tools/python/make_adapters_cases.py            # makes the fixtures
    PYTHONPATH=DIR python tools/python/make_adapters_cases.py ADAPTER    # loads an adapter of ours

For each preset: an adapter folder as the library saves it, its logits on two rows and greedy answers, and the log of a
training run that starts from it, step for step what transformers' Trainer does (whose imports want newer packages than
the library does). The second form loads an adapter of ours on the same model, insists that no tensor is
missing or left over, and compares the logits with those that tests/interop/logits.mjs gives.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "interop"))
MODEL = ROOT / "fixtures" / "llamafactory" / "model"
OUT = ROOT / "fixtures" / "adapters"
ROWS = [[3, 17, 250, 99, 5, 61, 300], [12, 8, 8, 41]]
STEPS, TOKENS = 20, 12


def base():
    import adapters
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    adapters.init(model)
    return model


def logits_of(model, rows):
    with torch.no_grad():
        return [model(torch.tensor([row])).logits[0] for row in rows]


def greedy_of(model, row):
    longer = list(row)
    for _ in range(TOKENS):
        longer.append(int(logits_of(model, [longer])[0][-1].argmax()))
    return longer[len(row):]


def tokenized():
    """Rows as tests/interop/test_curves.py makes them; these transformers do not know the class of the tokenizer."""
    from test_curves import texts
    from tokenizers import Tokenizer

    encode = lambda text: Tokenizer.from_file(str(MODEL / "tokenizer.json")).encode(text, add_special_tokens=False).ids  # noqa: E731
    for prompt, answer in texts():
        source = encode(f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n")
        target = encode(f"{answer}<|im_end|>\n")
        yield {"input_ids": source + target, "labels": [-100] * len(source) + target}


def train(model):
    """Two rows a batch, two batches a step, over the rows of tests/interop/test_curves.py in order."""
    from test_curves import collate
    from transformers.optimization import get_scheduler

    rows = list(tokenized())
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    group = lambda decay, bias: {"params": [p for n, p in named if n.endswith("bias") == bias], "weight_decay": decay}  # noqa: E731
    optimizer = torch.optim.AdamW([group(0.1, False), group(0.0, True)], lr=1e-2)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=5, num_training_steps=STEPS)
    for step in range(STEPS):
        window = [collate(rows[at:at + 2]) for at in (4 * step, 4 * step + 2)]
        count = sum(int((batch["labels"] != -100).sum()) for batch in window)
        total = 0.0
        for batch in window:
            labels = batch.pop("labels")[:, 1:].flatten()
            logits = model(**batch).logits[:, :-1].flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum") / count
            loss.backward()
            total += loss.detach().item()
        norm = torch.nn.utils.clip_grad_norm_([parameter for _, parameter in named], 1.0)
        optimizer.step()
        yield {"step": step + 1, "loss": total, "grad_norm": norm.item(), "learning_rate": schedule.get_last_lr()[0]}
        schedule.step()
        optimizer.zero_grad()


def make(name: str, config) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(len(name))
    model = base()
    model.add_adapter(name, config=config)
    model.train_adapter(name)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    folder = OUT / name
    model.save_adapter(str(folder), name, with_head=False, use_safetensors=True)
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "model_name": "fixtures/llamafactory/model"}, indent=2, sort_keys=True) + "\n")
    save_file({f"logits.{at}": logits.contiguous() for at, logits in enumerate(logits_of(model, ROWS))}, folder / "expected.safetensors")
    answers = [greedy_of(model, row) for row in ROWS]
    log = list(train(model))
    (folder / "expected.json").write_text(json.dumps({"rows": ROWS, "answers": answers, "log": log}, indent=1) + "\n")


def check(adapter: Path) -> None:
    from conftest import our_logits

    model, info = base(), {}
    name = model.load_adapter(str(adapter), set_active=True, use_safetensors=True, loading_info=info)
    assert not info.get("missing_keys") and not info.get("unexpected_keys"), info
    with tempfile.TemporaryDirectory() as scratch:
        ours = our_logits(MODEL, ROWS, Path(scratch), adapter=adapter)
    theirs = logits_of(model, ROWS)
    model.set_active_adapters(None)
    effect = (logits_of(model, ROWS)[0] - theirs[0]).abs().max()
    worst = max(float((mine - other).abs().max() / other.abs().max()) for mine, other in zip(ours, theirs, strict=True))
    print(f"{name}: largest difference {worst:.1e} of the largest logit; the adapter changes logits by up to {effect:.2f}")
    assert effect > 1e-3 and worst <= 1e-5


if __name__ == "__main__":
    if sys.argv[1:]:
        check(Path(sys.argv[1]).resolve())
    else:
        from adapters import DoubleSeqBnConfig, SeqBnConfig

        make("pfeiffer", SeqBnConfig())
        make("houlsby", DoubleSeqBnConfig(reduction_factor=8))
