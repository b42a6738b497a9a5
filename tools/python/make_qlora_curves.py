"""Writes fixtures/qlora: a random model in bf16, the same quantised, an adapter to start from, and 20 optimizer steps of QLoRA on the rows of
fixtures/llamafactory as transformers, peft and bitsandbytes make them on the CPU. Rows of its weights are whole blocks:
bitsandbytes 0.50 expands others wrongly there.

bitsandbytes is not in the reference environment: pip install --no-deps --target DIR bitsandbytes==0.50.2, then
PYTHONPATH=DIR python tools/python/make_qlora_curves.py
"""

import json
import shutil
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM, TrainingArguments

from qlora_rows import ADAPTER, ARGUMENTS, FIXTURES, MODEL, InOrder, collate, rows

OUT = FIXTURES / "qlora"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
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


def curve(table: str, double: bool):
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=table, bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=torch.float32
    )
    base = AutoModelForCausalLM.from_pretrained(MODEL, quantization_config=settings, dtype=torch.float32, device_map="cpu")
    model = PeftModel.from_pretrained(base, ADAPTER, is_trainable=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(output_dir=folder, **ARGUMENTS)
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
