"""Export of an item of a store of either kind: the voxels of a volume, or whatever a particle's record renders to."""

import math
from collections.abc import Mapping
from pathlib import Path

import psutil

from nmcdist.datasets import meshes
from nmcdist.datasets.export import LABEL_FORMATS, SUFFIXES, export_labels, export_volume
from nmcdist.datasets.files import readable_bytes, replacing
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.particles import is_particle_store, read_grains, read_particle
from nmcdist.datasets.store import open_store, read_attributes
from nmcdist.errors import InputError, PlanError, StoreError
from nmcdist.faults import proposal
from nmcdist.inputs import local_path
from nmcdist.wording import shown

SHELL_FORMATS = ("shell-stl", "shell-ply")
TABLE_FORMATS = ("csv",)
ITEM_FORMATS = (*LABEL_FORMATS, *SHELL_FORMATS, *TABLE_FORMATS)
VOXEL_SIZE_NM = 50.0
_BYTES_PER_VOXEL = 8  # labels, and as much again while their pieces are merged
SHELL_LEVEL = 5  # 10,242 directions
_SUFFIXES = {**SUFFIXES, "shell-stl": "-shell.stl", "shell-ply": "-shell.ply", "csv": "-grains.csv"}


def export_item(
    store: Path,
    item: int,
    file_format: str,
    target: Path | None = None,
    *,
    voxel_size_nm: float | None = None,
    label: int | None = None,
    smoothing: int | None = None,
    elements: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write one item to a file (or a folder of files), whole or not at all.

    Parameters
    ----------
    store : Path
        A finished store.
    item : int
        Which sample.
    file_format : str
        Of a volume: "tiff", "vtk", "npy". Of a particle: every format of
        :func:`nmcdist.datasets.export.export_labels`; "shell-stl" and "shell-ply" for its outer shell, the smooth
        body that the facets of the grains follow; "csv" for the table of its grains.
    target : Path, optional
        Default: a name made of the dataset, the item and the format, in the current folder.
    voxel_size_nm : float, optional
        Of a particle: at which its record is rendered; default 50.
    label, smoothing, elements
        Of a particle: see :func:`nmcdist.datasets.export.export_labels`.
    overwrite : bool
        Whether what is there may be replaced.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        If the format is unknown, an option does not go with it, or the target exists already.
    PlanError
        If the voxels of the item do not fit in memory.
    StoreError
        If the store has no such item, it is damaged, or the target cannot be written.
    """
    store, target = local_path(store), None if target is None else local_path(target)
    given = {"voxel_size_nm": voxel_size_nm, "label": label, "smoothing": smoothing, "elements": elements}
    if not is_particle_store(store):
        _refuse(given, f"{store}: its items are volumes")
        return export_volume(store, item, file_format, target, overwrite=overwrite)
    if file_format not in ITEM_FORMATS:
        raise InputError(f"format: found {shown(file_format)}{proposal(str(file_format), ITEM_FORMATS)}")
    target = target or Path(default_name(store, item, file_format))
    title = f"{read_attributes(store)['name']} item {item}"
    if file_format in LABEL_FORMATS:
        particle, voxel = read_particle(store, item), VOXEL_SIZE_NM if voxel_size_nm is None else voxel_size_nm
        shape, origin = particle.grid(voxel)
        _check_memory(shape, voxel)
        return export_labels(
            lambda: particle.voxelize(voxel), voxel, origin, file_format, target, title=title, label=label,
            smoothing=smoothing, elements=elements, overwrite=overwrite,
        )  # fmt: skip
    _refuse(given, f"format {file_format}")
    if target.exists() and not overwrite:
        raise InputError(f"{target}: exists already, expected a new name")
    if file_format in TABLE_FORMATS:
        return _write_table(store, item, target)
    return _write_shell(store, item, file_format, target, title)


def item_count(store: Path) -> int:
    """Return the number of items of a store.

    Raises
    ------
    StoreError
        If there is no such store.
    """
    return int(open_store(store).sizes[SAMPLE])


def default_name(store: Path, item: int, file_format: str) -> str:
    """Return the name of the file that an item is exported to.

    Raises
    ------
    InputError
        If the format is unknown.
    StoreError
        If there is no such store.
    """
    if file_format not in _SUFFIXES:
        raise InputError(f"format: found {shown(file_format)}{proposal(str(file_format), ITEM_FORMATS)}")
    return f"{read_attributes(store)['name']}-{item:05d}{_SUFFIXES[file_format]}"


def _check_memory(shape: tuple[int, int, int], voxel_size_nm: float) -> None:
    needed, there = _BYTES_PER_VOXEL * math.prod(shape), psutil.virtual_memory().available
    if needed > there:
        raise PlanError(
            f"voxel_size_nm: at {voxel_size_nm:g} nm the item takes {readable_bytes(needed)} of memory, "
            f"{readable_bytes(there)} are free; take larger voxels"
        )


def _refuse(given: Mapping[str, object], where: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}: found {value} with {where}, which does not take it")


def _write_shell(store: Path, item: int, file_format: str, target: Path, title: str) -> Path:
    points, triangles = read_particle(store, item).shell.mesh(SHELL_LEVEL)
    writer = meshes.write_stl if file_format == "shell-stl" else meshes.write_ply
    try:
        with replacing(target) as partial:
            writer(partial, points, triangles, f"{title}, shell")
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target


def _write_table(store: Path, item: int, target: Path) -> Path:
    """Write the columns of the grains with one line a grain; vectors have a column an axis."""
    grains = read_grains(store, item)
    columns = {"label": grains.label.values}
    for name, variable in grains.data_vars.items():
        if variable.ndim == 1:
            columns[str(name)] = variable.values
        else:
            ends = "zyx" if variable.dims[1] == "axis" else "123"
            columns |= {f"{name}_{end}": variable.values[:, k] for k, end in enumerate(ends)}
    try:
        with replacing(target) as partial, partial.open("w", encoding="utf-8") as stream:
            stream.write(",".join(columns) + "\n")
            for row in zip(*(column.tolist() for column in columns.values()), strict=True):
                stream.write(",".join(f"{value:.9g}" for value in row) + "\n")
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error
    return target
