"""The export formats, one row each: file names, options, help and documentation are generated from the rows."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from nmcdist.arguments import check_length
from nmcdist.datasets.export import crystals, meshes, networks, surfaces, tables, voxels
from nmcdist.datasets.export.content import (
    CLOSED_SURFACE,
    GRAIN_TABLE,
    INTERFACES,
    LABELS,
    NETWORK,
    SHELL,
    UNITS,
    VOLUME_MESH,
    About,
    Content,
)
from nmcdist.datasets.export.mirrors import axes_of
from nmcdist.datasets.export.subsets import ranges_of
from nmcdist.errors import InputError
from nmcdist.extras import need
from nmcdist.faults import proposal
from nmcdist.wording import shown


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes
    ----------
    name : str
        The value of `nmcdist export --format`.
    suffix : str
        Suffix of its file names.
    about : str
        Short description.
    content : Content
        Its content.
    write : callable
        Called with the path of a new, empty file (or folder), the content and an :class:`About`.
    owns : callable, optional
        For formats that write a folder: returns whether the names in a folder belong to such an export.
    extra : str
        Extra with the packages that the writer needs, if any.
    unit : {"nm", "um", "m"} or None
        Unit of lengths if none is asked for; None if the file has no lengths, or names their unit with each.
    choices : tuple of str
        Options of the writer, besides those of the content.
    check : callable, optional
        Called with the :class:`About` before the content is made; raises an InputError if it cannot be written.
    """

    name: str
    suffix: str
    about: str
    content: Content
    write: Callable[[Path, Any, About], None]
    owns: Callable[[Collection[str]], bool] | None = None
    extra: str = ""
    unit: str | None = "nm"
    choices: tuple[str, ...] = ()
    check: Callable[[About], None] | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that the format accepts."""
        of_voxels = ("grains", "radius_below_nm", "voxel_size_nm") if self.content.of_voxels else ()
        return (*self.content.options, *self.choices, *of_voxels, *(("unit",) if self.unit else ()))


ROWS = (
    Format("tiff", ".tif", "pages along z with the voxel size, for ImageJ", LABELS, voxels.write_tiff, unit="um"),
    Format("vtk", ".vtk", "legacy VTK image, labels at the voxel centres", LABELS, voxels.write_vtk_image),
    Format("npy", ".npy", "bare NumPy array in the order z, y, x", LABELS, voxels.write_npy, unit=None),
    Format("ome-zarr", ".ome.zarr", "OME-Zarr 0.5 folder with a pyramid of the most frequent labels", LABELS,
           voxels.write_ome_zarr, owns=lambda names: "zarr.json" in names),
    Format("damask", "-damask", "folder with the grid and the materials of DAMASK 3", LABELS, crystals.write_damask,
           owns=lambda names: set(names) <= {crystals.GRID, crystals.MATERIAL}, unit="m",
           check=crystals.check_damask),
    Format("tesr", ".tesr", "raster tessellation of Neper with crystal orientations", LABELS, crystals.write_tesr),
    Format("network", "-network.csv", "CSV of OpenPNM, by PoreSpy's SNOW algorithm", NETWORK,
           networks.write_network, extra="network", unit="m", choices=("phase",), check=networks.check_network),
    Format("stl", ".stl", "binary STL of all labels together or of one", CLOSED_SURFACE, surfaces.write_stl),
    Format("ply", ".ply", "binary PLY of all labels together or of one", CLOSED_SURFACE, surfaces.write_ply),
    Format("stl-grains", "-grains", "folder with one closed binary STL per label", INTERFACES,
           surfaces.write_stl_folder, owns=lambda names: all(name.endswith(".stl") for name in names)),
    Format("ply-grains", "-grains.ply", "one conforming binary PLY with the labels on both sides", INTERFACES,
           surfaces.write_ply_interfaces),
    Format("vtp", ".vtp", "one conforming mesh of VTK polygons with the labels on both sides", INTERFACES,
           surfaces.write_vtp),
    Format("msh", ".msh", "binary Gmsh 4.1 with one physical group per label", VOLUME_MESH, meshes.write_msh,
           choices=("interface_pairs",)),
    Format("inp", ".inp", "Abaqus input with one element set per label", VOLUME_MESH, meshes.write_inp,
           choices=("interface_pairs",)),
    Format("bdf", ".bdf", "Nastran bulk data with one property per label", VOLUME_MESH, meshes.write_bdf),
    Format("vtu", ".vtu", "VTK unstructured grid with the labels as cell data", VOLUME_MESH, meshes.write_vtu,
           extra="export"),
    Format("xdmf", ".xdmf", "XDMF with the labels as cell data, in one file", VOLUME_MESH, meshes.write_xdmf,
           extra="export"),
    Format("shell-stl", "-shell.stl", "binary STL of the smooth body that the facets follow", SHELL,
           surfaces.write_stl),
    Format("shell-ply", "-shell.ply", "binary PLY of the smooth body that the facets follow", SHELL,
           surfaces.write_ply),
    Format("csv", "-grains.csv", "one line per grain", GRAIN_TABLE, tables.write_csv, unit=None),
)  # fmt: skip
FORMATS = {row.name: row for row in ROWS}
_NOT_WRITTEN = dict.fromkeys(
    ("mphtxt", "mphbin"), "; COMSOL's own format is not written: COMSOL imports bdf, as a NASTRAN file"
)


def format_named(name: str, others: Collection[Content] = ()) -> Format:
    """Return a format by name, among those made of voxels and those with one of the other contents.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    known = {row.name: row for row in FORMATS.values() if row.content.of_voxels or row.content in others}
    key = name if isinstance(name, str) else ""
    if key in FORMATS and key not in known:
        raise InputError(
            f"format: found {shown(name)}, which only particles of a store have, expected one of {', '.join(known)}"
        )
    if key not in known:
        instead = _NOT_WRITTEN.get(key) or proposal(str(name), known)
        raise InputError(f"format: found {shown(name)}{instead}")
    return known[key]


def checked_options(chosen: Format, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options other than None, after checking that the format accepts them and they are in range.

    Raises
    ------
    InputError
        With the first invalid option.
    MissingPackageError
        If the format needs a package that is not installed.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name not in chosen.options:
            takers = ", ".join(takers_of(name))
            raise InputError(f"{name}: found {shown(value)} with format {chosen.name}, expected with one of {takers}")
    if "elements" in chosen.options:
        _check_elements(given)
    if given.get("smoothing", 0) < 0:
        raise InputError(f"smoothing: found {given['smoothing']}, expected 0 or more sweeps")
    if str(given.get("unit", "nm")) not in UNITS:
        raise InputError(f"unit: found {shown(given['unit'])}{proposal(str(given['unit']), UNITS)}")
    if "grains" in given:
        ranges_of(given["grains"])
    if "mirror" in given:
        axes_of(given["mirror"])
    if "radius_below_nm" in given:
        check_length("radius_below_nm", given["radius_below_nm"])
    if given.get("label", 1) < 1:
        raise InputError(f"label: found {given['label']}, expected the label of a grain or a phase, from 1")
    if chosen.extra:
        need(chosen.extra, f"format {chosen.name}")
    return given


def _check_elements(given: Mapping[str, Any]) -> None:
    from nmcdist.geometry.elements import ELEMENTS, LARGEST_ANGLE, check_elements

    elements = given.get("elements", ELEMENTS[0])
    check_elements(elements)
    if "smoothing" in given and elements == "hexahedra":
        raise InputError("smoothing: found with hexahedra, expected with tetrahedra or a surface")
    if "min_angle" in given:
        if elements == "hexahedra":
            raise InputError("min_angle: found with hexahedra, expected with tetrahedra")
        if not 0 <= given["min_angle"] <= LARGEST_ANGLE:
            raise InputError(f"min_angle: found {given['min_angle']}, expected degrees from 0 to {LARGEST_ANGLE:g}")


def takers_of(option: str) -> list[str]:
    """Return the names of the formats that accept an option."""
    return [row.name for row in FORMATS.values() if option in row.options]


def help_line() -> str:
    """Return all formats by content, for the help of the command line."""
    return " ".join(f"{content.name.capitalize()}: {', '.join(r.name for r in rows)}." for content, rows in _groups())


def markdown_table() -> str:
    """Return the formats as a table for the documentation."""
    rows = [("`--format`", "name ends in", "holds", "is", "options"), ("---",) * 5]
    for content, formats in _groups():
        for row in formats:
            options = ", ".join(f"`--{name.replace('_', '-')}`" for name in row.options)
            rows.append((f"`{row.name}`", f"`{row.suffix}`", content.name, row.about, options))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"


def _groups() -> Iterator[tuple[Content, list[Format]]]:
    """Yield each content with its formats, both in the order of their first rows."""
    order = list(dict.fromkeys(row.content for row in FORMATS.values()))
    rows = sorted(FORMATS.values(), key=lambda row: order.index(row.content))
    for content, formats in groupby(rows, key=lambda row: row.content):
        yield content, list(formats)
