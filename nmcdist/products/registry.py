"""What a run will do, checked before anything starts: the plan of a recipe of either kind."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine, this_machine
from nmcdist.inputs import local_path
from nmcdist.products.particles import make as particles
from nmcdist.products.particles.layout import Shells
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.products.plan import Plan
from nmcdist.products.recipe import BaseRecipe, Recipe
from nmcdist.products.volumes import make as volumes


def make_plan(
    recipe: BaseRecipe,
    bundle: Bundle,
    out: Path,
    deployment: Deployment | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    machine: Machine | None = None,
    draws: bool = True,
    shells: Shells = "all",
) -> Plan:
    """Work out a run; nothing is written, and nothing is refused before :meth:`Plan.validate`.

    Parameters
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    out : Path
        Folder of the store.
    deployment : Deployment, optional
        Default: what suits this machine.
    settings : Mapping, optional
        What the journal of an earlier run of the recipe recorded.
    machine : Machine, optional
        Default: this one.
    draws : bool
        Whether items are drawn, or read from a store that is there.
    shells : {"all", "estimate", "least"}
        Of particles: whether all shells are drawn, which a run needs and takes minutes for a million, or as many as
        an estimate takes (see :func:`nmcdist.products.particles.layout.sizes_of`).

    Raises
    ------
    BundleError, InputError, RecipeError
        If the recipe asks for what this bundle cannot give.
    """
    out = local_path(out)
    machine, deployment, settings = machine or this_machine(), deployment or Deployment(), settings or {}
    if isinstance(recipe, ParticleRecipe):
        return particles.plan_particles(recipe, bundle, out, deployment, machine, shells=shells)
    assert isinstance(recipe, Recipe)
    return volumes.plan_volumes(recipe, bundle, out, deployment, machine, settings=settings, draws=draws)


def checked_plan(
    recipe: BaseRecipe,
    bundle: Bundle,
    out: Path,
    deployment: Deployment | None = None,
    *,
    present_bytes: int = 0,
    settings: Mapping[str, Any] | None = None,
    draws: bool = True,
) -> Plan:
    """Work out a run that can end well; one that is sure to fail is refused before all its shells are drawn.

    Parameters
    ----------
    recipe, bundle, out, deployment, settings, draws
        As for :func:`make_plan`.
    present_bytes : int
        As for :meth:`Plan.validate`.

    Raises
    ------
    BundleError, InputError, RecipeError
        If the recipe asks for what this bundle cannot give.
    PlanError, StoreError
        As for :meth:`Plan.validate`.
    """
    plan = make_plan(recipe, bundle, out, deployment, settings=settings, draws=draws, shells="least")
    plan.validate(present_bytes=present_bytes)
    if not plan.is_exact:
        plan = make_plan(recipe, bundle, out, deployment, settings=settings, draws=draws)
        plan.validate(present_bytes=present_bytes)
    return plan


def maker_of(recipe: BaseRecipe) -> ModuleType:
    """Return the module that makes and joins the tasks of a recipe: it has `make` and `join`."""
    return particles if isinstance(recipe, ParticleRecipe) else volumes
