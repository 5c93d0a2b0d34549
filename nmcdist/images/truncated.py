"""TIFF files that were cut off: their pages say how far the file reaches, so a lost end is seen before it is missed.

Readers of TIFF stop at the first page that is not there, and take what is left for the whole image.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from nmcdist.errors import ImageError

_OFFSETS, _COUNTS, _COMPRESSION, _DESCRIPTION = (273, 324), (279, 325), 259, 270  # tags; strips, tiles
_LONGEST_TEXT = 10_000  # of a description of ImageJ; those of OME have megabytes
_MOST_TAGS = 4096  # more are damaged bytes
_WANTED = {*_OFFSETS, *_COUNTS, _COMPRESSION, _DESCRIPTION}
_FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_ALONE_BYTES = 0xFF000000  # ImageJ describes stacks from about 4 GiB by their first page alone
_IMAGES = re.compile(rb"^ImageJ=.*?^images=(\d+)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class _Layout:
    """How numbers are written: byte order, formats of a number of tags and of an offset, and bytes of a tag."""

    order: str
    number: str
    offset: str
    tag_bytes: int

    def size(self, code: str) -> int:
        return struct.calcsize(self.order + code)


_Page = dict[int, tuple[int, ...]]


def check_tiff(where: Path) -> None:
    """Check that a TIFF file reaches as far as its pages say.

    What is no TIFF file at all is left to the reader. So is the last segment of compressed pages, whose length some
    programs write wrongly: there a cut shows when it is decoded.

    Raises
    ------
    ImageError
        If it ends before.
    OSError
        If it cannot be read.
    """
    size = where.stat().st_size
    with where.open("rb") as file:
        need = _needed(file, size)
    if need > size:
        raise ImageError(
            f"{where}: is truncated: found {size} bytes, expected at least {need}, where its pages reach to; the end "
            "of the file is missing, so copy or save it again"
        )


def _needed(file: BinaryIO, size: int) -> int:
    """Return how many bytes the file must have, or more than it has as soon as that is known."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return 0
    version = struct.unpack(order + "H", head[2:4])[0]
    if version == 42:
        layout, first = _Layout(order, "H", "I", 12), head[4:8]
    elif version == 43 and len(head) == 16:
        layout, first = _Layout(order, "Q", "Q", 20), head[8:16]
    else:
        return 0
    need, seen, page = 0, set[int](), _Page()
    (offset,) = struct.unpack(order + layout.offset, first)
    while offset and offset not in seen and need <= size:
        seen.add(offset)
        need, page, offset = _page(file, layout, offset, size)
        need = max(need, _data_end(page, size))
    return max(need, _stack_end(page) if len(seen) == 1 else 0)


def _page(file: BinaryIO, layout: _Layout, at: int, size: int) -> tuple[int, _Page, int]:
    """Return how far a page's tags reach, the values of those that matter, and the offset of the next page."""
    count_bytes, offset_bytes = layout.size(layout.number), layout.size(layout.offset)
    if at + count_bytes > size:
        return at + count_bytes, {}, 0
    read = partial(_unpacked, file, layout)
    (count,) = read(at, layout.number, 1)
    if count > _MOST_TAGS:
        return 0, {}, 0
    end = at + count_bytes + count * layout.tag_bytes + offset_bytes
    if end > size:
        return end, {}, 0
    found, need = _Page(), end
    for tag, code, length, place in _tags(file, layout, at + count_bytes, count):
        stop = place + length * layout.size(code)
        need = max(need, stop)
        if stop <= size and (tag != _DESCRIPTION or length <= _LONGEST_TEXT):
            found[tag] = read(place, code, length)
    return need, found, read(end - offset_bytes, layout.offset, 1)[0]


def _tags(file: BinaryIO, layout: _Layout, at: int, count: int) -> Iterator[tuple[int, str, int, int]]:
    """Yield number, format, length and place of the tags that matter."""
    head = f"{layout.order}HH{layout.offset}"
    file.seek(at)
    block = file.read(count * layout.tag_bytes)
    for k in range(count):
        start = k * layout.tag_bytes
        tag, kind, length = struct.unpack_from(head, block, start)
        if tag not in _WANTED or kind not in _FORMATS:
            continue
        inside = start + struct.calcsize(head)
        place = at + inside
        if length * layout.size(_FORMATS[kind]) > layout.size(layout.offset):
            (place,) = struct.unpack_from(layout.order + layout.offset, block, inside)
        yield tag, _FORMATS[kind], length, place


def _unpacked(file: BinaryIO, layout: _Layout, at: int, code: str, count: int) -> tuple[int, ...]:
    file.seek(at)
    return struct.unpack(f"{layout.order}{count}{code}", file.read(count * layout.size(code)))


def _data_end(page: _Page, size: int) -> int:
    """Return how far the voxels of a page must reach."""
    starts = next((page[tag] for tag in _OFFSETS if tag in page), ())
    lengths = next((page[tag] for tag in _COUNTS if tag in page), ())
    if page.get(_COMPRESSION, (1,)) != (1,) or len(lengths) != len(starts):
        return max(starts, default=-1) + 1
    return max((start + length for start, length in zip(starts, lengths, strict=True)), default=0)


def _stack_end(page: _Page) -> int:
    """Return how far a stack reaches that ImageJ describes by one page; 0 if it is no such stack."""
    images = _IMAGES.match(bytes(page.get(_DESCRIPTION, ())))
    starts, lengths = page.get(_OFFSETS[0], ()), page.get(_COUNTS[0], ())
    if images is None or not starts or len(lengths) != len(starts):
        return 0
    total = int(images[1]) * sum(lengths)
    return starts[0] + total if total >= _ALONE_BYTES else 0
