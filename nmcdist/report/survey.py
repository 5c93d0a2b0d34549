"""One pass over the particles of a store: a table of their descriptors, and histograms fine enough for medians."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.descriptors.summaries import Histogram, linear_edges, log_edges
from nmcdist.report.collection import Collection
from nmcdist.report.tables import with_unit

SHELL = ("d_max_nm", "compactness", "aspect_ratio", "sphericity")
DIAMETER = "mean_diameter_nm"
_EDGES = {name: linear_edges(0, 1, 10_000) for name in SHELL[1:]} | {
    name: log_edges(10, 1e6, 1000) for name in (SHELL[0], DIAMETER)
}
_COEFFICIENTS = "shell_coefficients_nm"


@dataclass(frozen=True)
class Survey:
    """The result of a pass over the particles.

    Attributes
    ----------
    histograms : dict of str to Histogram
        Histograms of d_max_nm, compactness, aspect_ratio, sphericity, and mean_diameter_nm (Z00 / sqrt(pi), twice the
        mean radius), with bins fine enough for practically exact quantiles.
    volume : ndarray of float64
        Volume in nm^3 per bin of mean_diameter_nm.
    totals : dict of str to int
        Sums over the particles.
    most_grains : int
        Largest number of grains in a particle.
    """

    histograms: dict[str, Histogram]
    volume: np.ndarray
    totals: dict[str, int]
    most_grains: int

    def median(self, name: str) -> float:
        """Return the median of a descriptor."""
        return self.histograms[name].quantile(0.5)


def survey(collection: Collection, path: Path) -> Survey:
    """Write one row per particle to a CSV file, block by block, and return the survey.

    Raises
    ------
    StoreError
        If bytes of the store are damaged.
    """
    summed = [n for n in ("kept_grains", "shell_rejections", "grains", "grains_with_pieces", "pieces_merged",
                          "voxels_merged") if n in collection.scalars]  # fmt: skip
    totals: dict[str, int] = dict.fromkeys(summed, 0)
    histograms = {name: Histogram.of(np.empty(0), edges) for name, edges in _EDGES.items()}
    volume, most = np.zeros(len(_EDGES[DIAMETER]) - 1), 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["item", DIAMETER, *(with_unit(*scalar) for scalar in collection.scalars.items())])
        for items, values in collection.blocks([*collection.scalars, _COEFFICIENTS]):
            diameter = values.pop(_COEFFICIENTS)[:, 0] / np.sqrt(np.pi)
            writer.writerows(zip(items, diameter, *values.values(), strict=True))
            seen = {DIAMETER: diameter} | {name: values[f"shell_{name}"] for name in SHELL}
            for name, before in histograms.items():
                histograms[name] = before.merge(Histogram.of(seen[name], before.edges))
            volume += np.histogram(diameter, _EDGES[DIAMETER], weights=values["shell_volume_nm3"])[0]
            most = max(most, int(values["kept_grains"].max()))
            totals = {name: total + int(values[name].sum()) for name, total in totals.items()}
    return Survey(histograms, volume, totals, most)


def items_of_sizes(collection: Collection, shares: tuple[float, ...], sizes: Histogram) -> list[int]:
    """Return the particles with grains and a d_max nearest to quantiles, each once, ascending in size.

    Parameters
    ----------
    collection : Collection
    shares : tuple of float
        The quantiles.
    sizes : Histogram
        Histogram of d_max_nm.
    """
    wanted = np.array([sizes.quantile(share) for share in shares])
    nearest, found = np.full(len(wanted), np.inf), np.full(len(wanted), -1)
    for items, values in collection.blocks(["shell_d_max_nm", "kept_grains"]):
        own = np.where(values["kept_grains"] > 0, values["shell_d_max_nm"], np.inf)
        away = np.abs(own - wanted[:, None])
        best = away.argmin(axis=1)
        closer = away[np.arange(len(wanted)), best] < nearest
        nearest = np.where(closer, away.min(axis=1), nearest)
        found = np.where(closer, items[best], found)
    return list(dict.fromkeys(int(item) for item in found if item >= 0))
