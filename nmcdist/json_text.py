"""JSON from the user, read strictly: an object with finite numbers of 64 bits, each key once."""

import json
import math
import os
from collections import Counter
from typing import Any

from nmcdist.errors import InputError, NmcdistError
from nmcdist.inputs import TEXT_LIMIT, read_text

_SHOWN = 40  # characters of a value in a message
_DIGITS = 20  # length of the longest integer of 64 bits


def load_json(
    path: str | os.PathLike[str], error: type[NmcdistError] = InputError, limit: int = TEXT_LIMIT
) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Parameters
    ----------
    path : str or path
        An ordinary UTF-8 file.
    error : type
        Type of the error to raise.
    limit : int
        Largest size of the file in bytes.

    Raises
    ------
    error
        If the file cannot be read, is not JSON or not an object, gives a key twice, is nested too deeply, or has a
        number that is not finite or beyond 64 bits.
    """
    return parsed_json(read_text(path, error, limit), str(path), error)


def parsed_json(text: str, where: str, error: type[NmcdistError] = InputError) -> dict[str, Any]:
    """Return the object that JSON text holds.

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
        As :func:`load_json`.
    """
    try:
        content = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except RecursionError:
        raise error(f"{where}: not valid JSON (nested too deeply)") from None
    except ValueError as cause:
        raise error(f"{where}: not valid JSON ({cause})") from None
    if not isinstance(content, dict):
        raise error(f"{where}: found {type(content).__name__}, expected a JSON object")
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:_SHOWN]!r} is given twice")
    return found


def _constant(text: str) -> Any:
    raise ValueError(f"found {text}, expected a finite number")


def _integer(text: str) -> int:
    value = int(text) if len(text) <= _DIGITS else 2**64
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"found {text[:_SHOWN]}, an integer beyond 64 bits")
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"found {text[:_SHOWN]}, too large for a number of 64 bits")
    return value
