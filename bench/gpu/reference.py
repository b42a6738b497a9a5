"""transformers + peft on the same random weights, adapter and token ids: JSON lines on standard input and output.

{"open": run} makes a model on the device, {"step": ids} steps, {"trim": true} gives waiting memory back, {"used": true} tells
what all processes use of the device, {"close": true} frees the model.
"""

import gc
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "lora-step"))
from philox import stream_of, uniform_  # noqa: E402
from step import step  # noqa: E402

OUT, sys.stdout = sys.stdout, sys.stderr
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BOUND = 0.02 * 3**0.5


def draw(name: str, weight: torch.Tensor, seed: int) -> None:
    """As randomWeights of ours.mjs: norms are ones, all layers as the first."""
    if weight.ndim == 1:
        weight.fill_(1)
    else:
        parts = name.split(".")
        first = ".".join("0" if before == "layers" else part for before, part in zip([""] + parts, parts))
        uniform_(weight, -BOUND, BOUND, stream_of(first), seed)


def quantize(model) -> None:
    """Every linear layer but the head becomes bitsandbytes' nf4 with double quantisation."""
    import bitsandbytes as bnb

    for layer in model.model.layers:
        for block in (layer.self_attn, layer.mlp):
            for name, linear in list(block.named_children()):
                if not isinstance(linear, torch.nn.Linear):
                    continue
                coded = bnb.nn.Linear4bit(linear.in_features, linear.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4", device="meta")
                coded.weight = bnb.nn.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4", blocksize=64, compress_statistics=True).to(DEVICE)
                setattr(block, name, coded)
    model.is_loaded_in_4bit = True


class Run:
    """What Trainer makes of `bf16: true`: autocast, an f32 adapter on a bf16 base, f32 weights where all train."""

    def __init__(self, run: dict):
        dtype = torch.float32 if run["finetuning"] == "full" else torch.bfloat16
        config = LlamaConfig(**run["model"], attn_implementation="sdpa", bos_token_id=0, eos_token_id=1)
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        with torch.device(DEVICE), torch.no_grad():
            model = LlamaForCausalLM(config)
        torch.set_default_dtype(before)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                draw(name, parameter, run["seed"])
        if run["quantized"]:
            quantize(model)
        if run["finetuning"] == "lora":
            model = get_peft_model(model, LoraConfig(r=run["r"], lora_alpha=run["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"))
            self.draw_adapter(model, run["seed"])
        self.model, self.max_norm = model.train(), run["maxGradNorm"]
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.trainable = sum(parameter.numel() for parameter in parameters)
        self.optimizer = torch.optim.AdamW(parameters, lr=run["learningRate"], weight_decay=0.0)
        self.attention = config._attn_implementation
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    @staticmethod
    def draw_adapter(model, seed: int) -> None:
        """B is zero already; A in ±1/√in, in the stream that ours has."""
        for name, parameter in model.named_parameters():
            if ".lora_A." in name:
                path = name.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight")
                bound = parameter.shape[1] ** -0.5
                with torch.no_grad():
                    uniform_(parameter, -bound, bound, stream_of(f"{path}.lora_A"), seed)

    def step(self, ids: list) -> dict:
        batch = torch.tensor(ids, device=DEVICE)
        answer = step(self.model, self.optimizer, batch, self.max_norm, lambda: torch.autocast(DEVICE.type, dtype=torch.bfloat16))
        allocated = torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else None
        return {**answer, "allocated": allocated}


def trim() -> None:
    gc.collect()
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()


def used():
    if DEVICE.type != "cuda":
        return None
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    return total - free


def answer(request: dict, current: list) -> dict:
    if "open" in request:
        current[:] = [Run(request["open"])]
        trim()
        return {"trainable": current[0].trainable, "attention": current[0].attention}
    if "step" in request:
        return current[0].step(request["step"])
    if "used" in request:
        return {"bytes": used()}
    if "close" in request:
        current.clear()
    trim()
    return {}


def say(words: dict) -> None:
    print(json.dumps(words), file=OUT, flush=True)


def installed(name: str):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> None:
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"
    packages = ["torch", "transformers", "peft", "bitsandbytes"]
    say({"device": name, "cuda": torch.version.cuda, "versions": {"python": sys.version.split()[0], **{each: installed(each) for each in packages}}})
    current: list = []
    for line in sys.stdin:
        request, fault = json.loads(line), None
        try:
            say(answer(request, current))
        except Exception as error:  # noqa: BLE001
            out_of_memory = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
            fault = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", "outOfMemory": out_of_memory}
        if fault is not None:
            # Beyond the handler, whose traceback holds what the step had made.
            current.clear()
            trim()
            say(fault)


main()
