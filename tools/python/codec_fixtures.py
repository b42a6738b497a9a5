"""What the scripts that make fixtures of codecs share. `numbers` stands in crates/kernels/tests/codecs.rs too."""

from pathlib import Path

import numpy as np
import torch


def numbers(*shape: int) -> torch.Tensor:
    """Multiples of 2⁻¹², few enough that every order of summation gives the same mean of absmax; zero from 640 to 767."""
    i = np.arange(np.prod(shape), dtype=np.int64)
    x = (((i * i * 31 + i * 17) % 10007 - 5003) * 2 ** (i // 64 % 4)).astype(np.float32) / np.float32(4096)
    x[640:768] = 0
    return torch.from_numpy(x).reshape(shape)


def save(path: Path, parts: list[torch.Tensor], values: torch.Tensor) -> None:
    """The bytes of a codec, its parts one after the other, and every 29th number they expand to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [part.contiguous().view(-1).view(torch.uint8).numpy().tobytes() for part in [*parts, values.reshape(-1)[::29].float()]]
    path.with_name(f"{path.name}.bytes").write_bytes(b"".join(written[:-1]))
    path.with_name(f"{path.name}.f32").write_bytes(written[-1])
