"""Files of volume meshes for other programs: Gmsh, Abaqus, Nastran, VTK and XDMF.

Meshes have points in the order z, y, x, with cells oriented in this order. Files contain x, y, z: swapping z and x
mirrors the points, and with them the order of the nodes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import numpy as np

from nmcdist.datasets.export.content import About
from nmcdist.datasets.export.element_data import write_orientations
from nmcdist.datasets.export.mirrors import MIRRORED_CELL, MIRRORED_FACE

if TYPE_CHECKING:
    from nmcdist.geometry.elements import VolumeMesh

# Gmsh's numbers for elements by number of nodes, and Abaqus' names and faces.
_GMSH_VOLUME = {4: 4, 8: 5}
_GMSH_FACE = {3: 2, 4: 3}
_ABAQUS = {4: "C3D4", 8: "C3D8"}
_NASTRAN = {4: "CTETRA", 8: "CHEXA"}
_ABAQUS_FACES: dict[int, list[list[int]]] = {
    4: [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]],
    8: [[0, 1, 2, 3], [4, 7, 6, 5], [0, 4, 5, 1], [1, 5, 6, 2], [2, 6, 7, 3], [3, 7, 4, 0]],
}
_ROWS = 1 << 16


def write_vtu(path: Path, mesh: "VolumeMesh", about: About) -> None:
    """Write a volume mesh as VTK unstructured grid with the cell array `grain` (or `phase`), by meshio.

    Grains with crystal orientations also have the cell arrays `orientation` (w, x, y, z) and `euler_deg` (phi1, Phi,
    phi2 in degrees, Bunge's convention).
    """
    _with_cell_data(mesh, about).write(path, file_format="vtu")


def write_xdmf(path: Path, mesh: "VolumeMesh", about: About) -> None:
    """Write a volume mesh as one XDMF file with the arrays inside, by meshio.

    The cell arrays are those of :func:`write_vtu`, but for one array per component of `orientation`: XDMF has no
    vectors of four.
    """
    made = _with_cell_data(mesh, about)
    for values in made.cell_data.pop("orientation", []):
        made.cell_data |= {f"orientation_{end}": [values[:, k]] for k, end in enumerate("wxyz")}
    made.write(path, file_format="xdmf", data_format="XML")


def _with_cell_data(mesh: "VolumeMesh", about: About) -> Any:
    """Return the mesh as meshio has it, with the labels and orientations of its cells."""
    import meshio

    from nmcdist.geometry.rotations import bunge_euler

    kind = {4: "tetra", 8: "hexahedron"}[mesh.cells.shape[1]]
    cells = mesh.cells[:, MIRRORED_CELL[mesh.cells.shape[1]]]
    data = {about.noun: [mesh.grains]}
    if about.orientations:
        labels, rows = np.unique(mesh.grains, return_inverse=True)
        quaternions = about.oriented(labels)
        data |= {"orientation": [quaternions[rows]], "euler_deg": [np.degrees(bunge_euler(quaternions))[rows]]}
    return meshio.Mesh(mesh.points[:, ::-1], [(kind, cells)], cell_data=data)


def write_msh(path: Path, mesh: "VolumeMesh", about: About) -> None:
    """Write a volume mesh as binary Gmsh 4.1.

    Volume 42, in the physical group GRAIN_00042 (PHASE_GRAPHITE, if labels have names), contains the elements of
    label 42. The physical surfaces OUTER and INTERFACES contain the faces towards the outside and between labels; by
    pair, INTERFACE_00012_00042 contains those between two of them, too. (meshio's writer loses the groups of grains
    that share all their nodes.) Grains with crystal orientations also have them as values of their elements; the faces
    of surfaces have those of their elements, of the lower label.
    """
    labels, starts = np.unique(mesh.grains, return_index=True)
    blocks = list(zip(labels.tolist(), np.split(mesh.cells, starts[1:]), strict=True))
    surfaces = _gmsh_surfaces(mesh, about)
    with path.open("wb") as stream:
        stream.write(b"$MeshFormat\n4.1 1 8\n" + np.int32(1).tobytes() + b"\n$EndMeshFormat\n")
        groups = {tag: name for groups, _, _ in surfaces.values() for tag, name in groups.items()}
        names = [f'2 {tag} "{name}"' for tag, name in groups.items()]
        names += [f'3 {label} "{about.set_name(label)}"' for label in labels.tolist()]
        stream.write("\n".join(["$PhysicalNames", str(len(names)), *names, "$EndPhysicalNames\n"]).encode())
        stream.write(b"$Entities\n")
        _write(stream, np.uint64, 0, 0, len(surfaces), len(blocks))
        for tag, (groups, faces, _) in surfaces.items():
            _write_entity(stream, tag, list(groups), mesh.points[np.unique(faces)])
        for label, cells in blocks:
            _write_entity(stream, label, [label], mesh.points[np.unique(cells)])
        stream.write(b"\n$EndEntities\n$Nodes\n")
        _write_nodes(stream, mesh, labels)
        stream.write(b"\n$EndNodes\n$Elements\n")
        total = len(mesh.cells) + sum(len(faces) for _, faces, _ in surfaces.values())
        _write(stream, np.uint64, len(blocks) + len(surfaces), total, 1, total)
        first = 1
        for label, cells in blocks:
            first = _write_elements(stream, 3, label, _GMSH_VOLUME, cells[:, MIRRORED_CELL[cells.shape[1]]], first)
        for tag, (_, faces, _) in surfaces.items():
            first = _write_elements(stream, 2, tag, _GMSH_FACE, faces[:, MIRRORED_FACE[faces.shape[1]]], first)
        stream.write(b"\n$EndElements\n")
        if about.orientations:
            owners = [mesh.grains, *(owner for _, _, owner in surfaces.values())]
            write_orientations(stream, np.concatenate(owners), about)


def _gmsh_surfaces(mesh: "VolumeMesh", about: About) -> dict[int, tuple[dict[int, str], np.ndarray, np.ndarray]]:
    """Return the numbers and names of the groups of each surface by its number, its faces and their (lower) labels.

    The first group is the one that meshio keeps.
    """
    surfaces = {1: ({1: "OUTER"}, mesh.outer, mesh.grains[mesh.outer_cells])}
    lower = mesh.interface_grains[:, 0]
    if about.by_pair:
        for tag, (name, rows) in enumerate(_pairs(mesh, about), start=3):
            surfaces[tag] = ({2: "INTERFACES", tag: name}, mesh.interfaces[rows], lower[rows])
    elif len(mesh.interfaces):
        surfaces[2] = ({2: "INTERFACES"}, mesh.interfaces, lower)
    return surfaces


def _pairs(mesh: "VolumeMesh", about: About) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the rows of the faces between each pair of labels that touch, in the order of the labels."""
    if not len(mesh.interfaces):
        return
    order = np.lexsort(mesh.interface_grains.T[::-1])
    pairs, starts = np.unique(mesh.interface_grains[order], axis=0, return_index=True)
    for (first, second), rows in zip(pairs.tolist(), np.split(order, starts[1:]), strict=True):
        yield about.pair_name(first, second), rows


def write_inp(path: Path, mesh: "VolumeMesh", about: About) -> None:
    """Write a volume mesh as Abaqus input.

    The file contains element sets GRAIN_00042 (PHASE_GRAPHITE, if labels have names), node sets OUTER and INTERFACES,
    and the element surface OUTER of the faces towards the outside, defined by element sets OUTER_S1, ..., which
    meshio cannot write. By pair, node sets and element surfaces INTERFACE_00012_00042 are those between two labels;
    the faces are of elements of the first.

    Grains with crystal orientations also have an orientation ORI_GRAIN_00042, whose local axes are those of the
    crystal, and a solid section each. Their material NMC ends the file, without constants: the lines after
    `*INCLUDE` in the deck of the user give them.
    """
    size = mesh.cells.shape[1]
    cells = mesh.cells[:, MIRRORED_CELL[size]]
    labels, starts = np.unique(mesh.grains, return_index=True)
    ends = [*starts[1:].tolist(), len(cells)]
    with path.open("w", encoding="ascii") as stream:
        stream.write(f"*HEADING\n {about.line_with_unit}\n*NODE\n")  # a title may begin with *
        _write_rows(stream, "%d, %.9g, %.9g, %.9g\n", mesh.points[:, ::-1])
        stream.write(f"*ELEMENT, TYPE={_ABAQUS[size]}\n")
        _write_rows(stream, ", ".join(["%d"] * (size + 1)) + "\n", cells, 1)
        for label, start, end in zip(labels.tolist(), starts.tolist(), ends, strict=True):
            stream.write(f"*ELSET, ELSET={about.set_name(label)}, GENERATE\n{start + 1}, {end}, 1\n")
        _write_set(stream, "*NSET, NSET=OUTER", np.unique(mesh.outer))
        if len(mesh.interfaces):
            _write_set(stream, "*NSET, NSET=INTERFACES", np.unique(mesh.interfaces))
        if about.by_pair:
            _write_abaqus_pairs(stream, mesh, cells, about)
        sides = _abaqus_sides(cells[mesh.outer_cells], mesh.outer)
        used = np.unique(sides).tolist()
        for side in used:
            _write_set(stream, f"*ELSET, ELSET=OUTER_S{side}", np.sort(mesh.outer_cells[sides == side]))
        stream.write("*SURFACE, NAME=OUTER, TYPE=ELEMENT\n")
        stream.writelines(f"OUTER_S{side}, S{side}\n" for side in used)
        if about.orientations:
            _write_sections(stream, labels, about)


def _write_sections(stream: TextIO, labels: np.ndarray, about: About) -> None:
    """Write the local axes of each grain, by points on the first and in the plane of the first two, and sections."""
    from nmcdist.geometry.rotations import frame_axes

    names = [about.set_name(label) for label in labels.tolist()]
    for name, (first, second, _) in zip(names, frame_axes(about.oriented(labels)).tolist(), strict=True):
        axes = ", ".join(f"{component:.9f}" for component in (*first, *second))
        stream.write(f"*ORIENTATION, NAME=ORI_{name}, SYSTEM=RECTANGULAR\n{axes}\n")
    for name in names:
        stream.write(f"*SOLID SECTION, ELSET={name}, ORIENTATION=ORI_{name}, MATERIAL=NMC\n")
    stream.write("*MATERIAL, NAME=NMC\n")


def _write_abaqus_pairs(stream: TextIO, mesh: "VolumeMesh", cells: np.ndarray, about: About) -> None:
    sides = _abaqus_sides(cells[mesh.interface_cells], mesh.interfaces)
    for name, rows in _pairs(mesh, about):
        _write_set(stream, f"*NSET, NSET={name}", np.unique(mesh.interfaces[rows]))
        stream.write(f"*SURFACE, NAME={name}, TYPE=ELEMENT\n")
        faces = zip((mesh.interface_cells[rows] + 1).tolist(), sides[rows].tolist(), strict=True)
        stream.writelines(f"{cell}, S{side}\n" for cell, side in faces)


def write_bdf(path: Path, mesh: "VolumeMesh", about: About) -> None:
    """Write a volume mesh as Nastran bulk data.

    The elements of label 42 have the property 42, of material 1, which the file leaves to its user. Grains with
    crystal orientations also have a coordinate system 42 of the crystal's axes, that of the material.
    """
    size = mesh.cells.shape[1]
    cells = mesh.cells[:, MIRRORED_CELL[size]]
    labels = np.unique(mesh.grains)
    with path.open("w", encoding="ascii") as stream:
        stream.write(f"$ {about.line_with_unit}\nBEGIN BULK\n")
        for label in labels.tolist():
            system = f"{label:>8d}" if about.orientations else ""
            stream.write(f"$ {about.set_name(label)}\nPSOLID  {label:>8d}{1:>8d}{system}\n")
        if about.orientations:
            _write_systems(stream, labels, about)
        _write_rows(stream, "GRID*   %16d                %16.9E%16.9E\n*       %16.9E\n", mesh.points[:, ::-1])
        more = "" if size == 4 else "\n+       %8d%8d"
        pattern = f"{_NASTRAN[size]:8}%8d" + "%8d" * min(size + 1, 7) + more + "\n"
        _write_rows(stream, pattern, np.column_stack([mesh.grains, cells + 1]))
        stream.write("ENDDATA\n")


def _write_systems(stream: TextIO, labels: np.ndarray, about: About) -> None:
    """Write a coordinate system per grain by points: the origin, one on the z axis, and one in the plane of z and x."""
    from nmcdist.geometry.rotations import frame_axes

    for label, (x, _, z) in zip(labels.tolist(), frame_axes(about.oriented(labels)).tolist(), strict=True):
        fields = [f"{value:16.9E}" for value in (0.0, 0.0, 0.0, *z, *x)]
        stream.write(f"CORD2R* {label:16d}{0:16d}{''.join(fields[:2])}\n")
        stream.write(f"*       {''.join(fields[2:6])}\n*       {''.join(fields[6:])}\n")


def _abaqus_sides(cells: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return Abaqus' number, from 1, of each face in its cell."""
    sides = np.zeros(len(cells), dtype=np.int8)
    wanted = np.sort(faces, axis=1)
    for side, corners in enumerate(_ABAQUS_FACES[cells.shape[1]], start=1):
        sides[(np.sort(cells[:, corners], axis=1) == wanted).all(axis=1)] = side
    return sides


def _write_rows(stream: TextIO, pattern: str, rows: np.ndarray, shift: int = 0) -> None:
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS]
        numbers = range(start + 1, start + len(block) + 1)
        columns = [(column + shift).tolist() for column in block.T]
        stream.write("".join([pattern % row for row in zip(numbers, *columns, strict=True)]))


def _write_set(stream: TextIO, keyword: str, members: np.ndarray) -> None:
    stream.write(f"{keyword}\n")
    for line in _lines((members + 1).tolist(), 16):  # Abaqus reads at most 16 entries per line
        stream.write(", ".join(map(str, line)) + "\n")


def _lines(values: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _write(stream: BinaryIO, kind: type, *values: int) -> None:
    stream.write(np.array(values, dtype=kind).tobytes())


def _write_entity(stream: BinaryIO, tag: int, groups: list[int], points: np.ndarray) -> None:
    """Write tag, bounding box, physical groups, and no bounding entities."""
    _write(stream, np.int32, tag)
    stream.write(np.concatenate([points.min(axis=0)[::-1], points.max(axis=0)[::-1]]).astype(np.float64).tobytes())
    _write(stream, np.uint64, len(groups))
    _write(stream, np.int32, *groups)
    _write(stream, np.uint64, 0)


def _write_nodes(stream: BinaryIO, mesh: "VolumeMesh", labels: np.ndarray) -> None:
    """Write each node with the first grain that contains it."""
    count = len(mesh.points)
    owners = np.empty(count, dtype=np.int32)
    owners[mesh.cells[::-1]] = mesh.grains[::-1, None]
    order = np.argsort(owners, kind="stable")
    present, starts = np.unique(owners[order], return_index=True)
    _write(stream, np.uint64, len(present), count, 1, count)
    for label, nodes in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
        _write(stream, np.int32, 3, label, 0)
        _write(stream, np.uint64, len(nodes))
        stream.write((nodes + 1).astype(np.uint64).tobytes())
        stream.write(np.ascontiguousarray(mesh.points[nodes, ::-1], dtype=np.float64).tobytes())


def _write_elements(
    stream: BinaryIO, dimension: int, tag: int, kinds: dict[int, int], nodes: np.ndarray, first: int
) -> int:
    end = first + len(nodes)
    _write(stream, np.int32, dimension, tag, kinds[nodes.shape[1]])
    _write(stream, np.uint64, len(nodes))
    rows = np.empty((len(nodes), nodes.shape[1] + 1), dtype=np.uint64)
    rows[:, 0], rows[:, 1:] = np.arange(first, end), nodes + 1
    stream.write(rows.tobytes())
    return end
