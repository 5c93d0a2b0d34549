"""The cache: whole entries only, within its limit, whatever happens to its files, its disk and its processes."""

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nmcdist.virtual import cache as cache_module
from nmcdist.virtual.cache import Cache
from nmcdist.virtual.recent import Recent
from tests.virtual.conftest import drawn_window, folder_bytes, opened, window_keys

NAMES = [f"{k:064x}" for k in range(200)]


def files_of(k, size=10_000):
    return {"a/c/0": random.Random(k).randbytes(size), "b/c/0": b"%d" % k}


def test_an_entry_is_read_as_it_was_written(tmp_path):
    cache = Cache(tmp_path / "deep" / "cache", 1 << 20)
    assert cache.put(NAMES[0], files_of(0))
    assert cache.get(NAMES[0], "a/c/0") == files_of(0)["a/c/0"]
    assert cache.get_all(NAMES[0]) == files_of(0)
    assert cache.get(NAMES[0], "no") is None
    assert cache.get(NAMES[1], "a/c/0") is None
    assert cache.get_all(NAMES[1]) is None


def harm(path, how):
    content = path.read_bytes()
    path.unlink()
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "of zeros":  # as a file system may leave it after a loss of power
        path.write_bytes(bytes(len(content)))
    elif how == "a flipped bit in the head":
        path.write_bytes(content[:70] + bytes([content[70] ^ 1]) + content[71:])
    elif how == "a flipped bit in a file":
        path.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    elif how == "another entry":
        path.write_bytes((path.parent / NAMES[1]).read_bytes())
    elif how == "a foreign file":
        path.write_text("hello\n" * 1000)
    elif how == "a link":
        path.symlink_to(path.parent / NAMES[1])
    elif how == "a pipe":
        os.mkfifo(path)


@pytest.mark.parametrize(
    "how",
    [
        "cut short", "empty", "of zeros", "a flipped bit in the head", "a flipped bit in a file", "another entry",
        "a foreign file", "a link", "a pipe", "missing",
    ],
)  # fmt: skip
def test_what_is_no_whole_entry_is_a_miss_and_is_replaced(tmp_path, how):
    cache = Cache(tmp_path, 1 << 20)
    assert cache.put(NAMES[0], files_of(0))
    assert cache.put(NAMES[1], files_of(1))
    harm(tmp_path / "entries" / NAMES[0], how)
    assert cache.get(NAMES[0], "a/c/0") is None
    assert cache.get_all(NAMES[0]) is None
    assert cache.put(NAMES[0], files_of(0))
    assert cache.get_all(NAMES[0]) == files_of(0)
    assert cache.get_all(NAMES[1]) == files_of(1)


def test_what_was_used_longest_ago_goes_first(tmp_path):
    cache = Cache(tmp_path, 100_000)
    for k in range(7):  # 12 KiB each
        assert cache.put(NAMES[k], files_of(k))
        os.utime(tmp_path / "entries" / NAMES[k], ns=(k, k))
    assert cache.get(NAMES[0], "b/c/0") == b"0"
    assert cache.put(NAMES[7], files_of(7))
    held = [k for k in range(8) if cache.get_all(NAMES[k])]
    assert 0 in held
    assert 7 in held
    assert 1 not in held
    assert held == sorted(held)


def test_an_entry_larger_than_the_cache_is_not_kept(tmp_path):
    cache = Cache(tmp_path, 100_000)
    assert cache.put(NAMES[0], files_of(0))
    assert not cache.put(NAMES[1], files_of(1, 100_000))
    assert cache.get_all(NAMES[0]) == files_of(0)


def test_the_limit_is_never_exceeded_under_threads_and_two_users(tmp_path):
    limit = 400_000
    caches = [Cache(tmp_path, limit), Cache(tmp_path, limit)]
    peaks, done = [], threading.Event()

    def watch():
        while not done.is_set():
            before, size = set(tmp_path.rglob("*")), folder_bytes(tmp_path)
            if set(tmp_path.rglob("*")) == before:  # else entries that come and those that go were counted together
                peaks.append(size)

    def use(k):
        cache = caches[k % 2]
        if cache.get_all(NAMES[k % 97]) is None:
            cache.put(NAMES[k % 97], files_of(k % 97, 1000 * (1 + k % 40)))
        found = cache.get_all(NAMES[k % 97])
        assert found is None or found == files_of(k % 97, 1000 * (1 + k % 40)) or k >= 97

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(1500)))
    done.set()
    watcher.join()
    assert limit / 2 < max(peaks) <= limit
    assert len(peaks) > 20


def test_what_a_dead_process_left_is_removed_and_what_is_being_written_counts(tmp_path):
    cache = Cache(tmp_path, 100_000)
    assert cache.put(NAMES[0], files_of(0))
    left = tmp_path / "writing" / "40960-0123456789abcdef"
    left.write_bytes(b"half of an entry")
    held = tmp_path / "writing" / "61440-fedcba9876543210"
    held.write_bytes(b"")
    (tmp_path / "writing" / "notes.txt").write_text("of another program")
    (tmp_path / "ledger").write_text("torn")
    with held.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert not cache.put(NAMES[1], files_of(1, 40_000))
        assert cache.put(NAMES[2], files_of(2))
        assert not left.exists()
        assert held.exists()
    assert cache.put(NAMES[1], files_of(1, 40_000))
    assert not held.exists() or folder_bytes(tmp_path) <= 100_000
    assert (tmp_path / "writing" / "notes.txt").exists()


def test_a_full_disk_is_a_cache_that_keeps_nothing(tmp_path, monkeypatch, windows):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    computed = opened(windows, tmp_path)
    monkeypatch.setattr(cache_module, "write_all", full)
    key = window_keys()[3]
    assert computed.get(key) == drawn_window(key)
    assert list((tmp_path / "entries").iterdir()) == []
    assert list((tmp_path / "writing").iterdir()) == []


def test_a_cache_below_a_file_keeps_nothing(tmp_path, windows):
    (tmp_path / "file").write_text("")
    computed = opened(windows, tmp_path / "file" / "cache")
    key = window_keys()[4]
    assert computed.get(key) == drawn_window(key)


def test_a_cache_that_cannot_be_written_is_still_read(tmp_path, windows, monkeypatch):
    key = window_keys()[5]
    opened(windows, tmp_path).get(key)
    computed = opened(windows, tmp_path)

    def read_only(path, flags, *args, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *args, **options)

    real = os.open
    monkeypatch.setattr(cache_module.os, "open", read_only)
    made = []
    monkeypatch.setattr(computed._maker, "files", made.append)
    assert computed.get(key) == drawn_window(key)
    assert not made


def test_recent_files_are_dropped_by_use():
    recent = Recent(30)
    for name in "abc":
        recent.put(name, {name: bytes(10)})
    recent.get("a")
    recent.put("d", {"d": bytes(10)})
    assert [name for name in "abcd" if recent.get(name)] == ["a", "c", "d"]
    recent.put("e", {"e": bytes(31)})
    assert recent.get("e") is None


KILLED = """
import sys
from pathlib import Path
from nmcdist.virtual import Computed
computed = Computed.open(Path(sys.argv[1]), Path(sys.argv[2]), 1 << 20, 2)
computed.warm()
print("ready", flush=True)
for key in sys.argv[3:]:
    computed.get(key)
"""


def test_a_maker_killed_at_any_moment_leaves_no_wrong_chunk(grains, tmp_path):
    names = ["seed_nm", "kept", "labels_200nm"]
    place = {"seed_nm": "0/0", "kept": "0", "labels_200nm": "0/0/0"}
    keys = [f"{name}/c/{item}/{place[name]}" for item in range(40) for name in names]
    rng = random.Random(8)
    for _ in range(6):
        rng.shuffle(keys)
        command = [sys.executable, "-c", KILLED, str(grains), str(tmp_path), *keys]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
    assert list((tmp_path / "entries").iterdir())
    right, computed = opened(grains, None), opened(grains, tmp_path, 1 << 20)
    for key in keys:
        assert computed.get(key) == right.get(key), key
    assert folder_bytes(tmp_path) <= 1 << 20
