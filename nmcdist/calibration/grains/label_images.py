"""Reads images of labelled grains: .npy and TIFF files of integers."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.grains.tessellation_fit import MISSING
from nmcdist.errors import ImageError
from nmcdist.images.truncated import check_tiff
from nmcdist.inputs import ordinary_file
from nmcdist.wording import one_line

EXTENSIONS = (".npy", ".tif", ".tiff")

MOST_PIXELS = 2**26


def read_labels(path: Path) -> np.ndarray:
    """Return the labels of an image: int32, shape (ny, nx); -1 missing, 0 outside, positive for grains.

    Raises
    ------
    ImageError
        If the file is not an ordinary file, is damaged or larger than `MOST_PIXELS`, or holds no such labels.
    """
    image = _read_image(ordinary_file(path, ImageError))
    if image.ndim != 2 or image.dtype.kind not in "iu":
        raise ImageError(f"{path}: found {image.dtype} of shape {image.shape}, expected integers of two dimensions")
    if not (image > 0).any():
        raise ImageError(f"{path}: found no grain, expected pixels with positive labels")
    low, high = int(image.min()), int(image.max())
    if low < MISSING or high >= 2**31:
        found = low if low < MISSING else high
        raise ImageError(f"{path}: found label {found}, expected -1 (missing), 0 (outside) or up to 2147483647")
    return image.astype(np.int32)


def _read_image(path: Path) -> np.ndarray:
    try:
        with _silent("tifffile"):
            image = _read_npy(path) if path.suffix.lower() == ".npy" else _read_tiff(path)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"{path}: cannot be read, {one_line(error)}") from error
    except Exception as error:  # damaged bytes raise errors of any type in both readers
        raise ImageError(f"{path}: is not the kind of image that its extension says, {one_line(error)}") from error
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{path}: found an archive of several arrays, expected one array")
    return np.asarray(image)


def _read_npy(path: Path) -> Any:
    # Memory-mapped, so that a header that declares more than the file holds is refused without allocation.
    image = np.load(path, allow_pickle=False, mmap_mode="r")
    if isinstance(image, np.ndarray):
        _check_size(path, image.size)
    return image


def _read_tiff(path: Path) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as file:
        _check_size(path, file.series[0].size)
    check_tiff(path)
    return tifffile.imread(path)


def _check_size(path: Path, size: int) -> None:
    if size > MOST_PIXELS:
        raise ImageError(f"{path}: has {size} pixels, expected at most {MOST_PIXELS}")


@contextmanager
def _silent(logger_name: str) -> Iterator[None]:
    """Suppress a reader's logs and warnings about a damaged file, but not its error."""
    logger = logging.getLogger(logger_name)
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
