"""The scalars of a measurement as rows, and its files: CSV, JSON and NetCDF."""

import csv
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nmcdist.datasets.files import replacing
from nmcdist.errors import InputError
from nmcdist.inputs import local_path

CURVES = ("lag_nm", "radius_nm", "length_nm")
FORMATS = (".csv", ".json", ".nc")
_APART = ("axis", "plane", "windows")


@dataclass(frozen=True)
class Row:
    """A scalar of one phase, pair or conduction problem.

    Attributes
    ----------
    name, unit : str
    of : str
        The phase, the pair or the problem; "" for none.
    values : ndarray
        By axis, plane and windows, as far as it has those dimensions.
    dims : tuple of str
        Of the values.
    """

    name: str
    unit: str
    of: str
    values: np.ndarray
    dims: tuple[str, ...]


def rows_of(data: xr.Dataset) -> Iterator[Row]:
    """Yield the scalars of a measurement, phase by phase."""
    for name, variable in data.data_vars.items():
        if set(CURVES) & set(variable.dims):
            continue
        apart = tuple(str(dim) for dim in variable.dims if dim in _APART)
        key = next((str(dim) for dim in variable.dims if dim not in _APART), None)
        unit = str(variable.attrs.get("units", "1"))
        if key is None:
            yield Row(str(name), unit, "", variable.values, apart)
            continue
        for label in data[key].values:
            yield Row(str(name), unit, str(label), variable.sel({key: label}).values, apart)


def check_file(path: Any, overwrite: bool) -> Path:
    """Return the path of a result; InputError if it exists, or its ending is of no known format."""
    found = local_path(path)
    if found.suffix.lower() not in FORMATS:
        raise InputError(f"{found}: expected a name that ends with {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if found.exists() and (not overwrite or found.is_dir()):
        raise InputError(f"{found}: already exists, expected a new name{'' if found.is_dir() else ' or --overwrite'}")
    folder = found.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{found.parent}: no such folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{found.parent}: cannot be written to, expected another folder")
    return found


def write_result(data: xr.Dataset, path: Path) -> Path:
    """Write a measurement in the format that the ending of its path names, whole or not at all."""
    with replacing(path) as partial:
        if path.suffix.lower() == ".csv":
            _write_csv(data, partial)
        elif path.suffix.lower() == ".json":
            partial.write_text(json.dumps(_plain(data.to_dict()), indent=1) + "\n", encoding="utf-8")
        else:
            data.to_netcdf(partial, engine="scipy")
    return path


def _write_csv(data: xr.Dataset, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["quantity", "of", *_APART, "unit", "value"])
        for row in rows_of(data):
            for place in np.ndindex(*row.values.shape):
                at = {dim: data[dim].values[k] for dim, k in zip(row.dims, place, strict=True)}
                writer.writerow([row.name, row.of, *(at.get(dim, "") for dim in _APART), row.unit, row.values[place]])


def _plain(value: Any) -> Any:
    """Return nested data without numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
