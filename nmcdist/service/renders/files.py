"""Files of items for other programs: the formats that an item has, and what writes them, as `nmcdist export` does."""

import errno
import math
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.export.content import (
    CLOSED_SURFACE,
    GRAIN_TABLE,
    INTERFACES,
    SHELL,
    VOLUME_MESH,
    About,
    Content,
)
from nmcdist.datasets.export.formats import FORMATS, Format
from nmcdist.datasets.export.particles import VOXEL_SIZE_NM
from nmcdist.datasets.files import readable_bytes
from nmcdist.datasets.items import default_name
from nmcdist.datasets.store import holds
from nmcdist.errors import InputError
from nmcdist.extras import EXTRAS, is_installed
from nmcdist.products.stores import export_item
from nmcdist.releases.package import stored_member
from nmcdist.service.renders.items import ParticleView, VolumeView, view_of
from nmcdist.service.renders.places import MOST_BYTES, NotShownError, Place

_MEASURED = "volume_nm3"  # a column of the grains that is there if they were measured
_BLOCK = 1 << 20
_MOST_LABELS = 1 << 26  # voxels
_MOST_VOXELS: dict[Content, int] = {CLOSED_SURFACE: 1 << 24, INTERFACES: 1 << 24, VOLUME_MESH: 1 << 22}


def formats_of(place: Place, view: ParticleView | VolumeView | None) -> list[dict[str, Any]]:
    """Return the formats in which an item can be saved, as plain data."""
    return [
        {"name": row.name, "suffix": row.suffix, "what": row.about, "voxel_size_nm": _is_rendered(row, view)}
        for row in FORMATS.values()
        if view is not None and _has(place, view, row)
    ]


def file_name(store: Path, item: int, file_format: str) -> str:
    """Return the name of the file of an item, as `nmcdist export` chooses it; that of a folder ends in ``.zip``."""
    return default_name(store, item, file_format) + (".zip" if FORMATS[file_format].owns else "")


def write_item(place: Place, item: int, file_format: str, voxel_size_nm: float | None, target: Path) -> None:
    """Write the file of an item, or a zip file with its folder.

    Raises
    ------
    InputError
        If the item has no such format, or would be too large in it.
    StoreError
        If the item is damaged, or the file cannot be written.
    """
    made = _exported(place, item, file_format, voxel_size_nm, target.with_name(f"{target.name}.folder"))
    try:
        if made.is_dir():
            with target.open("xb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
                _add(archive, made)
        else:
            made.rename(target)
    finally:
        shutil.rmtree(made.parent)


def write_items(place: Place, items: Sequence[int], file_format: str, target: Path) -> None:
    """Write a zip file with the files of several items; raises as :func:`write_item`."""
    with target.open("xb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for item in items:
            made = _exported(place, item, file_format, None, target.with_name(f"{target.name}.folder"))
            try:
                _add(archive, made)
            except OSError as error:
                raise _too_large(FORMATS[file_format]) if error.errno == errno.EFBIG else error from None
            finally:
                shutil.rmtree(made.parent)


def _exported(place: Place, item: int, file_format: str, voxel_size_nm: float | None, folder: Path) -> Path:
    """Return the file or folder of an item, alone in a new folder."""
    view, row = view_of(place, item), FORMATS[file_format]
    if view is None:
        raise NotShownError("the items of this dataset hold no particles or volumes to save")
    if not _has(place, view, row):
        known = ", ".join(one["name"] for one in formats_of(place, view))
        raise InputError(f"format: found {file_format!r}, expected one that this item has: {known}")
    _check_size(view, row, voxel_size_nm)
    folder.mkdir()
    try:
        target = folder / default_name(place.store, item, file_format)
        return export_item(place.store, item, file_format, target, voxel_size_nm=voxel_size_nm)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EFBIG:
            raise _too_large(row) from None
        raise


def _too_large(row: Format) -> InputError:
    return InputError(f"format {row.name}: the file has more than {readable_bytes(MOST_BYTES)}; use `nmcdist export`")


def _check_size(view: ParticleView | VolumeView, row: Format, voxel_size_nm: float | None) -> None:
    if row.content.of_voxels is None:
        return
    most = _MOST_VOXELS.get(row.content, _MOST_LABELS)
    if isinstance(view, VolumeView):
        count, advice = math.prod(view.volumes.shape), "use `nmcdist export`"
    else:
        size = VOXEL_SIZE_NM if voxel_size_nm is None else voxel_size_nm
        count, advice = math.prod(view.particle.grid(size)[0]), "use a larger voxel_size_nm, or `nmcdist export`"
    if count > most:
        raise InputError(f"format {row.name}: found an item of {count} voxels, expected at most {most}; {advice}")


def _add(archive: zipfile.ZipFile, path: Path) -> None:
    """Add a file, or all files of a folder, in the order of their names."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    for one in files:
        name, size = one.relative_to(path.parent).as_posix(), one.stat().st_size
        with one.open("rb") as source, stored_member(archive, name, size) as member:
            shutil.copyfileobj(source, member, _BLOCK)


def _has(place: Place, view: ParticleView | VolumeView, row: Format) -> bool:
    if row.extra and not all(map(is_installed, EXTRAS[row.extra])):
        return False
    is_particle = isinstance(view, ParticleView)
    if row.content is GRAIN_TABLE:
        return is_particle and not place.is_virtual and holds(place.store, _MEASURED)
    if row.content is SHELL:
        return is_particle
    try:
        if row.check:
            row.check(_about(view))
    except InputError:
        return False
    return True


def _about(view: ParticleView | VolumeView) -> About:
    """Return as much of the description of an item's files as decides about formats."""
    if isinstance(view, VolumeView):
        return About("", view.volumes.names)
    return About("", orientations={1: np.array([1.0, 0.0, 0.0, 0.0])} if view.has_c_axes else {})


def _is_rendered(row: Format, view: ParticleView | VolumeView | None) -> bool:
    return isinstance(view, ParticleView) and row.content.of_voxels is not None
