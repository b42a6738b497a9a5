"""What bench/gpu draws in Python is what our backends draw: its two sides train the same weights without sending them."""

import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, node_script

sys.path.insert(0, str(ROOT / "bench" / "gpu"))
import philox  # noqa: E402


def test_philox_gives_the_published_vector() -> None:
    """kat_vectors of Random123: philox4x32, ten rounds, all zeros."""
    [words] = philox.philox(torch.zeros(1, dtype=torch.int64), 0, 0).tolist()
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@pytest.mark.parametrize("seed", [7, 2**45 + 11])
def test_uniform_numbers_are_ours_to_the_bit(seed: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(philox, "BLOCKS", 100)
    node_script("uniform.mjs", str(tmp_path / "numbers"), "model.norm.weight", str(seed), "1003")
    ours = torch.frombuffer(bytearray((tmp_path / "numbers").read_bytes()), dtype=torch.float32)
    theirs = philox.uniform_(torch.empty(17, 59), -0.3, 0.7, philox.stream_of("model.norm.weight"), seed)
    assert torch.equal(ours, theirs.view(-1))
