"""How large a representative volume is: the descriptors of windows of an image, and their spread."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from nmcdist.arguments import check_whole
from nmcdist.errors import InputError
from nmcdist.measurement.volume import Volume
from nmcdist.wording import shown

LEAST = 8  # voxels along the edge of a window


def check_windows(given: Any, shape: tuple[int, ...], is_planar: bool) -> tuple[int, ...]:
    """Return numbers of parts along each axis, ascending; InputError if the windows would be too small."""
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"windows: found {shown(given)}, expected numbers of parts such as 2, 3, 4")
    parts = sorted({check_whole("windows", number, 2) for number in given})
    shortest = min(shape[1 if is_planar else 0 :])
    if parts and shortest // parts[-1] < LEAST:
        raise InputError(
            f"windows: found {parts[-1]} parts of {shortest} voxels, expected windows of {LEAST} voxels or more"
        )
    return tuple(parts)


def study_windows(
    whole: Volume, parts: tuple[int, ...], measured: Callable[[Volume], xr.Dataset], curves: tuple[str, ...]
) -> xr.Dataset:
    """Return means and standard deviations over the windows of each size, of all quantities that are no curves.

    Parameters
    ----------
    whole : Volume
    parts : tuple of int
        Parts along each axis.
    measured : callable
        Returns the descriptors of a volume.
    curves : tuple of str
        Dimensions of curves.

    Returns
    -------
    xarray.Dataset
        Along "windows", the parts along each axis: `NAME_windows_mean`, `NAME_windows_sd` (NaN of fewer than two
        finite values), the number of windows and the length of their shortest side.
    """
    sizes = []
    for number in parts:
        boxes = list(product(*_cuts(whole, number)))
        each = []
        for count, box in enumerate(boxes):
            whole.announce(f"window {count + 1} of {len(boxes)}, {number} along each axis")
            # A window does not continue itself, even where the image does.
            part = whole.window(box)
            each.append(_scalars(measured(replace(part, choices=replace(part.choices, periodic=False))), curves))
        sizes.append(_spread(each))
    result = xr.concat(sizes, "windows", combine_attrs="override")
    edges, shape = whole.own_edges, whole.own_shape
    sides = [min(n // number * edge for n, edge in zip(shape, edges, strict=True)) for number in parts]
    about = {"units": "1", "long_name": "parts into which each axis is cut"}
    return result.assign_coords(windows=("windows", list(parts), about)).assign(
        window_count=("windows", [number ** len(edges) for number in parts], {"units": "1", "long_name": "windows"}),
        window_side_nm=("windows", sides, {"units": "nm", "long_name": "shortest side of the windows"}),
    )


def _cuts(whole: Volume, number: int) -> list[list[slice]]:
    """Return equal windows along each axis; a remainder at the end is left out."""
    cuts = []
    for axis, n in enumerate(whole.codes.shape):
        edge = n if axis == 0 and whole.is_planar else n // number
        cuts.append([slice(k * edge, (k + 1) * edge) for k in range(n // edge if edge == n else number)])
    return cuts


def _scalars(data: xr.Dataset, curves: tuple[str, ...]) -> xr.Dataset:
    kept = [name for name, variable in data.data_vars.items() if not set(curves) & set(variable.dims)]
    return data[kept]


def _spread(each: list[xr.Dataset]) -> xr.Dataset:
    """Return mean and standard deviation of the finite values over windows."""
    found = {}
    for name in each[0].data_vars:
        values = np.stack([data[name].values.astype(float) for data in each])
        known = np.isfinite(values)
        count = known.sum(axis=0)
        total = np.where(known, values, 0).sum(axis=0)
        mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        squares = np.where(known, (values - mean) ** 2, 0).sum(axis=0)
        sd = np.sqrt(np.divide(squares, count - 1, out=np.full(total.shape, np.nan), where=count > 1))
        dims, attrs = each[0][name].dims, each[0][name].attrs
        for end, value in (("mean", mean), ("sd", sd)):
            more = {"mean": "mean over windows", "sd": "standard deviation over windows"}[end]
            about = {"units": attrs["units"], "long_name": f"{attrs['long_name']}: {more}"}
            found[f"{name}_windows_{end}"] = (dims, value, about)
    return xr.Dataset(found, each[0].coords)
