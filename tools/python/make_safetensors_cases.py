"""Verdicts of the safetensors wheel on hand-made and random headers → fixtures/safetensors/verdicts.json,
and files as the wheel writes them → fixtures/safetensors/written.json.

Run: OMP_NUM_THREADS=1 python tools/python/make_safetensors_cases.py   (torch, safetensors 0.8.0)
"""

import base64
import json
import pathlib
import random
import struct

import safetensors
import torch
from safetensors.torch import save

OUT = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "safetensors"


def frame(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def verdict(blob):
    try:
        safetensors.deserialize(blob)
        return "accepted"
    except safetensors.SafetensorError as error:
        return str(error).removeprefix("Error while deserializing: ").removeprefix("Error while deserializing header: ")


def entry(dtype="F32", shape=(1,), begin=0, end=4, **extra):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **extra}


def one(data=b"\0" * 4, **fields):
    return frame(json.dumps({"a": entry(**fields)}), data)


def nested(depth):
    return "[" * depth + "]" * depth


HAND = {
    "empty file": b"",
    "seven bytes": b"\0" * 7,
    "length 100000001": frame("{}", length=100_000_001),
    "length 2^64-1": frame("{}", length=2**64 - 1),
    "length beyond the file": frame("{}", length=3),
    "zero-length header": frame(""),
    "no tensors": frame("{}"),
    "no tensors, one data byte": frame("{}", b"x"),
    "array header": frame("[]"),
    "header not UTF-8": frame(b'{"\xff":1}'),
    "header cut": frame('{"a":'),
    "trailing comma": frame('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},}'),
    "text after the object": frame("{} x"),
    "padding spaces": frame("{}      "),
    "leading spaces": frame("  {}"),
    "byte order mark": frame("\ufeff{}"),
    "nested 10000 deep": frame('{"a":' + nested(10_000) + "}"),
    "nested 126 in __metadata__": frame('{"__metadata__":' + nested(126) + "}"),
    "dtype F33": one(dtype="F33"),
    "dtype number": one(dtype=3),
    "dtype missing": frame('{"a":{"shape":[1],"data_offsets":[0,4]}}', b"\0" * 4),
    "shape missing": frame('{"a":{"dtype":"F32","data_offsets":[0,4]}}', b"\0" * 4),
    "offsets missing": frame('{"a":{"dtype":"F32","shape":[1]}}', b"\0" * 4),
    "three offsets": frame('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}', b"\0" * 4),
    "one offset": frame('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', b"\0" * 4),
    "dtype twice": frame('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4),
    "metadata string": frame('{"__metadata__":{"k":"v"}}'),
    "metadata number": frame('{"__metadata__":{"k":1}}'),
    "metadata object": frame('{"__metadata__":{"k":{}}}'),
    "metadata list": frame('{"__metadata__":[]}'),
    "shape [2, 2^64-2]": one(shape=(2, 2**64 - 2)),
    "shape wraps to 4": one(shape=(4194305, 4194305, 211106198978564), dtype="U8"),
    "shape overflows before a zero": one(shape=(2**63, 4, 0), data=b"", end=0),
    "shape 2^64": one(shape=(2**64,)),
    "bits overflow": one(shape=(2**61,)),
    "negative offset": one(begin=-4, end=0, shape=(1,)),
    "shape [1.0]": frame('{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', b"\0" * 4),
    "shape [1e0]": frame('{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}', b"\0" * 4),
    "shape [-0]": frame('{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'),
    "shape [01]": frame('{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}', b"\0" * 4),
    "begin after end": one(begin=4, end=0),
    "overlap": frame(json.dumps({"a": entry(), "b": entry(begin=2, end=6)}), b"\0" * 6),
    "hole": frame(json.dumps({"a": entry(), "b": entry(begin=8, end=12)}), b"\0" * 12),
    "hole at the start": one(begin=4, end=8, data=b"\0" * 8),
    "trailing bytes": one(data=b"\0" * 5),
    "truncated": one(data=b"\0" * 3),
    "shape larger than bytes": one(shape=(2,)),
    "shape smaller than bytes": one(shape=(2,), end=12, data=b"\0" * 12),
    "half-byte dtype": one(dtype="F4", shape=(1,), end=0, data=b""),
    "two half bytes": one(dtype="F4", shape=(2,), end=1, data=b"\0"),
    "duplicate name, two ranges": frame('{"a":%s,"a":%s}' % (json.dumps(entry()), json.dumps(entry(begin=4, end=8))), b"\0" * 8),
    "duplicate name, same range": frame('{"a":%s,"a":%s}' % (json.dumps(entry()), json.dumps(entry())), b"\0" * 4),
    "zero-size tensor of [0, 2^63]": one(shape=(0, 2**63), end=0, data=b""),
    "zero-size tensor sharing an offset": frame(json.dumps({"a": entry(shape=(0,), end=0), "b": entry(), "c": entry(shape=(0, 3), begin=4)}), b"\0" * 4),
    "rank 0": one(shape=()),
    "rank 16": one(shape=(1,) * 16),
    "rank 17": one(shape=(1,) * 17),
    "name ../../etc/passwd": frame(json.dumps({"../../etc/passwd": entry()}), b"\0" * 4),
    "empty name": frame(json.dumps({"": entry()}), b"\0" * 4),
    "name __proto__": frame(json.dumps({"__proto__": entry(), "constructor": entry(begin=4, end=8)}), b"\0" * 8),
    "half surrogate in a name": frame('{"\\ud800":%s}' % json.dumps(entry()), b"\0" * 4),
    "extra field": one(note="x"),
    "extra field with a float": one(note=1.5),
    "NaN payload": one(data=struct.pack("<f", float("nan"))),
}

# Stricter than the reference on purpose.
STRICTER = {
    "leading spaces",
    "duplicate name, same range",
    "zero-size tensor of [0, 2^63]",
    "rank 17",
}

DTYPES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "I16": 2, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "F64": 8, "I64": 8}


def random_header(rng):
    """A valid file of up to four tensors, then up to two mutations of its description."""
    header, at = {}, 0
    for index in range(rng.randrange(4)):
        dtype = rng.choice(list(DTYPES))
        shape = [rng.randrange(4) for _ in range(rng.randrange(4))]
        size = DTYPES[dtype]
        for dim in shape:
            size *= dim
        header[f"t{index}"] = entry(dtype, shape, at, at + size)
        at += size
    data = bytes(rng.randrange(256) for _ in range(at))
    for _ in range(rng.randrange(3)):
        data = mutate(rng, header, data)
    text = json.dumps(header)
    if rng.random() < 0.1:
        cut = rng.randrange(len(text))
        text = text[:cut] + rng.choice('{}[],:"0 x') + text[cut + 1 :]
    return frame(text, data)


def mutate(rng, header, data):
    kind = rng.randrange(6)
    if kind == 0:
        return data + b"\0" * rng.randrange(1, 5)
    if kind == 1:
        return data[: max(0, len(data) - rng.randrange(1, 5))]
    if not header:
        return data
    tensor = header[rng.choice(list(header))]
    if kind == 2:
        tensor["data_offsets"][rng.randrange(2)] += rng.choice([-4, -1, 1, 4])
    elif kind == 3 and tensor["shape"]:
        tensor["shape"][rng.randrange(len(tensor["shape"]))] = rng.choice([0, 1, 5, 2**32, 2**63, -1])
    elif kind == 4:
        tensor["dtype"] = rng.choice([*DTYPES, "F33", "f32"])
    elif kind == 5:
        tensor["shape"].insert(0, rng.choice([1, 1, 2, 0]))
    return data


def main():
    rng = random.Random(20260731)
    cases = [(name, blob) for name, blob in HAND.items()]
    cases += [(f"random {index}", random_header(rng)) for index in range(400)]
    rows = []
    for name, blob in cases:
        row = {"name": name, "base64": base64.b64encode(blob).decode(), "verdict": verdict(blob)}
        if name in STRICTER:
            row["stricter"] = True
        rows.append(row)
    OUT.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    (OUT / "verdicts.json").write_text(f'{{"safetensors": "{safetensors.__version__}", "cases": [\n{lines}\n]}}\n')
    tensors = {
        "model.b": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
        "model.a": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "é.scale": torch.tensor(3.0, dtype=torch.float16),
        "ids": torch.tensor([[1], [2**40]], dtype=torch.int64),
        "mask": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 4),
        "a\n\"quoted\"": torch.tensor([7], dtype=torch.int8),
    }
    written = {
        "base64": base64.b64encode(save(tensors, {"format": "pt"})).decode(),
        "tensors": {name: {"shape": list(t.shape), "base64": base64.b64encode(raw(t)).decode()} for name, t in tensors.items()},
    }
    (OUT / "written.json").write_text(json.dumps(written, indent=1) + "\n")


def raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


main()
