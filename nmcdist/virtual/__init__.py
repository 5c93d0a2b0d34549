"""Virtual stores: Zarr stores that compute a chunk when it is first read, and keep it in a bounded cache.

:func:`freeze` writes the metadata of one, :class:`Computed` computes and caches its chunks, and
:class:`ComputedStore` gives them to Zarr.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors
    from nmcdist.virtual.computed import Computed
    from nmcdist.virtual.description import is_virtual
    from nmcdist.virtual.freezing import freeze
    from nmcdist.virtual.opening import open_virtual
    from nmcdist.virtual.store import ComputedStore

_HOME = {
    "Computed": "nmcdist.virtual.computed",
    "ComputedStore": "nmcdist.virtual.store",
    "freeze": "nmcdist.virtual.freezing",
    "is_virtual": "nmcdist.virtual.description",
    "open_virtual": "nmcdist.virtual.opening",
}

__all__ = ["Computed", "ComputedStore", "freeze", "is_virtual", "open_virtual"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'nmcdist.virtual' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
