"""An entry of the cache: the files of a task in one file, each with its checksum.

A head with the name of the entry and the place of each file comes first, then the files. A reader trusts nothing that
its checksum does not confirm, so an entry that is torn, or was renamed, or is no entry at all, reads as missing.
"""

import hashlib
import json
import os
import struct
from typing import Any

from nmcdist.virtual.making import Files

_MAGIC = b"nmcdist-entry-1\n"
_LENGTH = struct.Struct("<Q")
_DIGEST = 32
_FRONT = len(_MAGIC) + _LENGTH.size + _DIGEST
_FIRST = 1 << 16  # bytes of the first read, which the heads of most entries fit in
_LONGEST = 1 << 26  # bytes of a head


def packed(name: str, files: Files) -> bytes:
    """Return the content of an entry.

    Parameters
    ----------
    name : str
        Name of the entry.
    files : dict of str to bytes
    """
    places, start = {}, 0
    for key, content in sorted(files.items()):
        places[key] = [start, len(content), hashlib.sha256(content).hexdigest()]
        start += len(content)
    head = json.dumps({"entry": name, "files": places}).encode()
    front = _MAGIC + _LENGTH.pack(len(head)) + hashlib.sha256(head).digest()
    return b"".join([front, head, *(content for _, content in sorted(files.items()))])


def read_file(handle: int, name: str, key: str) -> bytes | None:
    """Return one file of an open entry; None if it is not whole, or is another entry."""
    head = _head(handle, name)
    return None if head is None or key not in head[0] else _content(handle, head[1], head[0][key])


def read_files(handle: int, name: str) -> Files | None:
    """Return all files of an open entry; None if one is not whole, or it is another entry."""
    head = _head(handle, name)
    if head is None:
        return None
    files: Files = {}
    for key, place in head[0].items():
        content = _content(handle, head[1], place)
        if content is None:
            return None
        files[key] = content
    return files


def _head(handle: int, name: str) -> tuple[dict[str, Any], int] | None:
    """Return the places of the files of an entry, and where the first one begins."""
    start = os.pread(handle, _FIRST, 0)
    if not start.startswith(_MAGIC) or len(start) < _FRONT:
        return None
    (length,) = _LENGTH.unpack_from(start, len(_MAGIC))
    if length > _LONGEST:
        return None
    end = _FRONT + length
    head = start[_FRONT:end]
    if len(head) < length:
        head = os.pread(handle, length, _FRONT)
    if hashlib.sha256(head).digest() != start[_FRONT - _DIGEST : _FRONT]:
        return None
    content = json.loads(head)
    return (content["files"], end) if content["entry"] == name else None


def _content(handle: int, first: int, place: list[Any]) -> bytes | None:
    start, size, digest = place
    if first + start + size > os.fstat(handle).st_size:
        return None
    content = os.pread(handle, size, first + start)
    return content if hashlib.sha256(content).hexdigest() == digest else None
