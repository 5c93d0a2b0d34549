"""Images that a library decodes: NRRD, VTK image data, and PNG and other pictures.

Their voxel size comes from the user, but for NRRD files that say a unit: the other formats have a spacing without one.
"""

from pathlib import Path
from typing import Any

import numpy as np
import psutil

from nmcdist.errors import ImageError
from nmcdist.extras import need
from nmcdist.images.said import Said, is_turned, whole_shape
from nmcdist.images.sources import Decoded, Source, reading
from nmcdist.images.spacing import Size, in_nm
from nmcdist.wording import shown

NRRD = (".nrrd", ".nhdr")
VTK = (".vti", ".vtk")
PICTURES = (".png", ".bmp")


def open_nrrd(where: Path) -> tuple[Source, Said]:
    """Open an NRRD file; ImageError if it is damaged, or holds vectors or colours."""
    need("images", f"reading {where.name}")
    import nrrd

    with reading(where):
        header = nrrd.read_header(str(where))
        shape = tuple(int(n) for n in reversed(header["sizes"]))
    kinds = [kind for kind in header.get("kinds", ()) if kind not in ("domain", "space", "none", "???")]
    if kinds:
        raise ImageError(f"{where}: found an axis of kind {kinds[0]}, expected an image of one value per voxel")
    with reading(where):
        dtype = np.dtype(nrrd.reader._TYPEMAP_NRRD2NUMPY[header["type"]])  # the type without the voxels
        size = _nrrd_size(header)
    rows = header.get("space directions")
    turned = rows is not None and is_turned(np.nan_to_num(np.asarray(rows, dtype=float)))
    said = Said("zyx"[-len(shape) :], size, len(shape) == 2, turned)
    return Decoded(where, whole_shape(shape, where), dtype, _read_nrrd), said


def _read_nrrd(where: Path, dataset: str) -> np.ndarray:
    import nrrd

    return np.asarray(nrrd.read(str(where), index_order="C")[0])


def _nrrd_size(header: Any) -> Size | None:
    units = header.get("space units") or header.get("units")
    directions = header.get("space directions")
    edges = header.get("spacings") if directions is None else np.sqrt((np.asarray(directions, float) ** 2).sum(axis=1))
    if units is None or edges is None or len(units) != len(edges):
        return None
    if directions is not None and len(set(units)) > 1:  # units of the space; its axes may have any direction in it
        return None
    lengths, names = list(map(float, edges))[::-1], list(map(str, units))[::-1]
    if len(lengths) == 2:
        lengths, names = [lengths[0], *lengths], [names[0], *names]
    return in_nm(lengths, names) if np.isfinite(lengths).all() else None


def open_vtk(where: Path, dataset: str | None) -> tuple[Source, Said]:
    """Open image data of VTK; ImageError if it is damaged, no regular grid, or has several arrays."""
    need("images", f"reading {where.name}")
    with reading(where):
        grid = _vtk_grid(where)
        array = _vtk_values(grid, where, dataset or "")
    source = Decoded(where, whole_shape(array.shape, where), array.dtype, _read_vtk, dataset or "")
    turned = is_turned(np.asarray(grid.direction_matrix).T)
    return source, Said("zyx"[-array.ndim :], is_planar=array.ndim == 2, is_turned=turned)


def _read_vtk(where: Path, dataset: str) -> np.ndarray:
    return _vtk_values(_vtk_grid(where), where, dataset)


def _vtk_grid(where: Path) -> Any:
    import pyvista

    grid = pyvista.wrap(_vtk_output(where))
    if not isinstance(grid, pyvista.ImageData):
        raise ImageError(f"{where}: found {type(grid).__name__}, expected image data: values on a regular grid")
    return grid


def _vtk_values(grid: Any, where: Path, dataset: str) -> np.ndarray:
    arrays = {**grid.point_data, **grid.cell_data}
    if not arrays or not grid.n_points:
        raise ImageError(f"{where}: cannot be read (found no values)")
    if (dataset and dataset not in arrays) or (not dataset and len(arrays) != 1):
        names = ", ".join(arrays)
        what = f"has no array {shown(dataset)}" if dataset else f"found {len(arrays)} arrays"
        raise ImageError(f"{where}: {what} ({names}); name one with --dataset")
    name = dataset or next(iter(arrays))
    x, y, z = (int(n) for n in grid.dimensions)
    if name in grid.cell_data:
        x, y, z = max(x - 1, 1), max(y - 1, 1), max(z - 1, 1)
    values = np.asarray(arrays[name])
    if values.ndim != 1:
        raise ImageError(f"{where}: found {values.shape[1]} values per voxel, expected one")
    return values.reshape((y, x) if z == 1 else (z, y, x))


def _vtk_output(where: Path) -> Any:
    """Return what VTK reads; ValueError with its message if it is not content: it goes on with memory as it was."""
    import pyvista
    from vtkmodules.vtkCommonCore import vtkOutputWindow, vtkStringOutputWindow
    from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline

    before, said = vtkOutputWindow.GetInstance(), vtkStringOutputWindow()
    vtkOutputWindow.SetInstance(said)
    try:
        with pyvista.vtk_verbosity("off"):
            reader = pyvista.get_reader(where).reader  # type: ignore[no-untyped-call]
            reader.UpdateInformation()
            about, key = reader.GetOutputInformation(0), vtkStreamingDemandDrivenPipeline.WHOLE_EXTENT()
            if not said.GetOutput() and about is not None and about.Has(key):
                x0, x1, y0, y1, z0, z1 = about.Get(key)
                points = (x1 - x0 + 1) * (y1 - y0 + 1) * (z1 - z0 + 1)
                if points > psutil.virtual_memory().total:  # VTK would end this process
                    raise ValueError(f"found {points} points, more than fit into the memory of this machine")
            if not said.GetOutput():
                reader.Update()
    finally:
        vtkOutputWindow.SetInstance(before)
    if said.GetOutput():
        raise ValueError(said.GetOutput().splitlines()[:2][-1].rpartition("): ")[2])  # "ERROR: In ...", then the text
    return reader.GetOutputDataObject(0)


def open_picture(where: Path) -> tuple[Source, Said]:
    """Open a grey picture or one with a palette, whose numbers are the labels; ImageError if it has colours."""
    need("images", f"reading {where.name}")
    with reading(where):
        array = read_picture(where)
    return Decoded(where, whole_shape(array.shape, where), array.dtype, read_picture), Said("yx", is_planar=True)


def read_picture(where: Path, dataset: str = "") -> np.ndarray:
    """Return what a picture holds, shape (ny, nx); ImageError if it has colours."""
    from PIL import Image

    with Image.open(where) as picture:
        if picture.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "F"):
            raise ImageError(f"{where}: found colours ({picture.mode}), expected a grey picture or one of labels")
        return np.asarray(picture.convert("L") if picture.mode == "1" else picture)  # of one bit: 0 and 255
