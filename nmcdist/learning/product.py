"""Rows of the factorised surrogate: volumes on which it is tested, and experiments that give its factors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nmcdist.errors import InputError
from nmcdist.learning.effects import names_of
from nmcdist.learning.factorised import Experiment
from nmcdist.learning.features import features
from nmcdist.learning.parameters import FINE, GRAPHITE, parameter_values
from nmcdist.learning.rows import FACTORS, Rows, rows_of

if TYPE_CHECKING:
    import xarray as xr


def product_rows(datasets: Sequence["xr.Dataset"], targets: Sequence[str], which: str, by_axis: bool) -> Rows:
    """Return the rows of opened datasets, with the experiments of one factor.

    A store with one of the two interventions is an experiment of that factor, and needs the parameters of that factor
    alone. The surrogate is tested on the others, which have both interventions or neither.

    Parameters
    ----------
    datasets, targets, which, by_axis
        See :func:`nmcdist.learning.rows.read_rows`; `which` is "parameters".

    Raises
    ------
    InputError
        If there is no store to test on, or a store lacks a parameter that another one says.
    """
    given = [set(names_of(data)) & set(FACTORS) for data in datasets]
    tested = [data for data, factors in zip(datasets, given, strict=True) if len(factors) != 1]
    if not tested:
        raise InputError("stores: found experiments of one factor alone, expected a store to test on: one with both "
                         f"interventions, {' and '.join(FACTORS)}, or with neither")  # fmt: skip
    names: list[str] = []
    further: list[Experiment] = []
    for factor, parameters in zip(FACTORS, (FINE, GRAPHITE), strict=True):
        alone = [data for data, factors in zip(datasets, given, strict=True) if factors == {factor}]
        said = tuple(n for n in parameters if any(parameter_values(data, n) is not None for data in tested + alone))
        if not said:
            raise InputError(f"features: found none of {', '.join(parameters)} in any store")
        names += said
        parts = [_experiment(data, factor, said, by_axis) for data in alone]
        further.append(Experiment(
            factor, np.concatenate([np.empty((0, len(said))), *(part.x for part in parts)]),
            np.concatenate([np.empty(0), *(part.m for part in parts)]),
        ))  # fmt: skip
    return replace(rows_of(tested, targets, tuple(names), by_axis), experiments=tuple(further))


def experiments_of(rows: Rows) -> tuple[Experiment, Experiment]:
    """Return the experiments of both factors: those of the rows themselves, and the further ones."""
    fine, graphite = rows.experiments
    split = fine.x.shape[1]
    own = zip(rows.experiments, (rows.x[:, :split], rows.x[:, split:]), rows.factors.T, strict=True)
    fine, graphite = (Experiment(further.name, x, m).joined(further) for further, x, m in own)
    return fine, graphite


def blocked_of(rows: Rows) -> dict[str, int]:
    """Return how many volumes of each experiment have blocked pores, and are left out; empty for other models."""
    return {each.name: each.blocked for each in experiments_of(rows)} if rows.experiments else {}


def _experiment(data: "xr.Dataset", factor: str, names: tuple[str, ...], by_axis: bool) -> Experiment:
    own = data.drop_vars("volume", errors="ignore").load()
    return Experiment(factor, features(own, names, by_axis), features(own, (FACTORS[factor],), by_axis)[:, 0])
