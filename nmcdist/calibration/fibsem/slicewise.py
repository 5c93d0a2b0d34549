"""Segmentation slice by slice: a forest trained on scribbles gives every pixel a probability of each class."""

import json
import shutil
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.agreement import Agreement, Tally
from nmcdist.calibration.fibsem.features import NAMES
from nmcdist.calibration.fibsem.forest import TREES, Forest, Trained, train_forest
from nmcdist.calibration.fibsem.forest_files import save_forest
from nmcdist.calibration.fibsem.pictures import Pixels
from nmcdist.calibration.fibsem.ramp import Ramp
from nmcdist.calibration.fibsem.scribbles import Scribbles, whole_numbers
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.fibsem.stored import FULL
from nmcdist.calibration.fibsem.tiff import write_planes
from nmcdist.calibration.fibsem.tiles import examples, tile_features, tiles_of
from nmcdist.calibration.spread import Spread
from nmcdist.datasets.files import write_text
from nmcdist.errors import ImageError, StoreError
from nmcdist.inputs import empty_folder
from nmcdist.wording import in_utf8

LABELS, STORE, RESULTS, FOREST = "labels.tif", "segmentation.zarr", "results.json", "forest"


def train_on(image: Pixels, scribbles: Scribbles, seed: int, trees: int = TREES, spread: Spread = map) -> Trained:
    """Train a forest on the scribbles of an image.

    Raises
    ------
    ImageError
        If a class is missing or too small, see :func:`train_forest`.
    """
    features, labels = examples(CorrectedStack(image, Ramp(0.0)), scribbles, spread)
    return train_forest(features, labels, NAMES, seed, trees)


def segment_slice(image: Pixels, forest: Forest, z: int) -> np.ndarray:
    """Return the probability of each class in a slice, shape (c, ny, nx), as uint8: 255 is 1."""
    stack = CorrectedStack(image, Ramp(0.0))
    out = np.empty((len(forest.classes), *image.shape[1:]), np.uint8)
    for tile in tiles_of(image.shape):
        out[(slice(None), *tile)] = np.rint(FULL * forest.probabilities(tile_features(stack, z, tile)))
    return out


def segment(
    image: Pixels, scribbles: Scribbles | None, out: Path, *, seed: int = 1, trees: int = TREES,
    forest: Forest | None = None, reference: Pixels | None = None, spread: Spread = map,
) -> dict[str, Any]:  # fmt: skip
    """Segment an image by a forest, trained on scribbles or given, and write all that came of it into a new folder.

    Slices are read and written one at a time, and worked on in tiles, so the image need not fit into memory.

    Parameters
    ----------
    image : Pixels
    scribbles : dict of int to ndarray, or None
        Not needed with a forest.
    out : Path
    seed : int
    trees : int
    forest : Forest, optional
        Trained before, for example on another image of the same kind.
    reference : Pixels, optional
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
        If the scribbles teach nothing, the forest has other features, or a slice cannot be read.
    StoreError
        If the folder is not new.
    """
    where, start = empty_folder(out, StoreError), time.process_time()
    trained = None
    if forest is None:
        trained = train_on(image, scribbles or {}, seed, trees, spread)
        forest = trained.forest
    elif forest.features != NAMES:
        raise ImageError(f"forest: found features {', '.join(forest.features[:3])}, ..., expected those of slices")
    train_s, start = time.process_time() - start, time.process_time()
    where.mkdir(parents=True, exist_ok=True)
    try:
        shares, agrees = _write_store(image, forest, where, reference, spread)
    except BaseException:  # a slice that is refused, for example: nothing is in the way of the next attempt
        shutil.rmtree(where / STORE, ignore_errors=True)
        raise
    predict_s = time.process_time() - start
    _write_pictures(image, forest, where)
    results: dict[str, Any] = {
        "image": in_utf8(image.path), "shape": list(image.shape), "classes": list(forest.classes),
        "trees": len(forest.roots), "labelled_slices": sorted(scribbles or {}), "class_shares": shares,
        "agreement": agrees and vars(agrees),
        "cpu_s": {"train": round(train_s, 2), "predict": round(predict_s, 2)},
    }  # fmt: skip
    if trained is not None:
        results |= {
            "seed": seed, "confusion_out_of_bag": trained.confusion.tolist(),
            "share_out_of_bag": float(np.trace(trained.confusion) / trained.confusion.sum()),
            "importance": {n: round(float(v), 4) for n, v in zip(forest.features, trained.importance, strict=True)},
        }  # fmt: skip
        (where / FOREST).mkdir()
        save_forest(forest, where / FOREST, {"image": in_utf8(image.path), "seed": seed, "trees": trees})
    write_text(where / RESULTS, json.dumps(results, indent=1) + "\n")
    return results


def _write_store(
    image: Pixels, forest: Forest, where: Path, reference: Pixels | None, spread: Spread
) -> tuple[dict[str, float], Agreement | None]:
    """Write classes and probabilities slice by slice; return the share of each class, and how they agree."""
    import zarr

    group = zarr.create_group(where / STORE, zarr_format=3)
    nz, ny, nx = image.shape
    chunk, dims = (1, min(ny, 1024), min(nx, 1024)), ("z", "y", "x")
    names = group.create_array("labels", shape=image.shape, chunks=chunk, dtype="uint16", dimension_names=dims)
    shares = group.create_array(
        "probability", shape=(len(forest.classes), *image.shape), chunks=(1, *chunk), dtype="uint8",
        dimension_names=("class", *dims), attributes={"classes": list(forest.classes), "scale_factor": 1 / FULL},
    )  # fmt: skip
    counts, tally = Counter[int](), Tally(image.shape)
    for z, part in enumerate(spread(partial(segment_slice, image, forest), range(nz))):
        labels = forest.labels(part)
        shares[:, z], names[z] = part, labels
        counts.update(dict(zip(*(each.tolist() for each in np.unique(labels, return_counts=True)), strict=True)))
        if reference is not None:
            tally.add(labels, whole_numbers(reference.read(slice(z, z + 1))[0], reference.path))
    found = {str(c): counts[c] / (nz * ny * nx) for c in forest.classes}
    return found, None if reference is None else tally.agreement()


def _write_pictures(image: Pixels, forest: Forest, where: Path) -> None:
    """Write the store once more as TIFF files, which other programs open."""
    import zarr

    labels, shares = (zarr.open_array(where / STORE / name, mode="r") for name in ("labels", "probability"))
    size = image.voxel_size_nm
    dtype = np.dtype(np.uint8 if max(forest.classes) < 256 else np.uint16)
    planes = (np.asarray(labels[z]).astype(dtype) for z in range(image.shape[0]))
    write_planes(where / LABELS, planes, image.shape, dtype, size)
    for k, each in enumerate(forest.classes):
        planes = (np.asarray(shares[k, z]) for z in range(image.shape[0]))
        write_planes(where / f"probability-{each}.tif", planes, image.shape, np.dtype(np.uint8), size)


def segmented_slice(folder: Path, z: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of a slice of a finished segmentation, and the probability of each, shape (ny, nx)."""
    import zarr

    labels = zarr.open_array(folder / STORE / "labels", mode="r")
    shares = zarr.open_array(folder / STORE / "probability", mode="r")
    return np.asarray(labels[z]), np.asarray(shares[:, z]).max(axis=0) / FULL
