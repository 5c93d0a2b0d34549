"""Separation of touching particles: one watershed, then regions merged by a rule."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.shell.basins import LOW_H, Basins, find_basins
from nmcdist.calibration.shell.graph import RegionGraph
from nmcdist.calibration.shell.paper_rule import paper_merged
from nmcdist.calibration.shell.regions import Regions, count_regions

Spacing = tuple[float, float, float]
Ratio = float | None  # neck ratio above which regions are merged; None for the paper's rule


@dataclass(frozen=True, eq=False)
class Separated:
    """Regions of an image, and what was counted of them.

    Attributes
    ----------
    labels : ndarray of int32
    regions : Regions
    """

    labels: np.ndarray
    regions: Regions

    @classmethod
    def of(cls, labels: np.ndarray, count: int, spacing: Spacing) -> "Separated":
        """Return labelled regions with their counts."""
        return cls(labels, count_regions(labels, count, spacing))

    def kept(self, least_voxels: int) -> np.ndarray:
        """Return which regions are whole and have at least so many voxels."""
        return np.asarray(self.regions.is_whole & (self.regions.voxels >= least_voxels))


@dataclass(frozen=True, eq=False)
class Watershed:
    """The basins of a phase and their graph, from which every rule gives its regions without another watershed.

    Attributes
    ----------
    basins : Basins
    graph : RegionGraph
    spacing : tuple of float
        Edges of a voxel along z, y, x over the cube root of its volume.
    """

    basins: Basins
    graph: RegionGraph
    spacing: Spacing

    @classmethod
    def of(cls, phase: np.ndarray, spacing: Spacing, h: float = LOW_H) -> "Watershed":
        """Return the watershed of a phase; ImageError as :func:`find_basins`."""
        basins = find_basins(phase, spacing, h)
        return cls(basins, RegionGraph.of(basins), spacing)

    @property
    def count(self) -> int:
        """Number of basins."""
        return len(self.basins.peaks) - 1

    def mapping(self, ratio: Ratio) -> np.ndarray:
        """Return the region of each basin, shape (n + 1,), 0 for neglected basins."""
        if ratio is None:
            return paper_merged(self.basins.labels, self.count, self.spacing)
        return self.graph.merged(ratio)

    def separated(self, ratio: Ratio) -> Separated:
        """Return the regions by a rule."""
        mapping = self.mapping(ratio)
        return Separated.of(mapping[self.basins.labels], int(mapping.max()), self.spacing)
