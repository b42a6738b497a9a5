"""Writes fixtures/llm-int8: weights in int8 as bitsandbytes quantises them, a linear layer's answers on them, the model of
fixtures/qlora as transformers saves it in 8 and in 4 bits, and 20 optimizer steps of LoRA on it in int8.

On a CPU bitsandbytes trains through the dequantised weight and keeps LLM.int8 for evaluation; on a GPU it trains
through LLM.int8 too. Both are recorded: the second by putting its linear layers, and no other, in evaluation mode.
LLM.int8 is not continuous: a last bit may turn a code, which is a hundredth of its row. How far that leads is recorded as a
third run, whose floating-point weights differ by 1e-6. A micro-batch is one row: padding would have a say in which columns are outliers, and so change the loss by a thousandth.

bitsandbytes is not in the reference environment: pip install --no-deps --target DIR bitsandbytes==0.50.2, then
PYTHONPATH=DIR:tools/python python tools/python/make_llm_int8.py
"""

import json
import tempfile
import warnings
from itertools import islice

import bitsandbytes as bnb
import bitsandbytes.functional as F
import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TrainingArguments

import qlora_rows
from qlora_rows import ADAPTER, FIXTURES, MODEL, STEPS, InOrder

OUT = FIXTURES / "llm-int8"
ROWS, COLUMNS, TOKENS = 33, 131, 7


def numbers(rows: int, columns: int) -> torch.Tensor:
    """Multiples of 2⁻¹², some too fine for f16; row 5 is zero."""
    i = np.arange(rows * columns, dtype=np.int64)
    x = ((i * i * 31 + i * 17) % 10007 - 5003).astype(np.float32) / np.float32(4096)
    x = torch.from_numpy(x.reshape(rows, columns))
    if rows > 5:
        x[5] = 0
    return x


def written(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().view(-1).numpy().tobytes()


def save_layer() -> None:
    """One linear layer: codes and scales, its output with outliers (columns 3 and 40 of the input) and without, its gradient."""
    weight = numbers(ROWS, COLUMNS)
    codes, scales, _ = F.int8_vectorwise_quant(weight.to(torch.float16))
    (OUT / "weight.bytes").write_bytes(written(codes) + written(scales))
    x = numbers(TOKENS, COLUMNS)
    x[2, 3], x[4, 40], x[6, 40] = 17.5, -6.0, 30.25
    for name, threshold in {"outliers": 6.0, "whole": 0.0}.items():
        layer = bnb.nn.Linear8bitLt(COLUMNS, ROWS, bias=False, has_fp16_weights=False, threshold=threshold)
        layer.weight = bnb.nn.Int8Params(weight.clone(), requires_grad=False, has_fp16_weights=False).to("cpu")
        layer.eval()
        input = x.clone().requires_grad_()
        output = layer(input)
        output.backward(numbers(TOKENS, ROWS))
        (OUT / f"{name}.output").write_bytes(written(output))
        (OUT / f"{name}.gradient").write_bytes(written(input.grad))


def settings(codec: str) -> BitsAndBytesConfig:
    if codec == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=codec, bnb_4bit_compute_dtype=torch.bfloat16)


def save_models() -> None:
    for codec in ("int8", "fp4"):
        model = AutoModelForCausalLM.from_pretrained(MODEL, quantization_config=settings(codec), dtype=torch.bfloat16, device_map="cpu")
        model.save_pretrained(OUT / codec)
        (OUT / codec / "generation_config.json").unlink()


class Evaluated(InOrder):
    """Trains through LLM.int8."""

    def training_step(self, model, *rest):
        model.train()
        for module in model.modules():
            if isinstance(module, bnb.nn.Linear8bitLt):
                module.training = False
        model.train = lambda mode=True: model
        return super().training_step(model, *rest)


def curve(trainer_type, moved=0.0):
    base = AutoModelForCausalLM.from_pretrained(MODEL, quantization_config=settings("int8"), dtype=torch.float32, device_map="cpu")
    model = PeftModel.from_pretrained(base, ADAPTER, is_trainable=True)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.mul_(1 + moved * torch.randn(parameter.shape))
    with tempfile.TemporaryDirectory() as folder:
        sizes = dict(per_device_train_batch_size=1, gradient_accumulation_steps=2, learning_rate=1e-3)
        arguments = TrainingArguments(output_dir=folder, **{**qlora_rows.ARGUMENTS, **sizes})
        trainer = trainer_type(model=model, args=arguments, train_dataset=list(qlora_rows.rows()), data_collator=qlora_rows.collate)
        trainer.train()
    log = [{key: entry[key] for key in ("loss", "grad_norm")} for entry in trainer.state.log_history if "loss" in entry]
    assert len(log) == STEPS
    return log


def logits():
    """Of the quantised base in evaluation mode: the first 32 after each of eight rows."""
    base = AutoModelForCausalLM.from_pretrained(MODEL, quantization_config=settings("int8"), dtype=torch.float32, device_map="cpu").eval()
    tokens = [row["input_ids"] for row in islice(qlora_rows.rows(), 8)]
    return {"tokens": tokens, "logits": [base(torch.tensor([row])).logits[0, -1, :32].tolist() for row in tokens]}


warnings.simplefilter("ignore")
OUT.mkdir(parents=True, exist_ok=True)
save_layer()
save_models()
with torch.no_grad():
    answers = logits()
record = {"llm_int8": curve(Evaluated), "moved": curve(Evaluated, 1e-6), "dequantised": curve(InOrder), **answers}
(OUT / "curves.json").write_text(json.dumps(record, indent=1) + "\n")
