"""Handwritten YAML: a mapping of text, numbers, true, false and null, read literally.

Scalars follow the core schema of YAML 1.2, so dates, clock times and "yes" are text. Scalars that YAML 1.1 and 1.2 read
differently, such as 010, are refused. Tags, anchors and merge keys are refused, so a file is data, never code, and
never larger than its text.
"""

import math
import os
import re
from collections.abc import Iterator
from typing import Any

import yaml

from nmcdist.errors import InputError, NmcdistError
from nmcdist.inputs import read_text

SIZE_LIMIT = 1 << 20  # bytes
DEPTH_LIMIT = 16  # mappings and lists inside each other
_SHOWN = 40  # characters of a value in a message
_DIGITS = 21  # length of the longest integer of 64 bits, with its sign

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {word: value for value in (True, False) for word in (str(value), str(value).lower(), str(value).upper())}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_REFUSED = (
    (re.compile(r"[-+]?0[0-9]+"), "an integer with a leading zero, which some programs read as octal"),
    (re.compile(r"[-+]?0[xob][0-9a-fA-F_]+"), "an integer that is not decimal"),
    (re.compile(r"[-+]?\.?[0-9][0-9_.]*_[0-9_.]*([eE][-+]?[0-9]+)?"), "a number with underscores"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "not a finite number"),
)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def load_yaml(path: str | os.PathLike[str], error: type[NmcdistError] = InputError) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Parameters
    ----------
    path : str or path
        An ordinary UTF-8 file of at most `SIZE_LIMIT` bytes.
    error : type
        Type of the error to raise.

    Raises
    ------
    error
        If the file cannot be read, or is not one mapping of plain values; the message names file and line.
    """
    return parsed_yaml(read_text(path, error, limit=SIZE_LIMIT), str(path), error)


def parsed_yaml(text: str, where: str, error: type[NmcdistError] = InputError) -> dict[str, Any]:
    """Return the mapping that YAML text holds.

    Parameters
    ----------
    text : str
    where : str
        Prefix of messages.
    error : type
        Type of the error to raise.

    Raises
    ------
    error
        If it is not one mapping of plain values; the message names the line.
    """
    try:
        return _document(text)
    except _Fault as fault:
        raise error(f"{where}: line {fault.line + 1}: {fault.text}") from None
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise error(f"{where}: {place}not valid YAML ({' '.join(str(cause.problem).split())})") from None
    except yaml.YAMLError as cause:
        raise error(f"{where}: not valid YAML ({' '.join(str(cause).split())})") from None


class _Fault(Exception):  # noqa: N818  (it becomes the caller's error)
    """A fault at a line, counted from 0."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(line, text)
        self.line, self.text = line, text


def _document(text: str) -> dict[str, Any]:
    _check_printable(text, 0, text)
    documents: list[Any] = []
    line = 0
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            line = event.start_mark.line  # type: ignore[union-attr]
            if documents:
                raise _Fault(line, "found a second document, expected one")
            documents.append(_value(next(events), events, 0))
    value = documents[0] if documents else None
    if not isinstance(value, dict):
        raise _Fault(line, f"found {_kind(value)}, expected a mapping of fields")
    return value


def _value(event: Any, events: Iterator[Any], depth: int) -> Any:
    line = event.start_mark.line
    if getattr(event, "anchor", None) is not None:
        mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
        raise _Fault(line, f"found {mark}{_short(event.anchor)}, expected the value written out (no anchors)")
    if getattr(event, "tag", None) is not None:
        raise _Fault(line, f"found the tag {_short(event.tag)}, expected plain values (no tags)")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if depth == DEPTH_LIMIT:
        raise _Fault(line, f"found more than {DEPTH_LIMIT} mappings and lists inside each other")
    if isinstance(event, yaml.MappingStartEvent):
        return _mapping(events, depth)
    items = []
    while not isinstance(item := next(events), yaml.SequenceEndEvent):
        items.append(_value(item, events, depth + 1))
    return items


def _mapping(events: Iterator[Any], depth: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    lines: dict[str, int] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        line, key = event.start_mark.line, _value(event, events, depth + 1)
        if not isinstance(key, str):
            raise _Fault(line, f"found {_kind(key)} as a key, expected text (in quotes, if it looks like a number)")
        if key == "<<":
            raise _Fault(line, "found the merge key <<, expected the fields written out")
        if key in fields:
            raise _Fault(line, f"{_short(key)} is given twice, first in line {lines[key] + 1}")
        fields[key], lines[key] = _value(next(events), events, depth + 1), line
    return fields


def _scalar(event: Any) -> Any:
    text, line = event.value, event.start_mark.line
    _check_printable(text, line)
    if not event.implicit[0]:  # quoted, or a block of text
        return text
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    for pattern, what in _REFUSED:
        if pattern.fullmatch(text):
            raise _Fault(line, f"found {_short(text)}, {what}; write a plain decimal number, or text in quotes")
    if _INTEGER.fullmatch(text):
        return _integer(text, line)
    return _float(text, line) if _FLOAT.fullmatch(text) else text


def _integer(text: str, line: int) -> int:
    # Python refuses very long integers, and needs quadratic time for long ones.
    value = int(text) if len(text) <= _DIGITS else 2**64
    if not -(2**63) <= value < 2**64:
        raise _Fault(line, f"found {_short(text)}, an integer beyond 64 bits; write a large number as 1e20")
    return value


def _float(text: str, line: int) -> float:
    value = float(text)
    lost = value == 0 and any(digit in text.lower().partition("e")[0] for digit in "123456789")
    if math.isinf(value) or lost:
        raise _Fault(line, f"found {_short(text)}, too {'small' if lost else 'large'} for a number of 64 bits")
    return value + 0.0  # drops the sign of a zero


def _check_printable(text: str, line: int, counted: str = "") -> None:
    bad = _UNPRINTABLE.search(text)
    if bad:
        also = "; is the file UTF-16?" if bad[0] == "\0" else ""
        line += counted.count("\n", 0, bad.start())
        raise _Fault(line, f"found the control character {bad[0]!a}{also}")


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    return f"the text {_short(value)}" if isinstance(value, str) else f"{value!r}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
