"""Progress: a bar for people, JSON lines for programs."""

import io
import json
import re
import sys
import types

import pytest

from nmcdist.runs import progress as module
from nmcdist.runs.progress import Bar, JsonLines, NotebookBar, Silent, progress_on


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_are_json_with_what_a_program_needs():
    stream = io.StringIO()
    progress = progress_on(stream)
    assert isinstance(progress, JsonLines)
    progress.start(total=3, done=1)
    progress.advance(2)
    progress.event("failed", item=2, error="no")
    progress.finish()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert events[0] == {"event": "start", "done": 1, "total": 3}
    assert events[1]["done"] == 2
    assert events[1]["rate"] > 0
    assert events[1]["eta"] >= 0
    assert events[2] == {"event": "failed", "item": 2, "error": "no"}


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    progress = progress_on(stream)
    assert isinstance(progress, Bar)
    progress.start(total=4, done=0)
    progress.advance(2)
    progress.event("dashboard", link="http://x")
    progress.finish()
    text = stream.getvalue()
    assert " 2/4" in text
    assert "dashboard: link http://x\n" in text
    assert text.endswith("\n")


class ZMQInteractiveShell:
    """As the kernel of a notebook has it."""


class ColabsShell(ZMQInteractiveShell):
    """Of a kernel that is derived from it."""


class TerminalInteractiveShell:
    """As IPython in a terminal has it."""


class Notebook:
    """What a notebook shows: each display and what it was updated to."""

    def __init__(self, monkeypatch, shell):
        self.shown = []
        ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
        ipython.get_ipython = lambda: shell
        display.display = self.display
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, thing, *, display_id):
        assert display_id
        states = [thing]
        self.shown.append(states)
        return types.SimpleNamespace(update=states.append)


@pytest.mark.parametrize("shell", [ZMQInteractiveShell(), ColabsShell()])
def test_a_notebook_gets_one_bar_that_is_updated_in_place(monkeypatch, capsys, shell):
    notebook, times = Notebook(monkeypatch, shell), iter(range(0, 1000, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    progress = progress_on()
    assert isinstance(progress, NotebookBar)
    progress.event("warning", text="a <b>")
    progress.start(total=4, done=1)
    progress.advance(2)
    progress.advance(4)
    progress.finish()
    (states,) = notebook.shown
    assert [re.findall("[0-9]/4", repr(state)) for state in states] == [["1/4"], ["2/4"], ["4/4"], ["4/4"]]
    assert re.fullmatch(r"2/4 [0-9.]+ s per task, [0-9:.]+( s)? left", repr(states[1]))
    assert states[1]._repr_html_() == f'<progress value="2" max="4"></progress> {states[1]!r}'
    assert capsys.readouterr() == ("warning: text a <b>\n", "")


def test_a_notebook_is_not_flooded(monkeypatch):
    notebook = Notebook(monkeypatch, ZMQInteractiveShell())
    monkeypatch.setattr(module.time, "monotonic", lambda: 7.0)
    progress = progress_on()
    progress.start(total=10_000, done=0)
    for done in range(1, 10_001):
        progress.advance(done)
    progress.finish()
    (states,) = notebook.shown
    assert [state.done for state in states] == [0, 10_000, 10_000]


def test_without_tasks_the_bar_is_full(monkeypatch):
    notebook = Notebook(monkeypatch, ZMQInteractiveShell())
    progress = progress_on()
    progress.start(total=0, done=0)
    progress.finish()
    assert notebook.shown[0][-1]._repr_html_() == '<progress value="1" max="1"></progress> 0/0'


@pytest.mark.parametrize("shell", [None, TerminalInteractiveShell()])
def test_outside_a_notebook_ipython_changes_nothing(monkeypatch, shell):
    notebook = Notebook(monkeypatch, shell)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(progress_on(), Bar)
    assert notebook.shown == []


def test_a_stream_that_is_asked_for_goes_before_the_notebook(monkeypatch):
    Notebook(monkeypatch, ZMQInteractiveShell())
    assert isinstance(progress_on(io.StringIO()), JsonLines)


def test_silence_is_silent(capsys):
    progress = Silent()
    progress.start(total=1, done=0)
    progress.event("x")
    progress.advance(1)
    progress.finish()
    assert capsys.readouterr() == ("", "")
