"""Export of a label volume from memory."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.datasets.export.content import About, Point, Voxels, in_unit
from nmcdist.datasets.export.formats import checked_options, format_named
from nmcdist.datasets.export.place import write_export
from nmcdist.datasets.export.sizing import Source, mesh_with, of_array, of_grains
from nmcdist.datasets.export.subsets import LARGEST_LABEL, only, present
from nmcdist.datasets.volumes import NAME
from nmcdist.descriptors.phases import check_edges
from nmcdist.errors import InputError
from nmcdist.inputs import local_path
from nmcdist.wording import shown

_UNIT_TOLERANCE = 1e-5


def export_labels(
    labels: np.ndarray | Callable[[], np.ndarray],
    voxel_size_nm: float | Point,
    origin_nm: Point,
    file_format: str,
    target: Path,
    *,
    title: str = "particle",
    names: Mapping[int, str] | None = None,
    orientations: Mapping[int, np.ndarray] | None = None,
    label: int | None = None,
    smoothing: int | None = None,
    elements: str | int | None = None,
    min_angle: float | None = None,
    grains: str | Sequence[int] | None = None,
    interface_pairs: bool = False,
    mirror: str | None = None,
    phase: str | None = None,
    unit: str | None = None,
    rendered: Callable[[float], Voxels] | None = None,
    fixed_size: bool = False,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write a label volume to a file (or a folder of files), whole or not at all.

    Parameters
    ----------
    labels : ndarray of int32 or uint8, shape (nz, ny, nx), or a function that returns it
        0 is the outside, or a phase that surfaces and meshes leave out. A function is called only after `target` was
        found to be writable.
    voxel_size_nm : float or (float, float, float)
        Edge of a voxel, or edges along z, y, x; a pore network needs cubes.
    origin_nm : (float, float, float)
        Centre (z, y, x) of the first voxel.
    file_format : str
        A format of :data:`nmcdist.datasets.export.formats.FORMATS` that is made of voxels.
    target : Path
    title : str
        Title written into the file.
    names : Mapping of int to str, optional
        Names of labels that are phases; by default labels are grains. A name has up to 64 letters from a to z, digits,
        _ and -.
    orientations : Mapping of int to ndarray, optional
        Crystal orientations of all labels but 0, as unit quaternions (w, x, y, z) in right-handed axes x, y, z. They
        turn the frame of the crystal to that of the volume.
    label : int, optional
        For one closed surface: its label; by default all labels together.
    smoothing : int, optional
        For surfaces and tetrahedra: number of sweeps; 0 keeps the voxel steps.
    elements : {"hexahedra", "tetrahedra"} or int, optional
        For volume meshes; by default one hexahedron per voxel. A number is that of tetrahedra, within 30 %: they are
        coarse inside the grains, and larger voxels are taken where this does not suffice.
    min_angle : float, optional
        For tetrahedra: smallest dihedral angle in degrees; by default 15, or what can be reached.
    grains : str or sequence of int, optional
        Labels to keep, such as "1,5,20-40"; the others become 0. By default all.
    interface_pairs : bool
        For msh and inp: whether to add a set INTERFACE_00012_00042 for each pair of labels that touch.
    mirror : str, optional
        For labels and volume meshes: axes such as "x" or "x,y,z" along which the mirror image of the volume follows it.
        Opposite faces then match, and the volume is periodic.
    phase : str, optional
        For a pore network: name of the phase, or "solid" for all phases but label 0; by default "pore", label 0.
    unit : {"nm", "um", "m"}, optional
        Unit of the lengths in the file, which names it where it has a place for it; by default nm, but um in TIFF and m
        for DAMASK and OpenPNM.
    rendered : callable, optional
        Returns the labels of connected grains at a voxel size in nm. A number of tetrahedra chooses it.
    fixed_size : bool
        For a number of tetrahedra: whether the voxels keep their size.
    overwrite : bool
        Whether to replace an existing file or folder. A folder is replaced only if it contains nothing but such an
        export.
    progress : callable
        Called with lines of text about a mesh of tetrahedra: the voxels, how many there are, the smallest angle.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    InputError
        If the format is unknown or does not accept an option, the labels are not a label volume, `target` already
        exists, or a given number of tetrahedra or angle cannot be reached.
    StoreError
        If `target` cannot be written.
    """
    target = local_path(target)
    chosen = format_named(file_format)
    given = checked_options(chosen, {
        "label": label, "smoothing": smoothing, "elements": elements, "min_angle": min_angle, "grains": grains,
        "interface_pairs": interface_pairs or None, "mirror": mirror, "phase": phase, "unit": unit,
    })  # fmt: skip
    if mirror and orientations:
        raise InputError(f"mirror: found {shown(mirror)}, expected a volume without crystal orientations")
    options = {name: value for name, value in given.items() if name in chosen.content.options}
    _check_names(names or {})
    about = About(title, names or {}, orientations or {}, unit or chosen.unit or "nm", interface_pairs, phase)
    if chosen.check:
        chosen.check(about)
    spacing = check_edges(voxel_size_nm)
    finite_array("origin_nm", origin_nm, (3,))

    def prepared(voxels: Voxels, strict: bool = True) -> Voxels:
        _check_array(voxels.labels)
        kept = voxels.labels if grains is None else only(voxels.labels, grains, strict=strict)
        if orientations:
            _check_orientations(kept, orientations)
        return voxels._replace(labels=kept)

    def own() -> Voxels:
        return prepared(Voxels(labels() if callable(labels) else labels, spacing, origin_nm))

    def source() -> Source:
        if rendered is None:
            return of_array(own())
        return of_grains(lambda size_nm, strict: prepared(rendered(size_nm), strict), spacing[0])

    def content() -> Any:
        assert chosen.content.of_voxels is not None
        if isinstance(elements, Integral) and not fixed_size:
            made = mesh_with(source(), float(np.cbrt(np.prod(spacing))), progress=progress, **options)
        else:
            made = chosen.content.of_voxels(own(), **options)
        if elements not in (None, "hexahedra"):
            progress(f"{len(made.cells)} tetrahedra, smallest dihedral angle {made.smallest_angle:.1f} degrees")
        return in_unit(made, about.unit)

    return write_export(chosen, target, content, about, overwrite=overwrite)


def _check_names(names: Mapping[int, str]) -> None:
    """Refuse names that files or element sets cannot have, and those that differ in case only."""
    known: dict[str, str] = {}
    for name in names.values():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(
                f"phases: found the name {shown(name)}, expected one word of at most 64 letters from a to z, digits, _ "
                "and -, as files and element sets are named so"
            )
        if name.upper() in known:
            raise InputError(f"phases: found the names {known[name.upper()]} and {name}, expected different ones")
        known[name.upper()] = name


def _check_array(labels: np.ndarray) -> None:
    if labels.ndim != 3 or labels.dtype not in (np.int32, np.uint8) or labels.size == 0:
        raise InputError(f"labels: found shape {labels.shape} of {labels.dtype}, expected three axes of int32 or uint8")
    if labels.min() < 0 or labels.max() > LARGEST_LABEL:
        raise InputError(f"labels: found {labels.min()} to {labels.max()}, expected 0 to {LARGEST_LABEL}")


def _check_orientations(labels: np.ndarray, orientations: Mapping[int, np.ndarray]) -> None:
    known = present(labels)
    for label in known[known > 0].tolist():
        if label not in orientations:
            raise InputError(f"orientations: found none for label {label}, expected one for each label of the volume")
        found = finite_array(f"orientations[{label}]", orientations[label], (4,))
        if abs(float(np.linalg.norm(found)) - 1) > _UNIT_TOLERANCE:
            raise InputError(f"orientations[{label}]: found {found.tolist()}, expected a unit quaternion")
