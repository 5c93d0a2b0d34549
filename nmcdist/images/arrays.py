"""Arrays in .npy files, Zarr and OME-Zarr folders, and HDF5 files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.images.said import STRAYS, Said, whole_shape
from nmcdist.images.sources import Array, Source, reading
from nmcdist.images.spacing import in_nm
from nmcdist.wording import shown

SUFFIXES_HDF5 = (".h5", ".hdf5", ".hdf")
_MOST_AXES = 3  # of an image; an array with more has axes of one channel or one time
_LISTED = 6  # most datasets that a message names


def open_npy(where: Path) -> tuple[Source, Said]:
    """Open a .npy file; ImageError if it is damaged."""
    with reading(where):
        array = np.lib.format.open_memmap(where, "r")
    return Array(where, whole_shape(array.shape, where), array.dtype), Said(is_planar=array.ndim == 2)


def is_zarr(where: Path) -> bool:
    """Return whether a folder is an array or a group of Zarr."""
    return any((where / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def open_zarr(where: Path, dataset: str | None) -> tuple[Source, Said]:
    """Open a Zarr array, the first of an image of OME-Zarr, or the named one of a group.

    Raises
    ------
    ImageError
        If it is damaged, not an image, or has several channels or times.
    """
    import zarr

    with reading(where):
        found = zarr.open(where, mode="r")
        inside = found.get(dataset) if dataset is not None and isinstance(found, zarr.Group) else None
    if dataset is not None:
        if not isinstance(inside, zarr.Array):
            raise ImageError(f"{where}: has no array {shown(dataset)}")
        return Array(where / dataset, whole_shape(inside.shape, where), inside.dtype), _own_said(inside)
    if isinstance(found, zarr.Array):
        return Array(where, whole_shape(found.shape, where), found.dtype), _own_said(found)
    attributes: dict[str, Any] = dict(found.attrs)
    scales = attributes.get("ome", attributes).get("multiscales")
    if not isinstance(scales, list) or not scales:
        raise ImageError(f"{where}: a Zarr group without an image of OME-Zarr; name the array in it")
    with reading(where):
        first = scales[0]["datasets"][0]
        names, units = zip(*((str(a["name"]).lower(), str(a.get("unit", ""))) for a in scales[0]["axes"]), strict=True)
        array = found[first["path"]]
        scale = next(t["scale"] for t in first["coordinateTransformations"] if t["type"] == "scale")
        if not isinstance(array, zarr.Array) or not array.ndim == len(scale) == len(names):
            raise ValueError("its metadata does not describe an array")
    extra = sum(length == 1 and name not in "zyx" for name, length in zip(names, array.shape, strict=True))
    if any(name in "zyx" for name in names[:extra]) or sorted(names[extra:]) not in (["x", "y", "z"], ["x", "y"]):
        listed = ", ".join(f"{name} ({length})" for name, length in zip(names, array.shape, strict=True))
        raise ImageError(f"{where}: found axes {listed}, expected z, y and x, and only one channel and one time")
    by_axis = {name: (length, unit) for name, length, unit in zip(names, scale, units, strict=True)}
    by_axis.setdefault("z", by_axis["y"])
    size = in_nm(*zip(*(by_axis[name] for name in "zyx"), strict=True))
    path = where / str(first["path"])
    shape, names = array.shape[extra:], names[extra:]
    return Array(path, whole_shape(shape, where), array.dtype), Said("".join(names), size, len(shape) == 2)


def _own_said(array: Any) -> Said:
    """Return what an array of Zarr says: the names of its dimensions, and `voxel_size_nm` as nmcdist writes it."""
    names = "".join(str(name).lower() for name in getattr(array.metadata, "dimension_names", None) or ())
    is_known = sorted(names) == sorted("zyx"[-array.ndim :])
    return Said(names if is_known else "", array.attrs.get("voxel_size_nm"), array.ndim == 2)


def open_hdf5(where: Path, dataset: str | None) -> tuple[Source, Said]:
    """Open the named dataset of an HDF5 file, or the only one with two or three dimensions.

    The attribute element_size_um, as Fiji writes it, gives the voxel size, and axistags of ilastik the order of axes.

    Raises
    ------
    ImageError
        If it is damaged, lacks the dataset, or holds several and none is named.
    """
    import h5py

    with reading(where), h5py.File(where) as file:
        if dataset is None:
            found = _images_in(file)
            if len(found) != 1:
                names = ", ".join(found[:_LISTED]) + (", ..." if len(found) > _LISTED else "")
                raise ImageError(
                    f"{where}: found {len(found)} datasets of two or three dimensions"
                    + (f" ({names}): name one with --dataset" if found else "")
                )
            dataset = found[0]
        inside = file.get(dataset)
        if not isinstance(inside, h5py.Dataset):
            raise ImageError(f"{where}: has no dataset {shown(dataset)}")
        kept, names = _axes_in(inside)
        shape, dtype = tuple(inside.shape[axis] for axis in kept), inside.dtype
        said = _hdf5_said(inside, names, len(kept))
    return Array(where, whole_shape(shape, where), dtype, dataset, kept), said


def _axes_in(dataset: Any) -> tuple[tuple[int, ...], str]:
    """Return the axes of a dataset without those of one channel or one time, and their names if ilastik wrote it."""
    try:
        keys = [str(axis["key"]) for axis in json.loads(dataset.attrs["axistags"])["axes"]]
    except (KeyError, TypeError, ValueError):
        keys = []
    if len(set(keys)) != dataset.ndim or not set(keys) <= set("zyx" + STRAYS):
        is_small = dataset.ndim <= _MOST_AXES
        return tuple(k for k, n in enumerate(dataset.shape) if n > 1 or is_small), ""
    kept = tuple(k for k, n in enumerate(dataset.shape) if n > 1 or keys[k] in "zyx")
    return kept, "".join(keys[k] for k in kept)


def _hdf5_said(dataset: Any, names: str, count: int) -> Said:
    """Return what ilastik or Fiji say of the image in a dataset."""
    edges = dataset.attrs.get("element_size_um")
    if np.shape(edges) != (3,):
        return Said(names, is_planar=count == 2)
    return Said(names or "zyx"[-count:], in_nm([float(edge) for edge in edges], ["um"] * 3), count == 2)


def _images_in(file: Any) -> list[str]:
    import h5py

    found: list[str] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and len(_axes_in(node)[0]) in (2, 3) and node.dtype.kind in "buif":
            found.append(name)

    file.visititems(visit)
    return found
