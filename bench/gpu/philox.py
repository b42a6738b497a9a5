"""The uniform numbers of crates/kernels/src/rng.rs (Philox4x32-10) on any device of torch, so that weights need not travel."""

import torch

MASK = 0xFFFFFFFF
#: Blocks of four numbers at a time.
BLOCKS = 1 << 24


def stream_of(name: str) -> int:
    """32-bit FNV-1a, as streamOf of packages/tensor."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & MASK
    return value


def product(words: torch.Tensor, factor: int):
    """High and low word. A product that does not fit wraps to the right 64 bits, of which the sign is one."""
    wide = words * factor
    return wide >> 32 & MASK, wide & MASK


def philox(blocks: torch.Tensor, stream: int, seed: int) -> torch.Tensor:
    """Four words [N, 4] of each block; step, micro-step and rank are 0."""
    zeros = torch.zeros_like(blocks)
    a, b, c, d = blocks & MASK, blocks >> 32, zeros, zeros
    low, high = seed & MASK, stream ^ seed >> 32
    for _ in range(10):
        (high0, low0), (high1, low1) = product(a, 0xD2511F53), product(c, 0xCD9E8D57)
        a, b, c, d = high1 ^ b ^ low, low1, high0 ^ d ^ high, low0
        low, high = low + 0x9E3779B9 & MASK, high + 0xBB67AE85 & MASK
    return torch.stack([a, b, c, d], 1)


def uniform_(x: torch.Tensor, low: float, high: float, stream: int, seed: int) -> torch.Tensor:
    """Fills x with f32 numbers in [low, high), rounded to its dtype."""
    flat = x.view(-1)
    first, last = torch.tensor(low, dtype=torch.float32), torch.nextafter(torch.tensor(high, dtype=torch.float32), torch.tensor(float("-inf")))
    for start in range(0, flat.numel(), 4 * BLOCKS):
        part = flat[start : start + 4 * BLOCKS]
        blocks = torch.arange(start // 4, (start + part.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        unit = (philox(blocks, stream, seed).view(-1)[: part.numel()] >> 8).double() / 2**24
        part.copy_((low + (high - low) * unit).float().clamp(first.item(), last.item()))
    return x
