"""Short forms of foreign text in messages: values, paths, other libraries' errors."""

import os
import reprlib
from typing import Any

_VALUE = 60  # characters of a value
_ITEMS = 6  # most items of a list or mapping that is shown in full
_WORD = 400  # characters of a word: no name of a file has more than 255, few paths have more than this
_LINE = 2000

_REPR = reprlib.Repr()
_REPR.maxlevel = 3
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 2 * _VALUE


def shown(value: Any) -> str:
    """Return a value as one short line for a message: an array by its shape, a long list by its type."""
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape:
        return f"an array of shape {shape}"
    if isinstance(value, str):
        return _cut(repr(value[: _VALUE + 1]))
    try:
        text = " ".join(_REPR.repr(value).split())
    except Exception:  # integers of thousands of digits, or an object whose own `__repr__` fails
        return f"a value of type {type(value).__name__}"
    if isinstance(value, dict | list | tuple) and (len(value) > _ITEMS or len(text) > _VALUE):
        return f"a {type(value).__name__}"
    return _cut(text)


def in_utf8(path: str | os.PathLike[str]) -> str:
    """Return a path as text that any file can hold: its bytes as UTF-8, whatever the locale is."""
    return os.fsencode(path).decode("utf-8", "replace")


def one_line(error: BaseException) -> str:
    """Return the message of another library's error as one line of readable length."""
    text = getattr(error, "strerror", None) or str(error)
    return _cut(" ".join(str(text).split()) or type(error).__name__, 300)


def shortened(text: str) -> str:
    """Return a message without the middle of overlong words, paths and lines."""
    if len(text) <= _WORD:
        return text
    lines = (" ".join(_without_middle(word, _WORD) for word in line.split(" ")) for line in text.split("\n"))
    return "\n".join(_without_middle(line, _LINE) for line in lines)


def _cut(text: str, most: int = _VALUE) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 3]}...{text[-end:]}"
