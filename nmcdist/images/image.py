"""An image of a user: opened lazily, read in boxes along z, y, x.

The order of the axes and the size of the voxels are those that the file says (OME and ImageJ TIFF, OME-Zarr, HDF5 of
Fiji, NRRD) or the user gives; neither is ever guessed.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images import arrays, decoded, metaimage, slices, tiff
from nmcdist.images.said import STRAYS, Said
from nmcdist.images.sources import Source, permuted
from nmcdist.images.spacing import Size, checked_size
from nmcdist.inputs import local_path
from nmcdist.wording import shown

AXES = "zyx"
_WHAT = "a TIFF file, a folder of TIFF or PNG slices, a .npy file or a Zarr array"
FORMATS = f"{_WHAT}, HDF5, NRRD, MetaImage (.mhd), VTK image data or PNG"


@dataclass(frozen=True)
class Image:
    """An image in three dimensions, or a planar one as a layer of voxels.

    Attributes
    ----------
    source : Source
    order : tuple of int
        The source's own axis that is z, y and x.
    voxel_size_nm : tuple of float
        Along z, y, x.
    is_planar : bool
        Whether it has two dimensions; then its shape along z is 1, and the edge along z has no meaning.
    says_axes : bool
        Whether the file or the user gave the order of the axes.
    """

    source: Source
    order: tuple[int, int, int]
    voxel_size_nm: Size
    is_planar: bool = False
    says_axes: bool = True

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.source.path

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        return self.source.dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = (self.source.shape[axis] for axis in self.order)
        return z, y, x

    def read(self, z: slice = slice(None), y: slice = slice(None), x: slice = slice(None)) -> np.ndarray:
        """Return a box of voxels, shape (z, y, x).

        Raises
        ------
        ImageError
            If its bytes are missing or damaged.
        """
        return self.source.read(permuted((z, y, x), self.order)).transpose(self.order)


def open_image(path: str | os.PathLike[str], voxel_size_nm: Any = None, axes: str | None = None) -> Image:
    """Open an image in three dimensions; only its metadata is read.

    Parameters
    ----------
    path : str or Path
        A TIFF file, a folder of TIFF or PNG slices in the order of the last numbers in their names, a .npy file, or a
        Zarr or OME-Zarr array.
    voxel_size_nm : float or sequence of float, optional
        Of cubic voxels, or along z, y, x; needed if the file says none. It overrules the file.
    axes : str, optional
        The order of the axes, such as "zyx"; needed if the file says none. In a folder, slices follow each other
        along z unless this says otherwise.

    Returns
    -------
    Image

    Raises
    ------
    ImageError
        If there is no such image, it has not three dimensions, holds colours, or a slice is missing; or the order of
        its axes or its voxel size is neither said nor given.
    """
    where = local_path(path, ImageError)
    source, said = _opened(where, None, _VOLUMES, _WHAT)
    if said.is_planar:
        raise ImageError(f"{where}: found shape {source.shape[1:]}, expected three dimensions")
    _check(source)
    order = _order(axes, said.axes, where)
    if order is None:
        raise ImageError(f"{where}: does not say the order of its axes; give it (--axes), such as zyx")
    return Image(source, order, _size(voxel_size_nm, said, where))


def open_labels(
    path: str | os.PathLike[str], voxel_size_nm: Any = None, axes: str | None = None, dataset: str | None = None, *,
    samples_are_slices: bool = False,
) -> Image:  # fmt: skip
    """Open an image of labels in two or three dimensions, in any format.

    Where the file does not say the order of its axes, it is taken as z, y, x, and `says_axes` is False.

    Parameters
    ----------
    path, voxel_size_nm, axes
        See :func:`open_image`; of a planar image, one or two edges, and axes such as "yx".
    dataset : str, optional
        If there are several: the array in an HDF5 file, a group of Zarr or a VTK file, or the number of the image in a
        TIFF file, from 0.
    samples_are_slices : bool
        Whether the samples of a TIFF page are slices, not colours.

    Raises
    ------
    ImageError
        See :func:`open_image`.
    """
    where = local_path(path, ImageError)
    if samples_are_slices and where.suffix.lower() in tiff.SUFFIXES and where.is_file():
        source, said = tiff.open_pages(where, dataset, samples_are_slices=True)
    else:
        source, said = _opened(where, dataset, _ALL, FORMATS)
    _check(source)
    if said.is_turned and axes is None:
        raise ImageError(
            f"{where}: says that its axes are turned or mirrored in space, which is not followed; give the order of "
            f"the axes (--axes), such as {AXES[1:] if said.is_planar else AXES}, to take the array as it is"
        )
    order = _order(axes, said.axes, where, is_planar=said.is_planar)
    return Image(source, order or (0, 1, 2), _size(voxel_size_nm, said, where), said.is_planar, order is not None)


def _check(source: Source) -> None:
    if 0 in source.shape:
        raise ImageError(f"{source.path}: found shape {source.shape}, expected voxels along each axis")
    if source.dtype.kind not in "buif":
        raise ImageError(f"{source.path}: found values of type {source.dtype}, expected numbers")


def _size(given: Any, said: Said, where: Path) -> Size:
    if given is not None:
        return checked_size(_in_three(given) if said.is_planar else given, "voxel_size_nm")
    if said.size is None:
        raise ImageError(f"{where}: says no voxel size; give it in nm (--voxel-size-nm), cubic or along z, y, x")
    return checked_size(said.size, f"{where}: voxel size")


def _in_three(given: Any) -> Any:
    """Return the edges of the voxels of a layer, from those of its pixels along y and x."""
    return [given[0], *given] if isinstance(given, list | tuple) and len(given) == 2 else given


def _order(given: str | None, said: str, where: Path, *, is_planar: bool = False) -> tuple[int, int, int] | None:
    """Return the source's own axis that is z, y and x, or None if nobody says it."""
    wanted = AXES[1:] if is_planar else AXES
    if given is not None and (not isinstance(given, str) or sorted(given.lower()) != sorted(wanted)):
        expected = f"{' and '.join(', '.join(wanted).rsplit(', ', 1))} in the order of the image, such as {wanted}"
        raise ImageError(f"axes: found {shown(given)}, expected {expected}")
    names = given.lower() if given is not None else said
    if set(names) & set(STRAYS):
        raise ImageError(
            f"{where}: found axes {names.upper()}, expected z, y and x, without channels or times; if it is a stack, "
            f"give the order of its axes (--axes), such as {names.translate(dict.fromkeys(map(ord, STRAYS), 'z'))}"
        )
    if sorted(names) != sorted(wanted):
        return None
    names = "z" + names if is_planar else names
    z, y, x = (names.index(name) for name in AXES)
    return z, y, x


_Opener = Callable[[Path, str | None], tuple[Source, Said]]


def _opened(
    where: Path, dataset: str | None, openers: dict[str, _Opener], what: str
) -> tuple[Source, Said]:  # fmt: skip
    try:
        if not where.exists():
            raise ImageError(f"{where}: no such image")
    except OSError as error:  # too long a name, or a folder that may not be entered
        raise ImageError(f"{where}: cannot be read ({error.strerror})") from None
    is_zarr, suffix = where.is_dir() and arrays.is_zarr(where), where.suffix.lower()
    if dataset is not None and not is_zarr and suffix not in _WITH_DATASETS:
        raise ImageError(f"{where}: found the dataset {shown(dataset)}, expected none: it holds one image")
    if where.is_dir():
        return arrays.open_zarr(where, dataset) if is_zarr else slices.open_slices(where)
    opener = openers.get(suffix)
    if not where.is_file() or opener is None:
        raise ImageError(f"{where}: expected {what}")
    return opener(where, dataset)


_WITH_DATASETS = (*tiff.SUFFIXES, *arrays.SUFFIXES_HDF5, *decoded.VTK)
_VOLUMES: dict[str, _Opener] = {
    **dict.fromkeys(tiff.SUFFIXES, tiff.open_pages),
    ".npy": lambda where, _: arrays.open_npy(where),
}
_ALL: dict[str, _Opener] = {
    **_VOLUMES,
    **dict.fromkeys(arrays.SUFFIXES_HDF5, arrays.open_hdf5),
    **dict.fromkeys(decoded.NRRD, lambda where, _: decoded.open_nrrd(where)),
    **dict.fromkeys(metaimage.SUFFIXES, lambda where, _: metaimage.open_meta(where)),
    **dict.fromkeys(decoded.VTK, decoded.open_vtk),
    **dict.fromkeys(decoded.PICTURES, lambda where, _: decoded.open_picture(where)),
}
