"""Ranges and conditions, refereed by the slices of Python and the examples of RFC 9110."""

import pytest

from nmcdist.service.ranges import RangeError, accepts_gzip, byte_range, is_refused, is_unchanged, range_counts

DATA = bytes(range(10))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", DATA[:1]),
        ("bytes=0-9", DATA),
        ("bytes=2-4", DATA[2:5]),
        ("bytes=3-", DATA[3:]),
        ("bytes=8-99", DATA[8:]),
        (f"bytes=8-{'9' * 30}", DATA[8:]),
        ("bytes=-3", DATA[-3:]),
        ("bytes=-10", DATA),
        ("bytes=-99", DATA),
        ("BYTES=1-1", DATA[1:2]),
        ("bytes= 1-1 ", DATA[1:2]),
    ],
)
def test_a_range_is_a_slice(header, expected):
    start, stop = byte_range(header, len(DATA))
    assert DATA[start:stop] == expected


@pytest.mark.parametrize("header", [None, "", "items=0-3", "bytes"])
def test_what_is_no_range_of_bytes_asks_for_the_whole(header):
    assert byte_range(header, 10) is None


@pytest.mark.parametrize(
    "header",
    ["bytes=", "bytes=-", "bytes=10-", "bytes=5-2", "bytes=-0", "bytes=a-b", "bytes=0-1,3-4", "bytes=0-1,", "bytes=1",
     "bytes=+1-2", "bytes=1-2-3", "bytes=\u0661-2", f"bytes={'9' * 30}-", "bytes=0x0-1"],
)  # fmt: skip
def test_a_range_that_cannot_be_served_is_refused(header):
    with pytest.raises(RangeError):
        byte_range(header, 10)


def test_an_empty_file_has_no_ranges():
    assert byte_range(None, 0) is None
    with pytest.raises(RangeError):
        byte_range("bytes=-1", 0)


def test_conditions():
    assert is_unchanged('"a"', '"a"')
    assert is_unchanged('W/"a"', '"a"')
    assert is_unchanged('"x, y", "a"', '"a"')
    assert is_unchanged("*", '"a"')
    assert not is_unchanged('"b"', '"a"')
    assert not is_unchanged("a", '"a"')
    assert not is_unchanged(None, '"a"')
    assert not is_refused(None, '"a"')
    assert not is_refused("*", '"a"')
    assert not is_refused('"b", "a"', '"a"')
    assert is_refused('W/"a"', '"a"')
    assert range_counts(None, '"a"')
    assert range_counts('"a"', '"a"')
    assert not range_counts('W/"a"', '"a"')
    assert not range_counts("Wed, 21 Oct 2026 07:28:00 GMT", '"a"')


@pytest.mark.parametrize(
    ("header", "expected"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip, deflate", True), ("deflate, gzip ; q=1", True), (None, False),
     ("", False), ("identity", False), ("gzip;q=0", False), ("gzip;q=0.000", False), ("x-gzip", False), ("*", False)],
)  # fmt: skip
def test_gzip_is_sent_to_those_who_name_it(header, expected):
    assert accepts_gzip(header) is expected
