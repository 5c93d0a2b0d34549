"""Samples of the descriptors of grains in sections and in whole particles, for comparisons.

Samples are dictionaries of descriptors. Descriptors of grains have one value per grain, NaN where undefined;
`radius_nm`, the distance of the grains from the centre, is included.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nmcdist.calibration.grains.sections import Section
from nmcdist.descriptors import grains as descriptors_3d
from nmcdist.descriptors import sections as descriptors_2d
from nmcdist.descriptors.grain_moments import DEGENERATE, check_labels, find_runs, grain_moments
from nmcdist.models.particle import ParticleModel
from nmcdist.models.shell import Shell

Samples = Mapping[str, np.ndarray]

RADIUS = "radius_nm"
CHORDS = "chord_length_nm"
OF_SECTIONS = ("area_nm2", "elongation", "angle_to_radius")
SHORT_AXIS = "short_axis_angle"
OF_GRAINS = (
    "volume_nm3", "equivalent_diameter_nm", "elongation", "flatness", "angle_to_radius", "neighbours",
    "boundary_area_nm2",
)  # fmt: skip


def section_samples(sections: Sequence[Section]) -> dict[str, np.ndarray]:
    """Return the descriptors of the grains in planar sections, pooled.

    Missing pixels belong to no grain here: fill them first with :func:`nmcdist.calibration.grains.prepared.filled`.

    Parameters
    ----------
    sections : sequence of Section

    Returns
    -------
    dict of str to ndarray of float64
        area_nm2 (A_cross), elongation (eta), angle_to_radius (alpha, NaN where undefined) and radius_nm of the
        grains, and chord_length_nm.
    """
    tables = [section.describe() for section in sections]
    chords = [section.chord_lengths() for section in sections]
    return {**_pooled(tables, OF_SECTIONS), CHORDS: np.concatenate([np.empty(0), *chords])}


def grain_samples(
    particle_model: ParticleModel,
    seed: int,
    count: int,
    voxel_size_nm: float = 100.0,
    start: int = 0,
    shells: Sequence[Shell] | None = None,
) -> dict[str, np.ndarray]:
    """Return the descriptors of all grains of whole particles, pooled.

    Grains at the surface are whole and count like others, as in :func:`nmcdist.descriptors.grains.describe_grains`:
    the outside is no neighbour, and the area shared with it is no boundary.

    Parameters
    ----------
    particle_model : ParticleModel
    seed : int
    count : int
        Number of particles.
    voxel_size_nm : float
        Voxel size on which grains are measured.
    start : int
        Index of the first particle.
    shells : sequence of Shell, optional
        Shells in which the grains are drawn, one per particle; default: the model's own.

    Returns
    -------
    dict of str to ndarray of float64
        volume_nm3, equivalent_diameter_nm, elongation, flatness, angle_to_radius (NaN where undefined), neighbours,
        boundary_area_nm2 and radius_nm; short_axis_angle, the angle between the shortest axis and the radius in
        [0, pi/2] (NaN where undefined).
    """
    tables, angles = [], [np.empty(0)]
    for k, index in enumerate(range(start, start + count)):
        shell = particle_model.shells.draw(seed, index) if shells is None else shells[k]
        particle = particle_model.draw_in(shell, seed, index)
        labels, origin = particle.voxelize(voxel_size_nm), particle.grid(voxel_size_nm)[1]
        tables.append(descriptors_3d.describe_grains(labels, voxel_size_nm, origin))
        angles.append(_short_axis_angles(labels, voxel_size_nm, origin))
    return {**_pooled(tables, OF_GRAINS), SHORT_AXIS: np.concatenate(angles)}


def unit_of(name: str, dimension: str) -> str:
    """Return the unit of a descriptor of grains in sections ("2D") or in space ("3D")."""
    columns = descriptors_2d.COLUMNS if dimension == "2D" else descriptors_3d.COLUMNS
    return {CHORDS: "nm", SHORT_AXIS: "rad"}.get(name) or columns[name].unit


def _pooled(tables: Sequence[Any], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([np.empty(0), *(t[name].values.astype(np.float64) for t in tables)])
        for name in (*names, RADIUS)
    }


def _short_axis_angles(labels: np.ndarray, voxel_size_nm: float, origin: tuple[float, ...]) -> np.ndarray:
    """Return the angle between shortest axis and radius of each grain, in the order of the labels."""
    _, mean, covariance = grain_moments(find_runs(check_labels(labels, 3)))
    moments, axes = np.linalg.eigh(covariance)
    places, shortest = np.asarray(origin) + voxel_size_nm * mean, axes[:, :, 0]
    along = np.abs((places * shortest).sum(axis=1))
    across = np.sqrt((np.cross(places, shortest) ** 2).sum(axis=1))
    unclear = (moments[:, 1] - moments[:, 0] <= DEGENERATE * moments[:, 1]) | ~places.any(axis=1)
    return np.where(unclear, np.nan, np.arctan2(across, along))
