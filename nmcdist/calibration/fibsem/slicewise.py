"""Segmentation slice by slice: a forest trained on scribbles gives every pixel a probability of each class."""

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.features import NAMES, slice_features
from nmcdist.calibration.fibsem.forest import TREES, Forest, Trained, train_forest
from nmcdist.calibration.fibsem.forest_files import save_forest
from nmcdist.calibration.fibsem.pictures import Pixels
from nmcdist.calibration.fibsem.scribbles import Scribbles
from nmcdist.calibration.fibsem.tiff import write_stack
from nmcdist.calibration.spread import Spread
from nmcdist.datasets.files import write_text
from nmcdist.errors import ImageError, StoreError
from nmcdist.inputs import empty_folder

LABELS, STORE, RESULTS, FOREST = "labels.tif", "segmentation.zarr", "results.json", "forest"
FULL = 255  # probability 1 in the stored integers


def train_on(image: Pixels, scribbles: Scribbles, seed: int, trees: int = TREES, spread: Spread = map) -> Trained:
    """Train a forest on the scribbles of an image.

    Raises
    ------
    ImageError
        If a class is missing or too small, see :func:`train_forest`.
    """
    parts = list(spread(partial(_labelled, image), scribbles.items()))
    features, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return train_forest(features, labels, NAMES, seed, trees)


def _labelled(image: Pixels, item: tuple[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    z, labels = item
    known = labels > 0
    return slice_features(finite_plane(image, z))[:, known].T, labels[known]


def finite_plane(image: Pixels, z: int) -> np.ndarray:
    """Return a slice; ImageError if a pixel is not a finite number."""
    plane = image.read(slice(z, z + 1))[0]
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        raise ImageError(f"{image.path}: slice {z}: found values that are not finite numbers")
    return plane


def segment_slice(image: Pixels, forest: Forest, z: int) -> np.ndarray:
    """Return the probability of each class in a slice, shape (c, ny, nx), as uint8: 255 is 1."""
    found = forest.probabilities(slice_features(finite_plane(image, z)))
    return np.rint(FULL * found).astype(np.uint8)


@dataclass(frozen=True)
class Agreement:
    """How a segmentation agrees with a reference.

    Attributes
    ----------
    share : float
        Of pixels with the class of the reference, where that is not 0.
    standard_error : float or None
        From the scatter of the shares of an 8 x 8 grid of fields; None if fewer than ten have references.
    dice : dict of int to float
        Of each class.
    """

    share: float
    standard_error: float | None
    dice: dict[int, float]


def agreement(labels: np.ndarray, reference: np.ndarray) -> Agreement:
    """Compare labels with a reference, both of shape (nz, ny, nx); 0 in the reference is not compared.

    Raises
    ------
    ImageError
        If the reference is empty.
    """
    known, same = reference > 0, labels == reference
    if not known.any():
        raise ImageError("reference: found no label above 0, expected labels of some pixels")
    fields = [
        same[field][known[field]].mean()
        for rows in np.array_split(np.arange(labels.shape[1]), 8)
        for columns in np.array_split(np.arange(labels.shape[2]), 8)
        if len(rows) and len(columns)
        for field in [(slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))]
        if known[field].any()
    ]
    error = float(np.std(fields, ddof=1) / len(fields) ** 0.5) if len(fields) >= 10 else None
    dice = {}
    for each in np.unique(reference[known]):
        a, b = (labels == each) & known, reference == each
        dice[int(each)] = float(2 * (a & b).sum() / (a.sum() + b.sum()))
    return Agreement(float(same[known].mean()), error, dice)


def segment(
    image: Pixels, scribbles: Scribbles, out: Path, *, seed: int = 1, trees: int = TREES,
    reference: np.ndarray | None = None, spread: Spread = map,
) -> dict[str, Any]:  # fmt: skip
    """Segment an image by a forest trained on scribbles, and write all that came of it into a new folder.

    Parameters
    ----------
    image : Pixels
    scribbles : dict of int to ndarray
    out : Path
    seed : int
    trees : int
    reference : ndarray of int, shape of the image, optional
        The true classes; 0 where unknown.
    spread : callable
        Applies a function to items as `map` does, in order: slices are independent.

    Returns
    -------
    dict
        What ``results.json`` holds.

    Raises
    ------
    ImageError
        If the scribbles teach nothing, or a slice cannot be read.
    StoreError
        If the folder is not new.
    """
    import zarr

    where = empty_folder(out, StoreError)
    start = time.process_time()
    trained = train_on(image, scribbles, seed, trees, spread)
    forest, train_s = trained.forest, time.process_time() - start
    where.mkdir(parents=True, exist_ok=True)
    group = zarr.create_group(where / STORE, zarr_format=3)
    nz, ny, nx = image.shape
    chunk = (1, min(ny, 1024), min(nx, 1024))
    dims = ("z", "y", "x")
    names = group.create_array("labels", shape=image.shape, chunks=chunk, dtype="uint16", dimension_names=dims)
    shares = group.create_array(
        "probability", shape=(len(forest.classes), *image.shape), chunks=(1, *chunk), dtype="uint8",
        dimension_names=("class", *dims), attributes={"classes": list(forest.classes), "scale_factor": 1 / FULL},
    )  # fmt: skip
    start = time.process_time()
    for z, part in enumerate(spread(partial(segment_slice, image, forest), range(nz))):
        shares[:, z] = part
        names[z] = forest.labels(part)
    predict_s = time.process_time() - start
    labels = np.asarray(names[:])
    size = image.voxel_size_nm
    write_stack(where / LABELS, labels.astype(np.uint8 if max(forest.classes) < 256 else np.uint16), size)
    for k, each in enumerate(forest.classes):
        write_stack(where / f"probability-{each}.tif", np.asarray(shares[k]), size)
    results = {
        "image": str(image.path), "shape": list(image.shape), "classes": list(forest.classes), "seed": seed,
        "trees": trees, "labelled_slices": sorted(scribbles), "confusion_out_of_bag": trained.confusion.tolist(),
        "share_out_of_bag": float(np.trace(trained.confusion) / trained.confusion.sum()),
        "class_shares": {str(c): float((labels == c).mean()) for c in forest.classes},
        "importance": {n: round(float(v), 4) for n, v in zip(forest.features, trained.importance, strict=True)},
        "agreement": None if reference is None else vars(agreement(labels, reference)),
        "cpu_s": {"train": round(train_s, 2), "predict": round(predict_s, 2)},
    }  # fmt: skip
    (where / FOREST).mkdir()
    save_forest(forest, where / FOREST, {"image": str(image.path), "seed": seed, "trees": trees})
    write_text(where / RESULTS, json.dumps(results, indent=1) + "\n")
    return results


def segmented_slice(folder: Path, z: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of a slice of a finished segmentation, and the probability of each, shape (ny, nx)."""
    import zarr

    labels = zarr.open_array(folder / STORE / "labels", mode="r")
    shares = zarr.open_array(folder / STORE / "probability", mode="r")
    return np.asarray(labels[z]), np.asarray(shares[:, z]).max(axis=0) / FULL
