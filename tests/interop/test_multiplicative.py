"""Methods that multiply: (IA)³ rescales channels, OFT and BOFT rotate them. Each against peft: a curve of 24 steps, and
adapters both ways."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import test_curves
import torch
from cells import shown
from conftest import our_logits, save_in_both, save_tiny, temper
from safetensors.torch import load_file
from test_adapters import ROWS, TARGETS, assert_close, logits_of, train_config
from test_curves import compare_on_both, reference_run


@dataclass
class Case:
    peft: str
    """Arguments of peft's configuration class."""
    made: dict
    """Our keys for the same adapter."""
    keys: dict
    rate: float = 1e-2
    model: dict = field(default_factory=dict)

    def config(self):
        import peft

        return getattr(peft, self.peft)(task_type="CAUSAL_LM", **self.made)

    def fresh(self, model: Path):
        """A peft model on the saved base, its adapter moved away from where it does nothing."""
        from peft import get_peft_model
        from transformers import AutoModelForCausalLM

        made = get_peft_model(AutoModelForCausalLM.from_pretrained(model), self.config())
        torch.manual_seed(4)
        with torch.no_grad():
            for _, parameter in sorted(made.named_parameters()):
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        return made


OFT = {"target_modules": [*TARGETS], "oft_block_size": 8}
OFT_KEYS = {"finetuning_type": "oft", "oft_block_size": 8}
CASES = {
    "ia3": Case(
        "IA3Config", {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"], "modules_to_save": ["norm"]},
        {"finetuning_type": "ia3", "additional_target": "norm"}, rate=2e-1, model={"attention_bias": True},
    ),
    "ia3 on outputs alone": Case(
        "IA3Config", {"target_modules": ["q_proj", "up_proj"], "feedforward_modules": [], "modules_to_save": ["lm_head"]},
        {"finetuning_type": "ia3", "ia3_target": "q_proj,up_proj", "feedforward_modules": "[]", "additional_target": "lm_head"}, model={"attention_bias": True},
    ),
    "oft": Case("OFTConfig", OFT, OFT_KEYS),
    "oft, two terms": Case("OFTConfig", {**OFT, "num_cayley_neumann_terms": 2}, {**OFT_KEYS, "num_cayley_neumann_terms": 2}),
    "oft, three terms": Case("OFTConfig", {**OFT, "num_cayley_neumann_terms": 3}, {**OFT_KEYS, "num_cayley_neumann_terms": 3}),
    "oft, seven terms": Case("OFTConfig", {**OFT, "num_cayley_neumann_terms": 7}, {**OFT_KEYS, "num_cayley_neumann_terms": 7}),
    "oft, exact, by rank": Case(
        "OFTConfig", {"target_modules": ["q_proj", "down_proj"], "r": 3, "oft_block_size": 0, "use_cayley_neumann": False},
        {"finetuning_type": "oft", "oft_target": "q_proj,down_proj", "oft_rank": 3, "oft_block_size": 0, "use_cayley_neumann": False},
        model={"attention_bias": True},
    ),
    "boft": Case("BOFTConfig", {"target_modules": [*TARGETS]}, {"finetuning_type": "boft"}, model={"attention_bias": True}),
    "boft, three factors": Case(
        "BOFTConfig", {"target_modules": ["q_proj", "v_proj", "down_proj"], "boft_block_size": 0, "boft_block_num": 12, "boft_n_butterfly_factor": 3},
        {"finetuning_type": "boft", "boft_target": "q_proj,v_proj,down_proj", "boft_block_size": 0, "boft_block_num": 12, "boft_n_butterfly_factor": 3},
    ),
}


"""Trained; the other cases are loaded and merged only."""
TRAINED = [name for name in CASES if "terms" not in name]


@pytest.fixture(autouse=True)
def butterflies_without_cuda(request, monkeypatch: pytest.MonkeyPatch) -> None:
    """peft multiplies butterflies of several factors with its CUDA kernel alone; block_diag is what that computes."""
    from peft.tuners.boft import layer

    several = "factors" in request.node.callspec.params["name"]
    monkeypatch.setattr(layer, "get_fbd_cuda", lambda: several)
    if several:
        monkeypatch.setattr(layer.FastBlockDiag, "apply", lambda factors: torch.stack([torch.block_diag(*blocks) for blocks in factors]))


def method_of(case: str) -> str:
    return case.split(",")[0].split(" ")[0]


@pytest.mark.parametrize("name", TRAINED)
def test_curve_and_final_adapter(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(test_curves, "STEPS", 24)
    case = CASES[name]
    save_in_both(tmp_path, seed=11, **case.model)
    case.fresh(tmp_path / "f32").save_pretrained(tmp_path / "adapter")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "f32"), tmp_path / "adapter", is_trainable=True)
    theirs = reference_run(model, tmp_path / "theirs", case.rate, 1.0)
    model.save_pretrained(tmp_path / "final")
    compare_on_both(method_of(name), tmp_path, theirs, tmp_path / "final", case.rate, **case.keys)


@pytest.mark.parametrize("name", TRAINED)
def test_our_adapter_loads_in_peft_and_merges(name: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    case = CASES[name]
    save_tiny(tmp_path / "model", **case.model)
    temper("train", str(train_config(tmp_path / "model", tmp_path, **case.keys)), cwd=tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    plain = logits_of(base, ROWS)
    theirs = PeftModel.from_pretrained(base, tmp_path / "saves").eval()
    assert theirs.peft_config["default"].to_dict() == {**case.config().to_dict(), "inference_mode": True, "base_model_name_or_path": str(tmp_path / "model")}
    assert (logits_of(theirs, ROWS)[0] - plain[0]).abs().max() > 1e-3, "the adapter does nothing: its keys did not match"
    check_here(tmp_path, tmp_path / "saves", theirs)
    shown(method_of(name), "f32", "loads in peft", "merges")


@pytest.mark.parametrize("name", CASES)
def test_an_adapter_of_peft_loads_and_merges_here(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    save_tiny(tmp_path / "model", seed=3, **case.model)
    theirs = case.fresh(tmp_path / "model").eval()
    theirs.save_pretrained(tmp_path / "adapter")
    check_here(tmp_path, tmp_path / "adapter", theirs)
    shown(method_of(name), "f32", "loads from peft")


def butterfly(matrices: torch.Tensor) -> torch.Tensor:
    """R of boft_R [factors, blocks, b, b] in f64, written from the paper: block j of a run joins pieces half a run apart."""
    _, blocks, size, _ = matrices.shape
    product, eye, half = torch.eye(blocks * size).double(), torch.eye(size).double(), size // 2
    for factor, of_factor in enumerate(matrices.double()):
        turn = torch.eye(blocks * size).double()
        for block, matrix in enumerate(of_factor):
            run, j = divmod(block, 2**factor)
            first = (run * 2 ** (factor + 1) + j) * half
            second = first + 2**factor * half
            channels = torch.cat([torch.arange(first, first + half), torch.arange(second, second + half)])
            skew = (matrix - matrix.T) / 2
            turn[channels[:, None], channels] = (eye - skew) @ torch.linalg.inv(eye + skew)
        product = turn @ product
    return product


@pytest.mark.parametrize("name", ["boft, three factors"])
def test_merged_butterflies_equal_a_rewrite_in_f64(name: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", seed=3)
    CASES[name].fresh(tmp_path / "model").save_pretrained(tmp_path / "adapter")
    temper("export", f"model_name_or_path={tmp_path / 'model'}", f"adapter_name_or_path={tmp_path / 'adapter'}", "template=chatml",
           f"export_dir={tmp_path / 'merged'}", "infer_dtype=float32", cwd=tmp_path)
    adapter, before, after = (load_file(tmp_path / path) for path in ("adapter/adapter_model.safetensors", "model/model.safetensors", "merged/model.safetensors"))
    keys = [key.removesuffix(".boft_s") for key in adapter if key.endswith(".boft_s")]
    assert len(keys) == 6
    for key in keys:
        weight = f"{key.removeprefix('base_model.model.')}.weight"
        exact = adapter[f"{key}.boft_s"].double() * (before[weight].double() @ butterfly(adapter[f"{key}.boft_R"]).T)
        assert (after[weight] - exact).abs().max() <= 1e-6 * exact.abs().max(), key


def check_here(folder: Path, adapter: Path, theirs) -> None:
    """Our logits with the adapter and our merged weights against peft's."""
    assert_close(our_logits(folder / "model", ROWS, folder, adapter=adapter), logits_of(theirs, ROWS), 1e-5)
    reference = theirs.merge_and_unload().state_dict()
    temper("export", f"model_name_or_path={folder / 'model'}", f"adapter_name_or_path={adapter}", "template=chatml",
           f"export_dir={folder / 'merged'}", "infer_dtype=float32", cwd=folder)
    merged = load_file(folder / "merged" / "model.safetensors")
    assert merged.keys() == {name for name in reference if "rotary" not in name}
    for name, weight in merged.items():
        assert (weight - reference[name]).abs().max() <= 1e-6 * reference[name].abs().max(), name
