"""End a run by a signal: close the workers, and keep all finished work."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: workers are closed, and all finished work is kept.

    Both are noted besides raising KeyboardInterrupt: an exception that lands in a finaliser or a callback of a
    library is lost, and the note ends the run after the next outcome (:func:`stop_if_asked`).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked_to_stop.clear()
    before = {number: signal.signal(number, _note_and_raise) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_asked_to_stop = threading.Event()


def _note_and_raise(number: int, frame: Any) -> None:
    _asked_to_stop.set()
    raise KeyboardInterrupt


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt if a signal has asked for the end of the run."""
    if _asked_to_stop.is_set():
        _asked_to_stop.clear()
        raise KeyboardInterrupt
