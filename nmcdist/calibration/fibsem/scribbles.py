"""Scribbles: pixels of a few slices to which a person gave a class; 0 is not labelled."""

from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.pictures import Pixels, open_pixels
from nmcdist.errors import ImageError
from nmcdist.images.slices import SUFFIXES, number_in
from nmcdist.inputs import local_path

_CLASSES = 32
Scribbles = dict[int, np.ndarray]


def read_scribbles(path: Path, image: Pixels, **how: Any) -> Scribbles:
    """Read the scribbles of an image.

    Parameters
    ----------
    path : Path
        A label image of the shape of the image, or a folder of TIFF or PNG files of one slice each, whose last
        number in the name is that of the slice, from 0.
    image : Pixels
    **how
        Voxel size and axes of a label image that does not say its own, as for :func:`open_pixels`.

    Returns
    -------
    dict of int to ndarray of int32, shape (ny, nx)
        Labels of each slice that has some.

    Raises
    ------
    ImageError
        If a label image has another shape, is not of whole numbers, or has over 32 classes; if the name of a file says
        no slice of the image; or if fewer than two classes are labelled.
    """
    where = local_path(path, ImageError)
    found = _of_folder(where, image) if where.is_dir() and not _is_zarr(where) else _of_stack(where, image, how)
    labelled = {z: labels for z, labels in found.items() if labels.any()}
    classes = np.unique(np.concatenate([np.unique(each) for each in labelled.values()])) if labelled else np.array([])
    classes = classes[classes > 0]
    if len(classes) < 2:
        raise ImageError(f"{where}: found labels of {len(classes)} classes, expected at least two; 0 is not labelled")
    if len(classes) > _CLASSES:
        raise ImageError(f"{where}: found {len(classes)} classes, expected scribbles of at most {_CLASSES}")
    return labelled


def _is_zarr(where: Path) -> bool:
    return any((where / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def _of_stack(where: Path, image: Pixels, how: dict[str, Any]) -> Scribbles:
    labels = open_pixels(where, **how)
    if labels.shape != image.shape:
        raise ImageError(f"{where}: found shape {labels.shape}, expected {image.shape} as of {image.path}")
    return {z: whole_numbers(labels.read(slice(z, z + 1))[0], where) for z in range(labels.shape[0])}


def _of_folder(where: Path, image: Pixels) -> Scribbles:
    found: Scribbles = {}
    for file in sorted(path for path in where.iterdir() if path.suffix.lower() in SUFFIXES):
        number = number_in(file.name)
        if number is None or number >= image.shape[0]:
            raise ImageError(f"{file}: expected the number of a slice in the name, from 0 to {image.shape[0] - 1}")
        if number in found:
            raise ImageError(f"{file}: has the number of another file: slice {number} is labelled twice")
        plane = open_pixels(file)
        if plane.shape != (1, *image.shape[1:]):
            raise ImageError(f"{file}: found shape {plane.shape[1:]}, expected {image.shape[1:]} as of {image.path}")
        found[number] = whole_numbers(plane.read()[0], file)
    if not found:
        raise ImageError(f"{where}: found no TIFF or PNG file, expected scribbles of some slices")
    return found


def whole_numbers(labels: np.ndarray, where: Path) -> np.ndarray:
    """Return labels as int32; ImageError, which names the file, if one is not a whole number from 0 to 65535."""
    if labels.dtype.kind not in "ui" and not (labels == np.rint(labels)).all():
        raise ImageError(f"{where}: found labels of type {labels.dtype}, expected whole numbers")
    if labels.min() < 0 or labels.max() > 65535:
        raise ImageError(f"{where}: found labels {labels.min()} to {labels.max()}, expected 0 to 65535")
    return labels.astype(np.int32)
