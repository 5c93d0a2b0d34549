"""Pairs of label volumes: one realisation of the additive at two voxel sizes, drawn when it is needed.

A coarse voxel shows one of two things. "centre": the label at its centre, as a section of a FIB-SEM does, whose signal
comes from much less than a voxel, and as the volumes that this package draws. "majority": the label of most of its
eight parts, the first of equal ones, as the segmentation of a tomogram does, whose voxels are means over their volume.
"""

from typing import Literal

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.bundle.superres import FACTOR
from nmcdist.learning.refine.net import MAJORITY
from nmcdist.models.cba import generate_cba

PHASES = ("pore", "carbon_binder", "graphite")
Coarse = Literal["centre", "majority"]


def pair(
    bundle: Bundle, edge: int, rim: int, fine_voxel_nm: float, coarse: Coarse, seed: int, index: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Draw a cube at two voxel sizes.

    Parameters
    ----------
    bundle : Bundle
        Of the additive.
    edge : int
        Coarse voxels along an edge.
    rim : int
        Further coarse voxels on each side of the coarse volume.
    fine_voxel_nm : float
    coarse : {"centre", "majority"}
    seed, index : int
        Key of the realisation.

    Returns
    -------
    coarse : ndarray of uint8, shape (edge + 2 rim,) * 3
    fine : ndarray of uint8, shape (2 edge,) * 3
    """
    if coarse == MAJORITY:
        wide, cut = FACTOR * (edge + 2 * rim), slice(FACTOR * rim, FACTOR * (rim + edge))
        fine = generate_cba(bundle, (wide,) * 3, fine_voxel_nm, seed, index, (-FACTOR * rim,) * 3)
        return majority(fine), fine[cut, cut, cut]
    fine = generate_cba(bundle, (FACTOR * edge,) * 3, fine_voxel_nm, seed, index)
    return generate_cba(bundle, (edge + 2 * rim,) * 3, FACTOR * fine_voxel_nm, seed, index, (-rim,) * 3), fine


def majority(fine: np.ndarray) -> np.ndarray:
    """Return the label of most of the eight voxels in each block, the first of equal ones, as uint8."""
    nz, ny, nx = (n // FACTOR for n in fine.shape)
    blocks = fine.reshape(nz, FACTOR, ny, FACTOR, nx, FACTOR)
    counts = [(blocks == phase).sum(axis=(1, 3, 5)) for phase in range(len(PHASES))]
    return np.asarray(np.argmax(counts, axis=0), np.uint8)
