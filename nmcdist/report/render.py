"""A picture of a volume in three dimensions: its phases as surfaces, some of them cut open."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmcdist.report.style import CARBON_BINDER, GRAPHITE, figure, save

_TOWARDS = np.array([1.0, -1.0, 0.7])  # from the centre to the viewer, x, y, z
_MARGIN = 0.12  # spacing of labels over half of the picture's height
_TICKS = 3


class Part(NamedTuple):
    """A phase in a picture.

    Attributes
    ----------
    label : int
    name, colour : str
    is_cut : bool
        Whether it is removed from the octant that faces the viewer, so that what lies inside is visible.
    """

    label: int
    name: str
    colour: str
    is_cut: bool = False


ADDITIVE = (Part(1, "carbon binder", CARBON_BINDER, is_cut=True), Part(2, "graphite", GRAPHITE))


def render_volume(
    labels: np.ndarray, voxel_size_nm: float, path: Path, size: int = 1000, parts: Sequence[Part] = ADDITIVE
) -> Path:
    """Render a label volume to a PNG file, with an SVG beside it.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
    voxel_size_nm : float
        Voxel edge in nm.
    path : Path
        PNG file to write.
    size : int
        Edge of the picture in pixels.
    parts : sequence of Part
        Phases that are drawn.
    """
    from matplotlib.patches import Patch

    extent = np.array(labels.shape[::-1]) * voxel_size_nm / 1000
    view = _View(extent)
    picture = _render(labels, voxel_size_nm, extent, view, size, parts)
    width, height = np.ptp(view.window, axis=0)
    with figure(1, 1, 7.6, 7.6 * height / width + 0.4) as (drawing, axes):
        panel = axes[0, 0]
        panel.set_axis_off()
        panel.imshow(picture, extent=(-view.half, view.half, -view.half, view.half))
        _draw_axes(panel, extent, view)
        panel.set(xlim=view.window[:, 0], ylim=view.window[:, 1])
        handles = [Patch(facecolor=part.colour, label=part.name) for part in parts]
        drawing.legend(handles=handles, loc="outside upper center", ncols=len(parts), fontsize=15)
        return save(drawing, path)


class _View:
    """A parallel projection of a box, shared by a picture and its labels."""

    def __init__(self, extent: np.ndarray) -> None:
        self.middle = extent / 2
        self.towards = _TOWARDS / np.linalg.norm(_TOWARDS)
        self.right = np.cross([0.0, 0.0, 1.0], self.towards)
        self.right /= np.linalg.norm(self.right)
        self.up = np.cross(self.towards, self.right)
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * extent
        places = self.project(corners)
        self.half = float(np.abs(places).max())
        # Labels are to the left and below.
        space = _MARGIN * self.half
        self.window = np.array([places.min(axis=0) - [2 * space, 1.5 * space], places.max(axis=0) + 0.4 * space])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return positions in the picture, right and up from its middle, in the unit of the points."""
        return np.asarray((points - self.middle) @ np.stack([self.right, self.up], axis=1))


def _draw_axes(panel: Any, extent: np.ndarray, view: _View) -> None:
    """Draw ticks and names along the three lower or left edges of the box that face the viewer."""
    x, y, z = extent
    edges = (
        ("x", np.array([0.0, 0.0, 0.0]), np.array([x, 0.0, 0.0])),
        ("y", np.array([x, 0.0, 0.0]), np.array([x, y, 0.0])),
        ("z", np.array([0.0, 0.0, 0.0]), np.array([0.0, 0.0, z])),
    )
    for name, start, end in edges:
        first, last = view.project(np.stack([start, end]))
        along = (last - first) / np.linalg.norm(last - first)
        out = np.array([along[1], -along[0]])
        out *= np.sign(out @ (first + last)) or 1.0
        turn = float(np.degrees(np.arctan2(along[1], along[0])))
        length = float(np.linalg.norm(end - start))
        for share in np.linspace(0, 1, _TICKS):
            at = first + share * (last - first)
            panel.plot(*zip(at, at + 0.02 * view.half * out, strict=True), color="black", linewidth=1)
            inset = 0.04 * view.half * along * (1 - 2 * share)  # keeps the numbers of two edges apart
            away, side = (0.035, "right") if out[0] < -0.9 else (0.065, "center")
            panel.text(*(at + away * view.half * out + inset), f"{share * length:.3g}", ha=side, va="center",
                       fontsize=14)  # fmt: skip
        middle = 0.75 if out[0] < -0.9 else 0.5  # between two numbers, if numbers cross the edge's name
        at = first + middle * (last - first) + 0.16 * view.half * out
        panel.text(*at, f"{name} / µm", ha="center", va="center", fontsize=16, rotation=turn, rotation_mode="anchor")


def _render(
    labels: np.ndarray, voxel_size_nm: float, extent: np.ndarray, view: _View, size: int, parts: Sequence[Part]
) -> np.ndarray:
    import pyvista as pv
    import vtk

    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_ERROR)  # a missing X server needs no warning
    plotter: Any = pv.Plotter(off_screen=True, window_size=[size, size])
    plotter.set_background("white")
    half = tuple(n // 2 for n in labels.shape)
    for part in parts:
        mask = labels == part.label
        if part.is_cut:
            mask[half[0] :, : half[1], half[2] :] = False
        if mask.any():
            plotter.add_mesh(_surface(mask, voxel_size_nm), color=part.colour, smooth_shading=True, specular=0.2)
    box = pv.Box((0, extent[0], 0, extent[1], 0, extent[2]))
    plotter.add_mesh(box, style="wireframe", color="black", line_width=2)
    plotter.enable_parallel_projection()
    plotter.camera.focal_point = tuple(view.middle)
    plotter.camera.position = tuple(view.middle + 10 * extent.max() * view.towards)
    plotter.camera.up = (0.0, 0.0, 1.0)
    plotter.camera.parallel_scale = view.half
    plotter.renderer.ResetCameraClippingRange()
    plotter.enable_anti_aliasing("ssaa")
    picture = np.asarray(plotter.screenshot(return_img=True))
    plotter.close()
    return picture


def _surface(mask: np.ndarray, voxel_size_nm: float) -> Any:
    import pyvista as pv
    from scipy.ndimage import gaussian_filter

    padded = gaussian_filter(np.pad(mask, 1).astype(np.float32), 0.7)  # smooths the voxel steps of the plates
    step = voxel_size_nm / 1000
    grid = pv.ImageData(dimensions=padded.shape[::-1], spacing=(step,) * 3, origin=(-step / 2,) * 3)
    grid.point_data["inside"] = padded.ravel()  # x runs fastest in VTK as in a C-ordered z, y, x
    surface = grid.contour([0.5], scalars="inside", method="flying_edges")
    return surface.smooth_taubin(n_iter=15, pass_band=0.1)
