"""Errors in plain data that a person wrote: one line per fault, with the known name that a typo resembles."""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ValidationError

from nmcdist.errors import RecipeError
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

KEYS = "keys"  # in a field's `json_schema_extra`: the allowed names of its mapping
MOST_FAULTS = 20
_SHOWN = 60  # characters of a name
_Model = TypeVar("_Model", bound=BaseModel)


def load_checked(path: Path, model: type[_Model]) -> _Model:
    """Read a recipe and check it.

    Parameters
    ----------
    path : Path
        YAML file.
    model : type
        What its fields may be.

    Raises
    ------
    RecipeError
        If the file cannot be read, is not YAML, or has an unknown or impossible field, which the message names.
    """
    content = load_yaml(path, RecipeError)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(fault_lines(error, str(path), model))) from None


def fault_lines(error: ValidationError, where: str, model: type[BaseModel]) -> list[str]:
    """Return one line per fault: its field, what was found, what is expected.

    Parameters
    ----------
    error : ValidationError
        The error from validating `model`.
    where : str
        Prefix of each line.
    model : type
        Its fields are proposed in place of unknown ones.
    """
    faults = error.errors(include_url=False, include_context=False)
    lines = [f"{where}: {line}" for fault in faults[:MOST_FAULTS] for line in _fault(fault, model).splitlines()]
    return lines + ([f"{where}: and {len(faults) - MOST_FAULTS} more faults"] if len(faults) > MOST_FAULTS else [])


def one_line(text: str) -> str:
    """Return the text if it is one printable line; refuse it otherwise."""
    if not text.isprintable() or not text.strip():
        raise ValueError(f"found {shown(text)}, expected a line of printable text")
    return text


def spelt(pattern: str, expected: str) -> AfterValidator:
    """Return a validator that refuses text that does not match a pattern, with a message in words."""
    whole = re.compile(pattern)

    def check(text: str) -> str:
        if not whole.fullmatch(text):
            raise ValueError(f"found {shown(text)}, expected {expected}")
        return text

    return AfterValidator(check)


NAME = spelt(r"[a-z0-9][a-z0-9-]*", "small letters, digits and hyphens, a letter or digit first")


def proposal(name: str, known: Iterable[str], most: int | None = None, rest: str = "") -> str:
    """Return the end of a message about an unknown name: the likely name, or all known names.

    Parameters
    ----------
    name : str
    known : iterable of str
    most : int, optional
        Most names to list.
    rest : str
        How to see all names, if some are not listed.
    """
    names = list(known)
    near = _near(name, names)
    if near:
        return f"; did you mean {near}?"
    listed = ", ".join(names[:most])
    if most is None or len(names) <= most:
        return f", expected one of {listed}"
    return f", expected one of {listed} and {len(names) - most} more; {rest}"


def _near(name: str, known: Iterable[str]) -> str:
    """Return the most similar known name, empty if none is similar."""
    lowered = {word.lower(): word for word in known}
    near = difflib.get_close_matches(name[:_SHOWN].lower(), lowered, n=1, cutoff=0.7)
    return lowered[near[0]] if near else ""


def _fault(fault: Any, model: type[BaseModel]) -> str:
    parts = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in fault["loc"]]
    place = "".join(parts).lstrip(".")
    if fault["type"] == "value_error":
        message = fault["msg"].removeprefix("Value error, ")
        joint = ": " if message.startswith("found") else "."
        return f"{place}{joint}{message}" if place else message
    if fault["type"] == "extra_forbidden":
        return f"{place[:_SHOWN]}: unknown field{_meant(fault['loc'], model)}"
    if fault["type"] == "missing":
        return f"{place}: missing"
    expected = re.sub(r"^(Input|Value|String|Tuple|Dictionary) should (be|have)?", "", fault["msg"]).strip()
    expected = re.sub(r" or (instance|object|an instance) .*", "", expected.replace(" after validation", ""))
    if isinstance(fault["input"], str):  # pydantic counts the items of texts, too
        expected = re.sub(r" items\b", " characters", expected)
    return f"{place}: found {shown(fault['input'])}, expected {_PLAINLY.get(expected, expected)}"


def _meant(place: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Propose a field of the same part for an unknown one, or the part to which it belongs."""
    name, here = str(place[-1]), list(_part(model, place[:-1]).model_fields)
    if _near(name, here):
        return proposal(name, here)
    elsewhere = {path.split(".")[-1]: path for path in reversed(_paths(model))}
    near = _near(name, elsewhere)
    return f"; did you mean {elsewhere[near]}?" if near else proposal(name, here)


def _part(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    for step in place:
        if isinstance(step, str):
            model = next(iter(_models(model.model_fields[step].annotation)), model)
    return model


def _paths(model: type[BaseModel], before: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        found.append(before + name)
        for part in _models(field.annotation):
            found += _paths(part, f"{before}{name}.")
        keys = field.json_schema_extra.get(KEYS, ()) if isinstance(field.json_schema_extra, dict) else ()
        found += [f"{before}{name}.{key}" for key in keys]  # type: ignore[union-attr]
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for argument in get_args(annotation) for part in _models(argument)]


_PLAINLY = {
    "a valid string": "text (in quotes, if it looks like a number)",
    "a valid integer": "an integer",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
}
