"""SmolLM2-135M-Instruct as transformers loads it from GGUF → fixtures/smollm2/digest.json:
shape, SHA-256 of the f32 bytes, sum in f64, first and last values of every tensor, and the config.

Run: OMP_NUM_THREADS=1 python tools/python/make_smollm2_digest.py $(node tools/fetch-smollm2.mjs)
(torch 2.13, transformers 5.18, gguf 0.19)
"""

import hashlib
import json
import pathlib
import sys

import gguf
import torch
import transformers

OUT = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "smollm2"
CONFIG_KEYS = [
    "architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "vocab_size", "rms_norm_eps", "hidden_act",
    "attention_bias", "mlp_bias", "tie_word_embeddings", "rope_parameters",
]


def digest(tensor):
    flat = tensor.detach().to(torch.float32).contiguous().reshape(-1)
    return {
        "shape": list(tensor.shape),
        "sha256": hashlib.sha256(flat.numpy().tobytes()).hexdigest(),
        "sum": float(flat.double().sum()),
        "first": flat[:2].tolist(),
        "last": flat[-2:].tolist(),
    }


def tokenizer_digest(path):
    fields = gguf.GGUFReader(path).fields
    tokens, merges = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.merges"].contents()
    hashed = lambda items: hashlib.sha256("\n".join(items).encode()).hexdigest()
    return {
        "tokens": len(tokens), "tokens_sha256": hashed(tokens), "merges": len(merges), "merges_sha256": hashed(merges),
        "chat_template_sha256": hashed([fields["tokenizer.chat_template"].contents()]),
        "control": [i for i, kind in enumerate(fields["tokenizer.ggml.token_type"].contents()) if kind == 3],
        "pre": fields["tokenizer.ggml.pre"].contents(),
    }


def main(path):
    path = pathlib.Path(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    config = model.config.to_dict()
    result = {
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
        "config": {key: config.get(key) for key in CONFIG_KEYS},
        "tokenizer": tokenizer_digest(path),
        "tensors": {name: digest(tensor) for name, tensor in model.state_dict().items() if name != "lm_head.weight"},
    }
    OUT.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in result["tensors"].items())
    head = json.dumps({key: value for key, value in result.items() if key != "tensors"}, indent=2)
    (OUT / "digest.json").write_text(f'{head[:-2]},\n  "tensors": {{\n{rows}\n  }}\n}}\n')


main(sys.argv[1])
