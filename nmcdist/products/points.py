"""The points of a sweep or a design: what each changes in the bundle, and the coordinates that record them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.bundle.parameters import unit_of
from nmcdist.datasets.layout import SAMPLE, Coordinate
from nmcdist.errors import BundleError, InputError, RecipeError
from nmcdist.faults import proposal
from nmcdist.products.design import DesignSpec

V = TypeVar("V", bound=float | tuple[float, ...])
Derived = Mapping[str, Callable[[Bundle, float], Mapping[str, V]]]


class Varied(Protocol):
    """A recipe whose items have the bundle parameters of a point of a sweep or a design."""

    @property
    def design(self) -> DesignSpec | None: ...  # noqa: D102
    @property
    def varied(self) -> tuple[str, ...]: ...  # noqa: D102
    def point_values(self) -> Sequence[Mapping[str, float]]: ...  # noqa: D102
    def items(self) -> np.ndarray: ...  # noqa: D102


def changes_at_points(
    recipe: Varied, bundle: Bundle, derived: Derived[V] | None = None
) -> list[dict[str, float | V]]:  # fmt: skip
    """Return, for each point of the sweep or the design, the bundle parameters that it sets.

    Parameters
    ----------
    recipe : Varied
    bundle : Bundle
    derived : Mapping, optional
        Derived quantities that can be varied: name -> (bundle, value -> the parameters that it sets). They are set
        after the parameters of the bundle, in this order.

    Raises
    ------
    RecipeError
        If a parameter is unknown or has an impossible value.
    """
    derived = derived or {}
    where = "sweep" if recipe.design is None else "design.parameters"
    known = [*derived, *bundle.values]
    for name in recipe.varied:
        if name not in known:
            raise RecipeError(f"{where}.{name}: unknown parameter{proposal(name, known)}")
    return [changes_of(bundle, point, derived, where) for point in recipe.point_values()]


def changes_of(bundle: Bundle, point: Mapping[str, float], derived: Derived[V], where: str) -> dict[str, float | V]:
    """Return the bundle parameters that a point sets; RecipeError if it is impossible."""
    changes: dict[str, float | V] = {}
    for name in sorted(point, key=lambda one: list(derived).index(one) if one in derived else -1):
        try:
            changed = bundle.with_parameters(**changes)
            changes |= derived[name](changed, point[name]) if name in derived else {name: point[name]}
            bundle.with_parameters(**changes)
        except (BundleError, InputError) as error:
            raise RecipeError(f"{where}.{name}: {error}") from None
    return changes


def parameter_coordinate(name: str, recipe: Varied, levels: Sequence[Bundle]) -> Coordinate:
    """Return the values of a bundle parameter as a coordinate of the samples, with its unit and meaning."""
    parameters = [level.parameters for level in levels]
    model = type(parameters[0])
    attrs = {"units": unit_of(model, name), "long_name": model.model_fields[name].description}
    return by_point(name, [getattr(p, name) for p in parameters], recipe, attrs)


def by_point(name: str, values: Sequence[float], recipe: Varied, attrs: Any) -> Coordinate:
    """Return a coordinate of the samples that has one value per point."""
    return Coordinate(name, (SAMPLE,), np.array(values, dtype=float)[recipe.items()[:, 0]], attrs)
