"""Releases on the disk: ``ROOT/NAME/VERSION``, each with its ``release.json``."""

import os
import re
from pathlib import Path

from pydantic import ValidationError

from nmcdist.datasets.files import read_bytes
from nmcdist.errors import ReleaseError
from nmcdist.inputs import existing_folder
from nmcdist.releases.checksums import CHECKSUMS
from nmcdist.releases.model import RELEASE_FILE, Release
from nmcdist.releases.versions import is_version, precedence

_LIMIT = 64 << 20  # bytes of release.json
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")


def is_release(folder: Path) -> bool:
    """Return whether a folder is that of a release, wherever it lies."""
    return (folder / RELEASE_FILE).is_file()


def claims_release(folder: Path) -> bool:
    """Return whether a folder is that of a release, even if its ``release.json`` is damaged or missing."""
    if is_version(folder.name):
        return any(os.path.lexists(folder / name) for name in (RELEASE_FILE, CHECKSUMS))
    return os.path.lexists(folder / RELEASE_FILE) and not os.path.lexists(folder / "zarr.json")  # no store with a stray


def release_of(store: Path) -> Release | None:
    """Return the release in whose folder a store lies, packed or not; None if there is none.

    Raises
    ------
    ReleaseError
        If the folder's ``release.json`` is damaged.
    """
    folder = store.absolute().parent
    release = open_release(folder) if is_release(folder) else None
    return release if release is not None and store.name in (release.store, release.archive) else None


def open_release(folder: str | os.PathLike[str]) -> Release:
    """Read what a release says of itself.

    Parameters
    ----------
    folder : str or Path
        ``ROOT/NAME/VERSION``.

    Raises
    ------
    ReleaseError
        If there is no release, or its ``release.json`` is damaged.
    """
    path = existing_folder(folder, ReleaseError, "no such release") / RELEASE_FILE
    try:
        return Release.model_validate_json(read_bytes(path, _LIMIT))
    except FileNotFoundError:
        raise ReleaseError(f"{folder}: not a release (it has no {RELEASE_FILE})") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "content"
        raise ReleaseError(f"{path}: damaged: {where}: {fault['msg']}") from None


def release_at(folder: Path) -> Release:
    """Read what a release says of itself, and refuse one whose folder has the name of another.

    Raises
    ------
    ReleaseError
        If there is no release, its ``release.json`` is damaged, or names another release than ``NAME/VERSION``.
    """
    release, place = open_release(folder), folder.absolute()
    if what := misplaced(release, place):
        raise ReleaseError(f"{folder / RELEASE_FILE}: {what}")
    return release


def misplaced(release: Release, folder: Path) -> str:
    """Return in words that a folder is not the one of a release, ``NAME/VERSION``; empty if it is."""
    found, expected = f"{release.name}/{release.version}", "/".join(folder.absolute().parts[-2:])
    return "" if found == expected else f"describes {found}, but its folder is {expected}"


def places(root: Path) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return name and version of each folder that may hold a release, and why the folders of other names are closed."""
    found, closed = [], {}
    for path in sorted(path for path in root.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()):
        try:
            found += [(path.name, v.name) for v in sorted(path.iterdir()) if is_version(v.name) and v.is_dir()]
        except OSError as error:  # of another user
            closed[path.name] = f"cannot be read ({error.strerror or error})"
    return found, closed


def find(root: str | os.PathLike[str]) -> dict[str, list[Release]]:
    """Return the releases of a folder by name, each list in ascending order of versions.

    Folders that are not of a release, or whose ``release.json`` gives another name or version, are ignored.

    Raises
    ------
    ReleaseError
        If the folder does not exist, or a ``release.json`` is damaged.
    """
    folder = existing_folder(root, ReleaseError)
    found: dict[str, list[Release]] = {}
    for place in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()):
        releases = [open_release(path) for path in place.iterdir() if is_version(path.name) and is_release(path)]
        own = [r for r in releases if r.name == place.name and is_release(place / r.version)]
        if own:
            found[place.name] = sorted(own, key=lambda release: precedence(release.version))
    return found


def latest(releases: list[Release]) -> Release:
    """Return the release with the highest version."""
    return max(releases, key=lambda release: precedence(release.version))
