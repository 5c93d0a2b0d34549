"""Take one label volume into a file that other programs read, from a store or from memory."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.arguments import check_length, finite_array
from nmcdist.datasets import meshes, volumes
from nmcdist.datasets.files import flush, replacing
from nmcdist.datasets.store import read_attributes, read_block, read_origin
from nmcdist.errors import InputError, StoreError
from nmcdist.faults import proposal
from nmcdist.geometry.elements import ELEMENTS, volume_mesh
from nmcdist.geometry.surfaces import closed_surface, label_surface
from nmcdist.inputs import local_path
from nmcdist.wording import shown

FORMATS = ("tiff", "vtk", "npy")
VOLUME_FORMATS = (*FORMATS, "ome-zarr")
SURFACE_FORMATS = ("stl", "ply", "stl-grains", "ply-grains", "vtp")
MESH_FORMATS = ("msh", "inp", "vtu")
LABEL_FORMATS = VOLUME_FORMATS + SURFACE_FORMATS + MESH_FORMATS
SUFFIXES = {
    "tiff": ".tif",
    "vtk": ".vtk",
    "npy": ".npy",
    "ome-zarr": ".ome.zarr",
    "stl": ".stl",
    "ply": ".ply",
    "stl-grains": "-grains",
    "ply-grains": "-grains.ply",
    "vtp": ".vtp",
    "msh": ".msh",
    "inp": ".inp",
    "vtu": ".vtu",
}

_VOLUME_WRITERS = {
    "tiff": volumes.write_tiff,
    "vtk": volumes.write_vtk_image,
    "npy": volumes.write_npy,
    "ome-zarr": volumes.write_ome_zarr,
}


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
        raise InputError(f"format: found {shown(file_format)}{proposal(str(file_format), FORMATS)}")
    attributes = read_attributes(store)
    target = local_path(target or f"{attributes['name']}-{item:05d}{SUFFIXES[file_format]}")
    if target.exists() and not overwrite:
        raise InputError(f"{target}: exists already, expected a new file")
    labels = read_block(store, item)
    recipe, _ = read_origin(store)
    voxel_size_nm = float(recipe["volume"]["voxel_size_nm"])
    with replacing(target) as partial:
        title = f"{attributes['name']} item {item}"
        _VOLUME_WRITERS[file_format](partial, labels, voxel_size_nm, (voxel_size_nm / 2,) * 3, title)
    return target


def export_labels(
    labels: np.ndarray | Callable[[], np.ndarray],
    voxel_size_nm: float,
    origin_nm: tuple[float, float, float],
    file_format: str,
    target: Path,
    *,
    title: str = "particle",
    label: int | None = None,
    smoothing: int | None = None,
    elements: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the grains of a label volume to a file (or a folder of files), whole or not at all.

    Parameters
    ----------
    labels : ndarray of int32 or uint8, shape (nz, ny, nx), or a function that returns it
        0 is the outside. A function is called only when the place is known to be one to write to.
    voxel_size_nm : float
    origin_nm : (float, float, float)
        Centre (z, y, x) of the first voxel.
    file_format : str
        Volumes of labels: "tiff", "vtk" (image), "npy", "ome-zarr" (a folder).
        One closed surface, of all grains together or of one: "stl", "ply".
        All interfaces as one mesh with the labels on both sides: "ply-grains", "vtp"; its closed surface
        of each grain in a file of its own: "stl-grains" (a folder).
        Volume meshes with a set for each grain: "msh" (Gmsh 4.1), "inp" (Abaqus), "vtu".
    target : Path
    title : str
        What the file says it is.
    label : int, optional
        For "stl" and "ply": which grain; by default all together.
    smoothing : int, optional
        For surfaces and tetrahedra: sweeps; 0 leaves the steps of the voxels.
    elements : {"hexahedra", "tetrahedra"}, optional
        For volume meshes; by default a hexahedron a voxel.
    overwrite : bool
        Whether what is there may be replaced. A folder is, only where it holds nothing but such an export.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    InputError
        If the format is unknown, an option does not go with it, the labels are no label volume, or `target`
        exists already.
    StoreError
        If `target` cannot be written.
    """
    options, target = {"label": label, "smoothing": smoothing, "elements": elements}, local_path(target)
    _check_options(file_format, options)
    _check_geometry(voxel_size_nm, origin_nm)
    _check_place(target, file_format, overwrite)
    as_folder = file_format in ("ome-zarr", "stl-grains")
    try:
        with _replacing_folder(target) if as_folder else replacing(target) as partial:
            array = labels() if callable(labels) else labels
            _write(partial, file_format, array, voxel_size_nm, origin_nm, title, options)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _write(
    partial: Path,
    file_format: str,
    labels: np.ndarray,
    voxel_size_nm: float,
    origin_nm: tuple[float, float, float],
    title: str,
    options: dict[str, Any],
) -> None:
    if labels.ndim != 3 or labels.dtype not in (np.int32, np.uint8) or labels.size == 0:
        raise InputError(f"labels: found shape {labels.shape} of {labels.dtype}, expected three axes of int32 or uint8")
    if labels.min() < 0:
        raise InputError(f"labels: found {labels.min()}, expected 0 or more")
    if file_format in VOLUME_FORMATS:
        _VOLUME_WRITERS[file_format](partial, labels, voxel_size_nm, origin_nm, title)
        return
    chosen = {name: value for name, value in options.items() if value is not None}
    if file_format in MESH_FORMATS:
        writer = {"msh": meshes.write_msh, "inp": meshes.write_inp, "vtu": meshes.write_vtu}[file_format]
        writer(partial, volume_mesh(labels, voxel_size_nm, origin_nm, **chosen), title)
    elif file_format in ("stl", "ply"):
        closed = closed_surface(labels, voxel_size_nm, origin_nm, **chosen)
        (meshes.write_stl if file_format == "stl" else meshes.write_ply)(partial, *closed, title)
    else:
        surface = label_surface(labels, voxel_size_nm, origin_nm, **chosen)
        if file_format == "stl-grains":
            meshes.write_grain_stls(partial, surface, title)
        elif file_format == "ply-grains":
            meshes.write_ply(partial, surface.points, surface.triangles, title, surface.labels)
        else:
            meshes.write_vtp(partial, surface, title)


def _check_options(file_format: str, options: dict[str, Any]) -> None:
    if file_format not in LABEL_FORMATS:
        raise InputError(f"format: found {shown(file_format)}{proposal(str(file_format), LABEL_FORMATS)}")
    takers = {"label": ("stl", "ply"), "smoothing": SURFACE_FORMATS + MESH_FORMATS, "elements": MESH_FORMATS}
    for name, formats in takers.items():
        if options[name] is not None and file_format not in formats:
            raise InputError(f"{name}: found with format {file_format}, expected with one of {', '.join(formats)}")
    if file_format in MESH_FORMATS:
        elements = options["elements"] or ELEMENTS[0]
        if elements not in ELEMENTS:
            raise InputError(f"elements: found {shown(elements)}{proposal(str(elements), ELEMENTS)}")
        if options["smoothing"] is not None and elements == "hexahedra":
            raise InputError("smoothing: found with hexahedra, expected with tetrahedra or a surface")
    if file_format == "vtu":
        meshes.needs_meshio()
    if options["smoothing"] is not None and options["smoothing"] < 0:
        raise InputError(f"smoothing: found {options['smoothing']}, expected 0 or more sweeps")
    if options["label"] is not None and options["label"] < 1:
        raise InputError(f"label: found {options['label']}, expected the label of a grain")


def _check_geometry(voxel_size_nm: float, origin_nm: tuple[float, float, float]) -> None:
    check_length("voxel_size_nm", voxel_size_nm)
    finite_array("origin_nm", origin_nm, (3,))


def _check_place(target: Path, file_format: str, overwrite: bool) -> None:
    try:
        if not target.exists():
            return
        if not overwrite:
            raise InputError(f"{target}: exists already, expected a new name")
        as_folder = file_format in ("ome-zarr", "stl-grains")
        if as_folder != target.is_dir():
            raise InputError(f"{target}: is {'a file' if as_folder else 'a folder'}, expected one to replace alike")
        names = [path.name for path in target.iterdir()] if as_folder else []
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error
    ours = "zarr.json" in names if file_format == "ome-zarr" else all(name.endswith(".stl") for name in names)
    if as_folder and names and not ours:
        raise InputError(f"{target}: holds other files, expected a folder that such an export wrote")


@contextlib.contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to write to; when the block ends well, it takes its place under `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}.{secrets.token_hex(4)}"
    partial, old = target.with_name(f".{target.name}.{mark}"), target.with_name(f".{target.name}.{mark}.old")
    partial.mkdir()
    try:
        yield partial
        flush(partial)
        _exchange(partial, target, old)
        flush(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(partial: Path, target: Path, old: Path) -> None:
    """Put a folder in the place of another; a folder cannot be renamed onto one that holds something."""
    if not target.exists():
        partial.rename(target)
        return
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)
