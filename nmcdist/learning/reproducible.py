"""Trainings with PyTorch that give the same weights when they are repeated on one machine."""

import contextlib
from collections.abc import Iterator

from nmcdist.pytorch import torch


@contextlib.contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed PyTorch and use one thread in a block: sums in parallel differ in their last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
