"""The shelf: published releases come before results of jobs, and items may come while others read."""

import threading
from types import SimpleNamespace

from nmcdist.service.shelf import Item, Shelf


def item(version, job=None, name="tiny"):
    """An item of the shelf, with nothing but what the order depends on."""
    return Item(SimpleNamespace(name=name, version=version), None, None, None, {}, job)


def test_a_published_version_is_later_than_any_job_and_the_newest_job_than_the_others():
    shelf = Shelf("", [item("1.0.0"), item("1.2.0-rc.1"), item("1.1.0")])
    shelf.add(item("9.0.0-job.b", "b"), item("2.0.0-job.a", "a"))  # the newest first
    shelf.add(item("0.1.0-job.c", "c"))
    assert list(shelf["tiny"]) == ["1.2.0-rc.1", "1.1.0", "1.0.0", "0.1.0-job.c", "9.0.0-job.b", "2.0.0-job.a"]
    assert shelf.latest("tiny").release.version == "1.2.0-rc.1"
    shelf.add(item("1.0.0-job.d", "d", name="other"))
    assert list(shelf) == ["other", "tiny"]
    assert shelf.latest("other").job == "d"


def test_a_job_never_takes_the_place_of_a_release():
    shelf = Shelf("", [item("1.0.0-job.a")])
    shelf.add(item("1.0.0-job.a", "a"))
    assert [found.job for found in shelf.items_in_order()] == [None]


def test_items_come_while_others_read():
    shelf, faults = Shelf("", [item("1.0.0")]), []
    over = threading.Event()

    def read():
        while not over.is_set():
            found = [one.path for one in shelf.items_in_order()]
            if len(set(found)) != len(found) or shelf.latest("tiny").release.version != "1.0.0":
                faults.append(found)

    def add(number):
        for k in range(50):
            shelf.add(item(f"1.0.0-job.{number}-{k}", f"{number}-{k}"), item("1.0.0-job.x", "x", name=f"n{number}-{k}"))

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert not faults
    assert len(shelf["tiny"]) == 201 and len(shelf) == 201
