"""Files of one label volume for other programs: TIFF, VTK image, npy and OME-Zarr."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.datasets.export.content import UNITS, About, Voxels

# The pyramid ends when a level fits into one small view.
_COARSEST = 64
_CHUNK = 64
_OME_UNITS = {"nm": "nanometer", "um": "micrometer", "m": "meter"}


def write_npy(path: Path, voxels: Voxels, about: About) -> None:
    """Write the array without metadata."""
    with path.open("wb") as stream:
        np.save(stream, voxels.labels)


def write_tiff(path: Path, voxels: Voxels, about: About) -> None:
    """Write a stack of pages along z with the voxel size.

    Uses ImageJ's TIFF dialect if the labels fit into its 16-bit integers; more than 65,535 labels become a 32-bit
    OME-TIFF.
    """
    import tifffile

    labels, (edge_z, edge_y, edge_x), origin = voxels
    if labels.dtype.itemsize > 2 and labels.max(initial=0) < 2**16:
        labels = labels.astype(np.uint16)
    metadata: dict[str, Any]
    with path.open("wb") as stream:
        if labels.dtype.itemsize <= 2:
            z, y, x = (round(value * UNITS[about.unit], 6) for value in origin)
            metadata = {
                "axes": "ZYX",
                "spacing": edge_z,
                "unit": about.unit,
                "first_voxel_centre_zyx_nm": f"{z} {y} {x}",
            }
            if about.names:
                metadata["Info"] = about.line
            tifffile.imwrite(stream, labels, imagej=True, resolution=(1 / edge_x, 1 / edge_y), metadata=metadata)
        else:
            metadata = {"axes": "ZYX", "Name": about.line}
            metadata |= {f"PhysicalSize{axis}": edge for axis, edge in zip("ZYX", voxels.spacing, strict=True)}
            metadata |= {f"PhysicalSize{axis}Unit": about.unit.replace("u", "µ") for axis in "XYZ"}
            tifffile.imwrite(stream, labels, ome=True, metadata=metadata)


def write_vtk_image(path: Path, voxels: Voxels, about: About) -> None:
    """Write a legacy VTK image with the labels as point data at the voxel centres."""
    labels, (edge_z, edge_y, edge_x), (z, y, x) = voxels
    nz, ny, nx = labels.shape
    kind, stored = ("unsigned_char", "u1") if labels.dtype == np.uint8 else ("int", ">i4")
    header = (
        f"# vtk DataFile Version 3.0\n{about.line_with_unit}\nBINARY\nDATASET STRUCTURED_POINTS\n"
        f"DIMENSIONS {nx} {ny} {nz}\nORIGIN {x} {y} {z}\n"
        f"SPACING {edge_x} {edge_y} {edge_z}\n"
        f"POINT_DATA {labels.size}\nSCALARS label {kind} 1\nLOOKUP_TABLE default\n"
    )
    with path.open("wb") as stream:
        stream.write(header.encode("ascii"))
        for page in labels:  # x runs fastest, as in VTK
            stream.write(np.ascontiguousarray(page, dtype=stored).data)


def write_ome_zarr(path: Path, voxels: Voxels, about: About) -> None:
    """Write an OME-Zarr 0.5 image, on Zarr format 3, with a pyramid of the most frequent labels.

    The path is a folder. Each level halves the shape; each voxel has the most frequent label of eight.
    """
    import zarr

    from nmcdist.geometry.halving import halved

    labels = voxels.labels
    group = zarr.create_group(path, zarr_format=3)
    datasets: list[Any] = []
    step, centre = np.asarray(voxels.spacing, dtype=float), np.asarray(voxels.origin, dtype=float)
    while True:
        name = str(len(datasets))
        level = group.create_array(
            name,
            shape=labels.shape,
            dtype=labels.dtype,
            chunks=tuple(min(_CHUNK, n) for n in labels.shape),
            dimension_names=("z", "y", "x"),
        )
        level[...] = labels
        placed = [
            {"type": "scale", "scale": step.tolist()},
            {"type": "translation", "translation": centre.tolist()},
        ]
        datasets.append({"path": name, "coordinateTransformations": placed})
        if max(labels.shape) <= _COARSEST:
            break
        labels = halved(labels)
        centre, step = centre + step / 2, 2 * step
    image: dict[str, Any] = {
        "name": about.title,
        "axes": [{"name": axis, "type": "space", "unit": _OME_UNITS[about.unit]} for axis in "zyx"],
        "datasets": datasets,
        "type": "mode",
    }
    if about.names:
        group.attrs["label_names"] = {str(label): name for label, name in about.names.items()}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
