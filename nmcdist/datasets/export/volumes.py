"""Export of an item of a store of label volumes."""

from pathlib import Path
from typing import Any

from nmcdist.datasets.export.formats import format_named
from nmcdist.datasets.export.labels import export_labels
from nmcdist.datasets.store import read_attributes
from nmcdist.datasets.volumes import Volumes
from nmcdist.errors import InputError, StoreError
from nmcdist.inputs import local_path
from nmcdist.wording import shown


def export_volume_item(
    store: Path, item: int, file_format: str, target: Path, *, voxel_size_nm: float | None = None,
    radius_below_nm: float | None = None, volumes: Volumes | None = None, **options: Any,
) -> Path:  # fmt: skip
    """Write the volume of one item, with the voxel size and the names of labels from its variable.

    Parameters
    ----------
    store : Path
        A store with the variable `volume`.
    item : int
    file_format : str
        A format made of voxels.
    target : Path
    voxel_size_nm : float, optional
        Refused: the voxel size is fixed.
    radius_below_nm : float, optional
        Refused: only particles have a centre.
    volumes : Volumes, optional
        The volumes, if they are not read from the store but drawn.
    **options
        As for :func:`nmcdist.datasets.export.labels.export_labels`.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    InputError, StoreError
        As :func:`nmcdist.products.stores.export_item`.
    """
    format_named(file_format)
    if voxel_size_nm is not None:
        raise InputError(f"voxel_size_nm: found {shown(voxel_size_nm)}, but {store} holds volumes of fixed voxels")
    if radius_below_nm is not None:
        raise InputError(f"radius_below_nm: found {shown(radius_below_nm)}, but {store} holds volumes, not particles")
    found = volumes or Volumes.of(local_path(store, StoreError))
    found.check(item)
    title = f"{read_attributes(store)['name']} item {item}"
    return export_labels(
        lambda: found.block(item), found.voxel_size_nm, (found.voxel_size_nm / 2,) * 3, file_format, target,
        title=title, names=found.names, **options,
    )  # fmt: skip
