"""Modules that extend nmcdist, named by entry points or by an environment variable.

Names in recipes, deployment files and stores are never imported.
"""

import os
import re
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from nmcdist.errors import InputError
from nmcdist.wording import one_line, shown

_imported: set[tuple[str, str, str]] = set()


def import_plugins(group: str, variable: str) -> None:
    """Import the modules of a group of entry points, and those named in an environment variable.

    Parameters
    ----------
    group : str
    variable : str
        Its value: names of modules, separated by commas.

    Raises
    ------
    InputError
        If one cannot be imported.
    """
    named = os.environ.get(variable, "")
    if (group, variable, named) in _imported:
        return
    for entry in entry_points(group=group):
        _import(entry.module, f"entry point {entry.name}")
    for module in filter(None, map(str.strip, named.split(","))):
        _import(module, variable)
    _imported.add((group, variable, named))


def load_entry(group: str, name: str) -> Any:
    """Return what an entry point names.

    Raises
    ------
    InputError
        If there is none, or it cannot be imported.
    """
    found = entry_points(group=group, name=name)
    if not found:
        raise InputError(f"entry point {name!r} of {group}: not installed; install nmcdist again")
    try:
        return next(iter(found)).load()
    except (Exception, SystemExit) as error:
        raise InputError(f"entry point {name}: cannot be imported ({one_line(error)})") from error


def _import(module: str, named_by: str) -> None:
    if not re.fullmatch(r"\w+(\.\w+)*", module):
        raise InputError(f"{named_by}: found {shown(module)}, expected the name of a module, as in `import name`")
    try:
        import_module(module)
    except (Exception, SystemExit) as error:  # errors of a user's module have no common base
        what = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{named_by}: module {module!r} cannot be imported ({what})") from error
