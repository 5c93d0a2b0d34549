"""Planar sections through items, at their places: through particles, and through volumes of phases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmcdist.datasets.layout import UNWRITTEN
from nmcdist.datasets.opened import AXES
from nmcdist.errors import InputError, StoreError
from nmcdist.models.particle import Particle

if TYPE_CHECKING:
    import xarray as xr

_PIXELS_OF_ONE, _PIXELS_OF_MANY = 800, 500  # across the largest section of a figure
_EMPTY_NM = 50.0  # pixel size of particles without grains


@dataclass(frozen=True)
class Cut:
    """A section through an item.

    Attributes
    ----------
    title : str
    labels : ndarray of int, shape (rows, columns)
    pixel_nm : float
    start_nm : tuple of float
        Coordinates of the first corner, along rows and columns.
    axes : tuple of str
        Names of the axes along which row and column increase.
    """

    title: str
    labels: np.ndarray
    pixel_nm: float
    start_nm: tuple[float, float]
    axes: tuple[str, str]

    @property
    def extent_um(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper end in micrometres."""
        low = np.array(self.start_nm)
        (bottom, left), (top, right) = low / 1000, (low + np.array(self.labels.shape) * self.pixel_nm) / 1000
        return float(left), float(right), float(bottom), float(top)

    @property
    def filled_um(self) -> tuple[float, float, float, float]:
        """The ends of what is not 0, or of everything if all is 0."""
        left, right, bottom, top = self.extent_um
        rows, columns = (np.flatnonzero(self.labels.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return left, right, bottom, top
        step = self.pixel_nm / 1000
        return (
            left + columns[0] * step,
            left + (columns[-1] + 1) * step,
            bottom + rows[0] * step,
            bottom + (rows[-1] + 1) * step,
        )


def cut_particles(particles: Sequence[Particle], axis: str, offset_nm: float) -> list[Cut]:
    """Return sections through particles.

    Parameters
    ----------
    particles : sequence of Particle
    axis : {"z", "y", "x"}
        Normal of the sections.
    offset_nm : float
        Distance from the centre of a particle, along the axis.

    Raises
    ------
    InputError
        If a section misses its particle.
    """
    pixels = _PIXELS_OF_ONE if len(particles) == 1 else _PIXELS_OF_MANY
    # One size for all, so that the lines between grains are of one width.
    pixel_nm = 2 * max(particle.reach_nm for particle in particles) / pixels or _EMPTY_NM
    return [_cut_particle(particle, pixel_nm, axis, offset_nm) for particle in particles]


def _cut_particle(particle: Particle, pixel_nm: float, axis: str, offset_nm: float) -> Cut:
    direction = [float(name == axis) for name in AXES]
    if abs(offset_nm) >= particle.reach_nm > 0:
        found = f"{offset_nm:g} nm from the centre"
        raise InputError(f"offset_nm: found {found}, expected less than {particle.reach_nm:g} nm")
    labels = particle.section(pixel_nm, direction, [offset_nm * part for part in direction])
    start = -pixel_nm * len(labels) / 2
    where = f", {axis} = {offset_nm / 1000:g} µm" if offset_nm else ""
    title = f"item {particle.index}{where}: {int(particle.kept.sum())} grains"
    return Cut(title, labels, pixel_nm, (start, start), _others(axis))


def cut_volume(item: int, volume: "xr.DataArray", phases: Sequence[str], axis: str, offset_nm: float) -> Cut:
    """Return a section through a volume.

    Parameters
    ----------
    item : int
    volume : xarray.DataArray
        Labels with dimensions z, y, x; only the section is read.
    phases : sequence of str
        Names of the labels 0, 1, ...; may be empty.
    axis : {"z", "y", "x"}
    offset_nm : float
        Distance from the middle, along the axis.

    Raises
    ------
    InputError
        If the section misses the volume.
    StoreError
        If voxels are missing, or are of no phase.
    """
    size, length = float(volume.attrs["voxel_size_nm"]), volume.sizes[axis]
    index = math.floor(length / 2 + offset_nm / size)
    if not 0 <= index < length:
        found, most = f"{offset_nm:g} nm from the middle", length * size / 2
        raise InputError(f"offset_nm: found {found}, expected -{most:g} to less than {most:g} nm")
    plane = volume.isel({axis: index}).compute()
    labels = _checked(plane.values, len(phases), f"dataset: the volume of item {item}")
    rows, columns = (_position(plane, f"{name}_nm", 0, size) - size / 2 for name in _others(axis))
    title = f"item {item}, {axis} = {_position(plane, f'{axis}_nm', index, size) / 1000:.3g} µm"
    return Cut(title, labels, size, (rows, columns), _others(axis))


def _checked(labels: np.ndarray, phases: int, where: str) -> np.ndarray:
    """Return labels as whole numbers, which xarray makes floats of where it selects by a condition."""
    if not np.isfinite(labels).all() or (labels == UNWRITTEN).any():
        raise StoreError(f"{where} is incomplete")
    if phases and labels.max(initial=0) >= phases:
        raise StoreError(f"{where}: found label {labels.max():g}, expected below {phases}")
    return labels.astype(np.int64)


def _position(plane: "xr.DataArray", name: str, index: int, size: float) -> float:
    """Return the first value of a coordinate, or without it the middle of the voxel with this index."""
    return float(np.ravel(plane[name].values)[0]) if name in plane.coords else (index + 0.5) * size


def _others(axis: str) -> tuple[str, str]:
    first, second = (name for name in AXES if name != axis)
    return first, second
