"""Locks: one driver at a time, and the next one is told who works."""

import errno
import fcntl
import os
import socket
import subprocess
import sys

import pytest

from nmcdist.errors import StoreError
from nmcdist.runs.locks import locked


def test_a_second_driver_is_told_who_has_the_lock(tmp_path):
    complaint = rf"process {os.getpid()} on {socket.gethostname()}\) is working"
    with locked(tmp_path / "run"), pytest.raises(StoreError, match=complaint), locked(tmp_path / "run"):
        pass
    with locked(tmp_path / "run"):
        pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def unsupported(handle, kind):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(StoreError, match=rf"{tmp_path}/lock: this file system has no locks"), locked(tmp_path):
        pass


def test_one_who_is_refused_does_not_erase_who_has_the_lock(tmp_path):
    for _ in range(2):
        with locked(tmp_path):
            for _ in range(2):
                with pytest.raises(StoreError, match=f"process {os.getpid()} on "), locked(tmp_path):
                    pass


_HOLD = """
import sys, time
from pathlib import Path
from nmcdist.runs.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_driver_is_free(tmp_path):
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {child.pid}"), locked(tmp_path / "run"):
            pass
        child.kill()
    with locked(tmp_path / "run"):
        pass
