"""Writes packages/tokenizer/test/fixtures: what Python `tokenizers` makes of ~40,000 strings.

Run with the reference environment: python tools/python/make_tokenizer_cases.py SmolLM2.gguf

strings.json.gz          6,000 strings: random text of all planes, spaces, emoji, numbers, code, control tokens in text.
smollm2-vocabulary.json.gz  the tokenizer keys of the GGUF file.
llama3-style.json.gz     tokenizer.json of a byte-level BPE with Llama 3's pattern, trained here on Python's own sources.
*-cases.json.gz          CRC-32 of the ids (little-endian u32) of every string, full ids of some, decoded random ids.

Besides the stored strings both sides build two strings for each run of 64 code points, so that every code point occurs.
"""

import base64
import gzip
import json
import random
import struct
import sys
import zlib
from pathlib import Path

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

OUT = Path(__file__).resolve().parents[2] / "packages/tokenizer/test/fixtures"
FULL = 400  # strings whose ids are stored whole

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "[INST]", "[/INST]", "<|user|>", "<|assistant|>",
    "<|system|>",
]  # fmt: skip


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    (OUT / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def smollm2(path):
    fields = GGUFReader(path).fields
    get = lambda key: fields["tokenizer." + key].contents()  # noqa: E731
    keys = {
        "model": get("ggml.model"),
        "pre": get("ggml.pre"),
        "tokens": get("ggml.tokens"),
        "tokenTypes": get("ggml.token_type"),
        "merges": get("ggml.merges"),
        "bosTokenId": get("ggml.bos_token_id"),
        "eosTokenId": get("ggml.eos_token_id"),
        "padTokenId": get("ggml.padding_token_id"),
        "unknownTokenId": get("ggml.unknown_token_id"),
        "addBosToken": get("ggml.add_bos_token"),
        "chatTemplate": get("chat_template"),
    }
    vocab = {token: index for index, token in enumerate(keys["tokens"])}
    tokenizer = Tokenizer(models.BPE(vocab, [tuple(merge.split(" ")) for merge in keys["merges"]]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(keys["tokens"], keys["tokenTypes"]) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    write("smollm2-vocabulary.json.gz", keys)
    return tokenizer, special


def corpus():
    library = Path(random.__file__).parent
    for name in ["argparse", "ast", "dataclasses", "datetime", "difflib", "doctest", "inspect", "pathlib", "statistics", "typing"]:
        for line in (library / f"{name}.py").read_text().splitlines():
            yield line
    yield from ["Größe, Übung, Straße, naïve façade", "привет мир, как дела", "你好，世界！很高兴认识你！", "こんにちは世界", "مرحبا بالعالم", "🙂👍🏽 ❤️ 🎉"] * 20


def llama3_style():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(vocab_size=3000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in LLAMA3_SPECIAL])
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    bos = "<|begin_of_text|>"
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))]
            ),
        ]
    )
    parsed = json.loads(tokenizer.to_str())
    parsed["model"]["ignore_merges"] = True
    write("llama3-style.json.gz", parsed)
    return Tokenizer.from_str(json.dumps(parsed)), LLAMA3_SPECIAL


EMOJI = ["👩‍👩‍👧‍👦", "👍🏽", "❤️", "🏳️‍🌈", "🇩🇪", "🇫🇷🇯🇵", "1️⃣", "🧑🏿‍💻", "😀", "🫠", "©️", "⌛"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u0085", "\u2003", "\u3000", "\ufeff", "\u200b", "\u2028", "\x1c", "\v", "\f"]
WORDS = "the of and to in docker run container Größe naïve Straße привет мир 你好 世界 こんにちは مرحبا שלום हिन्दी ไทย don't I'm we'll they've it's she'd YOU'RE x's 'S".split()
CODE = ["def f(x):\n    return x**2\n", "for (let i = 0; i < n; ++i) {\n\tsum += a[i];\n}", "SELECT * FROM t WHERE id=42;", "<div class=\"a\">&nbsp;</div>", "docker run -d --name web -p 8080:80 nginx:1.25", "#!/bin/sh\nset -eu\n", "\\frac{a}{b}", "a->b::c<T>&&d||!e"]
RANGES = [(0x20, 0x7F), (0, 0x20), (0x80, 0x100), (0x100, 0x250), (0x300, 0x370), (0x400, 0x530), (0x590, 0x700), (0x900, 0xE80), (0x1E00, 0x2000), (0x2000, 0x2C00), (0x3000, 0x3100), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xF900), (0xFB00, 0x10000), (0x10000, 0x20000), (0x20000, 0x33480), (0xE0000, 0xE01F0), (0xF0000, 0x110000)]  # fmt: skip


def piece(rng, special):
    kind = rng.randrange(10)
    if kind == 0:
        return "".join(chr(rng.randrange(*rng.choice(RANGES))) for _ in range(rng.randrange(1, 8)))
    if kind == 1:
        return rng.choice(EMOJI) * rng.randrange(1, 3)
    if kind in (2, 3):
        return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 5])
    if kind == 4:
        return rng.choice(["%d", "%.3f", "%e", "0x%x", "1,%03d", "²%d", "½%d", "Ⅷ%d", "٣%d", "፲%d"]).replace("%d", str(rng.randrange(10 ** rng.randrange(1, 12)))).replace("%.3f", "%.3f" % rng.random()).replace("%e", "%e" % rng.random()).replace("%x", "ff").replace("%03d", "234")
    if kind == 5:
        return rng.choice(CODE)
    if kind == 6:
        token = rng.choice(special)
        return rng.choice([token, token, token[:-1], token[1:], " " + token + " ", token + token])
    return rng.choice(WORDS)


def make_strings():
    rng = random.Random(20250207)
    special = LLAMA3_SPECIAL + ["<tool_call>", "<repo_name>", "<gh_stars>", "<empty_output>"]
    fixed = ["", " ", "\n", "a" * 300, " " * 200, "0123456789" * 20, "ab" * 150 + "\n" * 40, "I'm he'll THEY'VE ſ's", "<|im_start|>user\nHi<|im_end|>\n"]
    return fixed + ["".join(piece(rng, special) for _ in range(rng.randrange(1, 9))) for _ in range(6000 - len(fixed))]


def code_point_strings():
    for start in range(0, 0x110000, 64):
        points = [chr(c) for c in range(start, start + 64) if not 0xD800 <= c < 0xE000]
        if points:
            yield "".join(points)
            yield "".join(f"x{c} {c}7" for c in points)


def crc(ids):
    return zlib.crc32(struct.pack(f"<{len(ids)}I", *ids))


def base64_u32(values):
    return base64.b64encode(struct.pack(f"<{len(values)}I", *values)).decode()


def cases(name, tokenizer, special, strings):
    every = strings + list(code_point_strings())
    result = {"count": len(every), "vocabSize": tokenizer.get_vocab_size()}
    for mode, split in (("plain", True), ("special", False)):
        tokenizer.encode_special_tokens = split
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in every]
        result[mode] = {"crc": base64_u32([crc(row) for row in ids]), "full": ids[:FULL]}
    tokenizer.encode_special_tokens = False
    result["framed"] = [tokenizer.encode(text).ids for text in strings[:20]]
    rng = random.Random(7)
    size = tokenizer.get_vocab_size()
    rows = [[rng.randrange(size) for _ in range(rng.randrange(1, 12))] for _ in range(300)]
    result["decoded"] = [[row, tokenizer.decode(row, skip_special_tokens=False), tokenizer.decode(row)] for row in rows]
    result["special_tokens"] = special
    write(f"{name}-cases.json.gz", result)
    print(name, len(every), "strings")


if __name__ == "__main__":
    texts = make_strings()
    write("strings.json.gz", texts)
    cases("smollm2", *smollm2(sys.argv[1]), texts)
    cases("llama3-style", *llama3_style(), texts)
