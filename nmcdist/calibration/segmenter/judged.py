"""The judgement of a segmentation by what is known of the truth: a whole image of it, or labels of some pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

import numpy as np

from nmcdist.calibration.boxes import Box, tiled
from nmcdist.calibration.fibsem.cubes import checked_factors
from nmcdist.calibration.fibsem.scribbles import Scribbles, whole_numbers
from nmcdist.calibration.fibsem.stored import Grey
from nmcdist.calibration.segmenter.corrected import corrected_shares
from nmcdist.calibration.segmenter.judging import (
    UNKNOWN,
    binned,
    calibration_error,
    confusion,
    reliability,
    scores_of,
)  # fmt: skip
from nmcdist.calibration.segmenter.properties import cubic_labels, errors_of, properties
from nmcdist.calibration.stages import Stage, Stages
from nmcdist.errors import ImageError, InputError
from nmcdist.images import Image

BLOCK = (8, 64, 64)  # voxels of a block whose labels count as one draw
MEASURED = (128, 256, 256)  # most voxels of the box in the middle whose properties are compared
_FEWEST = 8  # voxels along each of its edges that properties need
_DIGITS = 6


class Truth(Protocol):
    """Classes that are known: 0 for the first one, 255 where nothing is known."""

    @property
    def digest(self) -> str:
        """SHA-256 of the classes."""

    def __getitem__(self, box: Box) -> np.ndarray:
        """Return a box as uint8."""


@dataclass(frozen=True)
class TrueImage:
    """An image of the true classes.

    Attributes
    ----------
    image : Image
    digest : str
    """

    image: Image
    digest: str

    @classmethod
    def of(cls, image: Image, like: Image, classes: Sequence[str]) -> "TrueImage":
        """Check an image of true classes against the image that is segmented.

        Raises
        ------
        ImageError
            If it has another shape, holds something else than classes and 255, or is known nowhere.
        """
        if image.shape != like.shape:
            raise ImageError(f"{image.path}: found shape {image.shape}, expected {like.shape} as of {like.path}")
        digest, found = sha256(), np.zeros(0, np.int32)
        for z in range(image.shape[0]):
            plane = whole_numbers(image.read(slice(z, z + 1)), image.path)
            found = np.union1d(found, plane)
            digest.update(plane.tobytes())
        names = ", ".join(f"{number} ({name})" for number, name in enumerate(classes))
        if strange := [int(value) for value in found if value >= len(classes) and value != UNKNOWN]:
            raise ImageError(
                f"{image.path}: found the label {strange[0]}, expected {names}, and 255 where nothing is known"
            )
        if not (found != UNKNOWN).any():
            raise ImageError(f"{image.path}: found 255 (not known) everywhere, expected some of {names}")
        return cls(image, digest.hexdigest())

    def __getitem__(self, box: Box) -> np.ndarray:
        """Return a box as uint8."""
        return self.image.read(*box).astype(np.uint8)


@dataclass(frozen=True)
class TrueScribbles:
    """Labels of some pixels that no net learned.

    Attributes
    ----------
    planes : dict of int to ndarray of int, shape (ny, nx)
        1 for the first class; 0 is not labelled.
    """

    planes: Scribbles

    @property
    def digest(self) -> str:
        """SHA-256 of the labels."""
        found = sha256()
        for z in sorted(self.planes):
            found.update(f"{z}".encode() + np.ascontiguousarray(self.planes[z], "<i4").tobytes())
        return found.hexdigest()

    def __getitem__(self, box: Box) -> np.ndarray:
        """Return a box as uint8."""
        shape = tuple(part.stop - part.start for part in box)
        out = np.full(shape, UNKNOWN, np.uint8)
        for z in range(box[0].start, box[0].stop):
            if z in self.planes:
                labels = self.planes[z][box[1:]]
                out[z - box[0].start] = np.where(labels > 0, labels - 1, UNKNOWN)
        return out


def judged(
    stages: Stages, truth: Truth, probability: Stage, labels: Stage, image: Image, classes: Sequence[str],
    edges: tuple[int, int, int], seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Return how a segmentation agrees with a truth, in numbers that JSON can hold.

    Parameters
    ----------
    stages : Stages
    truth : Truth
    probability, labels : Stage
        Of the segmentation.
    image : Image
    classes : sequence of str
    edges : tuple of int
        Voxels of a box, multiples of a block.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``confusion``, its scores, the bins of the reliability diagram and the calibration error; ``corrected`` shares
        of the classes, if the truth is known in part (None, with the reason in ``not_corrected``, if it is too little);
        ``properties``, found and true, if it is known all over a box in the middle.
    """
    found, shares = (Grey(each.path, image.shape) for each in (labels, probability))
    work = partial(_counts, found, shares, truth, len(classes))
    counted = stages.arrays("judged", work, tiled(image.shape, edges), [labels.key, truth.digest])
    blocks = np.concatenate([each["blocks"] for each in counted.facts])
    if not len(blocks):
        raise ImageError("reference: found no pixel of known class in the image, expected some")
    table, chances = blocks.sum(axis=0), np.sum([each["reliability"] for each in counted.facts], axis=0)
    facts = {
        "confusion": table.tolist(), **scores_of(table, classes), "reliability": binned(chances),
        "calibration_error": round(calibration_error(chances), _DIGITS), "blocks": len(blocks),
        "block_voxels": list(BLOCK),
    }  # fmt: skip
    if table.sum() < np.prod(image.shape):
        facts |= _corrected(np.sum(labels.facts, axis=0), blocks, classes, seed)
    return facts | _measured(found, truth, image, classes)


def _counts(found: Grey, shares: Grey, truth: Truth, classes: int, box: Box) -> dict[str, np.ndarray]:
    labels, true = found[box], truth[box]
    blocks = [confusion(labels[part], true[part], classes) for part in tiled(true.shape, BLOCK)]
    known = [block for block in blocks if block.any()]
    return {
        "blocks": np.stack(known) if known else np.zeros((0, classes, classes), np.int64),
        "reliability": reliability(shares[(slice(None), *box)], true),
    }


def _corrected(seen: np.ndarray, blocks: np.ndarray, classes: Sequence[str], seed: int) -> dict[str, Any]:
    try:
        found = corrected_shares(seen, blocks, seed)
    except ImageError as error:
        return {"corrected": None, "not_corrected": str(error)}
    rows = zip(classes, found.shares, found.standard_errors, found.low, found.high, strict=True)
    return {"corrected": {
        name: {key: round(value, _DIGITS) for key, value in zip(("share", "standard_error", "low", "high"), row,
                                                                strict=True)}
        for name, *row in rows
    }}  # fmt: skip


def _measured(found: Grey, truth: Truth, image: Image, classes: Sequence[str]) -> dict[str, Any]:
    """Return the properties of a box in the middle, in cubic voxels where those of the image make up some."""
    try:
        factors, edge = checked_factors(image, None)
        size = (edge,) * 3
    except InputError:
        factors, size = (1, 1, 1), image.voxel_size_nm
    box = tuple(slice((n - e) // 2, (n - e) // 2 + e) for n, most in zip(image.shape, MEASURED, strict=True)
                for e in [min(n, most)])  # fmt: skip
    true = truth[box]
    if (true == UNKNOWN).any() or min(n // f for n, f in zip(true.shape, factors, strict=True)) < _FEWEST:
        return {"properties": None}
    ours, known = (
        properties(cubic_labels(each, factors, len(classes)), size, classes, flow=True) for each in (found[box], true)
    )
    errors = errors_of(ours, known)
    return {
        "properties": {
            name: {"found": _bounded(ours[name]), "true": _bounded(known[name]), "error": errors[name]}
            for name in known
        },
        "properties_of": {"from": [part.start for part in box], "to": [part.stop for part in box], "voxel_nm": size},
    }


def _bounded(value: float) -> float | None:
    """Return a number that JSON can hold: None for that of pores that nothing bounds."""
    return value if math.isfinite(value) else None
