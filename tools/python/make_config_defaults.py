"""Write fixtures/config/llamafactory-defaults.json: every configuration key of LlamaFactory 0.9.5 with its default.

Run in the environment of tools/python/llamafactory.txt (llamafactory 0.9.5, transformers 5.6):
    python tools/python/make_config_defaults.py
Keys of the training, evaluation and Megatron-Bridge argument classes; `choices` where the parser restricts them.
"""

import dataclasses
import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import llamafactory
import transformers
from llamafactory.hparams import (
    DataArguments,
    EvaluationArguments,
    FinetuningArguments,
    GeneratingArguments,
    ModelArguments,
    TrainingArguments,
)

try:
    from llamafactory.hparams.training_args import RayArguments
except ImportError:
    RayArguments = None
from transformers import HfArgumentParser


def plain(value):
    """A default as JSON: enums by value, factories called, anything else as text."""
    if value is dataclasses.MISSING:
        return None
    if isinstance(value, float) and value != value:
        return "nan"
    if value is None or isinstance(value, (bool, int, float, str)):
        return getattr(value, "value", value)
    if isinstance(value, (list, tuple, dict)):
        return json.loads(json.dumps(value))
    return str(value)


def fields_of(cls):
    parser = HfArgumentParser(cls)
    choices = {action.dest: action.choices for action in parser._actions if action.choices}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        entry = {"default": plain(default), "required": default is dataclasses.MISSING}
        if field.name in choices:
            entry["choices"] = [plain(choice) for choice in choices[field.name]]
        yield field.name, entry


def main():
    classes = {
        "model": ModelArguments,
        "data": DataArguments,
        "training": TrainingArguments,
        "finetuning": FinetuningArguments,
        "generating": GeneratingArguments,
        "evaluation": EvaluationArguments,
    }
    keys = {}
    for group, cls in classes.items():
        for name, entry in fields_of(cls):
            keys.setdefault(name, {"group": group, **entry})
    out = {
        "llamafactory": "0.9.5",
        "transformers": transformers.__version__,
        "keys": dict(sorted(keys.items())),
    }
    path = os.path.join(os.path.dirname(__file__), "../../fixtures/config/llamafactory-defaults.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump(out, file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(len(keys), "keys", file=sys.stderr)


main()
