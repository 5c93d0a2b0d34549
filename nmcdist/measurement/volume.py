"""What is measured: an encoded image in memory, and the choices of the caller."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmcdist.arguments import check_number, check_one_of
from nmcdist.errors import InputError
from nmcdist.geometry.stokes import BOUNDARIES
from nmcdist.images.spacing import Size
from nmcdist.measurement.phases import Phases
from nmcdist.wording import shown

AXES = ("z", "y", "x")
TOGETHER = "together"  # the problem of the phases that conduct together
LAGS = 100  # shortest voxel edges in the longest lag, unless another is given


@dataclass(frozen=True)
class Choices:
    """What the caller chose, checked.

    Attributes
    ----------
    axes : tuple of int
        Directions of the directional descriptors.
    conductivity : dict of str to float
        Conductivity of phases; empty: only each phase alone conducts.
    fluid : tuple of str
        Phases through which flow is solved.
    boundary : {"open", "periodic", "walls"}
        Of the flow.
    periodic : bool
        Whether the image continues itself.
    max_lag_nm, max_radius_nm : float or None
    """

    axes: tuple[int, ...]
    conductivity: dict[str, float] = field(default_factory=dict)
    fluid: tuple[str, ...] = ()
    boundary: str = "open"
    periodic: bool = False
    max_lag_nm: float | None = None
    max_radius_nm: float | None = None


@dataclass(frozen=True)
class Volume:
    """An encoded image, or a window of one.

    Attributes
    ----------
    codes : ndarray of uint8, shape (nz, ny, nx)
        One layer of a planar image.
    phases : Phases
    edges : tuple of float
        Edges of a voxel in nm along z, y, x.
    is_planar : bool
    choices : Choices
    announce : callable
        Takes a line on what is measured next.
    """

    codes: np.ndarray
    phases: Phases
    edges: Size
    is_planar: bool
    choices: Choices
    announce: Callable[[str], None] = lambda text: None

    @property
    def axis_names(self) -> list[str]:
        """Names of the directions."""
        return [AXES[axis] for axis in self.choices.axes]

    @property
    def own_edges(self) -> tuple[float, ...]:
        """Edges along the axes that the image has."""
        return tuple(self.edges[1 if self.is_planar else 0 :])

    @property
    def own_shape(self) -> tuple[int, ...]:
        """Voxels along the axes that the image has."""
        return tuple(self.codes.shape[1 if self.is_planar else 0 :])

    @property
    def lags(self) -> int:
        """The longest lag, in shortest edges."""
        shortest = min(self.own_edges)
        return int(min(self.choices.max_lag_nm or LAGS * shortest, self._half) / shortest + 1e-9)

    @property
    def radii_nm(self) -> np.ndarray:
        """Radii of the size distributions: multiples of the shortest edge, to half of the shortest side."""
        return self._multiples(self.choices.max_radius_nm)

    @property
    def lengths_nm(self) -> np.ndarray:
        """Lengths of the chord distributions: multiples of the shortest edge, to half of the shortest side."""
        return self._multiples(None)

    def _multiples(self, end: float | None) -> np.ndarray:
        shortest = min(self.own_edges)
        most = min(self._half, end or self._half)
        multiples: np.ndarray = np.arange(int(most / shortest + 1e-9) + 1) * shortest
        return multiples

    @property
    def _half(self) -> float:
        """Half of the shortest side, in nm."""
        return min(n * edge for n, edge in zip(self.own_shape, self.own_edges, strict=True)) / 2

    def window(self, box: tuple[slice, ...]) -> "Volume":
        """Return a part."""
        part = np.ascontiguousarray(self.codes[box])
        return Volume(part, self.phases, self.edges, self.is_planar, self.choices)


def checked_choices(
    names: Iterable[str], is_planar: bool, along: Any, conductivity: Any, fluid: Any, boundary: Any, periodic: Any,
    max_lag_nm: Any, max_radius_nm: Any,
) -> Choices:  # fmt: skip
    """Return the choices of the caller; InputError if one is impossible."""
    known = tuple(names)
    fluid = () if fluid is None else fluid
    if not isinstance(periodic, bool):
        raise InputError(f"periodic: found {shown(periodic)}, expected True or False")
    fluids = (fluid,) if isinstance(fluid, str) or not isinstance(fluid, Iterable) else tuple(dict.fromkeys(fluid))
    for name in fluids:
        if name not in known:
            raise InputError(f"fluid: found {shown(name)}, expected one of the phases {', '.join(known)}")
    return Choices(
        axes=_axes(along, is_planar),
        conductivity=_conductivity(conductivity, known),
        fluid=fluids,
        boundary=check_one_of("boundary", boundary, BOUNDARIES),
        periodic=periodic,
        max_lag_nm=_length("max_lag_nm", max_lag_nm),
        max_radius_nm=_length("max_radius_nm", max_radius_nm),
    )


def _axes(along: Any, is_planar: bool) -> tuple[int, ...]:
    wanted = AXES[1:] if is_planar else AXES
    names = wanted if along is None else tuple(along) if isinstance(along, Iterable) else ()
    if not names or any(name not in wanted for name in names) or len(set(names)) != len(names):
        raise InputError(f"along: found {shown(along)}, expected some of {', '.join(wanted)}, each once")
    return tuple(AXES.index(name) for name in names)


def _conductivity(given: Any, known: tuple[str, ...]) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"conductivity: found {shown(given)}, expected numbers by phase, such as nmc=1,cbd=0.01")
    for name, value in given.items():
        if name not in known:
            raise InputError(f"conductivity: found the phase {shown(name)}, expected some of {', '.join(known)}")
        if not math.isfinite(check_number(f"conductivity of {name}", value, 0.0)):
            raise InputError(f"conductivity of {name}: found {shown(value)}, expected a finite number")
    if given and TOGETHER in known:
        raise InputError(f"phases: found the name {TOGETHER}, which is that of the phases of conductivity: rename it")
    return {name: float(value) for name, value in given.items()}


def _length(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not 0 < check_number(name, value) < math.inf:
        raise InputError(f"{name}: found {shown(value)}, expected a positive length in nm")
    return float(value)
