"""The processes that render, by failure: stopped, killed, too slow, too many; and the files that are kept."""

import asyncio
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from nmcdist.datasets.integrity import manifest_hash
from nmcdist.errors import Busy, InputError, StoreError
from nmcdist.service.pools import TooManyError
from nmcdist.service.renders.exports import Exports
from nmcdist.service.renders.places import NotShownError, Place
from nmcdist.service.renders.spool import Spool
from nmcdist.service.renders.studio import Studio
from nmcdist.service.renders.workers import Workers
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import open_shelf
from tests.service.conftest import served

NAME = "ab" * 32


@pytest.fixture(scope="module")
def place(made_once, tmp_path_factory):
    store = made_once / "tiny.zarr"
    return Place(store, manifest_hash(store), False, tmp_path_factory.mktemp("cache"), 1 << 28)


@pytest.fixture(scope="module")
def workers():
    workers = Workers(1)
    yield workers
    workers.close()


def section(workers, place, deadline_s=60.0, item=0, colouring="phase"):
    headers, body = workers.run("section", (place, item, "z", 0.5, 64, colouring), deadline_s)
    assert headers == {}
    return body


def stopped(workers):
    """Stop the process, so that its next task never ends."""
    (pid,) = workers.processes()
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_errors_of_a_task_are_those_of_the_caller(workers, place):
    assert section(workers, place).startswith(b"\x89PNG")
    with pytest.raises(InputError, match="expected one of phase"):
        section(workers, place, colouring="grain")
    with pytest.raises(NotShownError, match="no grains"):
        workers.run("grains", (place, 0), 60.0)
    with pytest.raises(StoreError, match="item 99 does not exist"):
        section(workers, place, item=99)
    assert section(workers, place).startswith(b"\x89PNG")


def test_a_process_that_died_while_it_waited_is_replaced(workers, place):
    expected = section(workers, place)
    (pid,) = workers.processes()
    os.kill(pid, signal.SIGKILL)
    while workers.processes():
        time.sleep(0.01)
    assert section(workers, place) == expected
    assert workers.processes() != [pid]


def test_a_process_that_dies_at_work_is_a_busy_service_once(workers, place):
    expected = section(workers, place)
    pid = stopped(workers)
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(Busy, match="has died"):
        section(workers, place)
    assert section(workers, place) == expected


def test_a_process_that_takes_too_long_is_killed(workers, place):
    expected = section(workers, place)
    pid, start = stopped(workers), time.monotonic()
    with pytest.raises(Busy, match="takes too long"):
        section(workers, place, deadline_s=0.3)
    assert time.monotonic() - start < 5
    assert not psutil.pid_exists(pid)
    assert section(workers, place) == expected


def test_who_waits_for_a_process_waits_no_longer_than_its_deadline(workers, place):
    section(workers, place)
    pid = stopped(workers)
    seen = []

    def wait():
        with pytest.raises(Busy) as found:
            section(workers, place, deadline_s=1.5)
        seen.append(str(found.value))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    with pytest.raises(Busy, match="all renderers are at work"):
        section(workers, place, deadline_s=0.3)
    thread.join()
    assert "takes too long" in seen[0]
    assert not psutil.pid_exists(pid)


def test_a_closed_pool_starts_nothing(place):
    workers = Workers(2)
    workers.close()
    with pytest.raises(Busy, match="stops"):
        section(workers, place)
    assert workers.processes() == []


def test_an_item_goes_to_the_process_that_had_it_last(place):
    workers = Workers(2)
    try:
        both = [threading.Thread(target=section, args=(workers, place, 60.0, item)) for item in (0, 1)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert len(workers.processes()) == 2
        abouts = {worker.about[1]: worker for worker in workers._all}
        for item in (0, 1, 1, 0):
            assert workers._taken((place, item), time.monotonic() + 1) is abouts[item]
            workers._idle.append(abouts[item])
    finally:
        workers.close()


def test_only_so_many_requests_wait(releases, tmp_path):
    settings = Settings(cache=tmp_path / "cache", renderers=1)
    item = open_shelf(releases, settings)["tiny"]["1.0.0"]
    studio = Studio(settings)
    section(studio.workers, studio.place(item))
    pid = stopped(studio.workers)

    async def ask():
        asked = [asyncio.ensure_future(studio.made("section", item, k % 4, "z", k / 40, 64, "")) for k in range(40)]
        while sum(one.done() for one in asked) < 7:
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGCONT)
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    studio.close()
    assert sum(isinstance(answer, TooManyError) for answer in answers) == 40 - 33
    assert sum(isinstance(answer, tuple) for answer in answers) == 33


def test_a_picture_is_drawn_once(releases, tmp_path):
    settings = Settings(cache=tmp_path / "cache", renderers=1)
    item = open_shelf(releases, settings)["tiny"]["1.0.0"]
    studio = Studio(settings)
    first = asyncio.run(studio.made("section", item, 0, "z", 0.5, 64, ""))
    studio.close()
    again = Studio(settings)
    again.workers.close()  # nothing can be drawn any more
    assert asyncio.run(again.made("section", item, 0, "z", 0.5, 64, "")) == first
    with pytest.raises(Busy):
        asyncio.run(again.made("section", item, 0, "z", 0.6, 64, ""))
    again.close()


def test_a_service_outlives_its_renderers_and_they_die_with_it(releases, tmp_path):
    with served(releases, tmp_path / "log", "--cache", str(tmp_path / "cache")) as service:
        base = f"{service.url}/api/datasets/tiny/1.0.0/items/0/section.png?size="
        with httpx.Client(timeout=60) as client:
            assert client.get(f"{base}64").status_code == 200
            parent = psutil.Process(service.process.pid)
            assert parent.memory_info().rss < 500e6
            killed = renderers_of(parent)
            for renderer in killed:
                renderer.kill()
            while not all(map(has_ended, killed)):
                time.sleep(0.01)
            assert client.get(f"{base}64").status_code == 200  # kept
            assert client.get(f"{base}65").status_code == 200  # drawn by another
            left = renderers_of(parent)
            parent.kill()
            assert left
            assert psutil.wait_procs(left, timeout=30)[1] == []


def has_ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def renderers_of(parent):
    return [process for process in parent.children() if "spawn_main" in " ".join(process.cmdline())]


def write(spool, name, size, used=0.0):
    partial = spool.new()
    partial.write_bytes(b"x" * size)
    spool.keep(partial, name)
    if used:
        os.utime(partial.parent / name, (used, used))


def names(spool, candidates):
    return [name for name in candidates if spool.has(name)]


def test_files_used_longest_ago_make_room(tmp_path):
    spool = Spool(tmp_path / "spool", limit_bytes=100, age_s=1000)
    three = [c * 64 for c in "abc"]
    now = time.time()
    for k, name in enumerate(three):
        write(spool, name, 40, used=now - 100 + k)
    assert names(spool, three) == three[1:]
    content = spool.open(three[2])
    assert (content.size, content.read(0, 3)) == (40, b"xxx")
    write(spool, "d" * 64, 5000)
    assert names(spool, [*three, "d" * 64]) == ["d" * 64]
    assert content.read(37, 40) == b"xxx"  # whoever reads a file keeps it
    content.close()


def test_old_files_go_and_strangers_stay(tmp_path):
    spool = Spool(tmp_path / "spool", limit_bytes=10**6, age_s=50)
    (tmp_path / "spool" / "notes.txt").write_text("mine")
    write(spool, "a" * 64, 10, used=time.time() - 100)
    write(spool, "b" * 64, 10)
    assert names(spool, ["a" * 64, "b" * 64]) == ["b" * 64]
    assert (tmp_path / "spool" / "notes.txt").exists()


def test_what_dead_services_left_is_removed_when_it_is_old(tmp_path):
    spool = Spool(tmp_path, limit_bytes=100, age_s=50)
    old, new = spool.new(), spool.new()
    for path in (old, new):
        path.write_bytes(b"x")
        path.with_name(f"{path.name}.folder").mkdir()
        (path.with_name(f"{path.name}.folder") / "part").write_bytes(b"x")
    for path in (old, old.with_name(f"{old.name}.folder")):
        os.utime(path, (0, 0))
    Spool(tmp_path, limit_bytes=100, age_s=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, f"{new.name}.folder"])


def test_without_a_folder_files_are_kept_as_long_as_the_service_runs(tmp_path):
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool", limit_bytes=100, age_s=50)
    write(spool, NAME, 10)
    assert spool.open(NAME).size == 10
    folder = Path(spool._folder)
    assert folder.is_relative_to(tempfile.gettempdir())
    spool.close()
    assert not folder.exists()
    with pytest.raises(StoreError, match="is gone"):
        spool.open(NAME)


def test_a_file_is_made_once_and_to_its_end(tmp_path):
    exports = Exports(tmp_path, Settings(), at_once=1, patience_s=0.3)
    go, made = threading.Event(), []

    def make(target, deadline_s):
        go.wait(20)
        made.append(deadline_s)
        target.write_bytes(b"whole")

    async def ask():
        async def one(client):
            await exports.ensure(NAME, client, make)

        found = await asyncio.gather(one("a"), one("b"), exports.ensure("c" * 64, "a", make), return_exceptions=True)
        go.set()
        while not exports.spool.has(NAME):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await one("a")
        return found

    first, second, third = asyncio.run(ask())
    assert "is being made" in str(first)
    assert "is being made" in str(second)
    assert "another file is made for this client" in str(third)
    assert made == [Settings().export_s]
    exports.close()


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path):
    exports = Exports(tmp_path, Settings(), at_once=1, patience_s=5.0)

    def make(target, deadline_s):
        target.write_bytes(b"half")
        target.with_name(f"{target.name}.folder").mkdir()
        raise InputError("no such thing")

    for _ in range(2):
        with pytest.raises(InputError, match="no such thing"):
            asyncio.run(exports.ensure(NAME, "a", make))
    assert list(tmp_path.iterdir()) == []
    exports.close()
