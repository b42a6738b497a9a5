"""Writes fixtures/qlora: a random model in bf16, the same quantised, an adapter to start from, and 20 optimizer steps of QLoRA on the rows of
fixtures/llamafactory as transformers, peft and bitsandbytes make them on the CPU. Rows of its weights are whole blocks:
bitsandbytes 0.50 expands others wrongly there.

bitsandbytes is not in the reference environment: pip install --no-deps --target DIR bitsandbytes==0.50.2, then
PYTHONPATH=DIR python tools/python/make_qlora_curves.py
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils.data import SequentialSampler
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainingArguments,
)

FIXTURES = Path(__file__).parents[2] / "fixtures"
OUT = FIXTURES / "qlora"
MODEL, ADAPTER = OUT / "model", OUT / "adapter"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS = 20
CASES = {"nf4-double": ("nf4", True), "nf4": ("nf4", False), "fp4-double": ("fp4", True)}


def make_model() -> None:
    torch.manual_seed(4)
    config = LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=400,
        max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True, initializer_range=0.15,
        bos_token_id=0, eos_token_id=1, pad_token_id=10,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(MODEL)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FIXTURES / "llamafactory" / "model" / file, MODEL / file)
    adapted = get_peft_model(model.float(), LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM"))
    adapted.save_pretrained(ADAPTER)
    (ADAPTER / "README.md").unlink()


def rows():
    """The first rows of the data set as LlamaFactory's chatml template makes them: prompt masked, answer learned."""
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


def curve(table: str, double: bool):
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=table, bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=torch.float32
    )
    base = AutoModelForCausalLM.from_pretrained(MODEL, quantization_config=settings, dtype=torch.float32, device_map="cpu")
    model = PeftModel.from_pretrained(base, ADAPTER, is_trainable=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=STEPS, per_device_train_batch_size=2, learning_rate=1e-2, weight_decay=0.1, max_grad_norm=1.0,
            lr_scheduler_type="cosine", warmup_steps=2, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True,
            disable_tqdm=True, dataloader_pin_memory=False, remove_unused_columns=False,
        )
        trainer = InOrder(model=model, args=arguments, train_dataset=list(rows()), data_collator=collate)
        trainer.train()
    return [{key: entry[key] for key in ("loss", "grad_norm")} for entry in trainer.state.log_history if "loss" in entry]


def save_quantized() -> None:
    """The model in nf4 with double quantisation, as transformers writes it."""
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    model = AutoModelForCausalLM.from_pretrained(MODEL, quantization_config=settings, dtype=torch.bfloat16, device_map="cpu")
    model.save_pretrained(OUT / "quantized")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL / file, OUT / "quantized" / file)


make_model()
save_quantized()
curves = {name: curve(*case) for name, case in CASES.items()}
(OUT / "curves.json").write_text(json.dumps(curves, indent=1) + "\n")
