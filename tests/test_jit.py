"""Of several processes one compiles a kernel, and what is kept is outdated by a change in what it calls."""

import fcntl
import os
import subprocess
import sys

import pytest

from nmcdist import jit

CALLEE = "from nmcdist.jit import kernel\nSTEP = {step}\n\n@kernel\ndef grown(x):\n    return x + STEP\n"
CALLER = "from nmcdist.jit import kernel\nfrom callee import grown\n\n@kernel\ndef twice(x):\n    return 2 * grown(x)\n"
USE = (
    "from numba.core import event\nimport caller\n"
    "compiled = []\n"
    "class Listener(event.Listener):\n"
    "    def on_start(self, e): compiled.append(e.data['dispatcher'].py_func.__name__)\n"
    "    def on_end(self, e): pass\n"
    "event.register('numba:compile', Listener())\n"
    "print(caller.twice(1), *compiled)\n"
)


@pytest.fixture
def use(tmp_path):
    """Start a process that calls the kernel; it prints the result and which kernels it compiled."""
    (tmp_path / "caller.py").write_text(CALLER)
    path = os.pathsep.join([str(tmp_path), *sys.path])

    def start(step):
        text, file = CALLEE.format(step=step), tmp_path / "callee.py"
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
        return subprocess.Popen(
            [sys.executable, "-B", "-c", USE], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path / "kept")},
        )  # fmt: skip

    return start


def ended(process):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return said.split()


def test_a_kernel_is_outdated_when_one_that_it_calls_has_changed(use):
    assert ended(use(10)) == ["22", "twice", "grown"]
    assert ended(use(10)) == ["22"]
    assert ended(use(2000)) == ["4002", "twice", "grown"]


def test_of_three_processes_at_once_one_compiles(use):
    said = [ended(process) for process in [use(10) for _ in range(3)]]
    assert [words[0] for words in said] == ["22"] * 3
    assert sorted(name for words in said for name in words[1:]) == ["grown", "twice"]


def test_a_process_that_never_ends_its_kernel_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "PATIENCE_S", 0.3)
    with (tmp_path / "lock").open("w") as held, (tmp_path / "lock").open("w") as wanted:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not jit._locks_in_time(wanted.fileno())
        fcntl.flock(held, fcntl.LOCK_UN)
        assert jit._locks_in_time(wanted.fileno())
