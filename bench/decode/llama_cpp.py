"""llama.cpp's greedy completions through xllamacpp, one call for each line on standard input.

usage: llama_cpp.py <model.gguf> <prompts.json> <threads>
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import xllamacpp

gguf, prompts, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
rows = json.loads(Path(prompts).read_text())
params = xllamacpp.CommonParams()
params.model.path = gguf
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.n_parallel = len(rows)
params.n_ctx = 256 * len(rows)
params.cache_prompt = False
params.verbosity = -1
server = xllamacpp.Server(params)


def generate(batch: int, tokens: int) -> dict:
    request = {
        "prompt": rows[:batch],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    started = time.perf_counter()
    made = server.handle_completions(request)
    seconds = time.perf_counter() - started
    ends = [choice["finish_reason"] for choice in made["choices"]]
    assert ends == ["length"] * batch, f"llama.cpp ended with {ends}"
    return {"seconds": seconds}


def say(answer: dict) -> None:
    print(json.dumps(answer), flush=True)


say({"versions": {"xllamacpp": version("xllamacpp")}})
for line in sys.stdin:
    say(generate(**json.loads(line)))
