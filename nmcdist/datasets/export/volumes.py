"""Export of an item of a store of label volumes."""

import math
from pathlib import Path
from typing import Any

from nmcdist.datasets.export.formats import format_named
from nmcdist.datasets.export.labels import NAME, export_labels
from nmcdist.datasets.layout import VOLUME
from nmcdist.datasets.store import read_attributes, read_block, readable_metadata
from nmcdist.errors import InputError, StoreError
from nmcdist.inputs import local_path
from nmcdist.wording import shown


def export_volume_item(
    store: Path, item: int, file_format: str, target: Path, *, voxel_size_nm: float | None = None,
    radius_below_nm: float | None = None, **options: Any,
) -> Path:  # fmt: skip
    """Write the volume of one item, with the voxel size and the names of labels from its variable.

    Parameters
    ----------
    store : Path
        A finished store with the variable `volume`.
    item : int
    file_format : str
        A format made of voxels.
    target : Path
    voxel_size_nm : float, optional
        Refused: the voxel size is fixed.
    radius_below_nm : float, optional
        Refused: only particles have a centre.
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
    metadata = readable_metadata(local_path(store, StoreError), VOLUME)
    if not 0 <= item < metadata.shape[0]:
        raise StoreError(f"{store}: item {item} does not exist, expected 0 to {metadata.shape[0] - 1}")
    where = f"{store}: {VOLUME}: attribute"
    size, names = _voxel_size(metadata.attributes, where), _label_names(metadata.attributes, where)
    title = f"{read_attributes(store)['name']} item {item}"
    return export_labels(
        lambda: read_block(store, item), size, (size / 2,) * 3, file_format, target, title=title, names=names, **options
    )


def _voxel_size(attributes: dict[str, Any], where: str) -> float:
    found = attributes.get("voxel_size_nm")
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < math.inf:
        raise StoreError(f"{where} voxel_size_nm: found {shown(found)}, expected a length in nm")
    return float(found)


def _label_names(attributes: dict[str, Any], where: str) -> dict[int, str]:
    """Return the names of the labels, recorded according to the CF conventions; empty if there are none."""
    if "flag_meanings" not in attributes:
        return {}
    values, meanings = attributes.get("flag_values"), attributes["flag_meanings"]
    names = meanings.split() if isinstance(meanings, str) else []
    if not names or len({name.upper() for name in names}) < len(names) or not all(map(NAME.fullmatch, names)):
        raise StoreError(f"{where} flag_meanings: found {shown(meanings)}, expected different names of ASCII letters")
    if not isinstance(values, list) or len(values) != len(names) or not all(type(value) is int for value in values):
        raise StoreError(f"{where} flag_values: found {shown(values)}, expected {len(names)} whole numbers")
    if len(set(values)) < len(values):
        raise StoreError(f"{where} flag_values: found {shown(values)}, expected different whole numbers")
    return dict(zip(values, names, strict=True))
