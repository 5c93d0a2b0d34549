"""The one setting for kernel threads: numba, scipy.fft, edt and thread pools all read it."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba

SHARED_CELLS = 100_000  # a smaller sweep ends before a second thread wakes up


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


class Team:
    """Threads that share the planes of a sweep and sleep in between, which helps on a busy machine."""

    def __init__(self, pool: ThreadPoolExecutor, size: int) -> None:
        self.pool = pool
        self.size = size

    def sweep(self, kernel: Callable[..., None], planes: int, cells: int, *arguments: Any) -> None:
        """Call kernel(first, end, ...) on planes 1 to `planes`, in slabs on threads if there are enough `cells`."""
        if self.size == 1 or cells < SHARED_CELLS:
            kernel(1, planes + 1, *arguments)
            return
        cuts = [1 + planes * n // self.size for n in range(self.size + 1)]
        others = [self.pool.submit(kernel, cuts[n], cuts[n + 1], *arguments) for n in range(1, self.size)]
        kernel(cuts[0], cuts[1], *arguments)
        for other in others:
            other.result()
