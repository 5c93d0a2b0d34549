"""Files of label volumes with crystal orientations, for programs of crystal plasticity: DAMASK and Neper."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from nmcdist.datasets.export.content import About, Voxels
from nmcdist.datasets.export.subsets import numbered, present
from nmcdist.errors import InputError

GRID, MATERIAL = "grid.vti", "material.yaml"
_RATIO = 4.94  # c / a of LiNi0.8Mn0.1Co0.1O2 in the hexagonal setting
_PER_LINE = 20


def check_damask(about: About) -> None:
    """Refuse grains without crystal orientations.

    Raises
    ------
    InputError
        If labels are neither phases nor grains with orientations.
    """
    if not about.names and not about.orientations:
        raise InputError(
            "format damask: found grains without crystal orientations, expected phases, or particles of a recipe with "
            "`orientations`"
        )


def write_damask(folder: Path, voxels: Voxels, about: About) -> None:
    """Write the grid and the materials of DAMASK 3: `grid.vti` and `material.yaml`.

    Material k is the k-th label that is there, ascending, the outside included. Grains are of the phase NMC, and their
    quaternions O are those of the store: DAMASK's passive convention (P = -1) has the same components. Named labels are
    phases without an orientation of their own.
    """
    labels = present(voxels.labels)
    _write_grid(folder / GRID, voxels, labels, about)
    with (folder / MATERIAL).open("w", encoding="ascii") as stream:
        stream.writelines(_material_lines(labels, about))


def _write_grid(path: Path, voxels: Voxels, labels: np.ndarray, about: About) -> None:
    """Write cells as DAMASK's solver reads them: each tag on a line, and base64 on one line."""
    nz, ny, nx = voxels.labels.shape
    extent = f"0 {nx} 0 {ny} 0 {nz}"
    numbers = np.zeros(int(labels[-1]) + 1, dtype=np.int32)
    numbers[labels] = np.arange(len(labels))
    cells = numbered(voxels.labels, numbers)
    with path.open("wb") as stream:
        stream.write(
            '<?xml version="1.0"?>\n'
            f"<!-- {about.line_with_unit.replace('--', ' ')} -->\n"
            '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n'
            f'<ImageData WholeExtent="{extent}" Origin="{_corner(voxels)}" Spacing="{_edges(voxels)}">\n'
            f'<Piece Extent="{extent}">\n<CellData>\n'
            '<DataArray type="Int32" Name="material" format="binary">\n'.encode("ascii")
        )
        stream.write(
            base64.b64encode(
                np.uint64(cells.nbytes).astype("<u8").tobytes() + cells.astype("<i4", copy=False).tobytes()
            )
        )
        stream.write(b"\n</DataArray>\n</CellData>\n</Piece>\n</ImageData>\n</VTKFile>\n")


def _edges(voxels: Voxels) -> str:
    """Return the edges of a voxel along x, y, z."""
    return " ".join(f"{edge:.12g}" for edge in voxels.spacing[::-1])


def _corner(voxels: Voxels) -> str:
    """Return the outer corner of the first voxel along x, y, z."""
    places = zip(voxels.origin[::-1], voxels.spacing[::-1], strict=True)
    return " ".join(f"{centre - edge / 2:.12g}" for centre, edge in places)


def _material_lines(labels: np.ndarray, about: About) -> Iterator[str]:
    """Yield the lines of a material configuration; phases have a lattice, and their constants are left to its user."""
    yield f"# {about.line}\nhomogenization:\n  SX:\n    N_constituents: 1\n    mechanical: {{type: pass}}\nphase:\n"
    phases = [about.names.get(label, "NMC" if label else "outside") for label in labels.tolist()]
    for phase in dict.fromkeys(phases):
        lattice = f"{{lattice: hP, c/a: {_RATIO}}}" if phase == "NMC" and not about.names else "{lattice: cI}"
        yield f"  {_key(phase)}: {lattice}\n"
    yield "material:\n"
    for label, phase in zip(labels.tolist(), phases, strict=True):
        turn = about.orientations.get(label)
        unit = (1.0, 0.0, 0.0, 0.0) if turn is None else _positive(turn)
        what = about.names.get(label, f"grain {label}" if label else "outside")
        yield f"  # {what}\n  - homogenization: SX\n    constituents:\n      - phase: {_key(phase)}\n        v: 1.0\n"
        yield f"        O: [{', '.join(f'{value:.15f}' for value in unit)}]\n"


def _key(name: str) -> str:
    """Return a name as YAML has it: in quotes where it would be a number or a word of YAML, such as no."""
    return name if yaml.safe_load(name) == name else f'"{name}"'


def _positive(turn: np.ndarray) -> tuple[float, ...]:
    """Return a unit quaternion with w >= 0."""
    unit = np.asarray(turn, dtype=np.float64) / np.linalg.norm(np.asarray(turn, dtype=np.float64))
    return tuple((-unit if unit[0] < 0 else unit).tolist())


def write_tesr(path: Path, voxels: Voxels, about: About) -> None:
    """Write a raster tessellation of Neper, format 2.1, in ASCII.

    Cells are numbered from 1, and `*id` has their labels. Crystal orientations are Bunge's angles in degrees.
    """
    from nmcdist.geometry.rotations import bunge_euler

    nz, ny, nx = voxels.labels.shape
    known = present(voxels.labels)
    labels = known[known > 0]
    with path.open("w", encoding="ascii") as stream:
        stream.write(f"***tesr\n **format\n   2.1\n **general\n   3\n   {nx} {ny} {nz}\n")
        stream.write(f"   {_edges(voxels)}\n  *origin\n   {_corner(voxels)}\n")
        stream.write(f" **cell\n   {len(labels)}\n  *id\n")
        stream.writelines(_lines("   ", labels))
        if about.orientations:
            angles = np.degrees(bunge_euler(about.oriented(labels)))
            stream.write("  *ori\n   euler-bunge:active\n")
            stream.writelines(f"   {a:.12f} {b:.12f} {c:.12f}\n" for a, b, c in angles.tolist())
            stream.write("  *crysym\n   -3m\n")
        stream.write(" **data\n   ascii\n")
        numbers = np.zeros(int(known[-1]) + 1, dtype=np.int32)
        numbers[labels] = np.arange(1, len(labels) + 1)
        for page in voxels.labels:  # x runs fastest, as in Neper
            stream.writelines(_lines("", numbers[page].reshape(-1)))
        stream.write("***end\n")


def _lines(start: str, values: np.ndarray) -> Iterator[str]:
    numbers = values.tolist()
    for first in range(0, len(numbers), _PER_LINE):
        yield f"{start}{' '.join(map(str, numbers[first : first + _PER_LINE]))}\n"
