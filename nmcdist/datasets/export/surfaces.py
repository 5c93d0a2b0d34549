"""Files of surfaces for other programs: STL, PLY and VTK polygons.

Points are in the order z, y, x, with triangles oriented in this order; files contain x, y, z.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmcdist.datasets.export.content import About, Surface

if TYPE_CHECKING:
    from nmcdist.geometry.surfaces import LabelSurface


def write_stl(path: Path, surface: Surface, about: About) -> None:
    """Write one closed surface as binary STL."""
    _write_stl(path, *surface, about.unit, about.line)


def write_stl_folder(folder: Path, surface: "LabelSurface", about: About) -> None:
    """Write the closed surface of each label to a file such as grain-00042.stl, or one named after the phase."""
    for label, points, triangles in surface.grains():
        path = folder / f"{about.file_name(label)}.stl"
        title = f"{about.title}, {about.noun} {about.names.get(label, label)}"
        _write_stl(path, points, triangles, about.unit, title)


def write_ply(path: Path, surface: Surface, about: About) -> None:
    """Write one closed surface as binary PLY."""
    _write_ply(path, *surface, about)


def write_ply_interfaces(path: Path, surface: "LabelSurface", about: About) -> None:
    """Write all interfaces as binary PLY; `label` and `neighbour` are the labels behind and in front of a face."""
    _write_ply(path, surface.points, surface.triangles, about, surface.labels)


def write_vtp(path: Path, surface: "LabelSurface", about: About) -> None:
    """Write all interfaces as VTK polygons; cell data `BoundaryLabels`: the labels behind and in front of a face.

    VTK's own surface nets use the same name and order.
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
        f"<!-- {about.line_with_unit.replace('--', ' ')} -->\n"
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


def _write_stl(path: Path, points: np.ndarray, triangles: np.ndarray, unit: str, title: str) -> None:
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    corners = points[triangles[:, ::-1]][:, :, ::-1]
    facets = np.zeros(len(triangles), dtype=record)
    facets["corners"] = corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    facets["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    with path.open("wb") as stream:
        # Readers treat a file that starts with "solid" as text.
        stream.write(f"{unit}; {title}".encode("ascii", "replace")[:80].ljust(80))
        stream.write(np.uint32(len(facets)).astype("<u4").tobytes())
        stream.write(facets.data)


def _write_ply(
    path: Path, points: np.ndarray, triangles: np.ndarray, about: About, labels: np.ndarray | None = None
) -> None:
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
        f"ply\nformat binary_little_endian 1.0\ncomment {about.line}\ncomment lengths in {about.unit}\n"
        f"element vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\n{properties}end_header\n"
    )
    with path.open("wb") as stream:
        stream.write(header.encode("ascii"))
        stream.write(np.ascontiguousarray(points[:, ::-1], dtype="<f4").data)
        stream.write(faces.data)
