"""Virtual lithium-ion cathode microstructures: models, descriptors and distributed production.

The names below are loaded at their first use, so that ``import nmcdist`` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nmcdist.errors import NmcdistError
from nmcdist.kernels import drop_impossible_threads, ensure_cache
from nmcdist.registration import register as register_accessor
from nmcdist.version import __version__

if TYPE_CHECKING:  # for type checkers and editors
    from nmcdist import bundle as bundle
    from nmcdist import datasets as datasets
    from nmcdist import descriptors as descriptors
    from nmcdist import errors as errors
    from nmcdist import geometry as geometry
    from nmcdist import models as models
    from nmcdist import products as products
    from nmcdist import queries as queries
    from nmcdist import releases as releases
    from nmcdist import report as report
    from nmcdist import runs as runs
    from nmcdist.bundle import load_bundle
    from nmcdist.datasets.catalog import open_catalog
    from nmcdist.datasets.integrity import verify
    from nmcdist.datasets.store import open_store
    from nmcdist.descriptors.cba import describe_cba
    from nmcdist.learning.bundles import load_surrogate
    from nmcdist.measurement.measure import measure
    from nmcdist.models.cba import generate_cba
    from nmcdist.models.particle import generate_particle
    from nmcdist.products.images import export_image
    from nmcdist.products.registry import register as register_kind
    from nmcdist.products.stores import build_report, export_item
    from nmcdist.queries.query import query
    from nmcdist.releases.publishing import publish
    from nmcdist.runs.public import plan, run
    from nmcdist.virtual.opening import open_virtual

_HOME = {  # name -> module, and the name there if it differs
    "build_report": "nmcdist.products.stores",
    "describe_cba": "nmcdist.descriptors.cba",
    "export_image": "nmcdist.products.images",
    "export_item": "nmcdist.products.stores",
    "generate_cba": "nmcdist.models.cba",
    "generate_particle": "nmcdist.models.particle",
    "load_bundle": "nmcdist.bundle",
    "load_surrogate": "nmcdist.learning.bundles",
    "measure": "nmcdist.measurement.measure",
    "open_catalog": "nmcdist.datasets.catalog",
    "open_store": "nmcdist.datasets.store",
    "open_virtual": "nmcdist.virtual.opening",
    "plan": "nmcdist.runs.public",
    "publish": "nmcdist.releases.publishing",
    "query": "nmcdist.queries.query",
    "register_kind": "nmcdist.products.registry:register",
    "run": "nmcdist.runs.public",
    "verify": "nmcdist.datasets.integrity",
}
_SUBPACKAGES = (
    "bundle", "datasets", "descriptors", "errors", "geometry", "models", "products", "queries", "releases", "report",
    "runs",
)  # fmt: skip

__all__ = [
    "NmcdistError",
    "__version__",
    "build_report",
    "describe_cba",
    "export_image",
    "export_item",
    "generate_cba",
    "generate_particle",
    "load_bundle",
    "load_surrogate",
    "measure",
    "open_catalog",
    "open_store",
    "open_virtual",
    "plan",
    "publish",
    "query",
    "register_kind",
    "run",
    "verify",
]

drop_impossible_threads()
ensure_cache()  # here, because every process that runs a kernel imports this module before numba
register_accessor()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            module, _, other = _HOME[name].partition(":")
            return getattr(import_module(module), other or name)
        if name in _SUBPACKAGES:
            return import_module(f"nmcdist.{name}")
        raise AttributeError(f"module 'nmcdist' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES])
