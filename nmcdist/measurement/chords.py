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
    edges : tuple of float
        Of a voxel along the axes, in nm.
    lengths_nm : ndarray of float64
        At which the distributions are given.
    """

    counts: tuple[np.ndarray, ...]
    edges: tuple[float, ...]
    lengths_nm: np.ndarray

    @property
    def numbers(self) -> list[int]:
        """Number of chords by axis."""
        return [int(counts.sum()) for counts in self.counts]

    @property
    def means_nm(self) -> list[float]:
        """Mean length by axis; NaN without chords."""
        return [
            edge * int((counts * np.arange(len(counts))).sum()) / number if number else math.nan
            for counts, number, edge in zip(self.counts, self.numbers, self.edges, strict=True)
        ]

    @property
    def distributions(self) -> list[np.ndarray]:
        """Share of chords of at least each length, by axis; NaN without chords."""
        found = []
        for counts, number, edge in zip(self.counts, self.numbers, self.edges, strict=True):
            longer = np.append(counts[::-1].cumsum()[::-1], 0)
            first = np.minimum(np.ceil(self.lengths_nm / edge - 1e-9).astype(np.int64), len(counts))
            found.append(longer[first] / number if number else np.full(len(first), math.nan))
        return found


def chords_of(volume: Volume, name: str) -> Chords:
    """Return the chords of a phase along the axes."""
    mask, axes = volume.phases.mask(volume.codes, name), volume.choices.axes
    counts = tuple(np.bincount(runs_within(np.moveaxis(mask, axis, -1))) for axis in axes)
    return Chords(counts, tuple(volume.edges[axis] for axis in axes), volume.lengths_nm)


OF_CHORDS = (
    Quantity(
        "chord_length_mean", ("phase", "axis"), "nm", "mean chord length", _RUNS,
        measure=lambda chords: chords.means_nm,
        description="biased to short chords where they are not much shorter than the image",
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
