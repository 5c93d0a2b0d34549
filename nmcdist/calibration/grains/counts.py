"""Grains per area of planar sections by distance from the centre, measured and generated, and the implied intensity.

A section of a Poisson-Voronoi tessellation of intensity lambda has 1.4580 lambda^(2/3) grains per area. So the
visible grains at a distance give the intensity there: this is the paper's Eq. (13), applied at each distance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from nmcdist.calibration.grains.baselines import SECTION_DENSITY
from nmcdist.calibration.grains.results import Count, CountInSections
from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import InputError
from nmcdist.models.intensity import IntensityProfile

STEP_NM = 1000.0  # width of the compared bins of distance
FEWEST = 30  # least grains of a bin over all sections; a last bin with fewer joins the one before
MOST_KNOTS = 5
_FINE_NM = 500.0  # width of the bins from which knots are chosen
_NO_EVIDENCE = 2.0  # difference of criteria that is no evidence for more knots
_REACHED = 0.5  # least share of such a bin that particles fill
CONFIDENCE = 0.95  # joint confidence of all intervals of a comparison
AIM = 0.05  # aim for the relative difference of counts, or the error if larger


@dataclass(frozen=True, eq=False)
class CountedGrains:
    """Grains by section and bin of distance.

    Attributes
    ----------
    edges_nm : ndarray of float64, shape (bins + 1,)
    grains : ndarray of float64, shape (sections, bins)
        Grains whose centre of mass lies in the bin.
    areas_nm2 : ndarray of float64, shape (sections, bins)
        Area of the particle in the bin.
    """

    edges_nm: np.ndarray
    grains: np.ndarray
    areas_nm2: np.ndarray


def count_grains(sections: Sequence[Section], edges_nm: np.ndarray) -> CountedGrains:
    """Count the grains of each section, and the area of its particle, by distance from the centre."""
    grains, areas = [], []
    for section in sections:
        grains.append(np.histogram(section.describe()["radius_nm"].values, edges_nm)[0])
        away = np.hypot(*(np.argwhere(section.mask) - section.centre_px).T) * section.pixel_size_nm
        areas.append(np.histogram(away, edges_nm)[0] * section.pixel_size_nm**2)
    return CountedGrains(edges_nm, np.array(grains, np.float64), np.array(areas, np.float64))


def bin_edges(sections: Sequence[Section], step_nm: float = STEP_NM) -> np.ndarray:
    """Return the edges of bins of equal width; the last is wider if it would hold too few grains.

    Raises
    ------
    InputError
        If there is no grain.
    """
    radii = np.concatenate([np.empty(0), *(section.describe()["radius_nm"].values for section in sections)])
    if not len(radii):
        raise InputError("sections: found no grain, expected at least one")
    farthest = max(float(radii.max()), *(_farthest_nm(section) for section in sections))
    edges = step_nm * np.arange(math.ceil(farthest / step_nm) + 1)
    counts = np.histogram(radii, edges)[0]
    while len(counts) > 1 and counts[-1] < FEWEST:
        counts = np.append(counts[:-2], counts[-2:].sum())
        edges = np.append(edges[:-2], edges[-1])
    return edges


def compare_counts(measured: CountedGrains, generated: Sequence[CountedGrains]) -> list[CountInSections]:
    """Return generated over measured grains by distance, with an interval.

    All intervals together are correct with a probability of 95 %. They use Student's law, with the degrees of freedom
    of the counts of all sections and bins about means proportional to the areas. The variance of a count is
    proportional to its mean; the factor is estimated from the measured sections, which may differ by more than
    chance. With two sections or fewer there is no interval.

    Parameters
    ----------
    measured : CountedGrains
    generated : sequence of CountedGrains
        One for each draw of sections like the measured ones.

    Returns
    -------
    list of CountInSections
    """
    sections, bins = measured.grains.shape
    expected = np.mean([counts.grains for counts in generated], axis=0)
    found, total, area = measured.grains.sum(axis=0), expected.sum(axis=0), measured.areas_nm2.sum(axis=0) / 1e6
    spread = _spread(measured.grains, measured.areas_nm2) if sections > 2 else None
    rows = []
    for k in range(bins):
        ratio = float(total[k] / found[k]) if found[k] and total[k] else None
        error = None
        if ratio is not None and spread is not None:
            freedom = (sections - 1) * bins
            quantile = float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / bins, freedom))
            error = quantile * float(ratio * math.sqrt(spread * (1 / found[k] + 1 / (len(generated) * total[k]))))
        rows.append(CountInSections(
            from_nm=float(measured.edges_nm[k]), to_nm=float(measured.edges_nm[k + 1]),
            measured=float(found[k] / area[k]) if area[k] else None,
            generated=float(total[k] / area[k]) if area[k] else None, ratio=ratio, error=error,
        ))  # fmt: skip
    return rows


def contradicts(row: Count) -> bool:
    """Return whether the numbers of generated and measured grains of a row differ by more than aim and error."""
    return row.ratio is not None and row.error is not None and abs(row.ratio - 1) > max(AIM, row.error)


@dataclass(frozen=True)
class Knots:
    """The number of knots that the counts of grains justify.

    Attributes
    ----------
    profile : IntensityProfile
        Intensity of a Poisson-Voronoi tessellation with the counted grains, with the chosen number of knots, in nm.
    criteria : tuple of float
        Bayesian information criterion with 1, 2, ... knots.
    """

    profile: IntensityProfile
    criteria: tuple[float, ...]


def choose_knots(sections: Sequence[Section]) -> Knots:
    """Return the intensity by distance implied by the visible grains, with as many knots as their errors justify.

    The first knot is the centre, the last one the farthest bin, and equally many grains lie between neighbouring
    knots. The misfit is the sum of squared deviations of the counts from their expectations, in units of their
    variance; the criterion adds the logarithm of the number of counts for each knot (Schwarz 1978). The smallest
    number of knots within 2 of the best criterion is chosen, since a difference of 2 is no evidence (Kass and Raftery
    1995). With one knot, the intensity is constant.

    Raises
    ------
    InputError
        If there is no grain.
    """
    counts = count_grains(sections, bin_edges(sections, _FINE_NM))
    found, area = counts.grains.sum(axis=0), counts.areas_nm2.sum(axis=0)
    whole = len(sections) * math.pi * np.diff(counts.edges_nm**2)
    use = area > _REACHED * whole  # farther bins contain the surface
    use[0] = True
    middles = 0.5 * (counts.edges_nm[1:] + counts.edges_nm[:-1])[use]
    found, area = found[use], area[use]
    spread = 1.0 if len(sections) < 3 else _spread(counts.grains[:, use], counts.areas_nm2[:, use])
    fits = [_fitted(k, middles, found, area, spread) for k in range(1, min(MOST_KNOTS, len(found)) + 1)]
    criteria = [misfit + knots * math.log(len(found)) for knots, (_, misfit) in enumerate(fits, 1)]
    fewest = next(k for k, value in enumerate(criteria) if value <= min(criteria) + _NO_EVIDENCE)
    return Knots(fits[fewest][0], tuple(criteria))


def hats(knots: Sequence[float], distances: np.ndarray) -> np.ndarray:
    """Return the weights of knots at distances, shape (n, knots): linear between knots, with sum 1."""
    return np.stack([np.interp(distances, knots, row) for row in np.eye(len(knots))], axis=1)


def _farthest_nm(section: Section) -> float:
    return float(np.hypot(*(np.argwhere(section.mask) - section.centre_px).T).max()) * section.pixel_size_nm


def _spread(grains: np.ndarray, like: np.ndarray) -> float:
    """Return the variance of counts over their mean, proportional to `like` in each bin; shapes (sections, bins)."""
    total = like.sum(axis=0)
    mean = like * np.divide(grains.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    seen = mean > 0
    freedom = max((len(grains) - 1) * int(seen.any(axis=0).sum()), 1)
    return float(((grains - mean)[seen] ** 2 / mean[seen]).sum()) / freedom


def _fitted(
    count: int, middles: np.ndarray, found: np.ndarray, area: np.ndarray, spread: float
) -> tuple[IntensityProfile, float]:
    """Return the best profile with this number of knots, and its misfit."""
    shares = np.concatenate([[0.0], np.cumsum(found) / found.sum()])
    knots = np.interp(np.arange(count) / max(count - 1, 1), shares, np.concatenate([[0.0], middles]))
    mean = float(found.sum() / area.sum())
    start = (mean / SECTION_DENSITY) ** 1.5

    def residuals(logs: np.ndarray) -> np.ndarray:
        intensity = start * np.interp(middles, knots, np.exp(logs))
        expected = area * SECTION_DENSITY * intensity ** (2 / 3)
        return np.asarray((found - expected) / np.sqrt(spread * np.maximum(expected, 1.0)))

    best = optimize.least_squares(residuals, np.zeros(count), bounds=(-2.3, 2.3))
    values = start * np.exp(best.x)
    return IntensityProfile(tuple(knots.tolist()), tuple(values.tolist())), float((best.fun**2).sum())
