"""What transformers and peft write → fixtures/checkpoint/: a sharded index and a LoRA adapter_config.json.

Run: OMP_NUM_THREADS=1 python tools/python/make_checkpoint_cases.py   (torch 2.13, transformers 5.18, peft 0.21)
"""

import json
import pathlib
import tempfile

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from peft import LoraConfig

OUT = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "checkpoint"
SHAPES = {"model.a": [100], "model.b": [10, 10], "model.c": [300], "model.d": [50], "model.e": [2, 25], "lm_head.weight": [101]}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    state = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    split = split_torch_state_dict_into_shards(state, max_shard_size=800, filename_pattern="model{suffix}.safetensors")
    total = sum(tensor.numel() for tensor in state.values())
    index = {"metadata": {"total_parameters": total, **split.metadata}, "weight_map": split.tensor_to_filename}
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    (OUT / "shards.json").write_text(json.dumps({"shapes": SHAPES, "max_bytes": 800, "index": text}, indent=1) + "\n")
    config = LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["q_proj"], modules_to_save=["lm_head"], task_type="CAUSAL_LM",
        base_model_name_or_path="base/möbius ☃", rank_pattern={"layers.0.q_proj": 4},
    )
    config.inference_mode = True
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        (OUT / "adapter_config.json").write_text(pathlib.Path(folder, "adapter_config.json").read_text())


main()
