"""Of several processes one compiles a kernel, and what is kept is outdated by a change in what it calls."""

import fcntl
import importlib
import os
import subprocess
import sys

import numba
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


def test_processes_that_never_end_are_waited_for_once(tmp_path, monkeypatch):
    """Two kernels of one process are held by others; a failed wait is the last one, and is said."""
    said = []
    monkeypatch.setattr(jit, "PATIENCE_S", 0.5)
    monkeypatch.setattr(jit.SharedCache, "others_end", True)
    monkeypatch.setattr(jit.notice, "say", said.append)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    (tmp_path / "held.py").write_text(
        "from nmcdist.jit import kernel\n@kernel\ndef first(x):\n    return x\n@kernel\ndef second(x):\n    return x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    held = importlib.import_module("held")
    kernels = [held.first, held.second]
    files = []
    for one in kernels:
        one._cache.lock_path.parent.mkdir(parents=True, exist_ok=True)
        files.append(one._cache.lock_path.open("w"))
        fcntl.flock(files[-1], fcntl.LOCK_EX)
    assert [one(3) for one in kernels] == [3, 3]
    for file in files:
        file.close()
    assert len(said) == 1
    assert said[0].startswith("another process has been compiling first")


def test_a_kernel_that_cannot_be_compiled_is_let_go_of(tmp_path):
    @jit.kernel
    def strange(x):
        return x.no_such_thing

    with pytest.raises(numba.TypingError):
        strange(1)
    assert strange._cache._lock is None
