"""Progress of a run: a bar on a terminal, one JSON object a line anywhere else.

A run goes on where its progress cannot be written, as on a closed pipe or a full disk.
"""

import contextlib
import json
import shutil
import sys
import time
from typing import Any, Protocol, TextIO


class Progress(Protocol):
    """What a run tells about itself."""

    def event(self, name: str, **facts: Any) -> None:
        """Something happened that is worth a line."""

    def start(self, total: int, done: int) -> None:
        """`done` of `total` tasks are there already."""

    def advance(self, done: int) -> None:
        """So many tasks are done now."""

    def finish(self) -> None:
        """No more will come."""


class Silent:
    """Tells nothing."""

    def event(self, name: str, **facts: Any) -> None:
        """Ignore."""

    def start(self, total: int, done: int) -> None:
        """Ignore."""

    def advance(self, done: int) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


class _Rate:
    """Tasks a second since the start, and seconds left."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.first, self.begin = total, done, time.monotonic()

    def __call__(self, done: int) -> tuple[float, float | None]:
        elapsed = time.monotonic() - self.begin
        rate = (done - self.first) / elapsed if elapsed > 0 else 0.0
        return rate, (self.total - done) / rate if rate > 0 else None


class JsonLines:
    """One JSON object a line: event, done, total, rate in tasks a second, eta in seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.rate = _Rate(0, 0)

    def event(self, name: str, **facts: Any) -> None:
        """Write the event."""
        _write(self.stream, json.dumps({"event": name, **facts}) + "\n")

    def start(self, total: int, done: int) -> None:
        """Write where the run stands."""
        self.rate = _Rate(total, done)
        self.event("start", done=done, total=total)

    def advance(self, done: int) -> None:
        """Write how far it is."""
        rate, eta = self.rate(done)
        left = None if eta is None else round(eta, 1)
        self.event("progress", done=done, total=self.rate.total, rate=round(rate, 4), eta=left)

    def finish(self) -> None:
        """Write nothing: the last event said it all."""


class Bar:
    """One line on a terminal, drawn anew."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.rate = _Rate(0, 0)
        self.shown = ""

    def event(self, name: str, **facts: Any) -> None:
        """Put a line above the bar."""
        text = ", ".join(f"{key} {value}" for key, value in facts.items())
        self._write(f"\r\x1b[K{name}: {text}\n" if text else f"\r\x1b[K{name}\n")
        self._write(self.shown)

    def start(self, total: int, done: int) -> None:
        """Draw the bar."""
        self.rate = _Rate(total, done)
        self.advance(done)

    def advance(self, done: int) -> None:
        """Draw the bar anew."""
        total = self.rate.total
        rate, eta = self.rate(done)
        pace = f" {_clock(1 / rate)} a task, {_clock(eta)} left" if rate and eta is not None else ""
        tail = f" {done}/{total}{pace}"
        width = max(10, min(40, shutil.get_terminal_size().columns - len(tail) - 3))
        filled = round(width * done / total) if total else width
        self.shown = f"\r\x1b[K[{'#' * filled}{'.' * (width - filled)}]{tail}"
        self._write(self.shown)

    def finish(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self.shown:
            self._write("\n")
        self.shown = ""

    def _write(self, text: str) -> None:
        _write(self.stream, text)


def progress_on(stream: TextIO | None = None) -> Progress:
    """Return a bar if the stream (default: standard error) is a terminal, else JSON lines."""
    stream = stream or sys.stderr
    if stream is None:  # as in a process that was started without one
        return Silent()
    return Bar(stream) if stream.isatty() else JsonLines(stream)


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # ValueError: closed
        stream.write(text)
        stream.flush()


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
