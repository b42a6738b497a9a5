"""Every method on bases that are not in f32: ours in peft, peft's here, merged. peft works on the same numbers in f32.

One process of ours a base does the work of all methods, so that a method more is a line and a fraction of a second."""

import copy
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from cells import shown
from conftest import ROOT, node_script
from safetensors.torch import load_file, save_file
from test_adapters import ROWS, assert_close, logits_of, train_config
from test_bottleneck import FIXTURES as OF_ADAPTERS
from test_bottleneck import bottlenecked
from test_low_rank import METHODS as LOW_RANK
from test_low_rank import lora
from test_multiplicative import CASES as MULTIPLICATIVE
from test_virtual import OURS as VIRTUAL
from test_virtual import method_of, peft_config

FIXTURES = ROOT / "fixtures"
QLORA = FIXTURES / "qlora" / "model"


@dataclass
class Base:
    """Our words for it."""
    words: dict
    """What transformers reads it with; where it cannot, our export in f32 has the numbers."""
    transformers: dict | None = None


# Names as in docs/methods.md.
BASES = {
    "bf16": Base({"model_name_or_path": str(QLORA)}, {"pretrained_model_name_or_path": QLORA}),
    "nf4": Base({"model_name_or_path": str(QLORA), "quantization_bit": 4}),
    # Every activation is an outlier, so that the numbers are those that the codes stand for.
    "int8": Base({"model_name_or_path": str(QLORA), "quantization_bit": 8, "llm_int8_threshold": 1e-6}),
    "eetq": Base({"model_name_or_path": str(QLORA), "quantization_method": "eetq", "quantization_bit": 8}),
    "GGUF": Base(
        {"model_name_or_path": str(FIXTURES / "gguf-model/tiny.gguf")},
        {"pretrained_model_name_or_path": FIXTURES / "gguf-model", "gguf_file": "tiny.gguf"},
    ),
}
# name → (configuration of peft, the settings here that make the same adapter)
MERGED = {
    **LOW_RANK,
    # What peft's conversion leaves is plain LoRA of twice the rank.
    "pissa": (lambda: lora(r=8, lora_alpha=16), {"pissa_init": True, "pissa_iter": 4}),
    **{name: (MULTIPLICATIVE[name].config, MULTIPLICATIVE[name].keys) for name in ("ia3", "oft", "boft")},
}
KEPT = {method_of(name): (lambda name=name: peft_config(name, QLORA), VIRTUAL[name]) for name in ("prompt", "prefix")}
METHODS = {**MERGED, **KEPT}
BOTTLENECKS = {"pfeiffer": {"finetuning_type": "pfeiffer"}, "houlsby": {"finetuning_type": "houlsby"}}
WHOLE = {"freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1}, "full": {"finetuning_type": "full"}}
ALL = {**{name: settings for name, (_, settings) in METHODS.items()}, **BOTTLENECKS, **WHOLE}


@dataclass
class Work:
    """What one process of ours made of all methods on a base."""
    base: str
    folder: Path
    """The base of transformers in f32."""
    numbers: torch.nn.Module
    errors: dict[tuple[str, str], str | None]

    def path(self, kind: str, method: str) -> Path:
        return self.folder / kind / method

    def done(self, kind: str, method: str) -> Path:
        assert self.errors[kind, method] is None
        return self.path(kind, method)

    def logits(self, kind: str, method: str) -> list[torch.Tensor]:
        flat = torch.frombuffer(bytearray(self.done(kind, method).read_bytes()), dtype=torch.float32)
        return list(flat.view(sum(map(len, ROWS)), -1).split([len(row) for row in ROWS]))

    def in_peft(self, adapter: Path):
        from peft import PeftModel

        return PeftModel.from_pretrained(copy.deepcopy(self.numbers), adapter).eval()


def words(settings: dict) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def run_jobs(folder: Path, jobs: dict[tuple[str, str], dict]) -> dict[tuple[str, str], str | None]:
    request, answers = folder / "jobs.json", folder / "answers.json"
    request.write_text(json.dumps(list(jobs.values())))
    node_script("jobs.mjs", str(request), str(answers))
    return dict(zip(jobs, json.loads(answers.read_text()), strict=True))


def numbers_of(base: Base, folder: Path):
    from transformers import AutoModelForCausalLM

    source = base.transformers or {"pretrained_model_name_or_path": folder / "numbers"}
    if base.transformers is None:
        export = {"do": "export", "words": words({**base.words, "template": "chatml", "export_dir": folder / "numbers", "infer_dtype": "float32"})}
        assert list(run_jobs(folder, {("numbers", ""): export}).values()) == [None]
    numbers = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).eval()
    # Where peft looks for a config.json when it saves; beside a GGUF file there is none.
    numbers.name_or_path = None
    return numbers


def save_peft_adapter(numbers, config, folder: Path) -> None:
    from peft import get_peft_model

    torch.manual_seed(4)
    made = get_peft_model(copy.deepcopy(numbers), config)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    made.save_pretrained(folder)


def save_bottleneck(numbers, name: str, folder: Path) -> None:
    """A folder of the `adapters` library for a narrower model, made for the width of this one."""
    settings, tensors = json.loads((OF_ADAPTERS / name / "adapter_config.json").read_text()), load_file(OF_ADAPTERS / name / "adapter.safetensors")
    before, hidden = settings["hidden_size"], numbers.config.hidden_size
    narrow = hidden // int(settings["config"]["reduction_factor"])
    torch.manual_seed(4)
    wide = {key: 0.2 * torch.randn([hidden if size == before else narrow for size in tensor.shape]) for key, tensor in tensors.items()}
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "hidden_size": hidden}))
    save_file(wide, folder / "adapter.safetensors")


def jobs_of(work: Work, base: Base) -> dict[tuple[str, str], dict]:
    jobs = {}
    config = json.loads(train_config(QLORA, work.folder).read_text())
    on = lambda adapter: {**base.words, "adapter_name_or_path": adapter, "template": "chatml"}  # noqa: E731

    def logits(kind: str, name: str, settings: dict) -> None:
        jobs[kind, name] = {"do": "logits", "words": words(settings), "rows": ROWS, "out": str(work.path(kind, name))}

    for name, settings in ALL.items():
        ours = work.path("ours", name)
        jobs["ours", name] = {"do": "train", "words": words({**config, **base.words, "learning_rate": 0.01, **settings, "output_dir": ours})}
        logits("our logits", name, {"model_name_or_path": ours, "template": "chatml"} if name in WHOLE else on(ours))
        if name not in WHOLE:
            adapter = work.path("theirs", name)
            logits("their logits", name, on(adapter))
            jobs["merged", name] = {"do": "export", "words": words({**on(adapter), "export_dir": work.path("merged", name), "infer_dtype": "float32"})}
    return jobs


@pytest.fixture(scope="module", params=BASES)
def on_base(request, tmp_path_factory) -> Iterator[Work]:
    from peft.tuners.boft import layer

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = tmp_path_factory.mktemp(request.param)
        base = BASES[request.param]
        work = Work(request.param, folder, numbers_of(base, folder), {})
        for kind in ("our logits", "their logits"):
            (folder / kind).mkdir()
        # Its CUDA kernel is not needed for one butterfly factor.
        patch.setattr(layer, "get_fbd_cuda", lambda: False)
        for name, (make, _) in METHODS.items():
            save_peft_adapter(work.numbers, make(), work.path("theirs", name))
        for name in BOTTLENECKS:
            save_bottleneck(work.numbers, name, work.path("theirs", name))
        work.errors = run_jobs(folder, jobs_of(work, base))
        yield work


def same_logits(ours: list[torch.Tensor], theirs) -> None:
    """Those of the rows; peft's have the virtual tokens in front."""
    assert_close(ours, [logits[-len(row):] for logits, row in zip(logits_of(theirs, ROWS), ROWS, strict=True)], 1e-5)


def assert_acts(work: Work, theirs) -> None:
    """An adapter whose keys did not match would do nothing."""
    assert (logits_of(theirs, ROWS)[0][-1] - logits_of(work.numbers, ROWS)[0][-1]).abs().max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_our_adapter_loads_in_peft(on_base: Work, method: str) -> None:
    theirs = on_base.in_peft(on_base.done("ours", method))
    assert_acts(on_base, theirs)
    same_logits(on_base.logits("our logits", method), theirs)
    shown(method, on_base.base, "loads in peft")


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_of_peft_loads_here(on_base: Work, method: str) -> None:
    theirs = on_base.in_peft(on_base.path("theirs", method))
    assert_acts(on_base, theirs)
    same_logits(on_base.logits("their logits", method), theirs)
    shown(method, on_base.base, "loads from peft")


@pytest.mark.parametrize("method", MERGED)
def test_the_merge_is_that_of_peft(on_base: Work, method: str) -> None:
    reference = on_base.in_peft(on_base.path("theirs", method)).merge_and_unload().state_dict()
    ours = load_file(on_base.done("merged", method) / "model.safetensors")
    assert ours.keys() == {name for name in reference if "rotary" not in name} - {"lm_head.weight"}
    for name, weight in ours.items():
        # A base in bf16 takes the sum rounded: to half of the last of its eight bits.
        rounding = 2**-8 * reference[name].abs() if on_base.base == "bf16" else 0
        assert ((weight - reference[name]).abs() - rounding).max() <= 1e-6 * reference[name].abs().max(), name
    shown(method, on_base.base, "merges")


@pytest.mark.parametrize("method", [*KEPT, *BOTTLENECKS])
def test_what_has_no_place_in_the_weights_is_not_merged(on_base: Work, method: str) -> None:
    assert "has no place in the base weights and cannot be merged" in on_base.errors["merged", method]
    shown(method, on_base.base, "merges", mark="refused")


@pytest.mark.parametrize("method", BOTTLENECKS)
def test_bottlenecks_are_those_of_the_library(on_base: Work, method: str) -> None:
    """As far as its layers written in torch are (test_bottleneck.py)."""
    for folder, logits in (("ours", "our logits"), ("theirs", "their logits")):
        theirs = bottlenecked(copy.deepcopy(on_base.numbers), on_base.path(folder, method))
        assert_acts(on_base, theirs)
        same_logits(on_base.logits(logits, method), theirs)
    shown(method, on_base.base, "loads in peft", "loads from peft", mark="as adapters")


@pytest.mark.parametrize("method", WHOLE)
def test_a_model_trained_itself_loads_in_transformers(on_base: Work, method: str) -> None:
    from transformers import AutoModelForCausalLM

    if "quantization_bit" in BASES[on_base.base].words:
        assert "which trains the weights themselves" in on_base.errors["ours", method]
        return
    theirs, loading = AutoModelForCausalLM.from_pretrained(on_base.done("ours", method), dtype=torch.float32, output_loading_info=True)
    assert not any(loading.values()), loading
    assert_acts(on_base, theirs)
    same_logits(on_base.logits("our logits", method), theirs)
    shown(method, on_base.base, "loads in peft", "loads from peft", mark="whole model")
    shown(method, on_base.base, "merges", mark="nothing to merge")
