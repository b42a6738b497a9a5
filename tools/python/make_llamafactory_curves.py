"""Logs of LlamaFactory 0.9.5 itself, for tests/llamafactory: whole YAML files, step by step.

Run with the environment of tools/python/llamafactory.txt:  python make_llamafactory_curves.py [case …]
Writes fixtures/llamafactory/: a tiny Llama and an adapter with seeded random weights, datasets, one YAML a case and
logs.json with the unrounded loss, grad_norm, learning_rate and token count of each optimizer step.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DISABLE_VERSION_CHECK"] = "1"
os.environ["WANDB_DISABLED"] = "true"

import torch
import yaml

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "llamafactory"
WORDS = (
    "river stone cloud lantern window garden silver copper market bridge winter summer candle mirror harbor forest "
    "signal number letter planet circle island engine bottle ladder pencil basket ribbon carpet kettle"
).split()
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>",
           "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>"]


def sentence(index: int, length: int) -> str:
    return " ".join(WORDS[(index * 7 + at * (3 + index % 5) + at * at) % len(WORDS)] for at in range(length))


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def make_data() -> None:
    data = ROOT / "data"
    alpaca = [
        {"instruction": f"Say {sentence(i, 2 + i % 4)}.", "input": sentence(i + 3, i % 3), "output": sentence(i + 11, 3 + (5 * i) % 9)}
        for i in range(64)
    ]
    for row in alpaca[::3]:
        row["system"] = "Answer in plain words."
    history = [
        {"instruction": sentence(i, 4), "input": "", "output": sentence(i + 1, 5), "system": "",
         "history": [[sentence(i + 2 + t, 3), sentence(i + 5 + t, 4)] for t in range(i % 3)]}
        for i in range(40)
    ]
    sharegpt = [
        {"conversations": ([{"from": "system", "value": sentence(i, 3)}] if i % 2 else [])
         + [{"from": "human" if t % 2 == 0 else "gpt", "value": sentence(i + t, 3 + (i + t) % 5)} for t in range(2 + 2 * (i % 3))]}
        for i in range(40)
    ]
    openai = [
        {"messages": [{"role": "system", "content": "Be brief."}]
         + [{"role": "user" if t % 2 == 0 else "assistant", "content": sentence(2 * i + t, 4 + t)} for t in range(2 + 2 * (i % 2))]}
        for i in range(40)
    ]
    text = [{"text": sentence(i, 10 + (7 * i) % 30)} for i in range(60)]
    for name, rows in {"alpaca": alpaca, "history": history, "sharegpt": sharegpt, "openai": openai, "text": text}.items():
        write_json(data / f"{name}.json", rows)
    with open(data / "lines.jsonl", "w") as lines:
        for row in alpaca[20:60]:
            lines.write(json.dumps(row) + "\n")
    write_json(data / "dataset_info.json", {
        "alpaca": {"file_name": "alpaca.json", "columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system"}},
        "alpaca_plain": {"file_name": "alpaca.json"},
        "lines": {"file_name": "lines.jsonl"},
        "history": {"file_name": "history.json", "columns": {"prompt": "instruction", "query": "input", "response": "output", "history": "history"}},
        "sharegpt": {"file_name": "sharegpt.json", "formatting": "sharegpt", "columns": {"messages": "conversations"}},
        "openai": {"file_name": "openai.json", "formatting": "openai", "columns": {"messages": "messages"},
                   "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}},
        "text": {"file_name": "text.json", "columns": {"prompt": "text"}},
    })


def make_model() -> None:
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([sentence(i, 30) for i in range(200)], trainer)
    chat = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<|endoftext|>", unk_token="<unk>")
    wrapped.chat_template = chat
    torch.manual_seed(7)
    config = LlamaConfig(
        hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, vocab_size=len(wrapped),
        max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=False,
        bos_token_id=wrapped.bos_token_id, eos_token_id=wrapped.eos_token_id, pad_token_id=wrapped.pad_token_id, initializer_range=0.15,
    )
    model = LlamaForCausalLM(config).float()
    for folder in ("model", "adapter", "adapter-rslora"):
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    model.save_pretrained(ROOT / "model")
    wrapped.save_pretrained(ROOT / "model")
    for name, rslora in (("adapter", False), ("adapter-rslora", True)):
        lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
                          task_type="CAUSAL_LM", use_rslora=rslora)
        torch.manual_seed(8)
        adapted = get_peft_model(LlamaForCausalLM.from_pretrained(ROOT / "model"), lora)
        with torch.no_grad():
            for parameter_name, parameter in adapted.named_parameters():
                if "lora_B" in parameter_name:
                    parameter.normal_(0, 0.05)
        adapted.save_pretrained(ROOT / name)
        for readme in ROOT.glob(f"{name}/README.md"):
            readme.unlink()
        # The path of this machine has no place in a fixture.
        config_file = ROOT / name / "adapter_config.json"
        fields = json.loads(config_file.read_text())
        fields["base_model_name_or_path"] = None
        config_file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")


BASE = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "dataset": "alpaca", "template": "chatml", "cutoff_len": 128,
    "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "learning_rate": 1.0e-2, "weight_decay": 0.1,
    "max_steps": 12, "lr_scheduler_type": "cosine", "warmup_steps": 3, "max_grad_norm": 1.0, "logging_steps": 1,
    "save_strategy": "no", "disable_shuffling": True, "include_num_input_tokens_seen": "non_padding", "report_to": "none",
    "overwrite_output_dir": True, "seed": 42, "preprocessing_num_workers": 1, "ddp_timeout": 180000000,
}
FULL = {"finetuning_type": "full", "learning_rate": 1.0e-3}
# Fifty steps, clipped at half the first gradient norm; the weights at the end are kept too.
LONG = {"max_steps": 50, "warmup_steps": 5, "max_grad_norm": 1.2, "save_only_model": True}
CASES: dict[str, dict] = {
    "chatml-alpaca": {},
    "default-alpaca": {"template": "default"},
    "alpaca-alpaca": {"template": "alpaca", "dataset": "alpaca_plain"},
    "empty-jsonl": {"template": "empty", "dataset": "lines"},
    "vicuna-history": {"template": "vicuna", "dataset": "history"},
    "llama2-history-mask": {"template": "llama2", "dataset": "history", "mask_history": True},
    "llama3-sharegpt": {"template": "llama3", "dataset": "sharegpt"},
    "qwen-openai": {"template": "qwen", "dataset": "openai"},
    "mistral-sharegpt-prompt": {"template": "mistral", "dataset": "sharegpt", "train_on_prompt": True},
    "zephyr-openai-linear": {"template": "zephyr", "dataset": "openai", "lr_scheduler_type": "linear", "warmup_steps": 0, "warmup_ratio": 0.3},
    "smollm2-truncated": {"template": "smollm2", "dataset": "sharegpt", "cutoff_len": 24},
    "own-template": {"template": None, "dataset": "alpaca"},
    "packing": {"packing": True, "cutoff_len": 96, "per_device_train_batch_size": 1},
    "neat-packing": {"neat_packing": True, "cutoff_len": 96, "per_device_train_batch_size": 1, "dataset": "sharegpt"},
    "rslora": {"adapter": "adapter-rslora", "use_rslora": True},
    "accumulation-8-constant": {"gradient_accumulation_steps": 8, "per_device_train_batch_size": 1, "lr_scheduler_type": "constant_with_warmup"},
    "batch-4-clip": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "max_grad_norm": 0.3, "lr_scheduler_type": "inverse_sqrt"},
    "mixed-datasets": {"dataset": "alpaca,sharegpt,openai", "max_samples": 16},
    "max-samples-epochs": {"max_samples": 11, "max_steps": -1, "num_train_epochs": 4.0, "lr_scheduler_type": "polynomial"},
    "restarts-betas": {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 2}, "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1.0e-6},
    "wsd": {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 4, "num_stable_steps": 5}},
    "min-lr": {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
    "sgd": {"optim": "sgd", "learning_rate": 1.0e-1},
    "full-sft": {**FULL},
    "full-packing": {**FULL, "packing": True, "cutoff_len": 96, "per_device_train_batch_size": 1},
    "pretrain-lora": {"stage": "pt", "dataset": "text", "cutoff_len": 64},
    "pretrain-full": {**FULL, "stage": "pt", "dataset": "text", "cutoff_len": 48},
    "long-lora": {**LONG},
    "long-full": {**LONG, **FULL},
    "long-packing": {**LONG, "packing": True, "cutoff_len": 96, "per_device_train_batch_size": 1},
    "long-neat-packing": {**LONG, "neat_packing": True, "cutoff_len": 96, "per_device_train_batch_size": 1, "dataset": "sharegpt"},
    "long-pretrain": {**LONG, "stage": "pt", "dataset": "text", "cutoff_len": 64},
    "pretrain-unpacked": {"stage": "pt", "dataset": "text", "packing": False, "cutoff_len": 40},
}


def settings(case: str) -> dict:
    values = {**BASE, **CASES[case]}
    adapter = values.pop("adapter", "adapter")
    values = {key: value for key, value in values.items() if value is not None}
    values["model_name_or_path"] = "fixtures/llamafactory/model"
    if values["finetuning_type"] == "lora":
        values["adapter_name_or_path"] = f"fixtures/llamafactory/{adapter}"
    values["dataset_dir"] = "fixtures/llamafactory/data"
    values["output_dir"] = "saves/llamafactory"
    return values


def keep_weights(case: str, folder: Path) -> None:
    """Final weights, without embedding and head (their rows are mostly untouched, and large)."""
    from safetensors.torch import load_file, save_file

    file = next(folder / name for name in ("adapter_model.safetensors", "model.safetensors") if (folder / name).exists())
    tensors = {name: tensor for name, tensor in load_file(file).items() if "embed_tokens" not in name and "lm_head" not in name}
    (ROOT / "final").mkdir(exist_ok=True)
    save_file(tensors, ROOT / "final" / f"{case}.safetensors")


def run_case(case: str) -> list[dict]:
    from llamafactory.train.tuner import run_exp

    values = settings(case)
    (ROOT / "cases").mkdir(parents=True, exist_ok=True)
    (ROOT / "cases" / f"{case}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(ROOT.parents[1])
        run_exp({**values, "output_dir": folder, "use_cpu": True})
        if case.startswith("long-"):
            keep_weights(case, Path(folder))
        history = json.loads((Path(folder) / "trainer_state.json").read_text())["log_history"]
    keys = ("step", "epoch", "loss", "grad_norm", "learning_rate", "num_input_tokens_seen")
    return [{key: entry[key] for key in keys if key in entry} for entry in history if "loss" in entry]


def main() -> None:
    wanted = sys.argv[1:] or list(CASES)
    if not sys.argv[1:]:
        make_data()
        make_model()
    logs_file = ROOT / "logs.json"
    logs = json.loads(logs_file.read_text()) if sys.argv[1:] and logs_file.exists() else {}
    for case in wanted:
        try:
            logs[case] = run_case(case)
            print(case, len(logs[case]), logs[case][0], flush=True)
        except Exception as error:  # noqa: BLE001: one bad case must not lose the rest
            print("FAILED", case, repr(error)[:300], flush=True)
        write_json(logs_file, logs)


if __name__ == "__main__":
    main()
