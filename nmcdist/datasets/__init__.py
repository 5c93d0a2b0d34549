"""Published datasets: layout, writing, opening, checks and export of stores, and catalogs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors
    from nmcdist.datasets.catalog import open_catalog
    from nmcdist.datasets.export.labels import export_labels
    from nmcdist.datasets.integrity import verify
    from nmcdist.datasets.particles import read_grains, read_particle
    from nmcdist.datasets.store import open_store

_HOME = {
    "open_store": "nmcdist.datasets.store",
    "open_catalog": "nmcdist.datasets.catalog",
    "verify": "nmcdist.datasets.integrity",
    "export_labels": "nmcdist.datasets.export.labels",
    "read_particle": "nmcdist.datasets.particles",
    "read_grains": "nmcdist.datasets.particles",
}

__all__ = [
    "export_labels",
    "open_catalog",
    "open_store",
    "read_grains",
    "read_particle",
    "verify",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'nmcdist.datasets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
