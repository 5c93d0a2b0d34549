"""Distances between the grains of a model and measured grains, descriptor by descriptor.

A distance is meaningful only beside two others: the noise floor, which is the distance between independent draws of
the truth, and the distances of the baselines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.calibration.grains.samples import CHORDS, RADIUS, Samples
from nmcdist.errors import InputError

BINS = 5  # of radius


@dataclass(frozen=True)
class Distance:
    """The distance between two samples of one descriptor.

    Attributes
    ----------
    ks : float
        Largest difference of the distribution functions (Kolmogorov-Smirnov).
    wasserstein : float
        Area between the distribution functions (1-Wasserstein), in standard deviations of the truth.
    wasserstein_own : float
        The same in the descriptor's unit.
    profile_ks, profile_wasserstein : float or None
        Means of `ks` and `wasserstein` over bins of radius: see :func:`profile_distance`. None without radii, and if
        a bin has no value.
    n_found, n_truth : int
        Sizes of the samples.
    """

    ks: float
    wasserstein: float
    wasserstein_own: float
    profile_ks: float | None
    profile_wasserstein: float | None
    n_found: int
    n_truth: int


@dataclass(frozen=True)
class Floor:
    """Distances between independent draws of one model: means over the repetitions, and the largest ones of two."""

    ks: float
    ks_largest: float
    wasserstein: float
    wasserstein_largest: float
    profile_ks: float | None
    profile_wasserstein: float | None
    repetitions: int


@dataclass(frozen=True)
class Errors:
    """Half the widths of the intervals of a :class:`Distance`; None if unknown."""

    ks: float | None
    wasserstein: float | None
    profile_ks: float | None
    profile_wasserstein: float | None


def distances(found: Samples, truth: Samples, bins: int = BINS) -> dict[str, Distance]:
    """Return the distances of two samples, descriptor by descriptor, without NaN.

    Parameters
    ----------
    found, truth : dict of str to ndarray
        Results of :func:`section_samples` or :func:`grain_samples`.
    bins : int
        Of radius.

    Returns
    -------
    dict of str to Distance
        For each descriptor of the truth.

    Raises
    ------
    InputError
        If a descriptor is missing or has no values, or the truth does not vary.
    """
    names = [name for name in truth if name != RADIUS]
    lacking = [name for name in names if name not in found]
    if lacking:
        raise InputError(f"found: lacks {lacking[0]!r}, expected the descriptors {names}")
    return {name: _distance(name, found, truth, bins) for name in names}


def noise_floor(
    draw: Callable[[int, int], Samples], sizes: tuple[int, int], repetitions: int = 4, bins: int = BINS
) -> dict[str, Floor]:
    """Return the distances between independent draws of one model, the lower limits of any model's distances from it.

    Parameters
    ----------
    draw : callable
        Returns samples, given the index of the first section or particle and their number; equal indices give equal
        draws.
    sizes : two int
        Numbers of sections or particles of the model and of the truth.
    repetitions : int
        Number of independent pairs.
    bins : int
        Of radius.

    Returns
    -------
    dict of str to Floor

    Raises
    ------
    InputError
        If there is no repetition.
    """
    if repetitions < 1:
        raise InputError(f"repetitions: found {repetitions}, expected at least 1")
    pairs = []
    for k in range(repetitions):
        first = k * sum(sizes)
        pairs.append(distances(draw(first, sizes[0]), draw(first + sizes[0], sizes[1]), bins))
    return {name: _floor([pair[name] for pair in pairs]) for name in pairs[0]}


def kolmogorov_smirnov(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest difference between the distribution functions of two samples, shapes (n,) and (m,)."""
    a, b = _checked("found", found), _checked("truth", truth)
    places = np.concatenate([a, b])
    return float(np.abs(_shares(a, places) - _shares(b, places)).max())


def wasserstein(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the area between the distribution functions of two samples, shapes (n,) and (m,), in their unit."""
    a, b = _checked("found", found), _checked("truth", truth)
    places = np.sort(np.concatenate([a, b]))
    return float((np.abs(_shares(a, places) - _shares(b, places))[:-1] * np.diff(places)).sum())


def profile_distance(
    found: np.ndarray, found_radius: np.ndarray, truth: np.ndarray, truth_radius: np.ndarray, bins: int = BINS
) -> tuple[float, float] | None:
    """Return the mean distances of two samples within bins of radius, weighted by the truth's counts.

    The bins have equal counts of the truth; the first and the last are open.

    Parameters
    ----------
    found, truth : ndarray of float64, shapes (n,) and (m,)
    found_radius, truth_radius : ndarray of float64, shapes (n,) and (m,)
        Distances from the centre.
    bins : int

    Returns
    -------
    ks, wasserstein : float
        Mean distances; `wasserstein` is in the descriptor's unit. None instead of both if a bin lacks values of a
        sample.

    Raises
    ------
    InputError
        If a sample is empty or not finite, or the number of its radii differs.
    """
    a, b = _checked("found", found), _checked("truth", truth)
    for name, values, radii in (("found_radius", a, found_radius), ("truth_radius", b, truth_radius)):
        if np.shape(radii) != values.shape:
            raise InputError(f"{name}: found shape {np.shape(radii)}, expected {values.shape}")
    edges = np.quantile(truth_radius, np.arange(1, bins) / bins)
    of_a, of_b = np.digitize(found_radius, edges), np.digitize(truth_radius, edges)
    weights = np.bincount(of_b, minlength=bins)
    if not weights.all() or not np.bincount(of_a, minlength=bins).all():
        return None
    pairs = [(a[of_a == k], b[of_b == k]) for k in range(bins)]
    ks = float(np.average([kolmogorov_smirnov(*pair) for pair in pairs], weights=weights))
    return ks, float(np.average([wasserstein(*pair) for pair in pairs], weights=weights))


def _distance(name: str, found: Samples, truth: Samples, bins: int) -> Distance:
    a, b = np.asarray(found[name], np.float64), np.asarray(truth[name], np.float64)
    seen_a, seen_b = ~np.isnan(a), ~np.isnan(b)
    for label, seen in (("found", seen_a), ("truth", seen_b)):
        if not seen.any():
            raise InputError(f"{label}: found no values of {name!r}, expected at least one")
    deviation = float(b[seen_b].std())
    if not deviation > 0:
        raise InputError(f"truth: found {name!r} always {b[seen_b][0]:g}, expected values that vary")
    own = wasserstein(a[seen_a], b[seen_b])
    profile = None
    if name != CHORDS and RADIUS in found and RADIUS in truth:
        profile = profile_distance(a[seen_a], found[RADIUS][seen_a], b[seen_b], truth[RADIUS][seen_b], bins)
    ks, radial = profile if profile is not None else (None, None)
    return Distance(
        kolmogorov_smirnov(a[seen_a], b[seen_b]), own / deviation, own,
        ks, None if radial is None else radial / deviation, int(seen_a.sum()), int(seen_b.sum()),
    )  # fmt: skip


def _floor(found: Sequence[Distance]) -> Floor:
    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if len(known) == len(values) else None

    ks, area = [d.ks for d in found], [d.wasserstein for d in found]
    return Floor(
        float(np.mean(ks)), max(ks), float(np.mean(area)), max(area),
        mean([d.profile_ks for d in found]), mean([d.profile_wasserstein for d in found]), len(found),
    )  # fmt: skip


def _checked(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise InputError(f"{name}: found shape {array.shape}, expected one or more finite numbers")
    return array


def _shares(sample: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the sample's distribution function at given values."""
    return np.searchsorted(np.sort(sample), places, side="right") / len(sample)
