"""The contents that a format can hold: labels, their surfaces and meshes, the shell and the table of a particle.

This module imports no large libraries, so the command line lists the formats quickly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmcdist.datasets.export.mirrors import labels_with_images, mesh_with_images

if TYPE_CHECKING:
    from nmcdist.geometry.elements import VolumeMesh
    from nmcdist.geometry.surfaces import LabelSurface

Point = tuple[float, float, float]
_LINE = 230  # characters: a title of VTK has at most 255


UNITS = {"nm": 1.0, "um": 1e3, "m": 1e9}  # in nm


class Voxels(NamedTuple):
    """A label volume in the order z, y, x, the edges of a voxel along these axes, and the centre of the first voxel.

    Lengths are in nm until :func:`in_unit` divides them.
    """

    labels: np.ndarray
    spacing: Point
    origin: Point


class Surface(NamedTuple):
    """One closed surface.

    Attributes
    ----------
    points : ndarray of float, shape (n, 3)
        Coordinates in the order z, y, x, in nm until :func:`in_unit` divides them.
    triangles : ndarray of int, shape (m, 3)
        Oriented outwards in this order of columns.
    """

    points: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True)
class About:
    """The description of a file's content.

    Attributes
    ----------
    title : str
    names : Mapping of int to str
        Names of labels that are phases; grains are identified by their numbers.
    orientations : Mapping of int to ndarray
        Crystal orientations of grains by label, as quaternions (w, x, y, z); empty if they have none.
    unit : {"nm", "um", "m"}
        Unit of the lengths.
    by_pair : bool
        Whether a volume mesh also has a set of faces for each pair of labels that touch.
    phase : str or None
        Name of the phase of a pore network.
    """

    title: str
    names: Mapping[int, str] = field(default_factory=dict)
    orientations: Mapping[int, np.ndarray] = field(default_factory=dict)
    unit: str = "nm"
    by_pair: bool = False
    phase: str | None = None

    @property
    def line(self) -> str:
        """The title with the names of the labels, as one line of ASCII for the header of a file."""
        legend = ", ".join(f"{label} {name}" for label, name in self.names.items())
        line = f"{self.title}; {legend}" if legend else self.title
        return line.encode("ascii", "replace").decode("ascii").replace("\n", " ")[:_LINE]

    @property
    def line_with_unit(self) -> str:
        """The line with the unit of the lengths."""
        return f"{self.line}; lengths in {self.unit}"

    @property
    def noun(self) -> str:
        """The noun for a label: grain or phase."""
        return "phase" if self.names else "grain"

    def set_name(self, label: int) -> str:
        """Return the name of the element set of a label in a volume mesh."""
        return f"PHASE_{self.names[label].upper()}" if label in self.names else f"GRAIN_{label:05d}"

    def pair_name(self, first: int, second: int) -> str:
        """Return the name of the faces between two labels in a volume mesh; it is short whatever names they have."""
        return f"INTERFACE_{first:05d}_{second:05d}"

    def oriented(self, labels: np.ndarray) -> np.ndarray:
        """Return the quaternions of these labels, shape (n, 4)."""
        return np.array([self.orientations[label] for label in labels.tolist()], dtype=np.float64).reshape(-1, 4)

    def file_name(self, label: int) -> str:
        """Return the file name of one label, without suffix."""
        return self.names.get(label, f"grain-{label:05d}")


@dataclass(frozen=True)
class Content:
    """One kind of content that a format can hold.

    Attributes
    ----------
    name : str
        Short name.
    options : tuple of str
        Options that change it.
    of_voxels : callable, optional
        Makes the content from :class:`Voxels` and the options. If None, the kind of the item makes it.
    """

    name: str
    options: tuple[str, ...] = ()
    of_voxels: Callable[..., Any] | None = None


def in_unit(content: Any, unit: str) -> Any:
    """Return a content of lengths in nm with lengths in another unit."""
    if unit == "nm":
        return content
    if isinstance(content, Voxels):
        return content._replace(spacing=_divided(content.spacing, unit), origin=_divided(content.origin, unit))
    points = content.points / UNITS[unit]
    return content._replace(points=points) if isinstance(content, Surface) else replace(content, points=points)


def _divided(lengths: Point, unit: str) -> Point:
    z, y, x = (length / UNITS[unit] for length in lengths)
    return z, y, x


def _labels(voxels: Voxels, mirror: str | None = None) -> Voxels:
    return voxels._replace(labels=labels_with_images(voxels.labels, mirror)) if mirror else voxels


def _closed_surface(voxels: Voxels, **options: Any) -> Surface:
    from nmcdist.geometry.surfaces import closed_surface

    return Surface(*closed_surface(*voxels, **options))


def _interfaces(voxels: Voxels, **options: Any) -> "LabelSurface":
    from nmcdist.geometry.surfaces import label_surface

    return label_surface(*voxels, **options)


def _volume_mesh(voxels: Voxels, mirror: str | None = None, **options: Any) -> "VolumeMesh":
    from nmcdist.geometry.elements import volume_mesh

    mesh = volume_mesh(*voxels, **options)
    return mesh_with_images(mesh, *voxels, mirror) if mirror else mesh


LABELS = Content("labels", ("mirror",), _labels)
NETWORK = Content("pores and throats", ("mirror",), _labels)
CLOSED_SURFACE = Content("closed surface", ("label", "smoothing"), _closed_surface)
INTERFACES = Content("interfaces", ("smoothing",), _interfaces)
VOLUME_MESH = Content("volume mesh", ("elements", "smoothing", "min_angle", "mirror"), _volume_mesh)
SHELL = Content("shell of a particle")
GRAIN_TABLE = Content("table of a particle's grains")
