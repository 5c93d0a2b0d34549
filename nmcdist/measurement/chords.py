"""Chord lengths of a phase along the axes of an image."""

import math
from dataclasses import dataclass

import numpy as np

from nmcdist.descriptors.chords import runs_within
from nmcdist.descriptors.quantity import Quantity
from nmcdist.measurement.volume import Volume

_RUNS = "runs of voxels along lines; those cut by the faces are left out"


@dataclass(frozen=True)
class Chords:
    """Chords of a phase.

    Attributes
    ----------
    counts : tuple of ndarray of int64
        By axis: chords of each length in voxels, from 0.
    sides : tuple of int
        Voxels of the image along the axes.
    edges : tuple of float
        Of a voxel along the axes, in nm.
    lengths_nm : ndarray of float64
        At which the distributions are given.
    """

    counts: tuple[np.ndarray, ...]
    sides: tuple[int, ...]
    edges: tuple[float, ...]
    lengths_nm: np.ndarray

    @property
    def numbers(self) -> list[int]:
        """Number of chords by axis."""
        return [int(counts.sum()) for counts in self.counts]

    @property
    def shares(self) -> list[np.ndarray]:
        """Share of each length in voxels, by axis; NaN without chords.

        Chords are cut by the faces the more often, the longer they are: of those with m voxels, n - m - 1 of n places
        along the axis are left, so each counts 1 / (n - m - 1).
        """
        found = []
        for counts, side in zip(self.counts, self.sides, strict=True):
            weighted = counts / np.maximum(side - 1 - np.arange(len(counts)), 1)
            found.append(weighted / weighted.sum() if counts.any() else np.full(len(counts), math.nan))
        return found

    @property
    def means_nm(self) -> list[float]:
        """Mean length by axis; NaN without chords."""
        return [
            edge * float((shares * np.arange(len(shares))).sum())
            for shares, edge in zip(self.shares, self.edges, strict=True)
        ]

    @property
    def distributions(self) -> list[np.ndarray]:
        """Share of chords of at least each length, by axis; NaN without chords."""
        found = []
        for shares, edge in zip(self.shares, self.edges, strict=True):
            longer = np.append(shares[::-1].cumsum()[::-1], 0.0 if np.isfinite(shares).all() else math.nan)
            found.append(longer[np.minimum(np.ceil(self.lengths_nm / edge - 1e-9).astype(np.int64), len(shares))])
        return found


def chords_of(volume: Volume, name: str) -> Chords:
    """Return the chords of a phase along the axes."""
    mask, axes = volume.phases.mask(volume.codes, name), volume.choices.axes
    sides = tuple(mask.shape[axis] for axis in axes)
    counts = tuple(
        np.bincount(runs_within(np.moveaxis(mask, axis, 2)), minlength=side)
        for axis, side in zip(axes, sides, strict=True)
    )
    return Chords(counts, sides, tuple(volume.edges[axis] for axis in axes), volume.lengths_nm)


OF_CHORDS = (
    Quantity(
        "chord_length_mean", ("phase", "axis"), "nm", "mean chord length", _RUNS,
        measure=lambda chords: chords.means_nm,
        description="each chord weighs 1 / (places along the axis at which the faces do not cut it)",
    ),
    Quantity(
        "chords", ("phase", "axis"), "1", "number of chords", _RUNS, dtype="int64",
        measure=lambda chords: chords.numbers,
    ),
    Quantity(
        "chord_length_distribution", ("phase", "axis", "length_nm"), "1", "share of chords of at least a length", _RUNS,
        measure=lambda chords: chords.distributions,
    ),
)  # fmt: skip
