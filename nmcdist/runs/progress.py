"""Progress of a run: a bar on a terminal or in a notebook, one JSON object per line anywhere else.

A run continues if its progress cannot be written, for example to a closed pipe or a full disk.
"""

import contextlib
import html
import json
import shutil
import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

_REDRAWN_S = 0.2  # between two updates of a notebook: each is a message to the browser


class Progress(Protocol):
    """The receiver of a run's progress."""

    def event(self, name: str, **facts: Any) -> None:
        """Report an event."""

    def start(self, total: int, done: int) -> None:
        """Report that `done` of `total` tasks are done already."""

    def advance(self, done: int) -> None:
        """Report how many tasks are done now."""

    def finish(self) -> None:
        """Report the end."""


class Silent:
    """Reports nothing."""

    def event(self, name: str, **facts: Any) -> None:
        """Ignore."""

    def start(self, total: int, done: int) -> None:
        """Ignore."""

    def advance(self, done: int) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


class _Rate:
    """Tasks per second since the start, and seconds left."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.first, self.begin = total, done, time.monotonic()

    def __call__(self, done: int) -> tuple[float, float | None]:
        elapsed = time.monotonic() - self.begin
        rate = (done - self.first) / elapsed if elapsed > 0 else 0.0
        return rate, (self.total - done) / rate if rate > 0 else None

    def text(self, done: int) -> str:
        """Return the number of finished tasks, and once known the time per task and the time left."""
        rate, eta = self(done)
        pace = f" {_clock(1 / rate)} per task, {_clock(eta)} left" if rate and eta is not None else ""
        return f"{done}/{self.total}{pace}"


class JsonLines:
    """One JSON object per line: event, done, total, rate in tasks per second, eta in seconds."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.rate = _Rate(0, 0)

    def event(self, name: str, **facts: Any) -> None:
        """Write the event."""
        _write(self.stream, json.dumps({"event": name, **facts}) + "\n")

    def start(self, total: int, done: int) -> None:
        """Write how many tasks are done already."""
        self.rate = _Rate(total, done)
        self.event("start", done=done, total=total)

    def advance(self, done: int) -> None:
        """Write how many tasks are done."""
        rate, eta = self.rate(done)
        left = None if eta is None else round(eta, 1)
        self.event("progress", done=done, total=self.rate.total, rate=round(rate, 4), eta=left)

    def finish(self) -> None:
        """Write nothing: the last event was complete."""


class Bar:
    """One line on a terminal, redrawn at each step."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.rate = _Rate(0, 0)
        self.shown = ""

    def event(self, name: str, **facts: Any) -> None:
        """Print a line above the bar."""
        self._write(f"\r\x1b[K{_line(name, facts)}\n")
        self._write(self.shown)

    def start(self, total: int, done: int) -> None:
        """Draw the bar."""
        self.rate = _Rate(total, done)
        self.advance(done)

    def advance(self, done: int) -> None:
        """Redraw the bar."""
        total, tail = self.rate.total, f" {self.rate.text(done)}"
        width = max(10, min(40, shutil.get_terminal_size().columns - len(tail) - 3))
        filled = round(width * done / total) if total else width
        self.shown = f"\r\x1b[K[{'#' * filled}{'.' * (width - filled)}]{tail}"
        self._write(self.shown)

    def finish(self) -> None:
        """Leave the bar and go to the next line."""
        if self.shown:
            self._write("\n")
        self.shown = ""

    def _write(self, text: str) -> None:
        _write(self.stream, text)


@dataclass(frozen=True)
class _Shown:
    """The bar in a notebook: as HTML, or as text if HTML is not supported."""

    text: str
    done: int
    total: int

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self.done if self.total else 1}" max="{self.total or 1}"></progress>'
        return f"{bar} {html.escape(self.text)}"


class NotebookBar:
    """A bar in the output of a notebook cell, updated in place; events are printed below it.

    Parameters
    ----------
    display : callable
        For example IPython.display.display.
    stream : file, optional
        Receives the lines; default: standard output.
    """

    def __init__(self, display: Any, stream: TextIO | None = None) -> None:
        self.display = display
        self.stream = stream
        self.rate = _Rate(0, 0)
        self.handle: Any = None
        self.done = 0
        self.drawn = 0.0

    def event(self, name: str, **facts: Any) -> None:
        """Print a line."""
        stream = self.stream or sys.stdout
        if stream is not None:
            _write(stream, f"{_line(name, facts)}\n")

    def start(self, total: int, done: int) -> None:
        """Show the bar."""
        self.rate, self.done = _Rate(total, done), done
        self.handle = self.display(self._shown(), display_id=True)
        self.drawn = time.monotonic()

    def advance(self, done: int) -> None:
        """Update the bar, a few times per second at most."""
        self.done = done
        if done >= self.rate.total or time.monotonic() - self.drawn >= _REDRAWN_S:
            self._update()

    def finish(self) -> None:
        """Leave the bar in its last state."""
        self._update()
        self.handle = None

    def _update(self) -> None:
        self.drawn = time.monotonic()
        if self.handle is not None:
            self.handle.update(self._shown())

    def _shown(self) -> _Shown:
        return _Shown(self.rate.text(self.done), self.done, self.rate.total)


def progress_on(stream: TextIO | None = None) -> Progress:
    """Return the display for the progress of a run.

    Parameters
    ----------
    stream : file, optional
        A terminal shows a bar, anything else gets JSON lines. Default: the notebook that runs this, or standard error.
    """
    if stream is None and (display := _notebook_display()) is not None:
        return NotebookBar(display)
    stream = stream or sys.stderr
    if stream is None:  # in a process started without standard error
        return Silent()
    return Bar(stream) if stream.isatty() else JsonLines(stream)


def _notebook_display() -> Any:
    """Return IPython's display if this process is a notebook kernel; IPython is not imported for the test."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if all(base.__name__ != "ZMQInteractiveShell" for base in type(shell).__mro__):
        return None
    from IPython.display import display

    return display


def _line(name: str, facts: dict[str, Any]) -> str:
    text = ", ".join(f"{key} {value}" for key, value in facts.items())
    return f"{name}: {text}" if text else name


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # ValueError: closed
        stream.write(text)
        stream.flush()


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
