"""The items of a release as pictures and bricks need them: what is drawn of them, and at which voxel size."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import zarr

from nmcdist.datasets.layout import VOLUME, Box, Shape
from nmcdist.datasets.particles import Records
from nmcdist.datasets.store import quiet
from nmcdist.datasets.volumes import Volumes
from nmcdist.descriptors.grains import ball_diameters, describe_grains
from nmcdist.models.orientation import c_axes
from nmcdist.products.registry import kind_of_store, recipe_of_store
from nmcdist.products.volumes.drawn import DrawnVolumes
from nmcdist.service.renders.colours import tints
from nmcdist.service.renders.places import EDGES, Place
from nmcdist.virtual.computed import Computed
from nmcdist.virtual.description import read_description
from nmcdist.virtual.store import ComputedStore

MOST_GRAINS = 65_535  # of a brick, whose labels have two bytes
MOST_READ, MOST_DRAWN = 1 << 31, 1 << 27  # voxels of a volume that is read, or drawn, for one brick
_TILE, _TILE_VOXELS = 64, 1 << 27  # planes of a volume that are read at once, and their voxels
_DIGITS = 4  # of voxel sizes
_MOST_ROWS = 1_000_000  # rows of the records of particles that are kept, which take about 150 bytes each

_shown: "dict[tuple[Place, int], ParticleView]" = {}  # the one shown last at the end


class Grid(NamedTuple):
    """Voxels that cover an item.

    Attributes
    ----------
    voxel_size_nm : float
    shape : tuple of int
    low : tuple of int
        Number of the first voxel along each axis; voxel k covers k to k + 1 times the voxel size.
    """

    voxel_size_nm: float
    shape: Shape
    low: tuple[int, int, int]

    @property
    def content(self) -> dict[str, Any]:
        """The grid as plain data."""
        return {"voxel_size_nm": self.voxel_size_nm, "shape": list(self.shape)}


@lru_cache(maxsize=64)
def opened(place: Place) -> Records | Volumes | None:
    """Return what reads or draws the items of a release; None if its items cannot be shown.

    Raises
    ------
    StoreError, BundleError
        If the release is damaged, or this program would draw other items than were published.
    """
    kind, recipe = kind_of_store(place.store), recipe_of_store(place.store)
    found = kind.opened(place.store, recipe)
    if not place.is_virtual:
        return found
    description, _, _ = read_description(place.store)
    is_divisible = not isinstance(found, DrawnVolumes) or found.plan.model.divisible
    if description.is_of_this_version and is_divisible:
        return found
    computed = Computed.open(place.store, place.cache, place.cache_bytes, makers=1, most_waiting=None)
    if not description.is_of_this_version:
        computed.warm()
    if is_divisible:
        return found
    assert isinstance(found, Volumes)
    with quiet():
        array = zarr.open_array(ComputedStore(computed), path=VOLUME, mode="r", zarr_format=3)
    return ComputedVolumes(place.store, found.count, found.shape, found.voxel_size_nm, found.names, array)


def view_of(place: Place, item: int) -> "ParticleView | VolumeView | None":
    """Return an item, ready to be cut; None if it cannot be shown. Raises as :func:`opened`, or if it is damaged.

    The particles that were shown last are kept, up to a number of grains.
    """
    found = opened(place)
    if not isinstance(found, Records):
        return None if found is None else VolumeView(found, item, is_drawn=isinstance(found, DrawnVolumes))
    view = _shown.pop((place, item), None) or ParticleView(found, item)
    _shown[place, item] = view
    while len(_shown) > 1 and sum(len(one.particle.kept) for one in _shown.values()) > _MOST_ROWS:
        _shown.pop(next(iter(_shown)))
    return view


@dataclass(frozen=True)
class ComputedVolumes(Volumes):
    """Volumes of a model that draws only whole ones: of a virtual store, whose cache keeps what is drawn.

    Attributes
    ----------
    array : zarr.Array
    """

    array: Any

    def block(self, item: int, box: Box | None = None) -> np.ndarray:
        """Return the labels of one volume, or of a box of it."""
        self.check(item)
        region = tuple(slice(*part) for part in box) if box else (slice(None),) * 3
        return np.asarray(self.array[(item, *region)])


class ParticleView:
    """A particle. Its kept grains are numbered from 1 in the order of their labels, at every voxel size."""

    def __init__(self, records: Records, item: int) -> None:
        self._records, self._item = records, item
        self.particle = records.particle(item)
        self.count = int(self.particle.kept.sum())

    @cached_property
    def numbers(self) -> np.ndarray:
        """The number of the grain of each label, uint32; 0 for label 0 and grains that are not kept."""
        kept = self.particle.kept
        return np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.uint32)

    @cached_property
    def labels(self) -> np.ndarray:
        """The label of each grain in the tables of the store."""
        return np.flatnonzero(self.particle.kept) + 1

    @cached_property
    def diameters_nm(self) -> np.ndarray:
        """Diameter of the ball of each grain's volume."""
        return np.asarray(ball_diameters(self.particle.volumes_nm3[self.particle.kept].astype(np.float64)))

    @cached_property
    def has_c_axes(self) -> bool:
        """Whether grains have crystal orientations."""
        return bool(self._records.orientations(self._item))

    @cached_property
    def angles_deg(self) -> np.ndarray:
        """Angle, 0 to 90, between the radius through each grain's centre of mass and its c axis, or its longest axis.

        It is that of the c axis if grains have crystal orientations. The longest axis is that of the voxels of a
        coarse brick. NaN where the angle is undefined.
        """
        turns = self._records.orientations(self._item)
        if not turns:
            return self._angles_of_shapes()
        axes = c_axes(np.array([turns[label] for label in self.labels.tolist()]).reshape(-1, 4))
        centres = self.particle.centroids_nm[self.particle.kept].astype(np.float64)
        lengths = np.sqrt((axes**2).sum(axis=1) * (centres**2).sum(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            cosines = np.abs((axes * centres).sum(axis=1)) / lengths
        return np.asarray(np.degrees(np.arccos(np.minimum(cosines, 1.0))))

    @cached_property
    def tints(self) -> np.ndarray:
        """Number of each grain's tint."""
        kept = self.particle.kept
        return tints(self.particle.centroids_nm[kept].astype(np.float64), self.particle.matrices()[kept])

    def grid(self, edge: int) -> Grid:
        """Return the voxels of a brick."""
        extent = float(np.ptp(self.particle.box_nm.astype(np.float64), axis=0).max())
        size = _rounded_up(extent / (edge - 2)) if self.count and extent > 0 else 1.0
        shape, origin = self.particle.grid(size)
        z, y, x = (round(o / size - 0.5) for o in origin)
        return Grid(size, shape, (z, y, x))

    def bricks(self) -> list[tuple[int, Grid]]:
        """Return the edges and grids of all bricks; none if there are more grains than a label of two bytes counts."""
        return [(edge, self.grid(edge)) for edge in EDGES] if self.count <= MOST_GRAINS else []

    def brick(self, edge: int) -> np.ndarray:
        """Return the grain at each voxel centre: its number, uint8 or uint16, and 0 outside."""
        dtype = np.uint8 if self.count < 256 else np.uint16
        return np.asarray(self.numbers.astype(dtype)[self._voxels(edge)])

    def section_grid(self) -> Grid:
        """Return the voxels whose planes are the sections."""
        return self.grid(EDGES[-1])

    def plane(self, axis: int, index: int, shape: tuple[int, int]) -> np.ndarray:
        """Return the grain at the points of a section that covers the section grid: its number, 0 outside.

        Parameters
        ----------
        axis : int
            Normal to the section.
        index : int
            Number of the plane in the section grid.
        shape : (int, int)
            Points along the other two axes.
        """
        grid = self.section_grid()
        if not self.count:
            return np.zeros(shape, np.uint32)
        steps, origin = np.zeros((2, 3)), np.zeros(3)
        origin[axis] = (grid.low[axis] + index + 0.5) * grid.voxel_size_nm
        for k, other in enumerate(a for a in range(3) if a != axis):
            steps[k, other] = grid.shape[other] * grid.voxel_size_nm / shape[k]
            origin[other] = grid.low[other] * grid.voxel_size_nm + 0.5 * steps[k, other]
        return np.asarray(self.numbers[self.particle.lattice(shape, steps, origin)])

    def _voxels(self, edge: int) -> np.ndarray:
        return self.particle.voxelize(self.grid(edge).voxel_size_nm, pieces="keep")

    def _coarse(self, edge: int) -> np.ndarray:
        return np.asarray(self.numbers.astype(np.int32)[self._voxels(edge)])

    def _angles_of_shapes(self) -> np.ndarray:
        grid = self.grid(EDGES[0])
        origin = (np.array(grid.low) + 0.5) * grid.voxel_size_nm
        found = describe_grains(self._coarse(EDGES[0]), grid.voxel_size_nm, origin)
        angles = np.full(self.count, np.nan)
        angles[found.label.values - 1] = np.degrees(found.angle_to_radius.values)
        return angles


class VolumeView:
    """A label volume.

    Parameters
    ----------
    volumes : Volumes
    item : int
    is_drawn : bool
        Whether it is drawn rather than read.
    """

    def __init__(self, volumes: Volumes, item: int, *, is_drawn: bool) -> None:
        self.volumes, self._item, self._is_drawn = volumes, item, is_drawn

    def grid(self, edge: int) -> Grid:
        """Return the voxels of a brick: every s-th voxel of the volume, where s is as small as the edge allows."""
        shape, step = self.volumes.shape, self._step(edge)
        nz, ny, nx = (-(-n // step) for n in shape)
        return Grid(self.volumes.voxel_size_nm * step, (nz, ny, nx), (0, 0, 0))

    def bricks(self) -> list[tuple[int, Grid]]:
        """Return the edges and grids of all bricks that differ; none if the volume is too large to be read for one."""
        if math.prod(self.volumes.shape) > (MOST_DRAWN if self._is_drawn else MOST_READ):
            return []
        by_step = {self._step(edge): edge for edge in reversed(EDGES)}
        return [(edge, self.grid(edge)) for _, edge in sorted(by_step.items(), reverse=True)]

    def brick(self, edge: int) -> np.ndarray:
        """Return the label at the voxels of a brick, uint8; the volume is read in parts."""
        step, shape = self._step(edge), self.volumes.shape
        found = np.empty(self.grid(edge).shape, np.uint8)
        planes = min(_TILE, _TILE_VOXELS // (shape[1] * shape[2]))
        depth = max(planes // step, 1) * step
        for start in range(0, shape[0], depth):
            stop = min(start + depth, shape[0])
            tile = self.volumes.block(self._item, ((start, stop), (0, shape[1]), (0, shape[2])))
            z, y, x = (_sampled(n, step) for n in tile.shape)
            found[start // step : start // step + len(z)] = tile[np.ix_(z, y, x)]
        return found

    def section_grid(self) -> Grid:
        """Return the voxels of the volume."""
        return Grid(self.volumes.voxel_size_nm, self.volumes.shape, (0, 0, 0))

    def plane(self, axis: int, index: int, shape: tuple[int, int]) -> np.ndarray:
        """Return the label at the points of a section through the whole volume; as :meth:`ParticleView.plane`."""
        parts = [(0, n) for n in self.volumes.shape]
        parts[axis] = (index, index + 1)
        z, y, x = parts
        labels = np.take(self.volumes.block(self._item, (z, y, x)), 0, axis=axis)
        rows, columns = (
            np.floor((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, labels.shape, strict=True)
        )
        return np.asarray(labels[np.ix_(rows, columns)])

    def _step(self, edge: int) -> int:
        return -(-max(self.volumes.shape) // edge)


def _sampled(length: int, step: int) -> np.ndarray:
    """Return the voxels in the middle of each `step`; the last one may be narrower."""
    return np.minimum(np.arange(0, length, step) + step // 2, length - 1)


def _rounded_up(value: float) -> float:
    """Return a size with few digits, for readers of it."""
    unit = 10.0 ** (math.floor(math.log10(value)) - _DIGITS + 1)
    return float(f"{math.ceil(value / unit) * unit:.{_DIGITS}g}")
