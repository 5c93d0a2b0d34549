"""Published datasets: how a store is laid out, written, opened, checked, exported and listed in a catalog."""

from importlib import import_module
from typing import Any

_HOME = {
    "open_store": "nmcdist.datasets.store",
    "open_catalog": "nmcdist.datasets.catalog",
    "verify": "nmcdist.datasets.integrity",
    "export_item": "nmcdist.datasets.items",
    "export_labels": "nmcdist.datasets.export.labels",
    "read_particle": "nmcdist.datasets.particles",
    "read_grains": "nmcdist.datasets.particles",
}

__all__ = [
    "export_item",
    "export_labels",
    "open_catalog",
    "open_store",
    "read_grains",
    "read_particle",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'nmcdist.datasets' has no attribute {name!r}")
