"""Sweeps over a bundle's parameters: the values at each level, and the coordinate that records them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.bundle.parameters import unit_of
from nmcdist.datasets.layout import SAMPLE, Coordinate
from nmcdist.errors import BundleError, RecipeError
from nmcdist.faults import proposal
from nmcdist.products.volumes.recipe import VolumeRecipe


def swept_parameters(
    recipe: VolumeRecipe, bundle: Bundle, derived: dict[str, Callable[[float], dict[str, float]]] | None = None
) -> list[dict[str, float]]:
    """Return, for each level of the sweep, the bundle parameters that it sets.

    Parameters
    ----------
    recipe : VolumeRecipe
    bundle : Bundle
    derived : dict, optional
        Derived quantities that can be swept: name -> (value -> the bundle parameters that it sets).

    Raises
    ------
    RecipeError
        If the swept parameter is unknown or has an impossible value.
    """
    derived = derived or {}
    name, known = recipe.swept, [*derived, *bundle.values]
    if name is None:
        return [{}]
    if name not in known:
        raise RecipeError(f"sweep.{name}: unknown parameter{proposal(name, known)}")
    changes = []
    for value in recipe.sweep[name]:
        change = derived[name](value) if name in derived else {name: value}
        try:
            bundle.with_parameters(**change)
        except BundleError as error:
            raise RecipeError(f"sweep.{name}: {error}") from None
        changes.append(change)
    return changes


def parameter_coordinate(name: str, recipe: VolumeRecipe, levels: Sequence[Bundle]) -> Coordinate:
    """Return the values of a bundle parameter as a coordinate of the samples, with its unit and meaning."""
    parameters = [level.parameters for level in levels]
    model = type(parameters[0])
    attrs = {"units": unit_of(model, name), "long_name": model.model_fields[name].description}
    return by_level(name, [getattr(p, name) for p in parameters], recipe, attrs)


def by_level(name: str, values: Sequence[float], recipe: VolumeRecipe, attrs: Any) -> Coordinate:
    """Return a coordinate of the samples that has one value per level of the sweep."""
    return Coordinate(name, (SAMPLE,), np.repeat(np.array(values, dtype=float), recipe.realisations), attrs)
