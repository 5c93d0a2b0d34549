"""Predictions as files: a table of text, or a Zarr store."""

from pathlib import Path
from typing import TYPE_CHECKING

from nmcdist.datasets.files import replacing
from nmcdist.datasets.store import MANIFEST, quiet
from nmcdist.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

FORMATS = (".csv", ".zarr")


def check_target(path: Path) -> None:
    """Refuse a file of another format, one that exists, or a place in a store or below a file."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: found extension {path.suffix!r}, expected {' or '.join(FORMATS)}")
    if path.exists():
        raise InputError(f"{path}: already exists, expected a new file")
    for folder in path.absolute().parents:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{path}: {folder} is a file, expected a folder")
        if (folder / MANIFEST).exists():
            raise InputError(f"{path}: is in the store {folder}, expected a place outside of it")


def write_predictions(predictions: "xr.Dataset", path: Path) -> Path:
    """Write predictions to a new ``.csv`` file, one row per item (and axis), or to a ``.zarr`` store.

    Raises
    ------
    InputError
        If the format is unknown, or the file exists.
    """
    check_target(path)
    if path.suffix.lower() == ".csv":
        with replacing(path) as unfinished:
            predictions.reset_coords().to_dataframe().to_csv(unfinished)
        return path
    plain = predictions.assign_coords({n: c.astype(str) for n, c in predictions.coords.items() if c.dtype.kind == "T"})
    with quiet():
        plain.drop_encoding().to_zarr(path, mode="w-", zarr_format=3)
    return path
