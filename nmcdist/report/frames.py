"""The comparison of the paper's Figure 6: how many grains a plane shows, by the diagonal of D."""

from dataclasses import dataclass

import numpy as np

from nmcdist.geometry.tessellation import label_lattice, radial_matrices
from nmcdist.models import streams

DIAGONALS = ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 3.0, 3.0))
SEEDS = 8000
HALF_WINDOW = 128  # pixels: the paper's window is [-128, 128]^3
REALISATIONS = 4
SECTION_CONSTANT = 1.458  # cells of a planar section of a Poisson-Voronoi tessellation, by intensity^(2/3)
_SEED = 6


@dataclass(frozen=True)
class FrameStudy:
    """Visible grains for one diagonal of D.

    Attributes
    ----------
    diagonal : tuple of float
    radial, constant : tuple of int
        Grains that a plane through the centre shows, by realisation: with the frames of Eq. (12); with one frame
        for all grains, in a plane that holds its first axis.
    picture : ndarray of int32
        The plane with radial frames, first realisation.
    """

    diagonal: tuple[float, float, float]
    radial: tuple[int, ...]
    constant: tuple[int, ...]
    picture: np.ndarray

    @property
    def expected(self) -> float:
        """Cells of the plane with a constant frame, less those that the window cuts, by affine theory.

        x -> D^(1/2) x makes the cells Poisson-Voronoi, of intensity mu / sqrt(det D), in a plane that is larger
        by the root of the two entries of D in it.
        """
        first, second, third = self.diagonal
        side = 2 * HALF_WINDOW
        intensity = SEEDS / side**3 / np.sqrt(first * second * third)
        return float(SECTION_CONSTANT * intensity ** (2 / 3) * np.sqrt(first * second) * side**2)


def study_frames() -> list[FrameStudy]:
    """Count the grains that are visible in the paper's window, for each of the paper's diagonals."""
    seeds = [_seeds(k) for k in range(REALISATIONS)]
    studies = []
    for diagonal in DIAGONALS:
        radial = [_plane(s, radial_matrices(s, np.tile(diagonal, (SEEDS, 1)), np.zeros(SEEDS)), 0) for s in seeds]
        constant = [_plane(s, np.tile(np.diag(diagonal), (SEEDS, 1, 1)), 2) for s in seeds]
        studies.append(FrameStudy(diagonal, _visible(radial), _visible(constant), radial[0]))
    return studies


def _seeds(realisation: int) -> np.ndarray:
    uniforms = streams.generator(_SEED, streams.SEEDS, realisation).random((SEEDS, 3))
    return (2 * uniforms - 1) * HALF_WINDOW


def _visible(planes: list[np.ndarray]) -> tuple[int, ...]:
    return tuple(len(np.unique(labels)) for labels in planes)


def _plane(seeds: np.ndarray, matrices: np.ndarray, normal: int) -> np.ndarray:
    """Label the pixels of the plane through the centre that is normal to an axis."""
    rows, columns = np.delete(np.eye(3), normal, axis=0)
    origin = (0.5 - HALF_WINDOW) * (rows + columns)
    return label_lattice(
        seeds, matrices, np.zeros(SEEDS), (2 * HALF_WINDOW, 2 * HALF_WINDOW), np.stack([rows, columns]), origin
    )
