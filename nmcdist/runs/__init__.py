"""Production: a recipe is planned, its tasks run here or on Dask, and their work is published as a dataset."""

from importlib import import_module
from typing import Any

_HOME = {
    "Deployment": "nmcdist.clusters.deployment",
    "Recipe": "nmcdist.products.volumes.additive",
    "describe_store": "nmcdist.runs.redescribe",
    "load_deployment": "nmcdist.clusters.deployment",
    "load_recipe": "nmcdist.products.registry",
    "make_plan": "nmcdist.products.registry",
    "recipe_bundle": "nmcdist.products.registry",
    "run_recipe": "nmcdist.runs.run",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'nmcdist.runs' has no attribute {name!r}")
