"""Operations on a finished store of any kind: its report, and the export of an item."""

from collections.abc import Callable, Sequence
from pathlib import Path

from nmcdist.arguments import check_whole
from nmcdist.datasets.files import naming
from nmcdist.datasets.items import default_name
from nmcdist.errors import InputError, NmcdistError, StoreError
from nmcdist.extras import need
from nmcdist.inputs import folder_to_make, local_path, named_path
from nmcdist.products.registry import kind_of_store, recipe_of_store
from nmcdist.wording import one_line

RESOLUTIONS_NM = (80.0, 40.0, 20.0)


def build_report(
    store: str | Path,
    out_dir: str | Path | None = None,
    voxel_sizes_nm: tuple[float, ...] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the report of a finished store: figures (PNG, SVG) and tables (CSV, Markdown).

    Parameters
    ----------
    store : str or Path
        A finished store; one of volumes must have descriptors.
    out_dir : str or Path, optional
        Folder for the report; default: ``NAME-report`` beside the store.
    voxel_sizes_nm : tuple of float
        For volumes: voxel sizes in nm for a resolution study, which draws and solves two realisations again to show
        the effect on the M-factors. Default: no study. One realisation at 20 nm takes a minute.
    progress : callable
        Called with a line of text before each realisation of the study.

    Returns
    -------
    Path
        The page ``report.md``.

    Raises
    ------
    StoreError
        If the store is missing or damaged, or holds volumes without descriptors.
    InputError
        If the folder cannot be made, or a resolution study is requested for a store without M-factors.
    MissingPackageError
        If the packages that draw the figures are not installed.
    """
    need("report", "a report")
    store = named_path(store, StoreError)
    folder = folder_to_make(out_dir) if out_dir else store.with_name(store.stem + "-report")
    kind, recipe = kind_of_store(store), recipe_of_store(store)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink():
            raise InputError(f"{path}: is a link, expected a file of an earlier report; remove it")
    try:
        with naming(folder):
            return kind.report(store, recipe, folder, voxel_sizes_nm=voxel_sizes_nm, progress=progress)
    except NmcdistError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {one_line(error)}"
        raise StoreError(f"{store}: does not hold what its recipe describes ({what})") from error


def export_item(
    store: str | Path,
    item: int,
    file_format: str,
    target: str | Path | None = None,
    *,
    voxel_size_nm: float | None = None,
    label: int | None = None,
    smoothing: int | None = None,
    elements: str | int | None = None,
    min_angle: float | None = None,
    grains: str | Sequence[int] | None = None,
    radius_below_nm: float | None = None,
    interface_pairs: bool = False,
    mirror: str | None = None,
    phase: str | None = None,
    unit: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write one item of a finished store to a file (or a folder of files), whole or not at all.

    Parameters
    ----------
    store : str or Path
    item : int
        Number of the item.
    file_format : str
        A format of :data:`nmcdist.datasets.export.formats.FORMATS`. Volumes support the formats that are made of
        voxels; surfaces and meshes leave out label 0, the pores of a volume of phases.
    target : str or Path, optional
        Default: a name from the dataset, the item and the format, in the current folder.
    voxel_size_nm : float, optional
        For a particle: voxel size for rendering its record; default 50, or what a number of `elements` needs.
    label, smoothing, elements, min_angle, grains, interface_pairs, mirror, phase, unit, progress
        See :func:`nmcdist.datasets.export.labels.export_labels`.
    radius_below_nm : float, optional
        For a particle: keeps the grains whose centre of mass is closer to the particle's centre.
    overwrite : bool
        Whether to replace an existing file or folder.

    Returns
    -------
    Path
        The written file or folder.

    Raises
    ------
    InputError
        If the format is unknown or does not accept an option, or the target already exists.
    PlanError
        If the voxels of the item do not fit in memory.
    StoreError
        If the store lacks the item or is damaged, or the target cannot be written.
    """
    store, item = local_path(store), check_whole("item", item, 0)
    kind = kind_of_store(store)
    target = local_path(target or default_name(store, item, file_format))
    return kind.export(
        store, item, file_format, target, voxel_size_nm=voxel_size_nm, label=label, smoothing=smoothing,
        elements=elements, min_angle=min_angle, grains=grains, radius_below_nm=radius_below_nm,
        interface_pairs=interface_pairs, mirror=mirror, phase=phase, unit=unit, overwrite=overwrite, progress=progress,
    )  # fmt: skip
