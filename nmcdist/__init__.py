"""Virtual lithium-ion cathode microstructures: models, descriptors and distributed production.

The names below are loaded when they are first used, so that ``import nmcdist`` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see of the names below
    from nmcdist import bundle as bundle
    from nmcdist import datasets as datasets
    from nmcdist import descriptors as descriptors
    from nmcdist import errors as errors
    from nmcdist import geometry as geometry
    from nmcdist import models as models
    from nmcdist import report as report
    from nmcdist import runs as runs
    from nmcdist.bundle import load_bundle
    from nmcdist.datasets.catalog import open_catalog
    from nmcdist.descriptors.cba import describe_cba
    from nmcdist.models.cba import generate_cba
    from nmcdist.models.particle import generate_particle

__version__ = "0.1.0"

_HOME = {
    "load_bundle": "nmcdist.bundle",
    "generate_cba": "nmcdist.models.cba",
    "generate_particle": "nmcdist.models.particle",
    "describe_cba": "nmcdist.descriptors.cba",
    "open_catalog": "nmcdist.datasets.catalog",
}
_SUBPACKAGES = ("bundle", "datasets", "descriptors", "errors", "geometry", "models", "report", "runs")

__all__ = [
    "NmcdistError",
    "__version__",
    "describe_cba",
    "generate_cba",
    "generate_particle",
    "load_bundle",
    "open_catalog",
]

from nmcdist.errors import NmcdistError  # noqa: E402  (after __version__, which submodules read)
from nmcdist.kernels import drop_impossible_threads, ensure_cache  # noqa: E402

drop_impossible_threads()
ensure_cache()  # here, since every process that runs a kernel comes by, and before any imports numba


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        if name in _SUBPACKAGES:
            return import_module(f"nmcdist.{name}")
        raise AttributeError(f"module 'nmcdist' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES])
