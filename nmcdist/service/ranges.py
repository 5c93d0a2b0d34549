"""Conditions and ranges of a request (RFC 9110), as pure functions of its headers."""

import re
from collections.abc import Sequence

from nmcdist.errors import InputError

_RANGE = re.compile(r"(?P<first>[0-9]{1,100})-(?P<last>[0-9]{0,100})|-(?P<suffix>[0-9]{1,100})")
_ZERO = re.compile(r"0(?:\.0*)?")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class RangeError(InputError):
    """A range cannot be served: several, impossible or malformed."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte of a requested range and the byte after its last; None if the whole file is requested.

    Parameters
    ----------
    header : str or None
        The header Range.
    size : int
        Size of the file in bytes.

    Raises
    ------
    RangeError
        If it is not one range, or lies outside the file.
    """
    unit, equals, text = (header or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":  # other units are ignored, as if there was no range
        return None
    if "," in text:
        raise RangeError("range: found several, expected one")
    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise RangeError("range: expected bytes=FIRST-LAST, bytes=FIRST- or bytes=-LENGTH")
    if found["suffix"]:
        start, stop = max(0, size - int(found["suffix"])), size
    else:
        start, stop = int(found["first"]), min(size, int(found["last"] or size) + 1)
        if found["last"] and int(found["last"]) < start:
            raise RangeError("range: the last byte is before the first")
    if start >= stop:
        raise RangeError(f"range: no byte of it is in the file, which has {size}")
    return start, stop


def is_unchanged(if_none_match: str | None, *etags: str) -> bool:
    """Return whether the client has the current version already, in one of its forms, so that 304 is the answer."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or not set(etags).isdisjoint(_strong(if_none_match))


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Return whether the client names gzip among the encodings that it reads."""
    return encoding_for(accept_encoding, ("gzip",)) == "gzip"


def encoding_for(accept_encoding: str | None, offered: Sequence[str]) -> str:
    """Return the first of some encodings that the client reads, "identity" if it names none of them."""
    found = [part.replace(" ", "").lower().partition(";q=") for part in (accept_encoding or "").split(",")]
    read = {name for name, _, weight in found if not _ZERO.fullmatch(weight)}
    return next((name for name in offered if name in read), "identity")


def is_refused(if_match: str | None, etag: str) -> bool:
    """Return whether the client wants another version than the current one, so that 412 is the answer."""
    if if_match is None or if_match.strip() == "*":
        return False
    return etag not in _ETAG.findall(if_match)


def range_counts(if_range: str | None, etag: str) -> bool:
    """Return whether a range applies: it does not if the client's part is of another version, or only dated."""
    return if_range is None or if_range.strip() == etag


def _strong(header: str) -> list[str]:
    """Return the tags of a list, where ``W/`` in front makes no difference."""
    return [tag.removeprefix("W/") for tag in _ETAG.findall(header)]
