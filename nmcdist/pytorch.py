"""PyTorch, or an error that names its installation, and trainings that can be repeated; only nets need it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from nmcdist.extras import of_import

try:
    import torch
    from torch import nn
except ImportError as error:
    known = of_import(error)
    if known is None:
        raise
    raise known from None

__all__ = ["half_precision", "nn", "reproducible", "torch"]


@contextlib.contextmanager
def reproducible(seed: int, threads: int | None = 1) -> Iterator[None]:
    """Seed PyTorch in a block, and let it add in the same order on one machine; restore all settings at the end.

    Parameters
    ----------
    seed : int
    threads : int or None
        Sums in parallel differ in their last digits between numbers of threads; None: as many as before.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed % 2**63)
        torch.use_deterministic_algorithms(True, warn_only=True)
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])


def half_precision() -> Any:
    """Return the context in which convolutions use bfloat16 if this CPU has instructions for it.

    They halve the time; weights stay in single precision. A CPU without them takes ten times as long in bfloat16.
    """
    cpu = torch.cpu.get_capabilities()
    has_it = cpu.get("avx512_bf16", False) or cpu.get("amx_bf16", False)
    return torch.autocast("cpu", torch.bfloat16, enabled=has_it)
