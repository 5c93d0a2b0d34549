"""Separation of touching particles: one watershed, then regions merged by a rule."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.calibration.shell.basins import LOW_H, Basins, find_basins
from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, in_memory
from nmcdist.calibration.shell.counts import count_labels
from nmcdist.calibration.shell.graph import RegionGraph
from nmcdist.calibration.shell.paper_rule import paper_merged
from nmcdist.calibration.shell.regions import Regions, regions_of
from nmcdist.calibration.spread import Spread

Spacing = tuple[float, float, float]
Ratio = float | None  # neck ratio above which regions are merged; None for the paper's rule


@dataclass(frozen=True, eq=False)
class Separated:
    """Regions of an image, and what was counted of them.

    Attributes
    ----------
    labels : array of int32
        Labels that the regions were merged from; read in boxes.
    numbers : ndarray of int32
        Region of each label from 0.
    regions : Regions
    """

    labels: Any
    numbers: np.ndarray
    regions: Regions

    @classmethod
    def of(cls, labels: Any, count: int, spacing: Spacing, spread: Spread = map, edge: int = EDGE) -> "Separated":
        """Return labelled regions 1 to `count` with their counts."""
        counts, touching = count_labels(labels, count, spread, edge)
        numbers = np.arange(count + 1, dtype=np.int32)
        return cls(labels, numbers, regions_of(counts, touching, numbers, labels.shape, spacing))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = self.labels.shape
        return z, y, x

    def read(self, box: Box) -> np.ndarray:
        """Return the regions in a box, int32."""
        return np.asarray(self.numbers[self.labels[box.slices]])

    def plane(self, z: int) -> np.ndarray:
        """Return the regions in a plane, int32."""
        return np.asarray(self.numbers[self.labels[z]])

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
    spread : callable
        Applies a function to items as `map` does, in order.
    """

    basins: Basins
    graph: RegionGraph
    spacing: Spacing
    spread: Spread = map

    @classmethod
    def of(
        cls, phase: Any, spacing: Spacing, h: float = LOW_H, *, spread: Spread = map, arrays: Arrays = in_memory,
        edge: int = EDGE,
    ) -> "Watershed":  # fmt: skip
        """Return the watershed of a phase; arguments and errors as of :func:`find_basins`."""
        basins = find_basins(phase, spacing, h, spread=spread, arrays=arrays, edge=edge)
        graph = RegionGraph(basins.peaks, basins.touching.pairs, basins.touching.saddles)
        return cls(basins, graph, spacing, spread)

    @property
    def count(self) -> int:
        """Number of basins."""
        return len(self.basins.peaks) - 1

    def mapping(self, ratio: Ratio) -> np.ndarray:
        """Return the region of each basin, shape (n + 1,), 0 for neglected basins."""
        if ratio is None:
            return paper_merged(self.basins, self.spacing, self.spread)
        return self.graph.merged(ratio)

    def separated(self, ratio: Ratio) -> Separated:
        """Return the regions by a rule."""
        numbers, of = self.mapping(ratio), self.basins
        regions = regions_of(of.counts, of.touching, numbers, of.labels.shape, self.spacing)
        return Separated(of.labels, numbers, regions)
