"""bench/lora-step on a tiny shape: both sides run, and what is saved can be judged."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_step_bench_compares_equal_losses_and_saves_all_it_measured(tmp_path):
    words = ["bench/run.mjs", "lora-step", "--shape", "tiny", "--rounds", "2", "--out", str(tmp_path)]
    result = subprocess.run(["node", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    (path,) = tmp_path.glob("*-lora-step-*.json")
    report = json.loads(path.read_text())
    assert set(report["versions"]) == {"python", "torch", "transformers", "peft"}
    assert report["settings"]["trainable"] == 2 * 8 * (2 * (48 + 48) + 2 * (48 + 16) + 3 * (48 + 96))
    assert len(report["ratio"]["values"]) == 2
    for side in (report["ours"], report["reference"]):
        assert len(side["losses"]) == len(side["gradNorms"]) == 3
        assert min(side["gradNorms"]) > 0
        assert side["peakMemoryBytes"] > 10e6
        assert side["tokensPerSecond"]["median"] > 0
    assert report["difference"]["loss"] < 1e-5
    assert report["difference"]["gradNorm"] < 1e-4
