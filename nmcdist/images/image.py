"""An image of a user: opened lazily, read in boxes along z, y, x.

The order of the axes and the size of the voxels are those that the file says (OME and ImageJ TIFF, OME-Zarr) or the
user gives; neither is ever guessed.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images.sources import Array, Pages, Source, Stack, permuted, reading
from nmcdist.images.spacing import Size, checked_size, in_nm
from nmcdist.inputs import local_path
from nmcdist.wording import shown

AXES = "zyx"
_TIFF = (".tif", ".tiff")
_NUMBER = re.compile(r"(\d+)\D*$")
_WHAT = "a TIFF file, a folder of TIFF slices, a .npy file or a Zarr array"


@dataclass(frozen=True)
class Image:
    """An image in three dimensions.

    Attributes
    ----------
    source : Source
    order : tuple of int
        The source's own axis that is z, y and x.
    voxel_size_nm : tuple of float
        Along z, y, x.
    """

    source: Source
    order: tuple[int, int, int]
    voxel_size_nm: Size

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


@dataclass(frozen=True)
class _Said:
    """What a file says of itself: its axes in order, or ""; its voxel size, or None."""

    axes: str = ""
    size: Size | None = None


def open_image(path: str | os.PathLike[str], voxel_size_nm: Any = None, axes: str | None = None) -> Image:
    """Open an image; only its metadata is read.

    Parameters
    ----------
    path : str or Path
        A TIFF file, a folder of TIFF slices in the order of the last numbers in their names, a .npy file, or a Zarr or
        OME-Zarr array.
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
    source, said = _opened(where)
    if source.dtype.kind not in "uif":
        raise ImageError(f"{where}: found values of type {source.dtype}, expected numbers")
    if 0 in source.shape:
        raise ImageError(f"{where}: found shape {source.shape}, expected voxels along each axis")
    order = _order(axes, said.axes, where)
    if voxel_size_nm is None and said.size is None:
        raise ImageError(f"{where}: says no voxel size; give it in nm (--voxel-size-nm), cubic or along z, y, x")
    size = checked_size(voxel_size_nm, "voxel_size_nm") if voxel_size_nm is not None else said.size
    return Image(source, order, checked_size(size, f"{where}: voxel size"))


def _order(given: str | None, said: str, where: Path) -> tuple[int, int, int]:
    if given is not None and (not isinstance(given, str) or sorted(given.lower()) != sorted(AXES)):
        raise ImageError(f"axes: found {shown(given)}, expected z, y and x in the order of the image, such as zyx")
    names = (given or said).lower()
    if not names:
        raise ImageError(f"{where}: does not say the order of its axes; give it (--axes), such as zyx")
    z, y, x = (names.index(name) for name in AXES)
    return z, y, x


def _opened(where: Path) -> tuple[Source, _Said]:
    if not where.exists():
        raise ImageError(f"{where}: no such image")
    if where.is_dir():
        is_zarr = any((where / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))
        return _zarr(where) if is_zarr else _stack(where)
    suffix = where.suffix.lower()
    if not where.is_file() or suffix not in (*_TIFF, ".npy"):
        raise ImageError(f"{where}: expected {_WHAT}")
    return _npy(where) if suffix == ".npy" else _tiff(where)


def _npy(where: Path) -> tuple[Source, _Said]:
    with reading(where):
        array = np.load(where, mmap_mode="r", allow_pickle=False)
    return Array(where, _three(array.shape, where), array.dtype), _Said()


def _zarr(where: Path) -> tuple[Source, _Said]:
    import zarr

    with reading(where):
        found = zarr.open(where, mode="r")
    if isinstance(found, zarr.Array):
        return Array(where, _three(found.shape, where), found.dtype), _Said()
    attributes: dict[str, Any] = dict(found.attrs)
    scales = attributes.get("ome", attributes).get("multiscales")
    if not isinstance(scales, list) or not scales:
        raise ImageError(f"{where}: a Zarr group without an image of OME-Zarr; name the array in it")
    with reading(where):
        first = scales[0]["datasets"][0]
        names, units = zip(*((str(a["name"]).lower(), str(a.get("unit", ""))) for a in scales[0]["axes"]), strict=True)
        array = found[first["path"]]
        scale = next(t["scale"] for t in first["coordinateTransformations"] if t["type"] == "scale")
        if not isinstance(array, zarr.Array) or len(scale) != len(names):
            raise ValueError("its metadata does not describe an array")
    if sorted(names) != sorted(AXES):
        raise ImageError(f"{where}: found axes {', '.join(names)}, expected z, y and x; name an array without others")
    by_axis = {name: (length, unit) for name, length, unit in zip(names, scale, units, strict=True)}
    size = in_nm(*zip(*(by_axis[name] for name in AXES), strict=True))
    return Array(where / str(first["path"]), _three(array.shape, where), array.dtype), _Said("".join(names), size)


def _stack(where: Path) -> tuple[Source, _Said]:
    import tifffile

    files = sorted(path.name for path in where.iterdir() if path.suffix.lower() in _TIFF)
    if len(files) < 2:
        raise ImageError(f"{where}: found {len(files)} TIFF slices, expected {_WHAT}")
    numbers: dict[int, str] = {}
    for name in files:
        number = _NUMBER.search(Path(name).stem)
        if number is None:
            raise ImageError(f"{where / name}: expected a number in the name, which gives the order of the slices")
        if int(number[1]) in numbers:
            raise ImageError(f"{where / name}: has the same number as {numbers[int(number[1])]}: a slice is repeated")
        numbers[int(number[1])] = name
    ordered = sorted(numbers)
    steps = np.diff(ordered)
    for before, after, step in zip(ordered, ordered[1:], steps, strict=False):
        if step != steps.min():
            raise ImageError(f"{where}: no slice between {numbers[before]} and {numbers[after]}: one is missing")
    names = tuple(numbers[number] for number in ordered)
    with reading(where / names[0]):
        first = tifffile.imread(where / names[0])
    if first.ndim != 2:
        raise ImageError(f"{where / names[0]}: found shape {first.shape}, expected a grey image of two dimensions")
    return Stack(where, (len(names), *first.shape), first.dtype, names), _Said(AXES)


def _tiff(where: Path) -> tuple[Source, _Said]:
    import tifffile

    with reading(where), tifffile.TiffFile(where) as file:
        series = file.series[0]
        axes, shape, dtype = series.axes, tuple(map(int, series.shape)), np.dtype(series.dtype)
        size = _ome_size(file.ome_metadata) if file.is_ome else _imagej_size(file) if file.is_imagej else None
        says_axes = file.is_ome or file.is_imagej
    if "S" in axes and shape[axes.index("S")] > 1:
        raise ImageError(f"{where}: found {shape[axes.index('S')]} colours, expected a grey image")
    kept = [k for k, n in enumerate(shape) if n > 1 or axes[k] in "ZYX"]
    axes, shape = "".join(axes[k] for k in kept), tuple(shape[k] for k in kept)
    named = axes if says_axes and sorted(axes) == sorted("ZYX") else ""
    if says_axes and len(shape) == 3 and not named and set(axes) - set("ZYX") & set("CT"):
        raise ImageError(f"{where}: found axes {axes}, expected z, y and x, without channels or times")
    return Pages(where, _three(shape, where), dtype), _Said(named, size)


def _imagej_size(file: Any) -> Size | None:
    facts: Mapping[str, Any] = file.imagej_metadata or {}
    tags = file.pages[0].tags
    try:
        per_x, per_y = (tags[name].value[0] / tags[name].value[1] for name in ("XResolution", "YResolution"))
        lengths = (float(facts["spacing"]), 1 / per_y, 1 / per_x)
    except (KeyError, TypeError, ZeroDivisionError, ValueError):
        return None
    unit = str(facts.get("unit", "")).encode().decode("unicode_escape", "ignore")
    return in_nm(lengths, [unit] * 3)


def _ome_size(text: str | None) -> Size | None:
    from xml.etree import ElementTree

    pixels = next((e for e in ElementTree.fromstring(text or "<OME/>").iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    lengths = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"]
    return None if None in lengths else in_nm([float(length or 0) for length in lengths], units)


def _three(shape: tuple[int, ...], where: Path) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ImageError(f"{where}: found shape {shape}, expected three dimensions")
    z, y, x = map(int, shape)
    return z, y, x
