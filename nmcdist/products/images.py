"""Export of a user's image of labels, in the formats and with the options of the items of a store."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.export.formats import format_named
from nmcdist.datasets.export.labels import export_labels
from nmcdist.datasets.export.subsets import LARGEST_LABEL
from nmcdist.errors import ImageError, InputError
from nmcdist.images import open_labels
from nmcdist.inputs import local_path
from nmcdist.measurement.phases import labels_of


def export_image(
    image: str | os.PathLike[str],
    file_format: str,
    target: str | os.PathLike[str] | None = None,
    *,
    phases: Mapping[str, int | Sequence[int]] | None = None,
    voxel_size_nm: Any = None,
    axes: str | None = None,
    dataset: str | None = None,
    **options: Any,
) -> Path:
    """Write an image of labels to a file (or a folder of files) that other programs read, whole or not at all.

    Parameters
    ----------
    image : str or Path
        See :func:`nmcdist.measure`; three-dimensional.
    file_format : str
        A format that is made of voxels. Surfaces and meshes leave out label 0.
    target : str or Path, optional
        Default: the name of the image with the ending of the format, in the current folder.
    phases : mapping of str to int or sequence of int, optional
        Name of each label; several labels become the lowest of them. Default: labels are grains. Names are as for
        :func:`nmcdist.datasets.export.labels.export_labels`.
    voxel_size_nm, axes, dataset
        See :func:`nmcdist.measure`.
    **options
        See :func:`nmcdist.datasets.export.labels.export_labels`.

    Returns
    -------
    Path
        The written file or folder.

    Raises
    ------
    ImageError
        If the image cannot be read, or has several edges and no order of its axes.
    InputError
        If it is planar, a label is negative, has no name, two names or is missing, or an option is impossible.
    StoreError
        If the target cannot be written.
    """
    given = voxel_size_nm.tolist() if isinstance(voxel_size_nm, np.ndarray) else voxel_size_nm
    opened = open_labels(image, given, axes, dataset)
    size = z, y, x = opened.voxel_size_nm
    if opened.is_planar:
        raise InputError(f"{opened.path}: is planar, expected three dimensions")
    if not opened.says_axes and len(set(size)) > 1:
        raise ImageError(
            f"{opened.path}: does not say the order of its axes, which voxels with several edges need: "
            "give it (--axes), such as zyx"
        )
    chosen = format_named(file_format)
    place = local_path(target) if target is not None else Path(opened.path.stem + chosen.suffix)
    named = {} if phases is None else labels_of(phases)
    return export_labels(
        lambda: _labels(opened.read(), named, opened.path), size, (z / 2, y / 2, x / 2), file_format, place,
        title=opened.path.stem, names={labels[0]: name for name, labels in named.items()} or None, **options,
    )  # fmt: skip


def _labels(voxels: np.ndarray, phases: Mapping[str, tuple[int, ...]], path: Path) -> np.ndarray:
    """Return labels as int32, with one label for each phase."""
    values = np.unique(voxels)
    broken = values.dtype.kind == "f" and (values != np.floor(values)).any()
    if broken or values[0] < 0 or values[-1] > LARGEST_LABEL:
        found = f"found values from {values[0]} to {values[-1]}"
        raise InputError(f"{path}: {found}, expected whole numbers from 0 to {LARGEST_LABEL} as labels")
    labels = voxels.astype(np.int32)
    if not phases:
        return labels
    known: dict[int, int] = {}
    for name, several in phases.items():
        for value in several:
            if value in known:
                raise InputError(f"phases: label {value} is of two phases, expected one phase for each label")
            if value not in values:
                raise InputError(f"phases: {name} = {value}: no voxel of {path} has this label")
            known[value] = several[0]
    for value in values.tolist():
        if value not in known:
            raise InputError(f"phases: label {value} of {path} has no name: add NAME={int(value)}")
    table = np.array([known[value] for value in values.tolist()], np.int32)
    return table[np.searchsorted(values, voxels)]
