"""Designs: points in the space of several parameters, as a recipe describes them."""

import itertools
from math import prod
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from nmcdist.design.space import between, unit_points
from nmcdist.products.recipe import Frozen, as_tuple, each_once

MOST_POINTS = 100_000
_MOST_PARAMETERS = 20

Values = Annotated[tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=MOST_POINTS)]
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple), AfterValidator(each_once)]


class DesignSpec(Frozen):
    """Points in the space of several parameters."""

    kind: Literal["sobol", "grid", "list"] = Field(
        description="`sobol`: points that fill the ranges evenly, a scrambled Sobol sequence keyed by the seed. "
        "`grid`: all combinations of the values. `list`: point k has value k of each list."
    )
    parameters: Annotated[dict[str, Values], Field(min_length=1, max_length=_MOST_PARAMETERS)] = Field(
        description="For `sobol` the lowest and highest value of each parameter, otherwise its values."
    )
    count: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = Field(
        default=None, description="Number of points, for `sobol` only; a power of two fills the ranges best."
    )
    logarithmic: Names = Field(
        default=(), description="Parameters whose range is filled evenly in their logarithm, for `sobol` only."
    )

    @model_validator(mode="after")
    def _is_complete(self) -> "DesignSpec":
        if self.kind == "sobol":
            return self._checked_ranges()
        for name, given in (("count", self.count is not None), ("logarithmic", bool(self.logarithmic))):
            if given:
                raise ValueError(f"{name}: found a value, expected none in a design of kind {self.kind}")
        lengths = {name: len(values) for name, values in self.parameters.items()}
        if self.kind == "list" and len(set(lengths.values())) > 1:
            raise ValueError(f"parameters: found lists of {lengths} values, expected equal lengths")
        if self.points > MOST_POINTS:
            raise ValueError(f"parameters: found {self.points} combinations, expected at most {MOST_POINTS}")
        return self

    def _checked_ranges(self) -> "DesignSpec":
        if self.count is None:
            raise ValueError("count: found none, expected the number of points")
        for name, values in self.parameters.items():
            if len(values) != 2 or not values[0] < values[1]:
                raise ValueError(f"parameters.{name}: found {list(values)}, expected [lowest, highest]")
        for name in self.logarithmic:
            if name not in self.parameters:
                raise ValueError(f"logarithmic: found {name!r}, expected names of parameters of the design")
            if self.parameters[name][0] <= 0:
                raise ValueError(f"parameters.{name}: found {self.parameters[name][0]}, expected numbers above 0 for a "
                                 "logarithm")  # fmt: skip
        return self

    @property
    def points(self) -> int:
        """Number of points."""
        lengths = [len(values) for values in self.parameters.values()]
        return self.count or (prod(lengths) if self.kind == "grid" else lengths[0])

    @property
    def is_coupled(self) -> bool:
        """Whether points share their randomness, so that differences between them are not those of realisations."""
        return self.kind != "sobol"

    def values(self, seed: int) -> list[dict[str, float]]:
        """Return the values of the parameters at each point.

        Parameters
        ----------
        seed : int
            Of the scrambling; point k does not depend on the number of points.
        """
        names = list(self.parameters)
        if self.kind == "grid":
            rows = list(itertools.product(*self.parameters.values()))
        elif self.kind == "list":
            rows = list(zip(*self.parameters.values(), strict=True))
        else:
            return [self.at(row) for row in unit_points(len(names), self.points, seed).tolist()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def at(self, row: list[float]) -> dict[str, float]:
        """Return the point of the ranges at a place of the unit cube."""
        ends = self.parameters.items()
        return {
            name: between(low, high, u, is_logarithmic=name in self.logarithmic)
            for u, (name, (low, high)) in zip(row, ends, strict=True)
        }
