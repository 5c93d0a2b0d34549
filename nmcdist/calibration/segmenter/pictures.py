"""A few slices of a segmentation, kept for its page."""

from pathlib import Path

import numpy as np

from nmcdist.calibration.fibsem.stored import Grey
from nmcdist.calibration.segmenter.judged import TrueScribbles, Truth
from nmcdist.calibration.segmenter.prepared import Prepared
from nmcdist.calibration.stages import Stage, Stages
from nmcdist.errors import StoreError

_NAME = "pictures"
_SHOWN, _EDGE = 3, 512  # slices, and pixels along an edge of what is shown of each


def picture_stage(stages: Stages, ready: Prepared, probability: Stage, labels: Stage, truth: Truth | None) -> Stage:
    """Return the stage of the pictures: parts of three slices, those with labels by hand first."""
    after = [labels.key, probability.key, None if truth is None else truth.digest]
    return stages.once(_NAME, lambda: _pictures(ready, probability, labels, truth), after)


def read_pictures(folder: Path) -> dict[int, dict[str, np.ndarray]]:
    """Return the pictures of a finished segmentation by slice and name.

    Returns
    -------
    dict of int to dict of str to ndarray, shape (ny, nx)
        ``grey``, ``corrected``, ``labels``, ``probability`` of the label as uint8, and ``truth`` if any is known.

    Raises
    ------
    StoreError
        If they are missing or damaged.
    """
    try:
        with np.load(folder / _NAME / "00000.npz", allow_pickle=False) as file:
            found: dict[int, dict[str, np.ndarray]] = {}
            for name in file.files:
                z, what = name.split("/")
                found.setdefault(int(z), {})[what] = file[name]
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder}: holds no pictures of a segmentation ({error})") from None
    return dict(sorted(found.items()))


def _pictures(ready: Prepared, probability: Stage, labels: Stage, truth: Truth | None) -> dict[str, np.ndarray]:
    shape, found = ready.image.shape, {}
    y, x = (slice((n - e) // 2, (n - e) // 2 + e) for n in shape[1:] for e in [min(n, _EDGE)])
    named, shares = Grey(labels.path, shape), Grey(probability.path, shape)
    for z in _numbers(shape[0], truth):
        box = (slice(z, z + 1), y, x)
        found[f"{z}/grey"] = ready.stack.image.read(*box)[0]
        found[f"{z}/corrected"] = ready.image.read(*box)[0]
        found[f"{z}/labels"] = named[box][0]
        found[f"{z}/probability"] = shares[(slice(None), *box)][:, 0].max(axis=0)
        if truth is not None:
            found[f"{z}/truth"] = truth[box][0]
    return found


def _numbers(slices: int, truth: Truth | None) -> list[int]:
    if isinstance(truth, TrueScribbles):
        return sorted(z for z, plane in truth.planes.items() if plane.any())[:_SHOWN]
    return sorted({(2 * k + 1) * slices // (2 * _SHOWN) for k in range(_SHOWN)})
