"""Files of surface and volume meshes that other programs read: STL, PLY, VTK, Gmsh and Abaqus.

Meshes come with points in the order z, y, x, oriented in these columns as they stand; files hold x, y, z in nm.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from nmcdist.datasets.volumes import plain
from nmcdist.extras import need
from nmcdist.geometry.elements import VolumeMesh
from nmcdist.geometry.surfaces import LabelSurface

# The orders of nodes that mirror an element, which is what exchanging z and x does to its points.
_MIRRORED = {3: [0, 2, 1], 4: [0, 2, 1, 3], 8: [0, 3, 2, 1, 4, 7, 6, 5]}
_MIRRORED_FACE = {3: [0, 2, 1], 4: [0, 3, 2, 1]}
# Gmsh's numbers for elements of so many nodes, and Abaqus' names and faces.
_GMSH_VOLUME = {4: 4, 8: 5}
_GMSH_FACE = {3: 2, 4: 3}
_ABAQUS = {4: "C3D4", 8: "C3D8"}
_ABAQUS_FACES: dict[int, list[list[int]]] = {
    4: [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]],
    8: [[0, 1, 2, 3], [4, 7, 6, 5], [0, 4, 5, 1], [1, 5, 6, 2], [2, 6, 7, 3], [3, 7, 4, 0]],
}
_ROWS = 1 << 16


def grain_set(label: int) -> str:
    """Return the name that the elements of a grain have in a volume mesh."""
    return f"GRAIN_{label:05d}"


def write_stl(path: Path, points: np.ndarray, triangles: np.ndarray, title: str) -> None:
    """Write one closed surface as binary STL.

    Parameters
    ----------
    path : Path
    points : ndarray of float, shape (n, 3)
        In nm, in the order z, y, x.
    triangles : ndarray of int, shape (m, 3)
        Outward in these columns.
    title : str
    """
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    corners = points[triangles[:, ::-1]][:, :, ::-1]
    facets = np.zeros(len(triangles), dtype=record)
    facets["corners"] = corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    facets["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    with path.open("wb") as stream:
        # Readers take a file that opens with "solid" for text.
        stream.write(f"nm; {title}".encode("ascii", "replace")[:80].ljust(80))
        stream.write(np.uint32(len(facets)).astype("<u4").tobytes())
        stream.write(facets.data)


def write_grain_stls(folder: Path, surface: LabelSurface, title: str) -> None:
    """Write the closed surface of each grain to a file grain-00042.stl in an existing folder."""
    for label, points, triangles in surface.grains():
        write_stl(folder / f"grain-{label:05d}.stl", points, triangles, f"{title}, grain {label}")


def write_ply(
    path: Path, points: np.ndarray, triangles: np.ndarray, title: str, labels: np.ndarray | None = None
) -> None:
    """Write a surface as binary PLY.

    Parameters
    ----------
    path, points, triangles, title
        As for :func:`write_stl`.
    labels : ndarray of int, shape (m, 2), optional
        For each triangle, the label behind it and that in front of it; they become the face properties `label`
        and `neighbour`.
    """
    fields: list[Any] = [("size", "u1"), ("corners", "<i4", 3)]
    properties = ""
    if labels is not None:
        fields += [("labels", "<i4", 2)]
        properties = "property int label\nproperty int neighbour\n"
    faces = np.empty(len(triangles), dtype=fields)
    faces["size"], faces["corners"] = 3, triangles[:, ::-1]
    if labels is not None:
        faces["labels"] = labels
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment {plain(title)}\ncomment lengths in nm\n"
        f"element vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\n{properties}end_header\n"
    )
    with path.open("wb") as stream:
        stream.write(header.encode("ascii"))
        stream.write(np.ascontiguousarray(points[:, ::-1], dtype="<f4").data)
        stream.write(faces.data)


def write_vtp(path: Path, surface: LabelSurface, title: str) -> None:
    """Write all interfaces as VTK polygons; cell data `BoundaryLabels` has the label behind and in front of each.

    That is the name and the order that VTK's own surface nets give them.
    """
    count = len(surface.triangles)
    arrays = {
        "Points": np.ascontiguousarray(surface.points[:, ::-1], dtype="<f4"),
        "connectivity": np.ascontiguousarray(surface.triangles[:, ::-1], dtype="<i4"),
        "offsets": np.arange(3, 3 * count + 1, 3, dtype="<i4"),
        "BoundaryLabels": np.ascontiguousarray(surface.labels, dtype="<i4"),
    }
    starts = np.cumsum([0, *(array.nbytes + 8 for array in arrays.values())])
    tags = {
        name: f'<DataArray type="{"Float32" if array.dtype.kind == "f" else "Int32"}" Name="{name}" '
        f'NumberOfComponents="{array.shape[1] if array.ndim == 2 and name != "connectivity" else 1}" '
        f'format="appended" offset="{start}"/>'
        for (name, array), start in zip(arrays.items(), starts.tolist(), strict=False)
    }
    header = (
        '<?xml version="1.0"?>\n'
        f"<!-- {plain(title).replace('--', ' ')}; lengths in nm -->\n"
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n<PolyData>\n'
        f'<Piece NumberOfPoints="{len(surface.points)}" NumberOfPolys="{count}">\n'
        f"<Points>{tags['Points']}</Points>\n<Polys>{tags['connectivity']}{tags['offsets']}</Polys>\n"
        f"<CellData>{tags['BoundaryLabels']}</CellData>\n"
        '</Piece>\n</PolyData>\n<AppendedData encoding="raw">\n_'
    )
    with path.open("wb") as stream:
        stream.write(header.encode("ascii"))
        for array in arrays.values():
            stream.write(np.uint64(array.nbytes).astype("<u8").tobytes())
            stream.write(array.data)
        stream.write(b"\n</AppendedData>\n</VTKFile>\n")


def write_vtu(path: Path, mesh: VolumeMesh, title: str) -> None:
    """Write a volume mesh as VTK unstructured grid with the cell array `grain`.

    Raises
    ------
    InputError
        If meshio is not installed.
    """
    meshio = needs_meshio()
    kind = {4: "tetra", 8: "hexahedron"}[mesh.cells.shape[1]]
    cells = mesh.cells[:, _MIRRORED[mesh.cells.shape[1]]]
    made = meshio.Mesh(mesh.points[:, ::-1], [(kind, cells)], cell_data={"grain": [mesh.grains]})
    made.write(path, file_format="vtu")


def needs_meshio() -> Any:
    """Return the module meshio.

    Raises
    ------
    MissingPackageError
        If it is not installed; the message says how to get it.
    """
    need("export", "format vtu")
    import meshio

    return meshio


def write_msh(path: Path, mesh: VolumeMesh, title: str) -> None:
    """Write a volume mesh as binary Gmsh 4.1.

    Volume 42, in the physical group GRAIN_00042, holds the elements of grain 42; the physical surfaces OUTER and
    INTERFACES hold the faces towards the outside and between grains. (meshio's writer loses the groups of
    grains none of whose nodes is theirs alone.)
    """
    labels, starts = np.unique(mesh.grains, return_index=True)
    blocks = list(zip(labels.tolist(), np.split(mesh.cells, starts[1:]), strict=True))
    surfaces = [(1, "OUTER", mesh.outer), (2, "INTERFACES", mesh.interfaces)]
    surfaces = [surface for surface in surfaces if len(surface[2])]
    with path.open("wb") as stream:
        stream.write(b"$MeshFormat\n4.1 1 8\n" + np.int32(1).tobytes() + b"\n$EndMeshFormat\n")
        names = [f'2 {tag} "{name}"' for tag, name, _ in surfaces]
        names += [f'3 {label} "{grain_set(label)}"' for label in labels.tolist()]
        stream.write("\n".join(["$PhysicalNames", str(len(names)), *names, "$EndPhysicalNames\n"]).encode())
        stream.write(b"$Entities\n")
        _write(stream, np.uint64, 0, 0, len(surfaces), len(blocks))
        for tag, _, faces in surfaces:
            _write_entity(stream, tag, mesh.points[np.unique(faces)])
        for label, cells in blocks:
            _write_entity(stream, label, mesh.points[np.unique(cells)])
        stream.write(b"\n$EndEntities\n$Nodes\n")
        _write_nodes(stream, mesh, labels)
        stream.write(b"\n$EndNodes\n$Elements\n")
        total = len(mesh.cells) + sum(len(faces) for _, _, faces in surfaces)
        _write(stream, np.uint64, len(blocks) + len(surfaces), total, 1, total)
        first = 1
        for label, cells in blocks:
            first = _write_elements(stream, 3, label, _GMSH_VOLUME, cells[:, _MIRRORED[cells.shape[1]]], first)
        for tag, _, faces in surfaces:
            first = _write_elements(stream, 2, tag, _GMSH_FACE, faces[:, _MIRRORED_FACE[faces.shape[1]]], first)
        stream.write(b"\n$EndElements\n")


def write_inp(path: Path, mesh: VolumeMesh, title: str) -> None:
    """Write a volume mesh as Abaqus input.

    Element sets GRAIN_00042; node sets OUTER and INTERFACES; the element surface OUTER of the faces towards the
    outside (through element sets OUTER_S1, ..., which meshio cannot write).
    """
    size = mesh.cells.shape[1]
    cells = mesh.cells[:, _MIRRORED[size]]
    labels, starts = np.unique(mesh.grains, return_index=True)
    ends = [*starts[1:].tolist(), len(cells)]
    with path.open("w", encoding="ascii") as stream:
        stream.write(f"*HEADING\n{plain(title)}; lengths in nm\n*NODE\n")
        _write_rows(stream, "%d, %.9g, %.9g, %.9g\n", mesh.points[:, ::-1])
        stream.write(f"*ELEMENT, TYPE={_ABAQUS[size]}\n")
        _write_rows(stream, ", ".join(["%d"] * (size + 1)) + "\n", cells, 1)
        for label, start, end in zip(labels.tolist(), starts.tolist(), ends, strict=True):
            stream.write(f"*ELSET, ELSET={grain_set(label)}, GENERATE\n{start + 1}, {end}, 1\n")
        _write_set(stream, "*NSET, NSET=OUTER", np.unique(mesh.outer))
        if len(mesh.interfaces):
            _write_set(stream, "*NSET, NSET=INTERFACES", np.unique(mesh.interfaces))
        sides = _abaqus_sides(cells[mesh.outer_cells], mesh.outer)
        used = np.unique(sides).tolist()
        for side in used:
            _write_set(stream, f"*ELSET, ELSET=OUTER_S{side}", np.sort(mesh.outer_cells[sides == side]))
        stream.write("*SURFACE, NAME=OUTER, TYPE=ELEMENT\n")
        stream.writelines(f"OUTER_S{side}, S{side}\n" for side in used)


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
    for line in _lines((members + 1).tolist(), 16):  # Abaqus reads at most 16 entries a line
        stream.write(", ".join(map(str, line)) + "\n")


def _lines(values: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _write(stream: BinaryIO, kind: type, *values: int) -> None:
    stream.write(np.array(values, dtype=kind).tobytes())


def _write_entity(stream: BinaryIO, tag: int, points: np.ndarray) -> None:
    """Write tag, bounding box, one physical group of the same number, and no bounding entities."""
    _write(stream, np.int32, tag)
    stream.write(np.concatenate([points.min(axis=0)[::-1], points.max(axis=0)[::-1]]).astype(np.float64).tobytes())
    _write(stream, np.uint64, 1)
    _write(stream, np.int32, tag)
    _write(stream, np.uint64, 0)


def _write_nodes(stream: BinaryIO, mesh: VolumeMesh, labels: np.ndarray) -> None:
    """Write each node as one of the first grain that has it."""
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
