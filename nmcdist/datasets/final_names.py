"""Errors about a hidden file or folder name the path that it would have had in the end."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from nmcdist.errors import NmcdistError


@contextlib.contextmanager
def final_names(hidden: Path, final: Path) -> Iterator[None]:
    """Replace a hidden path in errors, since it is gone when somebody reads them."""

    def named(text: str) -> str:
        return text.replace(str(hidden), str(final))

    try:
        yield
    except NmcdistError as error:
        error.args = tuple(named(arg) if isinstance(arg, str) else arg for arg in error.args)
        raise
    except OSError as error:
        if isinstance(error.filename, str | os.PathLike):
            error.filename = named(os.fspath(error.filename))
        raise
