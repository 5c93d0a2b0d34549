"""Files: whole or not at all, and sizes as people write them."""

import pytest

from nmcdist.datasets.files import (
    file_record,
    files_below,
    matches,
    parsed_bytes,
    readable_bytes,
    replacing,
    write_text,
)  # fmt: skip


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


@pytest.mark.parametrize(
    ("text", "count"),
    [("8GiB", 8 * 2**30), ("500 MB", 5 * 10**8), ("1.5 GiB", 3 * 2**29), ("64kib", 65536), ("1024", 1024), ("7B", 7)],
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert parsed_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "8 GiBs", "-1GiB", "0", "eight", "1e400GiB", "nanGiB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="expected a"):
        parsed_bytes(text)


def test_sizes_are_shown_in_binary_units():
    assert [readable_bytes(n) for n in (12, 2048, 3 * 2**29)] == ["12 B", "2.0 KiB", "1.5 GiB"]
