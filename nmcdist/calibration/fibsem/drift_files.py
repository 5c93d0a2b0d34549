"""Known drifts, from another program or of a phantom."""

from pathlib import Path

import numpy as np

from nmcdist.errors import ImageError
from nmcdist.inputs import read_text
from nmcdist.json_text import load_json


def read_drift(path: Path, slices: int) -> np.ndarray:
    """Read the shift of each slice in pixels along y and x: pixel (y, x) shows the structure at (y, x) + shift.

    Parameters
    ----------
    path : Path
        A JSON file with a list ``drift_px`` of pairs, as of a phantom, or a text file with a pair in each line,
        separated by a comma or spaces.
    slices : int
        Of the stack.

    Returns
    -------
    ndarray of float64, shape (slices, 2)

    Raises
    ------
    ImageError
        If the file cannot be read, or does not hold one pair of finite numbers a slice.
    """
    expected = f"{slices} pairs of finite numbers, the shift of each slice along y and x in pixels"
    if path.suffix.lower() == ".json":
        pairs = load_json(path, ImageError).get("drift_px")
    else:
        lines = read_text(path, ImageError).splitlines()
        pairs = [line.replace(",", " ").split() for line in lines if line.strip() and not line.startswith("#")]
    try:
        found = np.array(pairs, np.float64)
    except (TypeError, ValueError):
        raise ImageError(f"{path}: expected {expected}") from None
    if found.shape != (slices, 2):
        raise ImageError(f"{path}: found {len(found) if found.ndim else 0} rows, expected {expected}")
    if not np.isfinite(found).all():
        raise ImageError(f"{path}: expected {expected}")
    return found
