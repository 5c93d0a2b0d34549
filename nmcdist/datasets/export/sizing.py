"""Volume meshes of a wanted number of tetrahedra: larger or smaller voxels give it, coarse inside the grains.

The meshes of coarser voxels keep every label, and the volumes that the labels have on fine voxels.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmcdist.datasets.export.content import Point, Voxels
from nmcdist.datasets.export.mirrors import axes_of, mesh_with_images
from nmcdist.errors import InputError, PlanError

if TYPE_CHECKING:
    from nmcdist.geometry.elements import VolumeMesh
    from nmcdist.geometry.graded import GradedLattice

_TRIALS = 4
_FEW = 20_000  # voxels: too few for quick ones to tell the number of tetrahedra, and merged in no time
_LARGEST = 16  # times the size that is rendered fast
_VOXELS = 25_000_000  # of grains, to be merged into larger ones
_FINEST = 4
_CLOSE = 0.04  # of the logarithm of a voxel size, about a tenth of the number of tetrahedra
_FULL = 0.999  # share of the tetrahedra of equal voxels beyond which nothing is known about coarser ones
_HALVINGS = 50


class Sized(NamedTuple):
    """A label volume to mesh.

    Attributes
    ----------
    labels : ndarray of integers, shape (nz, ny, nx)
    spacing : (float, float, float)
        Edges of a voxel along z, y, x, in nm.
    origin : (float, float, float)
        Centre (z, y, x) of the first voxel.
    volumes : ndarray of float64, optional
        The volume that each label gets, in voxels.
    """

    labels: np.ndarray
    spacing: Point
    origin: Point
    volumes: np.ndarray | None = None

    @property
    def size_nm(self) -> float:
        """The edge of a cube as large as a voxel."""
        return float(np.cbrt(np.prod(self.spacing)))


class Source(NamedTuple):
    """Makes a label volume on voxels of about some size in nm.

    Attributes
    ----------
    quick, best : callable
        Makes the labels to count tetrahedra, and to mesh.
    smallest_nm, largest_nm : float
        The sizes that make sense.
    """

    quick: Callable[[float], Sized]
    best: Callable[[float], Sized]
    smallest_nm: float
    largest_nm: float


def of_array(voxels: Voxels) -> Source:
    """Return a source of a label volume on its own voxels, or on fewer and larger ones, which become cubes."""
    lengths = np.array(voxels.labels.shape) * voxels.spacing
    if not voxels.labels.any():
        raise InputError("labels: found only 0, expected a grain")

    @lru_cache(maxsize=1)
    def at(size_nm: float) -> Sized:
        edges = np.maximum(voxels.spacing, _shortest_edge(voxels.spacing, size_nm))
        nz, ny, nx = (max(1, round(n)) for n in (lengths / edges).tolist())
        return _own(voxels) if (nz, ny, nx) == voxels.labels.shape else _merged(voxels, (nz, ny, nx))

    return Source(at, at, _own(voxels).size_nm, float(lengths.max()))


def _shortest_edge(spacing: Point, size_nm: float) -> float:
    """Return the length to which edges of a voxel are made to grow, so that its volume is that of a cube."""
    longest, middle, _ = sorted(spacing, reverse=True)
    if size_nm >= longest:
        return size_nm
    volume = size_nm**3
    return math.sqrt(volume / longest) if volume >= longest * middle**2 else volume / (longest * middle)


def of_grains(render: Callable[[float, bool], Voxels], size_nm: float) -> Source:
    """Return a source of connected grains that can be rendered at any voxel size.

    Parameters
    ----------
    render : callable
        Returns the labels at a voxel size in nm, and checks them or not: large voxels miss grains.
    size_nm : float
        A voxel size that is rendered fast, and shows most grains.
    """

    @lru_cache(maxsize=1)
    def best(size_nm: float) -> Sized:
        from nmcdist.models.pieces import merge_pieces

        finer = _finer(box_nm3 / size_nm**3)
        fine = render(size_nm / finer, True)
        fine = fine._replace(labels=np.pad(fine.labels, [(0, -n % finer) for n in fine.labels.shape]))
        nz, ny, nx = fine.labels.shape
        merged = _merged(fine, (nz // finer, ny // finer, nx // finer))
        merge_pieces(merged.labels)
        return merged

    def quick(size_nm: float) -> Sized:
        return best(size_nm) if box_nm3 < _FEW * size_nm**3 else _own(render(size_nm, False))

    box_nm3 = render(size_nm, False).labels.size * size_nm**3
    return Source(quick, best, 0.0, _LARGEST * size_nm)


def _finer(voxels: float) -> int:
    """Return how many times finer voxels are that are merged: as many as memory and time allow."""
    return min(max(int((_VOXELS / voxels) ** (1 / 3)), 2), _FINEST)


def _own(voxels: Voxels) -> Sized:
    return Sized(voxels.labels, voxels.spacing, voxels.origin)


def _merged(fine: Voxels, shape: tuple[int, int, int]) -> Sized:
    from nmcdist.geometry.coarsening import coarsened

    ratio = np.array(fine.labels.shape) / shape
    z, y, x = ratio * fine.spacing
    first = np.array(fine.origin) + (ratio - 1) / 2 * fine.spacing
    labels, volumes = coarsened(fine.labels, shape)
    return Sized(labels, (z, y, x), tuple(first.tolist()), volumes)


def mesh_with(
    source: Source,
    size_nm: float,
    *,
    elements: int,
    progress: Callable[[str], None],
    mirror: str | None = None,
    **options: Any,
) -> "VolumeMesh":
    """Return a mesh of about this many tetrahedra, on voxels as small as it can have.

    Parameters
    ----------
    source : Source
    size_nm : float
        Voxel size to try first.
    elements : int
        The wanted number of tetrahedra.
    progress : callable
        Called with a line of text about the voxels.
    mirror : str, optional
        See :func:`nmcdist.datasets.export.mirrors.mesh_with_images`.
    **options
        As for :func:`nmcdist.geometry.elements.volume_mesh`.

    Raises
    ------
    InputError
        If the smallest voxels of the source give too few tetrahedra, or as large ones as needed do not hold all labels.
    """
    from nmcdist.geometry.coarsening import LostLabelError
    from nmcdist.geometry.elements import volume_mesh

    count = max(1, round(elements / 2 ** len(axes_of(mirror)))) if mirror else elements
    try:
        labels, spacing, origin, volumes = sized = source.best(_size_found(source, size_nm, count))
    except LostLabelError as error:
        raise InputError(f"elements: found {elements}, expected more; {error}") from None
    except PlanError as error:
        raise PlanError(f"elements: found {elements}, expected fewer; {error}") from None
    progress(f"voxels of {sized.size_nm:.4g} nm")
    mesh = volume_mesh(labels, spacing, origin, elements=count, volumes=volumes, **options)
    return mesh_with_images(mesh, labels, spacing, origin, mirror) if mirror else mesh


def _size_found(source: Source, size_nm: float, count: int) -> float:
    """Return a voxel size at which as coarse a mesh as possible has about this many tetrahedra."""
    from nmcdist.geometry.graded import GradedLattice

    first_nm = size_nm
    for _ in range(_TRIALS):
        sized = source.quick(size_nm)
        if not sized.labels.any():
            if size_nm < first_nm / 2:
                raise InputError(f"elements: found {count}, but voxels of {size_nm:.4g} nm show no grain")
            size_nm /= 2
            continue
        better = max(source.smallest_nm, _size_for(count, GradedLattice.of(sized.labels), sized.size_nm))
        if better > source.largest_nm:
            raise InputError(f"elements: found {count}, expected more: they need voxels of {better:.4g} nm")
        if abs(np.log(better / sized.size_nm)) < _CLOSE:
            break
        size_nm = better
    return size_nm


def _size_for(count: int, lattice: "GradedLattice", size_nm: float) -> float:
    """Return the voxel size at which a structure has a number of tetrahedra, from those that it has at another.

    Of voxels of size s, a share exp(-k s) is spared; k grows with the area of the interfaces.
    """
    share = min(lattice.fewest / lattice.most, _FULL)
    rate, total = -np.log(1 - share) / size_nm, lattice.most * size_nm**3
    low, high = 0.0, size_nm
    while total / high**3 * -np.expm1(-rate * high) > count:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if total / middle**3 * -np.expm1(-rate * middle) > count else (low, middle)
    return high
