"""One picture of a volume in three dimensions: graphite plates in the carbon-binder matrix, cut open."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.report.style import CARBON_BINDER, GRAPHITE


def render_volume(labels: np.ndarray, voxel_size_nm: float, path: Path, size: int = 1000) -> Path:
    """Render a label volume to a PNG file.

    The carbon binder is cut away from the octant that faces the viewer, so the graphite plates inside show.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
        0 pore, 1 carbon black and binder, 2 graphite.
    voxel_size_nm : float
        Voxel edge in nm.
    path : Path
        PNG file to write.
    size : int
        Edge of the picture in pixels.
    """
    import pyvista as pv
    import vtk

    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_ERROR)  # no X server is not worth a warning
    plotter: Any = pv.Plotter(off_screen=True, window_size=[size, size])
    plotter.set_background("white")
    extent = np.array(labels.shape[::-1]) * voxel_size_nm / 1000
    opened = labels == 1
    half = tuple(n // 2 for n in labels.shape)
    opened[half[0] :, : half[1], half[2] :] = False
    for mask, colour in ((opened, CARBON_BINDER), (labels == 2, GRAPHITE)):
        if mask.any():
            plotter.add_mesh(_surface(mask, voxel_size_nm), color=colour, smooth_shading=True, specular=0.2)
    plotter.add_mesh(pv.Box((0, extent[0], 0, extent[1], 0, extent[2])), style="wireframe", color="black")
    plotter.show_bounds(
        bounds=(0, extent[0], 0, extent[1], 0, extent[2]), xtitle="x / um", ytitle="y / um", ztitle="z / um",
        location="outer", font_size=11, n_xlabels=3, n_ylabels=3, n_zlabels=3, color="black",
    )  # fmt: skip
    plotter.view_vector((1.0, -1.0, 0.7), viewup=(0, 0, 1))
    plotter.camera.zoom(0.9)
    plotter.enable_anti_aliasing("ssaa")
    plotter.screenshot(str(path))
    plotter.close()
    return path


def _surface(mask: np.ndarray, voxel_size_nm: float):
    import pyvista as pv
    from scipy.ndimage import gaussian_filter

    padded = gaussian_filter(np.pad(mask, 1).astype(np.float32), 0.7)  # takes the voxel steps off the plates
    step = voxel_size_nm / 1000
    grid = pv.ImageData(dimensions=padded.shape[::-1], spacing=(step,) * 3, origin=(-step / 2,) * 3)
    grid.point_data["inside"] = padded.ravel()  # x runs fastest in VTK as in a C-ordered z, y, x
    surface = grid.contour([0.5], scalars="inside", method="flying_edges")
    return surface.smooth_taubin(n_iter=15, pass_band=0.1)
