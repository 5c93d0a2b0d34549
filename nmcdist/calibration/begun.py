"""A calibration in its output folder: new, stopped, refused or complete; one process works on it at a time.

The folder of the stages holds a mark with what the calibration starts from, so that another kind does not continue it.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stages import STAGES, Progress, Stages
from nmcdist.datasets.files import write_text
from nmcdist.errors import NmcdistError, StoreError

MARK = "begun"
RESULTS = {"grey": "results.json", "labels": "results.json", "particles": "calibration.json"}  # written at the end
_BUNDLES = ("bundle", "bundle-paper")
REFUSED = " refused"
_PARTIAL = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{16}")  # what `nmcdist.datasets.files.replacing` writes first


def check_folder(out: Path, resume: bool, what: str) -> None:
    """Check that a calibration can begin in a folder or, on a resume, go on.

    One that was refused for its input needs no resume: the corrected command goes on with what is whole.

    Parameters
    ----------
    out : Path
    resume : bool
    what : {"grey", "labels", "particles"}
        What it starts from.

    Raises
    ------
    StoreError
        If it is complete, starts from something else, or holds other files.
    """
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file, expected a new or an empty folder")
    if (out / STAGES).exists() and any((out / name).exists() for name in RESULTS.values()):
        raise StoreError(f"{out}: holds a complete calibration, expected a new or an empty folder")
    mark = out / STAGES / MARK
    if mark.is_file() and not mark.is_symlink():
        text = mark.read_text(encoding="utf-8", errors="replace").strip()
        found = text.removesuffix(REFUSED)
        if not resume and found == text:
            raise StoreError(f"{out}: holds a calibration that was stopped; --resume continues it")
        if found != what:
            raise StoreError(f"{out}: holds a calibration from {found[:20]}, expected one from {what}")
    elif out.is_dir() and any(out.iterdir()):
        raise StoreError(f"{out}: holds other files, expected a new or an empty folder")


def check_same(out: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse to finish what was made from something else, and lacks its page only.

    Parameters
    ----------
    out : Path
    found, expected : mapping of str to object
        What the results were made from, and what they should be made from: "image", say, and its digest.

    Raises
    ------
    StoreError
    """
    for what, value in expected.items():
        if found.get(what) != value:
            raise StoreError(f"{out}: holds results of another {what}, and lacks their page only; take a new folder")


@contextlib.contextmanager
def begun(out: Path, resume: bool, what: str, spread: Spread, progress: Progress) -> Iterator[Stages]:
    """Yield the stages of a calibration in a folder, which no other process may use meanwhile.

    If the input is refused, a folder without any piece of a stage is removed again.

    Parameters
    ----------
    out : Path
    resume : bool
    what : {"grey", "labels", "particles"}
        What it starts from.
    spread, progress : callable
        See :class:`Stages`.

    Raises
    ------
    StoreError
        As :func:`check_folder`, or if another process works on it.
    """
    check_folder(out, resume, what)
    is_new, stages = not os.path.lexists(out), Stages(out / STAGES, spread, progress)
    with marked(stages, what, lambda: _remove(out, is_new)):
        _remove_unfinished(out)
        yield stages


@contextlib.contextmanager
def marked(stages: Stages, what: str, remove: Callable[[], None]) -> Iterator[None]:
    """Keep other processes off the folder of stages, and mark it as begun, or as refused for its input.

    Parameters
    ----------
    stages : Stages
    what : str
        The mark.
    remove : callable
        Removes what was made for stages whose input is refused before a piece of any was made.

    Raises
    ------
    StoreError
        If another process works on it.
    """
    mark = stages.folder / MARK
    is_first = not mark.exists()
    with stages.locked():
        mark.write_text(f"{what}\n", encoding="utf-8")
        _remove_partial(stages.folder)
        try:
            yield
        except NmcdistError as error:
            if isinstance(error, ValueError):  # of the input, not of a disk or a worker
                if is_first and not stages.has_receipts():
                    remove()
                else:
                    write_text(mark, f"{what}{REFUSED}\n")
            raise


def _remove(out: Path, is_new: bool) -> None:
    """Remove stages that hold nothing yet, and the folder, if it was made for them."""
    shutil.rmtree(out / STAGES)
    if is_new:
        with contextlib.suppress(OSError):  # it holds other files by now
            out.rmdir()


def _remove_partial(folder: Path) -> None:
    """Remove files in a folder of stages that a stop left half written."""
    for place, _, names in os.walk(folder):
        for name in filter(_PARTIAL.fullmatch, names):
            (Path(place) / name).unlink(missing_ok=True)


def _remove_unfinished(out: Path) -> None:
    """Remove what a stop left half written beside the stages, and bundles, after which results are written."""
    for path in out.iterdir():
        if _PARTIAL.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
    for bundle in (out / name for name in _BUNDLES):
        if bundle.is_dir() and not bundle.is_symlink():
            (bundle / "bundle.json").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody's own files stay, and the new bundle is refused
                bundle.rmdir()
