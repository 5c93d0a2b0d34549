"""Threads for blocking work: a bounded number at work, a bounded number waiting."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from nmcdist.errors import NmcdistError

P = ParamSpec("P")
T = TypeVar("T")


class TooManyError(NmcdistError):
    """More requests wait than the service allows; the client may try again later."""


class Pool:
    """Some threads with a queue of bounded length.

    A request whose client is gone, or whose deadline is over, leaves the queue; once it has started, it keeps its
    thread to its end.

    Parameters
    ----------
    name : str
        For the names of the threads.
    threads, waiting : int
        Most calls at work, and most calls that wait for a thread.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._count, self._lock = 0, threading.Lock()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns that runs in a thread.

        Raises
        ------
        TooManyError
            If too many calls wait already.
        """
        with self._lock:
            if self._count >= self._most:
                raise TooManyError("busy: too many requests wait; try again later")
            self._count += 1
        future = self._executor.submit(function, *args, **kwargs)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop what waits; what is at work ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _done(self, _: "Future[T]") -> None:
        with self._lock:
            self._count -= 1
