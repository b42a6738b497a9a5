"""Token ids, labels, masks and positions that LlamaFactory 0.9.5 makes of small datasets -> fixtures/data/.

Run: OMP_NUM_THREADS=1 <environment of fixtures/llamafactory/llamafactory.txt>/bin/python tools/python/make_data_cases.py
Writes the datasets, a tiny byte-level tokenizer (two settings of it) and cases.json, which the tests of packages/data compare with.
"""

import json
import os
import random
import shutil
import sys
import tempfile

os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp()
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DISABLE_VERSION_CHECK"] = "1"

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, "fixtures", "data")

SPECIALS = ["<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>",
            "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"]
WORDS = ("docker container image volume network run stop start remove list show logs of the a in to with name "
         "from file copy build tag push pull inspect how do I can you please what is port map host all running").split()


def sentence(rng, low, high):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    rng = random.Random(1)
    corpus = [sentence(rng, 4, 30) + ".\nUser: Assistant: system\n" for _ in range(300)]
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIALS])
    plain = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    plain.save_pretrained(os.path.join(OUT, "tokenizer"))
    bos, bos_id = "<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, bos_id)])
    with_bos = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token="<|end_of_text|>", pad_token="<|eom_id|>", add_bos_token=True)
    folder = os.path.join(OUT, "tokenizer-bos")
    with_bos.save_pretrained(folder)
    path = os.path.join(folder, "tokenizer_config.json")
    config = json.load(open(path))
    config["add_bos_token"] = True
    json.dump(config, open(path, "w"), indent=2)


def chat(rng, turns, names=("human", "gpt"), keys=("from", "value"), low=2, high=9):
    return [{keys[0]: names[i % 2], keys[1]: sentence(rng, low, high)} for i in range(2 * turns)]


def make_datasets():
    rng = random.Random(7)
    alpaca = [{"instruction": sentence(rng, 2, 8), "input": sentence(rng, 1, 5) if i % 3 else "", "output": sentence(rng, 1, 12)}
              for i in range(23)]
    alpaca[4]["output"] = "naïve café 你好 😀"
    history = [{"prompt": sentence(rng, 2, 6), "response": sentence(rng, 2, 8), "sys": sentence(rng, 2, 5) if i % 2 else None,
                "history": [[sentence(rng, 2, 6), sentence(rng, 1, 7)] for _ in range(i % 4)]} for i in range(10)]
    sharegpt = [{"conversations": chat(rng, 1 + i % 4), "system": sentence(rng, 1, 4) if i % 2 else ""} for i in range(12)]
    sharegpt[3]["conversations"].insert(0, {"from": "system", "value": "be brief"})
    tagged = [{"messages": chat(rng, 1 + i % 3, ("user", "assistant"), ("role", "content"))} for i in range(9)]
    tagged[2]["messages"].insert(0, {"role": "system", "content": "answer in one word"})
    openai = [{"messages": chat(rng, 1 + i % 2, ("user", "assistant"), ("role", "content"))} for i in range(6)]
    openai[1]["messages"].insert(0, {"role": "system", "content": "detailed thinking on"})
    openai[2]["messages"].insert(0, {"role": "system", "content": "short"})
    tools = [{"messages": [
        {"role": "user", "content": "weather and time in Oslo"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"type": "function", "function": {"name": "weather", "arguments": {"city": "Øslo", "days": 2}}}]},
        {"role": "tool", "content": "rain", "tool_calls": None},
        {"role": "tool", "content": "noon", "tool_calls": None},
        {"role": "assistant", "content": "rain at noon", "tool_calls": None}],
        "tools": json.dumps([{"name": "weather", "description": "tells the weather", "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "the city"}, "days": {"type": "number", "description": "how many"}}, "required": ["city"]}}])}]
    special = [{"instruction": "say <|im_end|>\n<|im_start|>assistant\nhi", "input": "", "output": "no <|endoftext|> here"},
               {"instruction": "plain", "input": "", "output": "text"}]
    texts = [{"text": sentence(rng, 3, 40)} for _ in range(17)]
    mixed_a = [{"instruction": f"a {i} " + sentence(rng, 1, 3), "input": "", "output": f"{i}"} for i in range(5)]
    mixed_b = [{"instruction": f"b {i} " + sentence(rng, 1, 3), "input": "", "output": f"{i}"} for i in range(8)]
    files = {"alpaca.json": alpaca, "history.jsonl": history, "sharegpt.json": sharegpt, "tagged.jsonl": tagged, "openai.json": openai,
             "tools.json": tools, "special.json": special, "texts.jsonl": texts, "folder/part-0.json": mixed_a, "folder/part-1.json": mixed_b,
             "mixed-a.json": mixed_a, "mixed-b.json": mixed_b}
    folder = os.path.join(OUT, "datasets")
    for name, rows in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            if name.endswith("l"):
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            else:
                json.dump(rows, file, ensure_ascii=False, indent=1)
                file.write("\n")
    role_tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
    info = {
        "alpaca": {"file_name": "alpaca.json"},
        "history": {"file_name": "history.jsonl", "columns": {"prompt": "prompt", "response": "response", "system": "sys", "history": "history"}},
        "sharegpt": {"file_name": "sharegpt.json", "formatting": "sharegpt", "columns": {"messages": "conversations", "system": "system"}},
        "tagged": {"file_name": "tagged.jsonl", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": role_tags},
        "openai": {"file_name": "openai.json", "formatting": "openai", "columns": {"messages": "messages"}, "tags": role_tags},
        "tools": {"file_name": "tools.json", "formatting": "openai", "columns": {"messages": "messages", "tools": "tools"},
                  "tags": {**role_tags, "observation_tag": "tool", "function_tag": "function"}},
        "special": {"file_name": "special.json"},
        "texts": {"file_name": "texts.jsonl", "columns": {"prompt": "text"}},
        "folder": {"file_name": "folder"},
        "mixed_a": {"file_name": "mixed-a.json"},
        "mixed_b": {"file_name": "mixed-b.json"},
    }
    with open(os.path.join(folder, "dataset_info.json"), "w") as file:
        json.dump(info, file, indent=2)
        file.write("\n")


SFT, PT = {"stage": "sft"}, {"stage": "pt"}
CASES = {
    "alpaca format": {**SFT, "dataset": "alpaca", "template": "chatml"},
    "alpaca format, cut": {**SFT, "dataset": "alpaca", "template": "chatml", "cutoff_len": 24},
    "train_on_prompt": {**SFT, "dataset": "alpaca", "template": "vicuna", "train_on_prompt": True, "max_samples": 6},
    "history and system": {**SFT, "dataset": "history", "template": "chatml"},
    "history, mask_history": {**SFT, "dataset": "history", "template": "chatml", "mask_history": True},
    "history, mask_history, cut": {**SFT, "dataset": "history", "template": "zephyr", "mask_history": True, "cutoff_len": 40},
    "sharegpt multi-turn": {**SFT, "dataset": "sharegpt", "template": "default"},
    "sharegpt multi-turn, cut": {**SFT, "dataset": "sharegpt", "template": "alpaca", "cutoff_len": 60},
    "sharegpt, train_on_prompt, cut": {**SFT, "dataset": "sharegpt", "template": "qwen", "train_on_prompt": True, "cutoff_len": 48},
    "sharegpt with tags": {**SFT, "dataset": "tagged", "template": "chatml"},
    "openai format": {**SFT, "dataset": "openai", "template": "chatml"},
    "openai tool calls": {**SFT, "dataset": "tools", "template": "default"},
    "special text becomes tokens": {**SFT, "dataset": "special", "template": "chatml"},
    "llama3 with BOS": {**SFT, "dataset": "sharegpt", "template": "llama3", "tokenizer": "tokenizer-bos"},
    "llama2": {**SFT, "dataset": "history", "template": "llama2", "tokenizer": "tokenizer-bos"},
    "efficient eos": {**SFT, "dataset": "sharegpt", "template": "efficient"},
    "efficient eos, cut": {**SFT, "dataset": "sharegpt", "template": "efficient", "cutoff_len": 30},
    "efficient eos, mask_history": {**SFT, "dataset": "sharegpt", "template": "efficient", "mask_history": True, "cutoff_len": 30},
    "packing": {**SFT, "dataset": "alpaca", "template": "chatml", "packing": True, "cutoff_len": 96},
    "packing, train_on_prompt": {**SFT, "dataset": "alpaca", "template": "chatml", "packing": True, "cutoff_len": 64, "train_on_prompt": True},
    "packing in batches of 10": {**SFT, "dataset": "alpaca,sharegpt", "template": "chatml", "packing": True, "cutoff_len": 96, "preprocessing_batch_size": 10},
    "neat packing": {**SFT, "dataset": "alpaca", "template": "chatml", "neat_packing": True, "cutoff_len": 96},
    "neat packing, efficient eos": {**SFT, "dataset": "sharegpt", "template": "efficient", "neat_packing": True, "cutoff_len": 64},
    "several datasets": {**SFT, "dataset": "alpaca,sharegpt,tagged", "template": "chatml", "max_samples": 4},
    "folder": {**SFT, "dataset": "folder", "template": "empty"},
    "interleave_under": {**SFT, "dataset": "mixed_a,mixed_b", "template": "chatml", "mix_strategy": "interleave_under"},
    "interleave_over": {**SFT, "dataset": "mixed_a,mixed_b", "template": "chatml", "mix_strategy": "interleave_over"},
    "interleave_under with probabilities": {**SFT, "dataset": "mixed_a,mixed_b", "template": "chatml", "mix_strategy": "interleave_under", "interleave_probs": "0.3,0.7"},
    "interleave_over with probabilities": {**SFT, "dataset": "mixed_a,mixed_b", "template": "chatml", "mix_strategy": "interleave_over", "interleave_probs": "0.8,0.2", "seed": 5},
    "val_size fraction": {**SFT, "dataset": "alpaca", "template": "chatml", "val_size": 0.2},
    "val_size number": {**SFT, "dataset": "alpaca", "template": "chatml", "val_size": 3, "seed": 7},
    "eval_dataset": {**SFT, "dataset": "mixed_a", "eval_dataset": "mixed_b", "template": "chatml"},
    "predict": {**SFT, "dataset": None, "eval_dataset": "sharegpt", "template": "chatml", "cutoff_len": 64, "do_predict": True},
    "predict, efficient eos": {**SFT, "dataset": None, "eval_dataset": "alpaca", "template": "efficient", "do_predict": True, "max_samples": 4},
    "pre-training, packed": {**PT, "dataset": "texts", "cutoff_len": 32},
    "pre-training, packed, tokenizer that knows BOS": {**PT, "dataset": "texts", "cutoff_len": 32, "tokenizer": "tokenizer-bos"},
    "pre-training, packing asked for": {**PT, "dataset": "texts", "cutoff_len": 32, "packing": True},
    "pre-training, single texts": {**PT, "dataset": "texts", "cutoff_len": 24, "packing": False},
    "pre-training, single texts, tokenizer that knows BOS": {**PT, "dataset": "texts", "cutoff_len": 24, "packing": False, "tokenizer": "tokenizer-bos"},
    "pre-training, llama3": {**PT, "dataset": "texts", "cutoff_len": 32, "template": "llama3", "tokenizer": "tokenizer-bos"},
    "pre-training in batches of 5": {**PT, "dataset": "texts", "cutoff_len": 32, "preprocessing_batch_size": 5},
    "pre-training on conversations": {**PT, "dataset": "sharegpt", "cutoff_len": 16},
}


def sort_folders():
    """A folder's files come in the file system's order upstream; ours are sorted, so the oracle is made to sort as well."""
    listdir = os.listdir
    os.listdir = lambda path=".": sorted(listdir(path))


def register_efficient():
    from llamafactory.data.formatter import StringFormatter
    from llamafactory.data.template import register_template

    register_template(
        name="efficient",
        format_user=StringFormatter(slots=["Q{{idx}}: {{content}}\nA:"]),
        format_assistant=StringFormatter(slots=["{{content}}"]),
        efficient_eos=True,
    )


def run_case(case):
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.data.collator import SFTDataCollatorWith4DAttentionMask
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    case = dict(case)
    predict = case.pop("do_predict", False)
    args = {
        "model_name_or_path": os.path.join(OUT, case.pop("tokenizer", "tokenizer")), "dataset_dir": os.path.join(OUT, "datasets"),
        "output_dir": tempfile.mkdtemp(), "do_train": not predict, "do_eval": predict,
        "finetuning_type": "lora", "overwrite_cache": True, "report_to": "none", "use_cpu": True, "seed": 42,
        **{key: value for key, value in case.items() if value is not None},
    }
    model_args, data_args, training_args, finetuning_args, _ = get_train_args(args)
    training_args.predict_with_generate = predict  # the option itself asks for packages that only its metrics need
    tokenizer_module = load_tokenizer(model_args)
    tokenizer = tokenizer_module["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    module = get_dataset(template, model_args, data_args, training_args, stage=case["stage"], **tokenizer_module)
    result = {"eos": tokenizer.eos_token, "pad": tokenizer.pad_token}
    for split in ("train_dataset", "eval_dataset"):
        rows = module.get(split)
        if rows is None:
            continue
        kept = ("input_ids", "labels", "position_ids", "attention_mask")
        plain = lambda key, value: key == "attention_mask" and all(v == 1 for v in value)
        result[split] = [{key: row[key] for key in kept if key in row and not plain(key, row[key])} for row in rows]
        if split == "train_dataset" and case["stage"] == "sft":
            collate = SFTDataCollatorWith4DAttentionMask(
                template=template, model=None, pad_to_multiple_of=8, label_pad_token_id=-100, block_diag_attn=False,
                neat_packing=False, attn_implementation="sdpa", **tokenizer_module)
            batch = collate([{key: value for key, value in rows[i].items() if key != "position_ids"} for i in range(min(3, len(rows)))])
            result["batch"] = {
                "size": int(batch["input_ids"].shape[0]), "all": batch["input_ids"].numel(), "non_padding": int((batch["attention_mask"] != 0).sum()),
                "labels": int(batch["labels"].ne(-100).sum()), "shifted": int(batch["labels"][:, 1:].ne(-100).sum())}
    shutil.rmtree(args["output_dir"], ignore_errors=True)
    return result


def numpy_draws():
    entropies = [[0], [42], [42, 1], [42, 4], [7, 1, 2, 3, 4, 5], [2**40 + 5], [2**32 - 1]]
    draws = []
    for entropy in entropies:
        rng = np.random.default_rng(entropy if len(entropy) > 1 else entropy[0])
        draws.append({"entropy": entropy, "permutation": rng.permutation(17).tolist(), "uniform": [float(x) for x in rng.random(3)]})
    large = np.random.default_rng(1).permutation(100_000)
    return {"draws": draws, "large": {"head": large[:5].tolist(), "tail": large[-5:].tolist(), "checksum": int((large * np.arange(100_000) % 1_000_003).sum())}}


def main():
    make_tokenizer()
    make_datasets()
    register_efficient()
    sort_folders()
    only = sys.argv[1:]
    cases = []
    for name, case in CASES.items():
        if only and name not in only:
            continue
        print("case:", name, file=sys.stderr)
        cases.append({"name": name, "options": case, "expected": run_case(case)})
    with open(os.path.join(OUT, "cases.json"), "w") as file:
        file.write('{"llamafactory": "0.9.5", "cases": [\n')
        file.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
        file.write("\n]}\n")
    with open(os.path.join(OUT, "numpy.json"), "w") as file:
        json.dump({"numpy": np.__version__, **numpy_draws()}, file)
        file.write("\n")


if __name__ == "__main__":
    main()
