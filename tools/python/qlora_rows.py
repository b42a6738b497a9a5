"""What the scripts around fixtures/qlora share: its rows as LlamaFactory's chatml template makes them, and 20 steps in their order."""

import json
from pathlib import Path

import torch
from torch.utils.data import SequentialSampler
from transformers import AutoTokenizer, Trainer

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODEL, ADAPTER = FIXTURES / "qlora" / "model", FIXTURES / "qlora" / "adapter"
STEPS = 20
ARGUMENTS = dict(
    max_steps=STEPS, per_device_train_batch_size=2, learning_rate=1e-2, weight_decay=0.1, max_grad_norm=1.0,
    lr_scheduler_type="cosine", warmup_steps=2, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True,
    disable_tqdm=True, dataloader_pin_memory=False, remove_unused_columns=False,
)


def rows():
    """The first rows of the data set: prompt masked, answer learned."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    for row in json.loads((FIXTURES / "llamafactory" / "data" / "alpaca.json").read_text())[: 2 * STEPS]:
        prompt = "\n".join(part for part in (row["instruction"], row.get("input")) if part)
        source = encode(f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n")
        target = encode(f"{row['output']}<|im_end|>\n")
        yield {"input_ids": source + target, "labels": [-100] * len(source) + target}


def collate(batch):
    longest = max(len(row["input_ids"]) for row in batch)
    pad = lambda values, filler: values + [filler] * (longest - len(values))  # noqa: E731
    return {
        "input_ids": torch.tensor([pad(row["input_ids"], 0) for row in batch]),
        "attention_mask": torch.tensor([pad([1] * len(row["input_ids"]), 0) for row in batch]),
        "labels": torch.tensor([pad(row["labels"], -100) for row in batch]),
    }


class InOrder(Trainer):
    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)
