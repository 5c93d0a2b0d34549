"""Items of a store of any kind: how many there are, and the export of one to a file."""

from pathlib import Path

from nmcdist.datasets.export.formats import FORMATS, format_named
from nmcdist.datasets.export.particles import export_particle_item
from nmcdist.datasets.export.volumes import export_volume_item
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.particles import is_particle_store
from nmcdist.datasets.store import open_store, read_attributes
from nmcdist.inputs import local_path


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
        A format of :data:`nmcdist.datasets.export.formats.FORMATS`. Volumes have those that are made of voxels;
        surfaces and meshes leave out label 0, which is the pores of a volume of phases.
    target : Path, optional
        Default: a name made of the dataset, the item and the format, in the current folder.
    voxel_size_nm : float, optional
        Of a particle: at which its record is rendered; default 50.
    label, smoothing, elements
        See :func:`nmcdist.datasets.export.labels.export_labels`.
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
    store = local_path(store)
    export = export_particle_item if is_particle_store(store) else export_volume_item
    target = local_path(target or default_name(store, item, file_format))
    return export(
        store, item, file_format, target, voxel_size_nm=voxel_size_nm, label=label, smoothing=smoothing,
        elements=elements, overwrite=overwrite,
    )  # fmt: skip


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
    chosen = format_named(file_format, {row.content for row in FORMATS.values()})
    return f"{read_attributes(store)['name']}-{item:05d}{chosen.suffix}"
