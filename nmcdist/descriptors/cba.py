"""Measure a volume of the additive phase; the result is one labelled dataset."""

from collections.abc import Iterable

import numpy as np
import xarray as xr

from nmcdist.descriptors import labelled
from nmcdist.descriptors.labelled import AXES, Scheme

SCHEME = Scheme(
    3,
    {"pore": (0,), "carbon_binder": (1,), "graphite": (2,), "solid": (1, 2)},
    {"pore": {0: 1.0}, "solid": {2: 1.0, 1: 0.01}},
    {
        "phase": "carbon_binder is carbon black with binder; solid is graphite and carbon_binder together",
        "conduction": "pore: only pores conduct, with conductivity 1; solid: graphite conducts with 1, carbon_binder "
        "with 0.01",
    },
    "the pore fluid (pore) or to graphite (solid; carbon binder 0.01)",
)
PHASES, CONDUCTIONS = tuple(SCHEME.phases), dict(SCHEME.conductions)
COORDINATES = SCHEME.coordinates()


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
        Ends of the curves. Both are cut at half of the shortest edge.
    axes : iterable of {"z", "y", "x"}
        Directions of the directional descriptors.
    transport : bool
        Whether to solve for the M-factors, the slowest part.

    Returns
    -------
    xarray.Dataset
        Scalars and curves by phase (pore, carbon_binder, graphite, solid), axis and conduction problem, each
        with units, estimator and source. A phase that does not percolate has tortuosity NaN and flag 0; one
        that does not conduct has M-factor 0 and flag 0.

    Raises
    ------
    InputError
        If the volume is not three-dimensional, is empty or holds other labels, or an option is impossible.
    """
    return labelled.describe(
        SCHEME, volume, voxel_size_nm, max_lag_nm=max_lag_nm, max_radius_nm=max_radius_nm, axes=axes,
        transport=transport,
    )  # fmt: skip


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
    return labelled.layout_of(
        SCHEME, shape, voxel_size_nm, max_lag_nm=max_lag_nm, max_radius_nm=max_radius_nm, axes=axes,
        transport=transport, blockwise_only=blockwise_only,
    )  # fmt: skip
