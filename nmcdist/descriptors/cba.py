"""Everything measured on a volume of the additive phase, as one labelled dataset."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from nmcdist.arguments import check_length, plain_array
from nmcdist.descriptors import intrinsic, paths, pore_size, two_point
from nmcdist.descriptors.transport import solve_conduction
from nmcdist.errors import InputError
from nmcdist.threads import thread_map
from nmcdist.wording import shown

PHASES = ("pore", "carbon_binder", "graphite", "solid")
AXES = ("z", "y", "x")
CONDUCTIONS: dict[str, dict[int, float]] = {"pore": {0: 1.0}, "solid": {2: 1.0, 1: 0.01}}

_SOLVER = "finite volumes on voxels, harmonic face conductances, Dirichlet faces, multigrid-preconditioned CG"
_CONFIGURATIONS = "weights on 2x2x2 voxel configurations, 13 directions"
_BY_6 = "6-adjacency of the phase: nearer where grains overlap, wrong for plates under 6 voxels"
_BY_26 = "26-adjacency of the phase: right for plates from 3 voxels on, low where grains overlap"
_BALLS = "exact unions of digital balls on the Euclidean distance transform"
_PAPER = "Gräfensteiner et al. (2025), doi:10.1186/s13362-025-00174-z"
_OHSER = "Ohser and Schladitz, 3D Images of Materials Structures (2009)"


@dataclass(frozen=True)
class Variable:
    """How a descriptor is stored and what its metadata says.

    Attributes
    ----------
    dims : tuple of str
        Dimensions among phase, conduction, axis, lag_nm, radius_nm.
    unit, long_name, estimator, source : str
        Its attributes.
    group : {"block", "whole", "transport"}
        "block": additive over blocks of a volume; "whole": needs the volume in memory; "transport": needs a
        solve besides.
    dtype : str
    """

    dims: tuple[str, ...]
    unit: str
    long_name: str
    estimator: str
    source: str
    group: str
    dtype: str = "float64"

    @property
    def attrs(self) -> dict[str, Any]:
        """Metadata as stored with the variable."""
        return {
            "units": self.unit,
            "long_name": self.long_name,
            "estimator": self.estimator,
            "source": self.source,
            **({"flag_values": [0, 1], "flag_meanings": "no yes"} if self.dtype == "int8" else {}),
        }


VARIABLES = {
    "volume_fraction": Variable(
        ("phase",), "1", "volume fraction", "share of voxel centres", f"{_PAPER}, Eq. (6)", "block"
    ),
    "surface_area": Variable(
        ("phase",), "nm^-1", "surface area per volume", _CONFIGURATIONS, f"{_PAPER}, Eq. (7); {_OHSER}", "block"
    ),
    "mean_curvature_6": Variable(
        ("phase",), "nm^-2", f"integral of mean curvature per volume, {_BY_6}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (8); {_OHSER}", "block",
    ),
    "mean_curvature_26": Variable(
        ("phase",), "nm^-2", f"integral of mean curvature per volume, {_BY_26}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (8); {_OHSER}", "block",
    ),
    "euler_number_6": Variable(
        ("phase",), "nm^-3", f"Euler number per volume, {_BY_6}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (9); {_OHSER}", "block",
    ),
    "euler_number_26": Variable(
        ("phase",), "nm^-3", f"Euler number per volume, {_BY_26}", _CONFIGURATIONS,
        f"{_PAPER}, Eq. (9); {_OHSER}", "block",
    ),
    "two_point_coverage": Variable(
        ("phase", "lag_nm"), "1", "two-point coverage probability",
        "pair counts over all lattice vectors of a lag, by FFT, not periodic", f"{_PAPER}, Eq. (20)", "block",
    ),
    "pore_size_distribution": Variable(
        ("phase", "radius_nm"), "1", "continuous size distribution: share covered by balls of a radius", _BALLS,
        f"{_PAPER}, Eq. (26)", "whole",
    ),
    "r_max_nm": Variable(
        ("phase",), "nm", "radius of the balls that cover half of the phase", _BALLS, f"{_PAPER}, Sec. 3.3", "whole"
    ),
    "r_min_nm": Variable(
        ("phase", "axis"), "nm", "radius of the balls that reach half of the phase from the first face",
        f"{_BALLS}, intruding along widest paths", f"{_PAPER}, Sec. 3.3", "whole",
    ),
    "constrictivity": Variable(
        ("phase", "axis"), "1", "constrictivity r_min^2 / r_max^2", _BALLS, f"{_PAPER}, Sec. 3.3", "whole"
    ),
    "constrictivity_mean": Variable(
        ("phase",), "1", "constrictivity, mean over axes", "mean over axes", f"{_PAPER}, Sec. 3.3", "whole"
    ),
    "geodesic_tortuosity": Variable(
        ("phase", "axis"), "1", "mean geodesic tortuosity", "shortest paths over 26 neighbours, from face to face",
        f"{_PAPER}, Sec. 3.3", "whole",
    ),
    "geodesic_tortuosity_mean": Variable(
        ("phase",), "1", "mean geodesic tortuosity, mean over percolating axes", "mean over axes",
        f"{_PAPER}, Sec. 3.3", "whole",
    ),
    "percolates": Variable(
        ("phase", "axis"), "1", "1 if the phase joins the two faces of the axis, else 0", "26 neighbours",
        f"{_PAPER}, Sec. 3.3", "whole", "int8",
    ),
    "effective_conductivity": Variable(
        ("conduction", "axis"), "1",
        "effective conductivity relative to the pore fluid (pore) or to graphite (solid; carbon binder 0.01)",
        _SOLVER, f"{_PAPER}, Eq. (27)", "transport",
    ),
    "tau_eff": Variable(
        ("conduction", "axis"), "1", "effective tortuosity: mean conductivity of the domain over the effective one",
        _SOLVER, "TauFactor; " + _PAPER, "transport",
    ),
    "m_factor": Variable(
        ("conduction", "axis"), "1", "M-factor, volume fraction over tau_eff", _SOLVER, f"{_PAPER}, Eq. (27)",
        "transport",
    ),
    "m_factor_mean": Variable(
        ("conduction",), "1", "M-factor, mean over axes", "mean over axes", f"{_PAPER}, Eq. (27)", "transport"
    ),
    "flux_spread": Variable(
        ("conduction", "axis"), "1", "(max - min) / mean of the flux through the planes across the axis", _SOLVER,
        "numerical diagnostic", "transport",
    ),
    "conducts": Variable(
        ("conduction", "axis"), "1", "1 if the conducting voxels join the two faces of the axis, else 0",
        "6 neighbours", "numerical diagnostic", "transport", "int8",
    ),
}  # fmt: skip

BLOCKWISE = tuple(name for name, v in VARIABLES.items() if v.group == "block")
GLOBAL_ONLY = tuple(name for name, v in VARIABLES.items() if v.group != "block")


def describe_cba(
    volume: np.ndarray,
    voxel_size_nm: float,
    *,
    max_lag_nm: float = 3000.0,
    max_radius_nm: float = 1500.0,
    axes: Iterable[str] = AXES,
    transport: bool = True,
) -> xr.Dataset:
    """Measure a volume of the additive phase.

    Parameters
    ----------
    volume : ndarray of uint8, shape (nz, ny, nx)
        Labels 0 pore, 1 carbon black and binder, 2 graphite.
    voxel_size_nm : float
        Voxel edge in nm.
    max_lag_nm, max_radius_nm : float
        Ends of the curves; lags stop at half of the shortest edge at the latest.
    axes : iterable of {"z", "y", "x"}
        Directions of the directional descriptors.
    transport : bool
        Whether to solve for the M-factors, which takes most of the time.

    Returns
    -------
    xarray.Dataset
        Scalars and curves by phase (pore, carbon_binder, graphite, solid), axis and conduction problem, each
        with units, estimator and source. A phase that does not percolate has tortuosity NaN and flag 0; one
        that does not conduct has M-factor 0 and flag 0.

    Raises
    ------
    InputError
        If the volume is not three-dimensional, empty or holds other labels, or an option is impossible.
    """
    volume = _check_labels(volume)
    layout = descriptor_layout(
        volume.shape, voxel_size_nm, max_lag_nm=max_lag_nm, max_radius_nm=max_radius_nm, axes=axes,
        transport=transport,
    )  # fmt: skip
    result = layout.copy(deep=True)
    _fill_blockwise(result, block_partials(volume, _all(volume), layout), voxel_size_nm)
    for phase in PHASES:
        _describe_phase(result, phase_mask(volume, phase), phase, voxel_size_nm)
    if transport:
        _describe_transport(result, volume)
    return result


def descriptor_layout(
    shape: tuple[int, ...],
    voxel_size_nm: float,
    *,
    max_lag_nm: float = 3000.0,
    max_radius_nm: float = 1500.0,
    axes: Iterable[str] = AXES,
    transport: bool = True,
    blockwise_only: bool = False,
) -> xr.Dataset:
    """Return the dataset that :func:`describe_cba` fills, with every value missing (NaN, flags 0).

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
        "phase": list(PHASES),
        "conduction": list(CONDUCTIONS),
        "axis": list(axes),
        "lag_nm": two_point.lag_lengths(len(_grid(min(max_lag_nm, half), voxel_size_nm)) - 1, voxel_size_nm),
        "radius_nm": _grid(min(max_radius_nm, half), voxel_size_nm),
    }
    groups = {"block"} | (set() if blockwise_only else {"whole"} | ({"transport"} if transport else set()))
    variables = {name: v for name, v in VARIABLES.items() if v.group in groups}
    used = {dim for v in variables.values() for dim in v.dims}
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
        {
            name: (name, values, {"units": "nm"} if name.endswith("_nm") else {})
            for name, values in coords.items()
            if name in used
        },
    )


def block_partials(window: np.ndarray, core: tuple[slice, ...], layout: xr.Dataset) -> dict[str, np.ndarray]:
    """Return what a block adds to the descriptors that work block by block.

    Partial sums of the blocks of a volume, added up, go to :func:`describe_from_partials`.

    Parameters
    ----------
    window : ndarray of uint8
        The block with a halo of :func:`halo_voxels` voxels, less where the volume ends.
    core : tuple of slice
        Where the block lies in the window.
    layout : xarray.Dataset
        As :func:`descriptor_layout` gives it for the volume.

    Returns
    -------
    dict of str to ndarray
        "configurations" (phase, 256) and "pairs" (phase, 2, lag).
    """
    lags = layout.sizes["lag_nm"] - 1
    upper = tuple(slice(c.start, min(c.stop + 1, n)) for c, n in zip(core, window.shape, strict=True))
    masks = [phase_mask(window, phase) for phase in PHASES]
    voxels = [[np.count_nonzero(mask[core]), mask[core].size] for mask in masks]
    return {
        "voxels": np.array(voxels, dtype=np.int64),
        "configurations": np.array([intrinsic.counts_of_block(mask[upper]) for mask in masks]),
        "pairs": np.array([two_point.pair_counts(mask, core, lags) for mask in masks]),
    }


def halo_voxels(layout: xr.Dataset) -> int:
    """Return how many voxels around a block :func:`block_partials` looks at."""
    return layout.sizes["lag_nm"] - 1


def describe_from_partials(partials: Mapping[str, np.ndarray], layout: xr.Dataset, voxel_size_nm: float) -> xr.Dataset:
    """Return the descriptors that work block by block, from the sum of the blocks' partials."""
    result = layout.copy(deep=True)
    _fill_blockwise(result, partials, voxel_size_nm)
    return result


def phase_mask(volume: np.ndarray, phase: str) -> np.ndarray:
    """Return the voxels of a phase as a boolean array; "solid" is graphite with carbon binder."""
    return volume > 0 if phase == "solid" else volume == PHASES.index(phase)


def _fill_blockwise(result: xr.Dataset, partials: Mapping[str, np.ndarray], voxel_size_nm: float) -> None:
    for i, _phase in enumerate(PHASES):
        inside, total = partials["voxels"][i]
        densities = intrinsic.intrinsic_volumes_from_counts(partials["configurations"][i], voxel_size_nm)
        result["volume_fraction"][i] = inside / total
        for name in ("surface_area", "mean_curvature_6", "mean_curvature_26", "euler_number_6", "euler_number_26"):
            result[name][i] = getattr(densities, name)
        result["two_point_coverage"][i] = two_point.two_point_from_counts(partials["pairs"][i], voxel_size_nm).coverage


def _describe_phase(result: xr.Dataset, mask: np.ndarray, phase: str, voxel_size_nm: float) -> None:
    axes = [AXES.index(name) for name in result["axis"].values]
    distance = pore_size.squared_distance(mask)
    sizes = pore_size.pore_size_distribution(
        mask, voxel_size_nm, radii_nm=result["radius_nm"].values, squared_distance=distance
    )
    result["pore_size_distribution"].loc[{"phase": phase}] = sizes.fraction
    result["r_max_nm"].loc[{"phase": phase}] = sizes.r_max_nm
    r_min = np.array([pore_size.bottleneck_radius(mask, voxel_size_nm, axis, distance) for axis in axes])
    beta = pore_size.constrictivity_from_radii(r_min, sizes.r_max_nm)
    tau = np.array(thread_map(lambda axis: paths.geodesic_tortuosity(mask, axis), axes))
    open_ = ~np.isnan(tau)
    values = {
        "r_min_nm": r_min,
        "constrictivity": beta,
        "constrictivity_mean": _mean(beta),
        "geodesic_tortuosity": tau,
        "geodesic_tortuosity_mean": _mean(tau[open_]),
        "percolates": open_,
    }
    for name, value in values.items():
        result[name].loc[{"phase": phase}] = value


def _describe_transport(result: xr.Dataset, volume: np.ndarray) -> None:
    for name, conductivities in CONDUCTIONS.items():
        for axis in result["axis"].values:
            solved = solve_conduction(volume, conductivities, AXES.index(axis))
            place = {"conduction": name, "axis": axis}
            result["effective_conductivity"].loc[place] = solved.effective_conductivity
            result["tau_eff"].loc[place] = solved.effective_tortuosity
            result["m_factor"].loc[place] = solved.m_factor
            result["flux_spread"].loc[place] = solved.flux_spread
            result["conducts"].loc[place] = solved.percolates
        result["m_factor_mean"].loc[{"conduction": name}] = _mean(result["m_factor"].sel(conduction=name).values)


def _mean(values: np.ndarray) -> float:
    """Return the mean of a few numbers, NaN of none."""
    return math.fsum(values.tolist()) / len(values) if len(values) else math.nan


def _check_axes(axes: Any) -> tuple[str, ...]:
    names = tuple(axes) if isinstance(axes, Iterable) else ()
    known = all(isinstance(name, str) and name in AXES for name in names)
    if not names or not known or len(set(names)) != len(names):
        raise InputError(f"axes: found {shown(axes)}, expected some of {AXES}, each once")
    return names


def _check_labels(volume: Any) -> np.ndarray:
    volume = plain_array("volume", volume, work=5)
    if volume.ndim != 3 or volume.size == 0:
        raise InputError(f"volume: found shape {volume.shape}, expected three dimensions, none of them empty")
    if volume.dtype.kind not in "ui":
        raise InputError(f"volume: found dtype {volume.dtype}, expected integer labels 0, 1, 2")
    if volume.min() < 0 or volume.max() > 2:
        raise InputError(f"volume: found labels {volume.min()} to {volume.max()}, expected 0, 1, 2")
    return np.ascontiguousarray(volume, dtype=np.uint8)


def _all(volume: np.ndarray) -> tuple[slice, ...]:
    return tuple(slice(0, n) for n in volume.shape)


def _grid(end: float, step: float) -> np.ndarray:
    return np.arange(int(np.floor(end / step + 1e-9)) + 1) * step
