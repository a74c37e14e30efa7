"""The clock of the benchmarks."""

import time

import jax
import numpy as np


def seconds(*works, repeat: int = 1) -> list[float]:
    """The best of several runs of each, in turn, so that whatever else the machine does meets all alike."""
    found = [np.inf] * len(works)
    for _ in range(repeat):
        for i, work in enumerate(works):
            start = time.perf_counter()
            jax.block_until_ready(work())
            found[i] = min(found[i], time.perf_counter() - start)
    return found


def best(work, repeat: int = 3) -> float:
    """The best of several runs."""
    return seconds(work, repeat=repeat)[0]
