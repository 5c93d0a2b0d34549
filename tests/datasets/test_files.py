"""Files: whole or not at all, and sizes as people write them."""

import errno
import os
import tracemalloc

import pytest

from nmcdist.datasets.files import (
    file_record,
    files_below,
    matches,
    parsed_bytes,
    read_bytes,
    readable_bytes,
    replacing,
    write_text,
)  # fmt: skip
from nmcdist.datasets.folder import Folder
from nmcdist.errors import StoreError


def test_a_failing_writer_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with replacing(path) as partial:
            partial.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(files_below(tmp_path)) == ["a.txt"]


def test_a_record_tells_a_changed_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    record = file_record(path)
    # FIPS 180-2, appendix B.1
    assert record.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert matches(path, record)
    path.write_bytes(b"abd")
    assert not matches(path, record)
    path.unlink()
    assert not matches(path, record)


def test_a_linked_file_survives_the_removal_of_the_first(tmp_path):
    first, second = Folder(tmp_path / "first"), Folder(tmp_path / "second")
    for folder in (first, second):
        folder.path.mkdir()
    first.write("deep/a", b"abc")
    second.link(first, "deep/a")
    assert (second / "deep/a").stat().st_ino == (first / "deep/a").stat().st_ino
    first.remove("deep/a")
    assert (second / "deep/a").read_bytes() == b"abc"


def test_a_file_is_copied_where_there_are_no_hard_links(tmp_path, monkeypatch):
    first, second = Folder(tmp_path / "first"), Folder(tmp_path / "second")
    for folder in (first, second):
        folder.path.mkdir()
    first.write("deep/a", b"abc")
    monkeypatch.setattr(os, "link", lambda *args, **options: (_ for _ in ()).throw(PermissionError(1, "not here")))
    second.link(first, "deep/a")
    assert (second / "deep/a").read_bytes() == b"abc"
    assert (second / "deep/a").stat().st_ino != (first / "deep/a").stat().st_ino


def test_errors_of_a_write_name_the_file(tmp_path):
    def full():
        with replacing(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as caught:
        full()
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_errors_name_the_file_and_not_its_partial(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught, replacing(tmp_path / "folder"):
        pass
    assert caught.value.filename == str(tmp_path / "folder")
    with pytest.raises(StoreError) as refused, replacing(tmp_path / "a.txt") as partial:
        raise StoreError(f"{partial}: cannot be written")
    assert str(refused.value) == f"{tmp_path / 'a.txt'}: cannot be written"


@pytest.mark.parametrize(
    ("text", "count"),
    [("8GiB", 8 * 2**30), ("500 MB", 5 * 10**8), ("1.5 GiB", 3 * 2**29), ("64kib", 65536), ("1024", 1024), ("7B", 7)],
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert parsed_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "8 GiBs", "-1GiB", "0", "eight", "1e400GiB", "nanGiB", "9" * 20 + "GB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="expected a"):
        parsed_bytes(text)


def test_sizes_are_shown_in_binary_units():
    assert [readable_bytes(n) for n in (12, 2048, 3 * 2**29)] == ["12 B", "2.0 KiB", "1.5 GiB"]


def test_reading_takes_the_memory_of_the_file_not_of_the_limit(tmp_path):
    (tmp_path / "small").write_bytes(b"x" * 1000)
    tracemalloc.start()
    try:
        assert read_bytes(tmp_path / "small", 1 << 30) == b"x" * 1000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
