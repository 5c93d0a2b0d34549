"""Ends of child processes: kindly, by force, in time, and those that a dead service left behind."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import psutil

GRACE_S = 30.0  # from SIGTERM to SIGKILL


def end_orphans(*words: str) -> None:
    """End the children of a service that died, by words of their commands: first kindly, then with their workers."""
    for process in psutil.process_iter():
        try:
            if not set(words) <= set(process.cmdline()):
                continue
            process.terminate()
            try:
                process.wait(GRACE_S)
            except psutil.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(GRACE_S)
        except psutil.Error:  # gone meanwhile, or of another user
            continue


@contextlib.contextmanager
def deadline(seconds: float, over: threading.Event, child: subprocess.Popen[str]) -> Iterator[None]:
    """End a child that takes longer than so many seconds, and set the event."""

    def finish() -> None:
        over.set()
        end(child)

    timer = threading.Timer(min(max(0.0, seconds), threading.TIMEOUT_MAX), finish)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def end(child: subprocess.Popen[str]) -> None:
    """Ask a child to end as by Ctrl-C, which keeps all finished work; kill it and its workers if it does not."""
    if child.poll() is None:
        child.terminate()
        killer = threading.Timer(GRACE_S, kill, (child,))
        killer.daemon = True
        killer.start()


def kill(child: subprocess.Popen[str]) -> None:
    """Kill a child and its workers."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # it leads its session, so this is its own group
