"""Releases: finished stores published under a version that never changes, with all that describes and cites them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors
    from nmcdist.releases.archive import verify_archive
    from nmcdist.releases.finding import find, latest, open_release
    from nmcdist.releases.model import Metadata, Release
    from nmcdist.releases.package import pack
    from nmcdist.releases.publishing import publish
    from nmcdist.releases.remaking import materialise
    from nmcdist.releases.verification import verify_release

_HOME = {
    "Metadata": "nmcdist.releases.model",
    "Release": "nmcdist.releases.model",
    "find": "nmcdist.releases.finding",
    "latest": "nmcdist.releases.finding",
    "materialise": "nmcdist.releases.remaking",
    "open_release": "nmcdist.releases.finding",
    "pack": "nmcdist.releases.package",
    "publish": "nmcdist.releases.publishing",
    "verify_archive": "nmcdist.releases.archive",
    "verify_release": "nmcdist.releases.verification",
}

__all__ = [
    "Metadata",
    "Release",
    "find",
    "latest",
    "materialise",
    "open_release",
    "pack",
    "publish",
    "verify_archive",
    "verify_release",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'nmcdist.releases' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
