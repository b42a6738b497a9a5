"""The 20 steps of make_qlora_curves.py on this machine's GPU, or its CPU where torch has none: in f32, on an nf4 base, and in bf16 as
Trainer makes it. Prints a line of JSON for each; packages that are missing are an error in its line.
"""

import json
import os
import sys
import tempfile

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TrainingArguments

from qlora_rows import ADAPTER, ARGUMENTS, MODEL, InOrder, collate, rows

# Trainer prints what it logs.
OUT, sys.stdout = sys.stdout, open(os.devnull, "w")
CUDA = torch.cuda.is_available()
DEVICE = {"": 0} if CUDA else "cpu"


def nf4():
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)


#: How the base is loaded, and what Trainer is told.
CASES = {
    "LoRA": (lambda: dict(dtype=torch.float32), {}),
    "QLoRA": (lambda: dict(dtype=torch.float32, quantization_config=nf4(), device_map=DEVICE), {}),
    "LoRA, bf16": (lambda: dict(dtype=torch.bfloat16), dict(bf16=True)),
}


def curve(loading, training) -> dict:
    base = AutoModelForCausalLM.from_pretrained(MODEL, **loading())
    model = PeftModel.from_pretrained(base, ADAPTER, is_trainable=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(output_dir=folder, **{**ARGUMENTS, "use_cpu": not CUDA, **training})
        trainer = InOrder(model=model, args=arguments, train_dataset=list(rows()), data_collator=collate)
        trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {"losses": [entry["loss"] for entry in entries], "gradNorms": [entry["grad_norm"] for entry in entries]}


for name, case in CASES.items():
    try:
        answer = curve(*case)
    except Exception as error:  # noqa: BLE001
        answer = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
    print(json.dumps({"name": name, **answer}), file=OUT, flush=True)
