"""The decorators of compiled kernels, and their cache, where a process waits while another compiles."""

import fcntl
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, overload

import numba
import numpy as np
from numba.core import event
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

from nmcdist.kernels import notice

F = TypeVar("F", bound=Callable[..., Any])
Int = int | np.integer[Any]  # result of a kernel: a Python integer, or a NumPy integer of some width
Float = float | np.floating[Any]
_njit: Any = numba.njit  # its types hide that a kernel has the signature of its function
PATIENCE_S = 20.0  # a kernel compiles in a second or two, ten on a busy machine


@overload
def kernel(function: F) -> F: ...
@overload
def kernel(**options: Any) -> Callable[[F], F]: ...
def kernel(function: F | None = None, **options: Any) -> Any:
    """Compile a function at its first call, without the GIL, and cache it for other processes.

    Parameters
    ----------
    function : callable
    **options
        Further options of `numba.njit`.
    """

    def compiled(function: F) -> Any:
        # Without the wrapper for calls from C, which is not used and takes an eighth of the compile time.
        dispatcher = _njit(nogil=True, no_cfunc_wrapper=True, **options)(function)
        dispatcher._cache = SharedCache(function)
        return dispatcher

    return compiled if function is None else compiled(function)


def inlined(function: F) -> F:
    """Inline a function into the kernels that call it, and compile it nowhere else."""
    result: F = _njit(nogil=True, inline="always")(function)
    return result


class SharedCache(FunctionCache):
    """Cache of one kernel: only one of several processes compiles it, and changes in called kernels outdate it.

    numba's cache notices changes in the file of a kernel, but not in the files of the kernels that it calls. Other
    processes wait once for a process that was stopped while compiling, and not again for kernels that use that
    kernel.
    """

    others_end = True  # what they compile

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._lock: int | None = None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached kernel, after a wait if another process compiles it; None if this one must compile."""
        found = super().load_overload(sig, target_context)
        if found is not None or self._lock is not None:
            return found
        self._lock = self._locked()
        found = super().load_overload(sig, target_context)
        if found is not None:
            self.release()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Cache the compiled kernel, if possible."""
        try:
            with suppress(OSError):  # for example a full disk: the kernel works, and is compiled again next time
                super().save_overload(sig, data)
        finally:
            self.release()

    def release(self) -> None:
        """Let others compile."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def lock_path(self) -> Path:
        """The file that a process locks while it compiles."""
        return Path(self._cache_path, self._impl.filename_base + ".lock")

    def _locked(self) -> int | None:
        if not SharedCache.others_end:
            return None
        with suppress(OSError):  # a file system without locks: each process compiles for itself
            self._impl.locator.ensure_cache_path()
            file = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            if _locks_in_time(file):
                return file
            os.close(file)
            SharedCache.others_end = False
            notice.say(
                f"another process has been compiling {self._py_func.__name__} for {PATIENCE_S:.0f} s: compiled here too"
            )
        return None

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), _stamps_of_callees(self._py_func))


class _Watch(event.Listener):
    """Records when kernels are compiled, and lets others try if that fails or is interrupted."""

    def on_start(self, event: Any) -> None:
        notice.started()

    def on_end(self, event: Any) -> None:
        notice.ended()
        cache = event.data["dispatcher"]._cache
        failed = event._exc_details is not None  # numba's is_failed means the contrary
        if failed and isinstance(cache, SharedCache):
            cache.release()


event.register("numba:compile", _Watch())


def _locks_in_time(file: int) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False


@functools.cache
def _stamps_of_callees(function: Callable[..., Any]) -> tuple[tuple[str, int, int], ...]:
    """Return time and size of the files whose kernels a kernel calls, directly or not."""
    seen, waiting = {function}, [function]
    while waiting:
        found = set(_callees(waiting.pop())) - seen
        seen |= found
        waiting += found
    files = {Path(each.__code__.co_filename) for each in seen}
    stamps = ((file.name, file.stat()) for file in sorted(files) if file.is_file())  # a notebook cell is not a file
    return tuple((name, stamp.st_mtime_ns, stamp.st_size) for name, stamp in stamps)


def _callees(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    names, known = function.__code__.co_names, function.__globals__
    for name in names:
        value = known.get(name)
        others = [getattr(value, each, None) for each in names] if isinstance(value, ModuleType) else [value]
        yield from (each.py_func for each in others if isinstance(each, Dispatcher))
