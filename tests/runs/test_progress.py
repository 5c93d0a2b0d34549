"""Progress: a bar for people, JSON lines for programs."""

import io
import json

from nmcdist.runs.progress import Bar, JsonLines, Silent, progress_on


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


def test_silence_is_silent(capsys):
    progress = Silent()
    progress.start(total=1, done=0)
    progress.event("x")
    progress.advance(1)
    progress.finish()
    assert capsys.readouterr() == ("", "")
