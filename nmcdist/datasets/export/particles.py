"""Export of an item of a store of particles, rendered from its record."""

import math
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from nmcdist.datasets.export.content import GRAIN_TABLE, SHELL, About, Content, Surface, Voxels, in_unit
from nmcdist.datasets.export.formats import checked_options, format_named
from nmcdist.datasets.export.labels import export_labels
from nmcdist.datasets.export.place import write_export
from nmcdist.datasets.export.subsets import masked, only
from nmcdist.datasets.files import readable_bytes
from nmcdist.datasets.particles import Records
from nmcdist.datasets.store import read_attributes
from nmcdist.errors import InputError, PlanError, StoreError
from nmcdist.geometry.rotations import bunge_euler
from nmcdist.inputs import local_path
from nmcdist.models.particle import Particle
from nmcdist.wording import shown

VOXEL_SIZE_NM = 50.0
SHELL_LEVEL = 5  # 10,242 directions
_COARSE = 64  # voxels across a particle, from which the search for a number of tetrahedra starts
_BYTES_PER_VOXEL = 8  # labels, and a copy while their pieces are merged


def export_particle_item(
    store: Path,
    item: int,
    file_format: str,
    target: Path,
    *,
    voxel_size_nm: float | None = None,
    radius_below_nm: float | None = None,
    mirror: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda line: None,
    records: Records | None = None,
    **options: Any,
) -> Path:
    """Write one particle: rendered from its record, its shell, or the table of its grains.

    Parameters
    ----------
    store : Path
        A store of particles.
    item : int
    file_format : str
    target : Path
    voxel_size_nm : float, optional
        Voxel size for rendering the record; default 50, or what a number of tetrahedra needs.
    radius_below_nm : float, optional
        Keeps the grains whose centre of mass is closer to the particle's centre.
    mirror : str, optional
        Refused: a particle does not fill its box.
    overwrite : bool
    progress : callable
    records : Records, optional
        The particles, if they are not read from the store but drawn.
    **options
        As for :func:`nmcdist.datasets.export.labels.export_labels`.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    InputError, PlanError, StoreError
        As :func:`nmcdist.products.stores.export_item`.
    """
    chosen = format_named(file_format, _OF_RECORDS)
    if mirror is not None:
        raise InputError(f"mirror: found {shown(mirror)}, but {store} holds particles, not volumes")
    own = {"voxel_size_nm": voxel_size_nm, "radius_below_nm": radius_below_nm}
    checked_options(chosen, own | options | {"interface_pairs": options.get("interface_pairs") or None})
    title = f"{read_attributes(store)['name']} item {item}"
    if chosen.content in _OF_RECORDS:
        unit = options.get("unit") or chosen.unit or "nm"
        content = in_unit(_OF_RECORDS[chosen.content](records or Records(local_path(store, StoreError)), item), unit)
        return write_export(chosen, target, lambda: content, About(title, unit=unit), overwrite=overwrite)
    records = records or Records(local_path(store, StoreError))
    particle = records.particle(item)
    kept = _closer(particle, radius_below_nm)

    def rendered(size_nm: float) -> Voxels:
        shape, origin = particle.grid(size_nm)
        _check_memory(shape, size_nm)
        labels = particle.voxelize(size_nm)
        return Voxels(labels if kept is None else masked(labels, kept), (size_nm,) * 3, origin)

    known = np.flatnonzero(particle.kept if kept is None else kept[1:]).astype(np.int32) + 1
    if options.get("grains") is not None:
        only(known[None, None], options["grains"])
    first = voxel_size_nm
    if first is None:
        counted = isinstance(options.get("elements"), Integral)
        first = float(np.ptp(particle.box_nm, axis=0).max()) / _COARSE if counted else VOXEL_SIZE_NM
    return export_labels(
        lambda: rendered(first).labels, first, particle.grid(first)[1], file_format, target,
        title=title, orientations=records.orientations(item), overwrite=overwrite, rendered=rendered,
        fixed_size=voxel_size_nm is not None, progress=progress, **options,
    )  # fmt: skip


def _closer(particle: Particle, radius_nm: float | None) -> np.ndarray | None:
    """Return whether each label is of a grain with its centre of mass within a radius; None without a radius."""
    if radius_nm is None:
        return None
    distances = np.linalg.norm(particle.centroids_nm.astype(np.float64), axis=1)
    closer = particle.kept & (distances < radius_nm)  # grains that are not kept have NaN
    if not closer.any():
        nearest = np.nanmin(distances, initial=np.inf)
        raise InputError(
            f"radius_below_nm: found {radius_nm:g}, expected more than {nearest:.4g}, the distance of the nearest grain"
        )
    return np.concatenate([[False], closer])


def _shell(records: Records, item: int) -> Surface:
    return Surface(*records.particle(item).shell.mesh(SHELL_LEVEL))


def _grain_table(records: Records, item: int) -> dict[str, np.ndarray]:
    """Return the columns of the grains; vectors have one column per axis, and orientations are the last."""
    grains = records.grains(item)
    columns = {"label": grains.label.values}
    for name, variable in grains.data_vars.items():
        if variable.ndim == 1:
            columns[str(name)] = variable.values
        else:
            ends = "zyx" if variable.dims[1] == "axis" else "123"
            columns |= {f"{name}_{end}": variable.values[:, k] for k, end in enumerate(ends)}
    if orientations := records.orientations(item):
        turns = np.array([orientations[label] for label in columns["label"].tolist()]).reshape(-1, 4)
        columns |= {f"orientation_{end}": turns[:, k] for k, end in enumerate("wxyz")}
        angles = np.degrees(bunge_euler(turns))
        columns |= {f"euler_{end}_deg": angles[:, k] for k, end in enumerate(("phi1", "Phi", "phi2"))}
    return columns


_OF_RECORDS: dict[Content, Callable[[Records, int], Any]] = {SHELL: _shell, GRAIN_TABLE: _grain_table}


def _check_memory(shape: tuple[int, int, int], voxel_size_nm: float) -> None:
    needed, there = _BYTES_PER_VOXEL * math.prod(shape), psutil.virtual_memory().available
    if needed > there:
        raise PlanError(
            f"voxel_size_nm: at {voxel_size_nm:g} nm the item needs {readable_bytes(needed)} of memory, "
            f"{readable_bytes(there)} are free; use larger voxels"
        )
