"""The one setting for kernel threads: numba, scipy.fft, edt and thread pools all read it."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba


def thread_count() -> int:
    """Return how many threads a kernel may use, as set by :func:`set_thread_count`."""
    return numba.get_num_threads()


def set_thread_count(count: int) -> None:
    """Let kernels called from this thread use `count` threads (at most numba's own limit)."""
    limit = int(vars(numba.config)["NUMBA_NUM_THREADS"])
    numba.set_num_threads(max(1, min(count, limit)))


def thread_map(function: Callable[..., Any], *arguments: Iterable[Any]) -> list[Any]:
    """Map a function that releases the GIL over arguments, on :func:`thread_count` threads, in order."""
    workers = thread_count()
    if workers == 1:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(workers, initializer=set_thread_count, initargs=(1,)) as pool:
        return list(pool.map(function, *arguments))
