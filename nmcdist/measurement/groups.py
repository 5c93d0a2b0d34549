"""The groups of descriptors that can be asked for by name, each with what it computes of a volume.

A group returns variables by name: dimensions, values and metadata. Coordinates follow from the volume and its phases.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nmcdist.descriptors import pore_size
from nmcdist.descriptors.cba_quantities import OF_CONDUCTION, OF_PHASES, OF_SUMS, Current, PhaseVolume
from nmcdist.descriptors.permeability import solve_permeability
from nmcdist.descriptors.planar_transport import solve_planar_permeability
from nmcdist.descriptors.quantity import Quantity
from nmcdist.geometry.box_lattice import whole_weights
from nmcdist.measurement import planar, quantities
from nmcdist.measurement.chords import OF_CHORDS, chords_of
from nmcdist.measurement.pieces import active_areas, pieces_of
from nmcdist.measurement.sums import Summed, Wanted, sums_of
from nmcdist.measurement.volume import TOGETHER, Volume

Variables = dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, Any]]]
SUMMED = ("volumes", "coverage", "interfaces")  # groups that add up over blocks
_SIZES, _PATHS = OF_PHASES[:5], OF_PHASES[5:]
_VOLUMES, _COVERAGE = OF_SUMS[:-1], OF_SUMS[-1:]


@dataclass(frozen=True)
class Group:
    """A group of descriptors.

    Attributes
    ----------
    about : str
        What it computes, for lists of choices.
    measure : callable
        Takes a volume; returns variables.
    work : int
        Bytes per voxel beside the image.
    """

    about: str
    measure: Callable[[Volume], Variables]
    work: int


def tabulate(rows: Iterable[Quantity], keys: Iterable[Any], measured: Callable[[Any], Any]) -> Variables:
    """Measure each key, one after the other, and return its values along the first dimension."""
    rows = tuple(rows)
    found: dict[str, list[Any]] = {row.name: [] for row in rows}
    for key in keys:
        each = measured(key)
        for row in rows:
            assert row.measure is not None
            found[row.name].append(row.measure(each))
        del each  # frees its arrays before those of the next key are made
    return {row.name: (row.dims, np.array(found[row.name], row.dtype), row.attrs) for row in rows}


def column(row: Quantity, values: Iterable[Any]) -> Variables:
    """Return the variable of one quantity from its values, of one key or more."""
    return {row.name: (row.dims, np.array(list(values), row.dtype), row.attrs)}


# ---- From sums ------------------------------------------------------------------------------------------------


def summed(volume: Volume, groups: Iterable[str]) -> Summed:
    """Return the sums of a volume in memory that some of the groups `SUMMED` need."""
    wanted = Wanted(volume.phases, volume.edges, volume.lags if "coverage" in groups else None, "interfaces" in groups)
    window, core = volume.codes, tuple(slice(0, n) for n in volume.codes.shape)
    if volume.choices.periodic:
        reach = wanted.reach()
        window = np.pad(window, [(n, n) for n in reach], "wrap")
        core = tuple(slice(n, n + m) for n, m in zip(reach, volume.codes.shape, strict=True))
    return Summed(wanted, sums_of(wanted, window, core))


def from_sums(sums: Summed, groups: Iterable[str]) -> Variables:
    """Return the variables of the groups `SUMMED` from sums."""
    phases, found = sums.wanted.phases, Variables()
    if "volumes" in groups:
        found |= tabulate(_VOLUMES, phases.codes, sums.of_phase)
    if "coverage" in groups:
        found |= tabulate(_COVERAGE, phases.codes, sums.of_phase)
    if "interfaces" in groups:
        found |= column(quantities.OF_INTERFACES[0], map(sums.interface_area, phases.pairs))
        found |= column(quantities.OF_TRIPLES[0], map(sums.triple_line_length, phases.triples))
    return found


def _from_own_sums(group: str) -> Callable[[Volume], Variables]:
    return lambda volume: from_sums(summed(volume, (group,)), (group,))


def _planar(group: str) -> Callable[[Volume], Variables]:
    def measure(volume: Volume) -> Variables:
        rows = {"volumes": quantities.OF_AREAS, "coverage": (quantities.PLANAR_COVERAGE,)}
        if group in rows:
            return tabulate(rows[group], volume.phases.codes, lambda name: planar.planar_phase(volume, name))
        lengths = (planar.interface_length(volume, pair) for pair in volume.phases.pairs)
        points = (planar.triple_points(volume, triple) for triple in volume.phases.triples)
        return column(quantities.OF_BOUNDARIES[0], lengths) | column(quantities.OF_POINTS[0], points)

    return measure


# ---- Of the whole volume -------------------------------------------------------------------------------------


class _Continued(PhaseVolume):
    """A phase in a volume that continues itself: balls reach across its faces."""

    @cached_property
    def sizes(self) -> pore_size.PoreSizeDistribution:
        """Continuous size distribution at `radii_nm`."""
        edges = self.voxel_size_nm
        assert isinstance(edges, tuple)
        if self.mask.all() or not self.mask.any():
            return super().sizes
        # No ball of the continued phase is larger than those of the volume alone, whose faces do not bound them.
        largest = math.sqrt(int(self.distance2.max())) * whole_weights(edges)[1]
        reach = [math.ceil(2 * largest / edge) + 1 if n > 1 else 0
                 for n, edge in zip(self.mask.shape, edges, strict=True)]  # fmt: skip
        wide = np.pad(self.mask, [(n, n) for n in reach], "wrap")
        core = tuple(slice(n, n + m) for n, m in zip(reach, self.mask.shape, strict=True))
        return pore_size.sizes_within(pore_size.squared_distance(wide, edges), edges, self.radii_nm, core)


def _phase(volume: Volume, name: str) -> PhaseVolume:
    kind = _Continued if volume.choices.periodic else PhaseVolume
    return kind(volume.phases.mask(volume.codes, name), volume.edges, volume.choices.axes, volume.radii_nm)


def _of_phases(rows: tuple[Quantity, ...], what: str) -> Callable[[Volume], Variables]:
    def measured(volume: Volume, name: str) -> PhaseVolume:
        volume.announce(f"{what} of {name}")
        return _phase(volume, name)

    return lambda volume: tabulate(rows, volume.phases.codes, lambda name: measured(volume, name))


def _connections(volume: Volume) -> Variables:
    pieces = {name: pieces_of(volume, name) for name in volume.phases.codes}
    found = tabulate(quantities.OF_PIECES, pieces.values(), lambda each: each)
    active = quantities.ACTIVE_LENGTH if volume.is_planar else quantities.ACTIVE_AREA
    return found | column(active, active_areas(volume, pieces))


def problems(volume: Volume) -> dict[str, dict[int, float]]:
    """Return the conduction problems by name: the conductivity of each code."""
    alone = {name: dict.fromkeys(codes, 1.0) for name, codes in volume.phases.codes.items()}
    given: dict[int, float] = {}
    for name, value in volume.choices.conductivity.items():
        given |= dict.fromkeys(volume.phases.codes[name], value)
    return alone | ({TOGETHER: given} if given else {})


def _conduction(volume: Volume) -> Variables:
    solved = problems(volume)

    def measured(name: str) -> Current:
        volume.announce(f"conduction: {name}")
        return Current(volume.codes, solved[name], volume.choices.axes, volume.edges)

    rows = [replace(row, long_name=_LONG_NAMES.get(row.name, row.long_name)) for row in OF_CONDUCTION]
    return tabulate(rows, solved, measured)


_LONG_NAMES = {
    "effective_conductivity": "effective conductivity, in the unit of the conductivities (phases alone: 1)",
}


def _flow(volume: Volume) -> Variables:
    def measured(name: str) -> list[Any]:
        volume.announce(f"flow through {name}")
        mask, edges = volume.phases.mask(volume.codes, name), volume.edges
        boundary: Any = volume.choices.boundary
        if volume.is_planar:
            axes = [axis - 1 for axis in volume.choices.axes]
            return [solve_planar_permeability(mask[0], edges[1:], axis, boundary) for axis in axes]
        return [solve_permeability(mask, edges, axis, boundary) for axis in volume.choices.axes]

    found = tabulate(quantities.OF_FLOW, volume.choices.fluid, measured)
    for _, _, attrs in found.values():
        attrs["boundary"] = volume.choices.boundary
    return found


_WHOLE = {
    "chords": Group("chord lengths along the axes", lambda volume: tabulate(
        OF_CHORDS, volume.phases.codes, lambda name: chords_of(volume, name)), 2),
    "sizes": Group("size distribution, bottlenecks, constrictivity", _of_phases(_SIZES, "sizes"), 24),
    "paths": Group("geodesic tortuosity, percolation", _of_phases(_PATHS, "paths"), 10),
    "connections": Group("pieces, shares connected to the faces, active areas", _connections, 16),
    "conduction": Group("effective conductivity, tortuosity factor, M-factor", _conduction, 40),
}  # fmt: skip
GROUPS = {
    "volumes": Group("volume fraction, surface, curvature, Euler number", _from_own_sums("volumes"), 2),
    "coverage": Group("two-point coverage probability", _from_own_sums("coverage"), 8),
    "interfaces": Group("interface areas and triple lines", _from_own_sums("interfaces"), 4),
    **_WHOLE,
}
PLANAR = {
    "volumes": Group("area fraction, perimeter, Euler number", _planar("volumes"), 2),
    "coverage": Group("two-point coverage probability", _planar("coverage"), 8),
    "interfaces": Group("lengths of boundaries and triple points", _planar("interfaces"), 4),
    **_WHOLE,
}
FLOW = Group("permeability", _flow, 160)
