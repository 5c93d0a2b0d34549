"""Versions of releases: their form, and their order by semantic versioning."""

import re
from typing import Any

from nmcdist.errors import ReleaseError
from nmcdist.wording import shown

LATEST = "latest"  # stands for the highest version, so no release has it as its name or version
_NUMBER = "(?:0|[1-9][0-9]{0,17})"
_PART = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_FORM = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PART}))?(?:\+({_PART}))?")
_LONGEST = 100


def checked_version(text: Any) -> str:
    """Return a version of the form of semantic versioning.

    Raises
    ------
    ReleaseError
        If it has another form.
    """
    if text == LATEST:
        raise ReleaseError(f"version: found {text!r}, which stands for the highest version, expected a number as 1.0.0")
    if not is_version(text):
        raise ReleaseError(f"version: found {shown(text)}, expected a semantic version, as 1.0.0 or 1.0.0-rc.1")
    return str(text)


def is_version(text: Any) -> bool:
    """Return whether a text is a semantic version."""
    return isinstance(text, str) and len(text) <= _LONGEST and _FORM.fullmatch(text) is not None


def precedence(version: str) -> tuple[Any, ...]:
    """Return a key that sorts versions by precedence: 1.0.0-rc.1 < 1.0.0 < 1.0.1 < 1.10.0.

    Versions that differ only in build metadata, which have the same precedence, are sorted by its text.
    """
    found = _FORM.fullmatch(version)
    if found is None:
        raise ValueError(f"found {version!r}, expected a semantic version")
    major, minor, patch, before, build = found.groups()
    # A version without a pre-release is later than all with one; numbers sort before words.
    parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in (before or "").split(".") if p]
    return int(major), int(minor), int(patch), not parts, parts, build or ""
