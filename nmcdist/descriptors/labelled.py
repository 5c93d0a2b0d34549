"""Measure a volume of labelled phases; the result is one labelled dataset."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from nmcdist.arguments import check_length, plain_array
from nmcdist.descriptors import cba_quantities, intrinsic, two_point
from nmcdist.descriptors.cba_quantities import Current, PhaseSums, PhaseVolume, quantities
from nmcdist.descriptors.quantity import Quantity
from nmcdist.errors import InputError
from nmcdist.wording import shown

AXES = ("z", "y", "x")
COORDINATES = {
    "phase": {"units": "1", "long_name": "phase"},
    "conduction": {"units": "1", "long_name": "conduction problem"},
    "axis": {"units": "1", "long_name": "axis of the volume along which the value was measured"},
    "lag_nm": {"units": "nm", "long_name": "distance between two points"},
    "radius_nm": {"units": "nm", "long_name": "radius of the balls"},
}


@dataclass(frozen=True)
class Scheme:
    """What the labels of a volume mean, and what is measured of them.

    Attributes
    ----------
    labels : int
        Number of labels 0, 1, ...
    phases : Mapping of str to tuple of int
        Phases that are measured, by name: the labels of each.
    conductions : Mapping of str to dict of int to float
        Conduction problems: conductivity of each label; others do not conduct.
    about : Mapping of str to str
        Descriptions of the coordinates "phase" and "conduction".
    reference : str
        What the effective conductivity is relative to.
    """

    labels: int
    phases: Mapping[str, tuple[int, ...]]
    conductions: Mapping[str, dict[int, float]]
    about: Mapping[str, str] = field(default_factory=dict)
    reference: str = "the conducting phase"

    def mask(self, volume: np.ndarray, phase: str) -> np.ndarray:
        """Return the voxels of a phase as a boolean array."""
        first, *others = self.phases[phase]
        found = np.asarray(volume == first)
        for label in others:
            found |= volume == label
        return found

    def coordinates(self) -> dict[str, dict[str, str]]:
        """Return the attributes of the coordinates."""
        more = {name: {"description": text} for name, text in self.about.items()}
        return {name: {**attrs, **more.get(name, {})} for name, attrs in COORDINATES.items()}

    def rows(self, *, blockwise_only: bool, transport: bool) -> dict[str, Quantity]:
        """Return the measured quantities by name."""
        return quantities(blockwise_only=blockwise_only, transport=transport, reference=self.reference)


TWO_PHASES = Scheme(
    2, {"pore": (0,), "solid": (1,)}, {"pore": {0: 1.0}, "solid": {1: 1.0}},
    {"conduction": "pore: only pores conduct, with conductivity 1; solid: only the solid, with 1"},
)  # fmt: skip


def describe(
    scheme: Scheme,
    volume: np.ndarray,
    voxel_size_nm: float,
    *,
    max_lag_nm: float = 3000.0,
    max_radius_nm: float = 1500.0,
    axes: Iterable[str] = AXES,
    transport: bool = True,
) -> xr.Dataset:
    """Measure a volume of labelled phases.

    Parameters
    ----------
    scheme : Scheme
    volume : ndarray of int, shape (nz, ny, nx)
        Labels.
    voxel_size_nm : float
        Voxel edge in nm.
    max_lag_nm, max_radius_nm : float
        Ends of the curves. Both are cut at half of the shortest edge.
    axes : iterable of {"z", "y", "x"}
        Directions of the directional descriptors.
    transport : bool
        Whether to solve for the M-factors, the slowest part.

    Returns
    -------
    xarray.Dataset
        Scalars and curves by phase, axis and conduction problem, each with units, estimator and source. A phase that
        does not percolate has tortuosity NaN and flag 0; one that does not conduct has M-factor 0 and flag 0.

    Raises
    ------
    InputError
        If the volume is not three-dimensional, is empty or holds other labels, or an option is impossible.
    """
    volume = _check_labels(scheme, volume)
    layout = layout_of(
        scheme, volume.shape, voxel_size_nm, max_lag_nm=max_lag_nm, max_radius_nm=max_radius_nm, axes=axes,
        transport=transport,
    )  # fmt: skip
    result = layout.copy(deep=True)
    _fill_blockwise(scheme, result, partials_of(scheme, volume, _all(volume), layout), voxel_size_nm)
    axis_numbers = tuple(AXES.index(name) for name in result["axis"].values)
    radii_nm = result["radius_nm"].values
    for phase in scheme.phases:
        whole = PhaseVolume(scheme.mask(volume, phase), voxel_size_nm, axis_numbers, radii_nm)
        _fill(result, cba_quantities.OF_PHASES, {"phase": phase}, whole)
        del whole  # frees its distances before the next phase computes others
    for name, conductivities in scheme.conductions.items() if transport else ():
        _fill(result, cba_quantities.OF_CONDUCTION, {"conduction": name}, Current(volume, conductivities, axis_numbers))
    return result


def layout_of(
    scheme: Scheme,
    shape: tuple[int, ...],
    voxel_size_nm: float,
    *,
    max_lag_nm: float = 3000.0,
    max_radius_nm: float = 1500.0,
    axes: Iterable[str] = AXES,
    transport: bool = True,
    blockwise_only: bool = False,
) -> xr.Dataset:
    """Return the dataset that :func:`describe` fills, with every value missing (NaN, flags 0).

    Raises
    ------
    InputError
        If an option is impossible.
    """
    axes = _check_axes(axes)
    voxel_size_nm = check_length("voxel_size_nm", voxel_size_nm)
    max_lag_nm, max_radius_nm = check_length("max_lag_nm", max_lag_nm), check_length("max_radius_nm", max_radius_nm)
    if not isinstance(transport, bool):
        raise InputError(f"transport: found {shown(transport)}, expected True or False")
    half = min(shape) * voxel_size_nm / 2
    coords: dict[str, Any] = {
        "phase": list(scheme.phases),
        "conduction": list(scheme.conductions),
        "axis": list(axes),
        "lag_nm": two_point.lag_lengths(len(_grid(min(max_lag_nm, half), voxel_size_nm)) - 1, voxel_size_nm),
        "radius_nm": _grid(min(max_radius_nm, half), voxel_size_nm),
    }
    variables = scheme.rows(blockwise_only=blockwise_only, transport=transport)
    about, used = scheme.coordinates(), {dim for v in variables.values() for dim in v.dims}
    missing = {"float64": np.nan, "int8": 0}
    return xr.Dataset(
        {
            name: (
                v.dims,
                np.full([len(coords[d]) for d in v.dims], missing[v.dtype], dtype=v.dtype),
                v.attrs,
            )
            for name, v in variables.items()
        },
        {name: (name, values, about[name]) for name, values in coords.items() if name in used},
    )


def partials_of(
    scheme: Scheme, window: np.ndarray, core: tuple[slice, ...], layout: xr.Dataset
) -> dict[str, np.ndarray]:
    """Return the contribution of a block to the descriptors that work block by block.

    Add up the contributions of all blocks of a volume, and pass the sum to :func:`from_partials`.

    Parameters
    ----------
    window : ndarray of uint8
        The block with a halo of :func:`halo_voxels` voxels, cut off where the volume ends.
    core : tuple of slice
        Position of the block in the window.
    layout : xarray.Dataset
        Result of :func:`layout_of` for the volume.

    Returns
    -------
    dict of str to ndarray
        "voxels" (phase, 2), "configurations" (phase, 256) and "pairs" (phase, 2, lag).
    """
    lags = layout.sizes["lag_nm"] - 1
    upper = tuple(slice(c.start, min(c.stop + 1, n)) for c, n in zip(core, window.shape, strict=True))
    masks = [scheme.mask(window, phase) for phase in scheme.phases]
    voxels = [[np.count_nonzero(mask[core]), mask[core].size] for mask in masks]
    return {
        "voxels": np.array(voxels, dtype=np.int64),
        "configurations": np.array([intrinsic.counts_of_block(mask[upper]) for mask in masks]),
        "pairs": np.array([two_point.pair_counts(mask, core, lags) for mask in masks]),
    }


def halo_voxels(layout: xr.Dataset) -> int:
    """Return the width in voxels of the halo around a block that :func:`partials_of` needs."""
    return layout.sizes["lag_nm"] - 1


def from_partials(
    scheme: Scheme, partials: Mapping[str, np.ndarray], layout: xr.Dataset, voxel_size_nm: float
) -> xr.Dataset:
    """Return the descriptors that work block by block, from the sum of the blocks' partials."""
    result = layout.copy(deep=True)
    _fill_blockwise(scheme, result, partials, voxel_size_nm)
    return result


def _fill_blockwise(
    scheme: Scheme, result: xr.Dataset, partials: Mapping[str, np.ndarray], voxel_size_nm: float
) -> None:
    sums = zip(partials["voxels"], partials["configurations"], partials["pairs"], strict=True)
    for phase, ((inside, total), configurations, pairs) in zip(scheme.phases, sums, strict=True):
        measured = PhaseSums(inside, total, configurations, pairs, voxel_size_nm)
        _fill(result, cba_quantities.OF_SUMS, {"phase": phase}, measured)


def _fill(result: xr.Dataset, rows: Iterable[Quantity], place: dict[str, str], measured: Any) -> None:
    """Set each quantity at one place to the value of its function."""
    for row in rows:
        assert row.measure is not None
        result[row.name].loc[place] = row.measure(measured)


def _check_axes(axes: Any) -> tuple[str, ...]:
    names = tuple(axes) if isinstance(axes, Iterable) else ()
    known = all(isinstance(name, str) and name in AXES for name in names)
    if not names or not known or len(set(names)) != len(names):
        raise InputError(f"axes: found {shown(axes)}, expected some of {AXES}, each once")
    return names


def _check_labels(scheme: Scheme, volume: Any) -> np.ndarray:
    volume, names = plain_array("volume", volume, work=5), ", ".join(map(str, range(scheme.labels)))
    if volume.ndim != 3 or volume.size == 0:
        raise InputError(f"volume: found shape {volume.shape}, expected three dimensions, none of them empty")
    if volume.dtype.kind not in "ui":
        raise InputError(f"volume: found dtype {volume.dtype}, expected integer labels {names}")
    if volume.min() < 0 or volume.max() >= scheme.labels:
        raise InputError(f"volume: found labels {volume.min()} to {volume.max()}, expected {names}")
    return np.ascontiguousarray(volume, dtype=np.uint8)


def _all(volume: np.ndarray) -> tuple[slice, ...]:
    return tuple(slice(0, n) for n in volume.shape)


def _grid(end: float, step: float) -> np.ndarray:
    return np.arange(int(np.floor(end / step + 1e-9)) + 1) * step
