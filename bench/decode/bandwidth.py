"""Prints the GB/s of reading 512 MB on <threads> threads, the best of ten.

usage: bandwidth.py <threads>
"""

import sys
import time

import torch

torch.set_num_threads(int(sys.argv[1]))
numbers, best = torch.ones(1 << 27), 0.0
for _ in range(10):
    started = time.perf_counter()
    numbers.sum()
    best = max(best, numbers.nbytes / (time.perf_counter() - started) / 1e9)
print(best)
