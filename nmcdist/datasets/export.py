"""Take one label volume out of a store into a file that other programs read."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.files import replacing
from nmcdist.datasets.store import read_attributes, read_block, read_origin
from nmcdist.errors import InputError

FORMATS = ("tiff", "vtk", "npy")
_SUFFIX = {"tiff": ".tif", "vtk": ".vtk", "npy": ".npy"}


def export_volume(
    store: Path, item: int, file_format: str, target: Path | None = None, *, overwrite: bool = False
) -> Path:
    """Write the labels of one item to a file, whole or not at all.

    Parameters
    ----------
    store : Path
        A finished store with volumes.
    item : int
        Which sample.
    file_format : {"tiff", "vtk", "npy"}
        "tiff" is a stack of pages along z that ImageJ opens with its voxel size, "vtk" a legacy image file
        with spacing in nm (point data at voxel centres), "npy" the bare array in the order z, y, x.
    target : Path, optional
        Default: ``NAME-item.tif`` (``.vtk``, ``.npy``) in the current folder.
    overwrite : bool
        Whether a file that is there may be replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the format is unknown or the file exists already.
    StoreError
        If the store has no such volume, or it is damaged.
    """
    if file_format not in FORMATS:
        raise InputError(f"format: found {file_format!r}, expected one of {', '.join(FORMATS)}")
    attributes = read_attributes(store)
    target = target or Path(f"{attributes['name']}-{item:05d}{_SUFFIX[file_format]}")
    if target.exists() and not overwrite:
        raise InputError(f"{target}: exists already, expected a new file")
    labels = read_block(store, item)
    recipe, _ = read_origin(store)
    voxel_size_nm = float(recipe["volume"]["voxel_size_nm"])
    with replacing(target) as partial:
        if file_format == "npy":
            with partial.open("wb") as stream:
                np.save(stream, labels)
        elif file_format == "tiff":
            _write_tiff(partial, labels, voxel_size_nm)
        else:
            _write_vtk(partial, labels, voxel_size_nm, f"{attributes['name']} item {item}")
    return target


def _write_tiff(path: Path, labels: np.ndarray, voxel_size_nm: float) -> None:
    import tifffile

    um = voxel_size_nm / 1000
    metadata: dict[str, Any] = {"axes": "ZYX", "spacing": um, "unit": "um"}
    with path.open("wb") as stream:
        tifffile.imwrite(stream, labels, imagej=True, resolution=(1 / um, 1 / um), metadata=metadata)


def _write_vtk(path: Path, labels: np.ndarray, voxel_size_nm: float, title: str) -> None:
    nz, ny, nx = labels.shape
    half = voxel_size_nm / 2
    header = (
        f"# vtk DataFile Version 3.0\n{title}\nBINARY\nDATASET STRUCTURED_POINTS\n"
        f"DIMENSIONS {nx} {ny} {nz}\nORIGIN {half} {half} {half}\n"
        f"SPACING {voxel_size_nm} {voxel_size_nm} {voxel_size_nm}\n"
        f"POINT_DATA {labels.size}\nSCALARS label unsigned_char 1\nLOOKUP_TABLE default\n"
    )
    with path.open("wb") as stream:
        stream.write(header.encode("ascii"))
        stream.write(np.ascontiguousarray(labels).data)  # x runs fastest, as in VTK
