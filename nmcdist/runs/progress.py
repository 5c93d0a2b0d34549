"""Progress of a run: a bar on a terminal or in a notebook, one JSON object per line anywhere else.

A run goes on where its progress cannot be written, as on a closed pipe or a full disk.
"""

import contextlib
import html
import json
import shutil
import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

_REDRAWN_S = 0.2  # between two updates of a notebook, each of which is a message to the browser


class Progress(Protocol):
    """What a run reports."""

    def event(self, name: str, **facts: Any) -> None:
        """Report what happened."""

    def start(self, total: int, done: int) -> None:
        """Report that `done` of `total` tasks are done already."""

    def advance(self, done: int) -> None:
        """Report how many tasks are done now."""

    def finish(self) -> None:
        """Report that no more will come."""


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
        """Return how many tasks are done, and once that is known the time per task and the time left."""
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
        """Write nothing: the last event said it all."""


class Bar:
    """One line on a terminal, drawn again and again."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.rate = _Rate(0, 0)
        self.shown = ""

    def event(self, name: str, **facts: Any) -> None:
        """Put a line above the bar."""
        self._write(f"\r\x1b[K{_line(name, facts)}\n")
        self._write(self.shown)

    def start(self, total: int, done: int) -> None:
        """Draw the bar."""
        self.rate = _Rate(total, done)
        self.advance(done)

    def advance(self, done: int) -> None:
        """Draw the bar again."""
        total, tail = self.rate.total, f" {self.rate.text(done)}"
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


@dataclass(frozen=True)
class _Shown:
    """What a notebook shows: as HTML, or as text where it takes none."""

    text: str
    done: int
    total: int

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self.done if self.total else 1}" max="{self.total or 1}"></progress>'
        return f"{bar} {html.escape(self.text)}"


class NotebookBar:
    """A bar in the output of a notebook's cell, updated in place; what happens is printed below it.

    Parameters
    ----------
    display : callable
        As IPython.display.display.
    stream : file, optional
        Gets the lines; default: standard output.
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
        """Leave the bar with what it came to."""
        self._update()
        self.handle = None

    def _update(self) -> None:
        self.drawn = time.monotonic()
        if self.handle is not None:
            self.handle.update(self._shown())

    def _shown(self) -> _Shown:
        return _Shown(self.rate.text(self.done), self.done, self.rate.total)


def progress_on(stream: TextIO | None = None) -> Progress:
    """Return what shows the progress of a run.

    Parameters
    ----------
    stream : file, optional
        A terminal gets a bar, anything else JSON lines. Default: the notebook that runs this, or standard error.
    """
    if stream is None and (display := _notebook_display()) is not None:
        return NotebookBar(display)
    stream = stream or sys.stderr
    if stream is None:  # as in a process that was started without one
        return Silent()
    return Bar(stream) if stream.isatty() else JsonLines(stream)


def _notebook_display() -> Any:
    """Return IPython's display if this process is the kernel of a notebook; IPython is not loaded to find out."""
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
