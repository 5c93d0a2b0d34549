"""What baseline generators are matched on: of an image, of the volumes of a store, or of the additive by theory."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.bundle import CbaParameters
from nmcdist.bundle.nets import MOST_PHASES
from nmcdist.calibration.baselines import Measured
from nmcdist.datasets.items import item_count
from nmcdist.datasets.layout import VOLUME
from nmcdist.datasets.store import MANIFEST, holds, is_virtual, read_attributes, read_block, readable_metadata
from nmcdist.descriptors.directional import AXES_AND_DIAGONALS, directional_coverage
from nmcdist.descriptors.intrinsic import intrinsic_volumes
from nmcdist.descriptors.two_point import two_point_coverage
from nmcdist.errors import ImageError, NmcdistError, StoreError
from nmcdist.geometry.frames import lengths
from nmcdist.images import Image
from nmcdist.models import theory
from nmcdist.models.cba import PARTS, draw_parts
from nmcdist.wording import in_utf8

DIRECTIONAL_LAGS = 15
_LONGEST_NM, _STEPS = 3000.0, 40  # of the two-point coverage by theory
_MOST_LAGS = 50  # of a measured one
_FEWEST_VOXELS = 8  # along an edge
IMAGE_STREAM = 2**32 - 1  # index of the training image: no item of a dataset has it


def measured_by_theory(parameters: CbaParameters, voxel_size_nm: float, edge: int, seed: int) -> Measured:
    """Return what the solid of the additive has by theory, and a drawn training image.

    Parameters
    ----------
    parameters : CbaParameters
    voxel_size_nm : float
        Of the image, and of the lags by direction.
    edge : int
        Of the training image, in voxels; it has a random stream that no item has.
    seed : int
    """
    lag = np.arange(_STEPS + 1) * (_LONGEST_NM / _STEPS)
    steps = lengths(AXES_AND_DIAGONALS.astype(float)) * voxel_size_nm
    by_direction = steps[:, None] * np.arange(_directional_lags((edge,)) + 1)
    image = draw_parts(parameters, (edge, edge, edge), voxel_size_nm, seed, IMAGE_STREAM, (0, 0, 0), PARTS)
    return Measured(
        about="the additive by theory", volume_fraction=theory.volume_fractions(parameters)["solid"],
        surface_per_nm=theory.solid_surface(parameters), lag_nm=lag, coverage=_solid(parameters, lag),
        directional=_solid(parameters, by_direction.ravel()).reshape(by_direction.shape),
        image=(image != 0).astype(np.uint8), voxel_size_nm=voxel_size_nm,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Labelled:
    """Volumes of phases.

    Attributes
    ----------
    about : str
        Where they are from.
    volumes : list of ndarray of uint8, shape (nz, ny, nx)
    voxel_size_nm : float
    """

    about: str
    volumes: list[np.ndarray]
    voxel_size_nm: float


def labelled_image(image: Image, solid: Sequence[int] = ()) -> Labelled:
    """Return the phases of a label image: its own labels, or with labels of the solid 0 and 1.

    Raises
    ------
    ImageError
        If its voxels are no cubes, or its labels are not those of a few phases.
    """
    size = _cube(image)
    return Labelled(in_utf8(image.path.name), [_phases(image.read(), solid, str(image.path), ImageError)], size)


def labelled_store(store: Path, solid: Sequence[int] = ()) -> Labelled:
    """Return the phases of all volumes of a store; see :func:`labelled_image`.

    Raises
    ------
    StoreError
        If it stores no volumes, one is damaged, or its labels are not those of a few phases.
    """
    size, about = _origin(store)
    items = range(item_count(store))
    return Labelled(about, [_phases(read_block(store, item), solid, str(store), StoreError) for item in items], size)


def measured_on_image(image: Image, solid: Sequence[int] = ()) -> Measured:
    """Return what the solid of a label image has; without labels of the solid, all but 0 is solid.

    Raises
    ------
    ImageError
        If its voxels are no cubes, it is too small, or all or none of it is solid.
    """
    size = _cube(image)
    return _measured([_mask(image.read(), solid)], size, in_utf8(image.path.name), str(image.path), ImageError)


def measured_on_store(store: Path, solid: Sequence[int] = ()) -> Measured:
    """Return what the solid of the volumes of a store has: means over items, and the first volume as image.

    Raises
    ------
    StoreError
        If it stores no volumes, one is damaged or too small, or all or none of one is solid.
    """
    size, about = _origin(store)
    masks = (_mask(read_block(store, item), solid) for item in range(item_count(store)))
    return _measured(masks, size, about, str(store), StoreError)


def is_store_of_volumes(path: Path) -> bool:
    """Return whether a folder is a store with volumes, perhaps a damaged one, and not an image."""
    return path.is_dir() and (holds(path, VOLUME) or (path / MANIFEST).is_file())


def _cube(image: Image) -> float:
    """Return the edge of the voxels of a label image."""
    size = image.voxel_size_nm
    if len(set(size)) > 1:
        raise ImageError(f"{image.path}: found voxels of {size} nm, expected cubes, the only voxels that are drawn")
    if image.dtype.kind not in "uib":
        raise ImageError(f"{image.path}: found values of type {image.dtype}, expected labels, which are whole numbers")
    return size[0]


def _origin(store: Path) -> tuple[float, str]:
    """Return the edge of the voxels of a store, and what its volumes are."""
    attributes = read_attributes(store)
    if is_virtual(store):
        raise StoreError(f"{store}: is a virtual store, expected a finished one: `nmcdist run` makes it")
    if not holds(store, VOLUME):
        raise StoreError(f"{store}: holds no volumes, expected a store with volumes")
    size = readable_metadata(store, VOLUME).attributes.get("voxel_size_nm")
    if not isinstance(size, int | float) or not 0 < size < math.inf:
        raise StoreError(f"{store}: does not say the size of its voxels")
    about = f"{item_count(store)} volumes of the dataset {attributes.get('name')} {attributes.get('version')}"
    return float(size), about


def _phases(labels: np.ndarray, solid: Sequence[int], where: str, error: type[NmcdistError]) -> np.ndarray:
    if len(solid):
        return _mask(labels, solid).astype(np.uint8)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MOST_PHASES:
        raise error(f"{where}: found labels from {low} to {high}, expected phases from 0 to at most {MOST_PHASES - 1}")
    return labels.astype(np.uint8)


def _mask(labels: np.ndarray, solid: Sequence[int]) -> np.ndarray:
    found = np.isin(labels, solid) if len(solid) else labels != 0
    return np.ascontiguousarray(found)


def _measured(
    masks: Sequence[np.ndarray] | Iterator[np.ndarray], voxel_size_nm: float, about: str, where: str,
    error: type[NmcdistError],
) -> Measured:  # fmt: skip
    image, found = np.empty(0), []
    for number, mask in enumerate(masks):
        if min(mask.shape) < _FEWEST_VOXELS:
            raise error(f"{where}: found {mask.shape} voxels, expected at least {_FEWEST_VOXELS} along each axis")
        if mask.all() or not mask.any():
            said = "all" if mask.any() else "none"
            raise error(f"{where}: volume {number}: found that {said} of it is solid, expected solid and pores")
        image = mask.astype(np.uint8) if number == 0 else image
        longest = min(min(mask.shape) // 2, _MOST_LAGS) * voxel_size_nm
        curve = two_point_coverage(mask, voxel_size_nm, longest)
        found.append((
            intrinsic_volumes(mask, voxel_size_nm), curve.lag_nm, curve.coverage,
            directional_coverage(mask, AXES_AND_DIAGONALS, _directional_lags(mask.shape)),
        ))  # fmt: skip
    densities, lags, curves, directional = zip(*found, strict=True)

    def mean(values: Any) -> np.ndarray:
        return np.asarray(np.mean(np.array(values), axis=0))

    fraction = float(mean([each.volume_fraction for each in densities]))
    by_direction = mean(directional)
    by_direction[:, 0] = fraction
    return Measured(
        about=about, volume_fraction=fraction, surface_per_nm=float(mean([each.surface_area for each in densities])),
        lag_nm=lags[0], coverage=mean(curves), directional=by_direction, image=image, voxel_size_nm=voxel_size_nm,
    )  # fmt: skip


def _directional_lags(shape: tuple[int, ...]) -> int:
    """Return the longest lag by direction: at most half of an edge, as in a periodic box."""
    return min(DIRECTIONAL_LAGS, min(shape) // 2)


def _solid(parameters: CbaParameters, lag_nm: np.ndarray) -> np.ndarray:
    return np.asarray(theory.two_point_coverage(parameters, lag_nm)["solid"])
