"""What each part of the additive does to the pores, from the interventions of a finished store."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.learning.scores import r2
from nmcdist.models.interventions import GRAPHITE_ALONE, INTERVENED, WITHOUT_GRAPHITE

if TYPE_CHECKING:
    import xarray as xr

FEWEST = 3  # realisations from which a scatter is estimated


@dataclass(frozen=True)
class Effect:
    """The M-factor of the pores under an intervention, over the volumes of a store.

    Attributes
    ----------
    name : str
    realisations : int
        Independent ones: volumes with the same random streams count once, with their mean.
    mean, error : float
        Mean over volumes, and its standard error over realisations; NaN with fewer than three.
    ratio : float
        Mean over volumes of the ratio to the full M-factor, where that is not 0.
    correlation : float
        With the full M-factor over realisations; NaN with fewer than three.
    """

    name: str
    realisations: int
    mean: float
    error: float
    ratio: float
    correlation: float


@dataclass(frozen=True)
class ProductRule:
    """How well M without graphite times M of graphite alone gives the full M-factor.

    Attributes
    ----------
    volumes : int
    r2 : float
    median_error : float
        Of the relative errors, where the full M-factor is not 0.
    """

    volumes: int
    r2: float
    median_error: float


def effects(data: "xr.Dataset") -> list[Effect]:
    """Return what each intervention of a dataset does; empty without any."""
    if INTERVENED not in data:
        return []
    full, streams = full_m_factor(data), _streams(data)
    return [_effect(name, _under(data, name), full, streams) for name in names_of(data)]


def product_rule(data: "xr.Dataset") -> ProductRule | None:
    """Return how well the product rule holds in a dataset; None if it lacks one of the factors."""
    if not {WITHOUT_GRAPHITE, GRAPHITE_ALONE} <= set(names_of(data)):
        return None
    full, product = full_m_factor(data), _under(data, WITHOUT_GRAPHITE) * _under(data, GRAPHITE_ALONE)
    known = np.isfinite(full) & np.isfinite(product)
    full, product = full[known], product[known]
    off = np.abs(product[full > 0] / full[full > 0] - 1)
    return ProductRule(len(full), r2(full, product), float(np.median(off)) if off.size else math.nan)


def facts_of(data: "xr.Dataset") -> dict[str, Any]:
    """Return effects and product rule of a dataset as plain data."""
    rule = product_rule(data)
    return {"effects": [asdict(effect) for effect in effects(data)], "product_rule": rule and asdict(rule)}


def names_of(data: "xr.Dataset") -> tuple[str, ...]:
    """Return the names of the interventions of a dataset."""
    return tuple(map(str, data["intervention"].values)) if INTERVENED in data else ()


def full_m_factor(data: "xr.Dataset") -> np.ndarray:
    """Return the M-factor of the pores of each volume, mean over axes."""
    return np.asarray(data["m_factor"].sel(conduction="pore").mean("axis").values, dtype=float)


def _under(data: "xr.Dataset", name: str) -> np.ndarray:
    return np.asarray(data[INTERVENED].sel(intervention=name).mean("axis").values, dtype=float)


def _streams(data: "xr.Dataset") -> np.ndarray:
    return np.asarray(data["stream"].values if "stream" in data.coords else np.arange(data.sizes["sample"]))


def _effect(name: str, values: np.ndarray, full: np.ndarray, streams: np.ndarray) -> Effect:
    known = np.isfinite(values) & np.isfinite(full)
    values, full = values[known], full[known]
    group = np.unique(streams[known], return_inverse=True)[1].reshape(-1)
    number = np.bincount(group)
    own, whole = (np.bincount(group, weights) / number for weights in (values, full))
    count, conducts = len(number), full > 0
    error = float(own.std(ddof=1) / math.sqrt(count)) if count >= FEWEST else math.nan
    varies = count >= FEWEST and np.ptp(own) > 0 and np.ptp(whole) > 0
    return Effect(
        name, count, float(values.mean()) if count else math.nan, error,
        float((values[conducts] / full[conducts]).mean()) if conducts.any() else math.nan,
        float(np.corrcoef(own, whole)[0, 1]) if varies else math.nan,
    )  # fmt: skip
