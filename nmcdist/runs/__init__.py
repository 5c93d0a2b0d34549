"""Runs: plan a recipe, do its tasks here or on Dask, and seal the result as a store."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors
    from nmcdist.clusters.deployment import Deployment, load_deployment
    from nmcdist.products.registry import load_recipe, make_plan, recipe_bundle
    from nmcdist.runs.partition import finalise_store, retry_failed
    from nmcdist.runs.public import plan, run
    from nmcdist.runs.redescribe import describe_store
    from nmcdist.runs.run import run_recipe
    from nmcdist.runs.status import status_of

_HOME = {
    "Deployment": "nmcdist.clusters.deployment",
    "describe_store": "nmcdist.runs.redescribe",
    "finalise_store": "nmcdist.runs.partition",
    "load_deployment": "nmcdist.clusters.deployment",
    "load_recipe": "nmcdist.products.registry",
    "make_plan": "nmcdist.products.registry",
    "plan": "nmcdist.runs.public",
    "recipe_bundle": "nmcdist.products.registry",
    "retry_failed": "nmcdist.runs.partition",
    "run": "nmcdist.runs.public",
    "run_recipe": "nmcdist.runs.run",
    "status_of": "nmcdist.runs.status",
}

__all__ = [
    "Deployment",
    "describe_store",
    "finalise_store",
    "load_deployment",
    "load_recipe",
    "make_plan",
    "plan",
    "recipe_bundle",
    "retry_failed",
    "run",
    "run_recipe",
    "status_of",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'nmcdist.runs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
