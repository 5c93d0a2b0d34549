"""Distances of models from measured sections, and from a known truth in space, with intervals.

The data of comparisons are computed once: measured samples, the noise floor of the truth, and the baselines.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from nmcdist.bundle import Bundle
from nmcdist.calibration.grains.baselines import isotropic_power, poisson_voronoi
from nmcdist.calibration.grains.counts import bin_edges, compare_counts, count_grains
from nmcdist.calibration.grains.distances import Distance, Errors, Floor, distances, noise_floor
from nmcdist.calibration.grains.generated import generated_sections
from nmcdist.calibration.grains.results import BaselineDistances, CountInSections, CountInSpace, Dimension, DistanceRow
from nmcdist.calibration.grains.samples import RADIUS, Samples, grain_samples, section_samples, unit_of
from nmcdist.calibration.grains.sections import Section
from nmcdist.models.grains import GrainModel
from nmcdist.models.particle import ParticleModel

DRAWS = 3  # generated sections per measured section in a comparison
PARTICLES = 8  # particles compared in space
# Added to the recipe's seed, for independent draws; 1_000_003 and 1_000_006 are used elsewhere.
_COMPARED, _TRUTH, _BASELINES = 1_000_004, 1_000_005, 1_000_007
_CONFIDENCE = 0.95
_MICROMETRE = 1000.0


def fit_baselines(sections: Sequence[Section], base: Bundle, seed: int) -> dict[str, Bundle]:
    """Return the baselines by name; see :mod:`nmcdist.calibration.grains.baselines`."""
    return {
        "voronoi": poisson_voronoi(sections, base, seed + _BASELINES),
        "isotropic": isotropic_power(sections, base, seed + _BASELINES),
    }


class InSections:
    """Measured sections for comparison with models.

    Parameters
    ----------
    measured : sequence of Section
        Sections without missing pixels.
    baselines : dict of str to Bundle
    seed : int
    truth : Bundle, optional
        Bundle of the phantom, if the sections come from one. The noise floor is that of the truth or, without a
        truth, of the model.
    """

    def __init__(
        self, measured: Sequence[Section], baselines: Mapping[str, Bundle], seed: int, truth: Bundle | None = None
    ) -> None:
        self.measured, self.seed, self.truth = measured, seed, truth
        self._samples = _of_each(measured)
        self._baselines = {
            name: distances(pooled(_of_each(self._generated(bundle, _COMPARED, DRAWS))), pooled(self._samples))
            for name, bundle in baselines.items()
        }

    def compare(self, bundle: Bundle) -> tuple[list[DistanceRow], list[CountInSections]]:
        """Return the distances of a model, and its grains per area by distance from the centre."""
        drawn, n = self._generated(bundle, _COMPARED, DRAWS), len(self.measured)
        each = _of_each(drawn)
        found = distances(pooled(each), pooled(self._samples))
        errors = jackknife([pooled(each[k::n]) for k in range(n)], self._samples)
        return distance_rows("2D", found, self._floor(bundle), self._baselines, errors), self._counts(drawn)

    def distances(self, bundle: Bundle) -> dict[str, Distance]:
        """Return only the distances of a model, by descriptor."""
        drawn = self._generated(bundle, _COMPARED, DRAWS)
        return distances(pooled(_of_each(drawn)), pooled(self._samples))

    def counts(self, bundle: Bundle) -> list[CountInSections]:
        """Return the grains per area of a model by distance from the centre, with the measured ones."""
        return self._counts(self._generated(bundle, _COMPARED, DRAWS))

    def _counts(self, drawn: Sequence[Section]) -> list[CountInSections]:
        edges, n = bin_edges(self.measured), len(self.measured)
        generated = [count_grains(drawn[k : k + n], edges) for k in range(0, len(drawn), n)]
        return compare_counts(count_grains(self.measured, edges), generated)

    def _generated(self, bundle: Bundle, stream: int, draws: int) -> list[Section]:
        like = [section for _ in range(draws) for section in self.measured]
        return generated_sections(GrainModel.from_bundle(bundle), like, self.seed + stream)

    def _floor(self, bundle: Bundle) -> dict[str, Floor]:
        model = GrainModel.from_bundle(self.truth or bundle)

        def draw(first: int, count: int) -> Samples:
            like = [self.measured[k % len(self.measured)] for k in range(count)]
            drawn = generated_sections(model, like, self.seed + _TRUTH, first)
            return section_samples(drawn)

        return noise_floor(draw, (DRAWS * len(self.measured), len(self.measured)))


class InSpace:
    """Particles of a known truth for comparison with the grains of models.

    Parameters
    ----------
    truth : Bundle
    baselines : dict of str to Bundle
    seed : int
    particles : int
        Number of particles per model.
    """

    def __init__(self, truth: Bundle, baselines: Mapping[str, Bundle], seed: int, particles: int = PARTICLES) -> None:
        self.truth, self.seed, self.particles = truth, seed, particles
        shells = ParticleModel.from_bundle(truth).shells
        self._shells = [shells.draw(seed + _TRUTH, k) for k in range(particles)]
        self._samples = self._drawn(truth, _TRUTH)
        samples = pooled(self._samples)
        self._floor = noise_floor(
            lambda first, count: pooled(self._drawn(truth, _TRUTH, first + particles, count)), (particles,) * 2, 2
        )
        self._baselines = {
            name: distances(pooled(self._drawn(bundle, _COMPARED)), samples) for name, bundle in baselines.items()
        }

    def compare(self, bundle: Bundle) -> tuple[list[DistanceRow], list[CountInSpace]]:
        """Return the distances of a model, and its grains per volume by distance from the centre.

        Grains are drawn in the shells of the true particles, not in those of the bundle, because grains that depend
        on the distance from the centre can only be compared in particles of equal size.
        """
        each = self._drawn(bundle, _COMPARED)
        found = distances(pooled(each), pooled(self._samples))
        rows = distance_rows("3D", found, self._floor, self._baselines, jackknife(each, self._samples))
        return rows, grains_per_volume(each, self._samples)

    def distances(self, bundle: Bundle) -> dict[str, Distance]:
        """Return only the distances of a model, by descriptor."""
        return distances(pooled(self._drawn(bundle, _COMPARED)), pooled(self._samples))

    def _drawn(self, bundle: Bundle, stream: int, first: int = 0, count: int | None = None) -> list[Samples]:
        model = ParticleModel.from_bundle(bundle)
        numbers = range(first, first + (self.particles if count is None else count))
        shells = [self._shells[k % self.particles] for k in numbers]
        return [
            grain_samples(model, self.seed + stream, 1, start=k, shells=[shell])
            for k, shell in zip(numbers, shells, strict=True)
        ]


def distance_rows(
    dimension: Dimension,
    found: Mapping[str, Distance],
    floor: Mapping[str, Floor],
    baselines: Mapping[str, Mapping[str, Distance]],
    errors: Mapping[str, Errors],
) -> list[DistanceRow]:
    """Return one row per descriptor: the model's distances beside the noise floor and the baselines.

    Parameters
    ----------
    dimension : {"2D", "3D"}
        Dimension of the descriptors.
    found : dict of str to Distance
        Distances of the model.
    floor : dict of str to Floor
    baselines : dict of str to dict of str to Distance
        Distances of the baselines, by name.
    errors : dict of str to Errors
        Errors of the model's distances, if known.
    """
    unknown = Errors(None, None, None, None)
    return [
        DistanceRow(
            descriptor=name, dimension=dimension, unit=unit_of(name, dimension),
            w1_own=of.wasserstein_own, n_found=of.n_found, n_truth=of.n_truth,
            floor_ks_largest=floor[name].ks_largest, floor_w1_largest=floor[name].wasserstein_largest,
            baselines={label: _baseline(others[name], of) for label, others in baselines.items()},
            **_named("", of), **_named("error_", errors.get(name, unknown)), **_named("floor_", floor[name]),
        )
        for name, of in found.items()
    ]  # fmt: skip


def _named(prefix: str, of: Distance | Floor | Errors) -> dict[str, Any]:
    values = {"ks": of.ks, "w1": of.wasserstein, "profile_ks": of.profile_ks, "profile_w1": of.profile_wasserstein}
    return {f"{prefix}{name}": value for name, value in values.items()}


def _baseline(of: Distance, model: Distance) -> BaselineDistances:
    times = of.wasserstein / model.wasserstein if model.wasserstein else None
    return BaselineDistances(times=times, **_named("", of))


def grains_per_volume(found: Sequence[Samples], truth: Sequence[Samples]) -> list[CountInSpace]:
    """Return the grains per volume of particles by micrometre of distance, found over true.

    Parameters
    ----------
    found, truth : sequence of dict of str to ndarray
        As from :func:`nmcdist.calibration.grains.samples.grain_samples`, one for each particle.

    Returns
    -------
    list of CountInSpace
        The intervals are those of 95 % over particles.
    """
    farthest = max(float(sample[RADIUS].max()) for sample in truth)
    edges = _MICROMETRE * np.arange(max(math.floor(farthest / _MICROMETRE), 1) + 1)

    def densities(samples: Sequence[Samples]) -> tuple[np.ndarray, np.ndarray]:
        counts = [np.histogram(sample[RADIUS], edges)[0] for sample in samples]
        volumes = [np.histogram(sample[RADIUS], edges, weights=sample["volume_nm3"])[0] / 1e9 for sample in samples]
        return np.array(counts, np.float64), np.array(volumes)

    (some, theirs), (true, own) = densities(found), densities(truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = _ratio(some, theirs, true, own)
        left_out = np.array([
            _ratio(*(np.delete(part, k, axis=0) for part in (some, theirs, true, own)))
            for k in range(min(len(some), len(true)))
        ])  # fmt: skip
        densities_of = (true.sum(axis=0) / own.sum(axis=0), some.sum(axis=0) / theirs.sum(axis=0))
    errors = _half_widths(left_out) if len(left_out) > 2 and len(some) == len(true) else np.full(len(ratios), np.nan)
    columns = zip(edges, edges[1:], *densities_of, ratios, errors, strict=False)
    return [
        CountInSpace(
            from_nm=float(low), to_nm=float(high), truth=_known(of_truth), generated=_known(generated),
            ratio=_known(ratio), error=_known(error),
        )
        for low, high, of_truth, generated, ratio, error in columns
    ]  # fmt: skip


def pooled(samples: Sequence[Samples]) -> Samples:
    """Return the samples of several sections or particles merged into one."""
    return {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}


def jackknife(found: Sequence[Samples], truth: Sequence[Samples]) -> dict[str, Errors]:
    """Return half the widths of 95 % intervals of distances, by a jackknife over sections (or particles).

    Each section is left out together with those generated like it. The intervals use Student's t with one degree of
    freedom less than the number of sections. There are no intervals for two sections or fewer.

    Parameters
    ----------
    found, truth : sequence of dict of str to ndarray
        One item per section, equally many in both.

    Returns
    -------
    dict of str to Errors
        By descriptor; empty without intervals.
    """
    n = len(truth)
    if n <= 2:
        return {}
    left_out = [
        distances(
            pooled([*found[:k], *found[k + 1 :]]), pooled([*truth[:k], *truth[k + 1 :]])
        )
        for k in range(n)
    ]  # fmt: skip
    return {
        name: Errors(*(
            _half_width([getattr(of[name], part) for of in left_out])
            for part in ("ks", "wasserstein", "profile_ks", "profile_wasserstein")
        ))
        for name in left_out[0]
    }  # fmt: skip


def _half_width(values: Sequence[float | None]) -> float | None:
    if any(value is None for value in values):
        return None
    return float(_half_widths(np.array(values, np.float64)[:, None])[0])


def _half_widths(left_out: np.ndarray) -> np.ndarray:
    """Return half the widths of intervals by the jackknife, shape (estimates,), from shape (n, estimates)."""
    n = len(left_out)
    quantile = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, n - 1))
    return np.asarray(quantile * np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)))


def _ratio(some: np.ndarray, theirs: np.ndarray, true: np.ndarray, own: np.ndarray) -> np.ndarray:
    return np.asarray((some.sum(axis=0) / theirs.sum(axis=0)) / (true.sum(axis=0) / own.sum(axis=0)))


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _of_each(sections: Sequence[Section]) -> list[Samples]:
    return [section_samples([section]) for section in sections]
