"""Writes fixtures/peft/freeze-cases.json: which weights LlamaFactory's freeze tuning leaves trainable, by its own function.

    pip install --no-deps --target /tmp/llamafactory llamafactory==0.9.5
    PYTHONPATH=/tmp/llamafactory python tools/python/make_freeze_cases.py     (in the reference environment)
The function is taken out of the package's source, as the package itself imports far more than that environment holds.
"""

import ast
import json
import re
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SIZES = dict(hidden_size=8, intermediate_size=8, num_attention_heads=2, num_key_value_heads=1, vocab_size=8)
MODELS = {"twelve": dict(num_hidden_layers=12), "tied": dict(num_hidden_layers=2, tie_word_embeddings=True)}
CASES = [
    ("twelve", 2, "all", ""),
    ("twelve", 1, "mlp,self_attn", ""),
    ("twelve", -2, "self_attn", ""),
    ("twelve", -20, "mlp", ""),
    ("twelve", 20, "input_layernorm", ""),
    ("twelve", 3, "mlp", "embed_tokens,lm_head"),
    ("twelve", 1, "mlp", "norm"),
    ("twelve", 0, "all", "norm"),
    ("twelve", 2, "q_proj", ""),
    ("twelve", 2, "all", "mlp"),
    ("tied", 1, "all", "embed_tokens"),
    ("tied", 1, "all", "lm_head"),
]


def upstream():
    source = Path(find_spec("llamafactory").origin).parent / "model" / "adapter.py"
    tree = ast.parse(source.read_text())
    function = next(node for node in tree.body if getattr(node, "name", "") == "_setup_freeze_tuning")
    silent = SimpleNamespace(info_rank0=lambda *_: None)
    names = {"re": re, "torch": torch, "logger": silent, "COMPOSITE_MODELS": {}, "get_forbidden_modules": lambda *_: set()}
    exec(compile(ast.Module([function], []), str(source), "exec"), names)
    return names["_setup_freeze_tuning"]


def make(name):
    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**{"tie_word_embeddings": False, **SIZES, **MODELS[name]}))


def case(setup, name, layers, modules, extra):
    model = make(name)
    arguments = SimpleNamespace(
        use_llama_pro=False, freeze_trainable_layers=layers, freeze_trainable_modules=modules.split(","),
        freeze_extra_modules=extra.split(",") if extra else None, freeze_multi_modal_projector=True,
    )
    given = {"model": name, "layers": layers, "modules": modules.split(","), "extraModules": extra.split(",") if extra else []}
    try:
        setup(model, arguments, True, False)
    except ValueError as error:
        return {**given, "missing": str(error).split()[1]}
    return {**given, "trained": [i for i, parameter in enumerate(model.parameters()) if parameter.requires_grad]}


setup = upstream()
result = {
    "llamafactory": "0.9.5",
    "models": {name: [key for key, _ in make(name).named_parameters()] for name in MODELS},
    "cases": [case(setup, *given) for given in CASES],
}
out = Path(__file__).parents[2] / "fixtures" / "peft"
out.mkdir(parents=True, exist_ok=True)
(out / "freeze-cases.json").write_text(json.dumps(result) + "\n")
