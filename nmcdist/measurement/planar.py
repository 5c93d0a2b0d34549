"""Areas, perimeters, coverage and contacts of the phases of a planar image."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nmcdist.descriptors import planar
from nmcdist.descriptors.planar_contacts import length_between, triple_corners
from nmcdist.descriptors.two_point import counts_of_pairs, coverage_from_counts
from nmcdist.measurement.volume import Volume


@dataclass(frozen=True)
class PlanarPhase:
    """A phase of a planar image.

    Attributes
    ----------
    mask : ndarray of bool, shape (ny, nx)
    edges : (float, float)
        Of a pixel along y, x, in nm.
    lags : int
        Longest lag, in shortest edges.
    periodic : bool
    """

    mask: np.ndarray
    edges: tuple[float, float]
    lags: int
    periodic: bool

    @cached_property
    def intrinsic(self) -> planar.PlanarIntrinsicVolumes:
        """Densities of area, perimeter and Euler number."""
        found = planar.planar_intrinsic_volumes(self.continued, self.edges)
        return found._replace(area_fraction=np.count_nonzero(self.mask) / self.mask.size)

    @property
    def continued(self) -> np.ndarray:
        """The mask between pixel centres: with those beyond the sides, if the image continues itself."""
        return np.pad(self.mask, ((0, 1), (0, 1)), "wrap") if self.periodic else self.mask

    @property
    def coverage(self) -> np.ndarray:
        """Two-point coverage probability at each lag."""
        reach = [int(np.ceil(self.lags * min(self.edges) / edge)) if self.periodic else 0 for edge in self.edges]
        layer = np.pad(self.mask, [(n, n) for n in reach], "wrap")[None]
        core = (slice(0, 1), *(slice(n, n + m) for n, m in zip(reach, self.mask.shape, strict=True)))
        both, pairs = counts_of_pairs(layer, core, self.lags, (planar.FAR, *self.edges))
        return coverage_from_counts(both, pairs, (planar.FAR, *self.edges)).coverage


def planar_phase(volume: Volume, *names: str) -> PlanarPhase:
    """Return the pixels of one phase or more of a planar image."""
    edges = (volume.edges[1], volume.edges[2])
    return PlanarPhase(volume.phases.mask(volume.codes[0], *names), edges, volume.lags, volume.choices.periodic)


def interface_length(volume: Volume, pair: tuple[str, str]) -> float:
    """Return the length of the boundary between two phases per area, in 1/nm."""
    one, two = (planar_phase(volume, name) for name in pair)
    return length_between(one.continued, two.continued, one.edges)


def triple_points(volume: Volume, triple: tuple[str, str, str]) -> float:
    """Return the number of squares of four pixels that hold all three phases per area, in 1/nm^2."""
    table = np.zeros(len(volume.phases.values), np.uint8)
    for number, name in enumerate(triple):
        table[list(volume.phases.codes[name])] = 1 << number
    bits = table[volume.codes[0]]
    bits = np.pad(bits, ((0, 1), (0, 1)), "wrap") if volume.choices.periodic else bits
    return float(np.mean(triple_corners(bits)) / (volume.edges[1] * volume.edges[2]))
