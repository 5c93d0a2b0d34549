"""The command line in this process."""

import sys

import pytest

from nmcdist import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line in this process; returns exit status, and standard output and error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nmcdist", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr()

    return call
