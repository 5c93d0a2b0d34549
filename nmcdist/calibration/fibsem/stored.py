"""What stages of a labelling hand to each other: stored images that are read in boxes, and forests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.boxes import Box
from nmcdist.calibration.fibsem.forest import Forest, Trained
from nmcdist.calibration.stages import Stage

FULL = 255  # probability 1 in stored integers
_OF_TRAINING = {"confusion": "confusion", "importance": "importance", "even": "threshold"}  # the forest has thresholds


@dataclass(frozen=True)
class Grey:
    """A stored image that is read in boxes, also on a worker.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    """

    path: Path
    shape: tuple[int, int, int]

    def __getitem__(self, box: Box) -> np.ndarray:
        """Return a box."""
        import zarr

        return np.asarray(zarr.open_array(self.path, mode="r")[box])


@dataclass(frozen=True)
class Stored(Grey):
    """A stored image of probabilities or of a mask, read as bool.

    Attributes
    ----------
    least : int
        Values above it are true.
    """

    least: int = 0

    def __getitem__(self, box: Box) -> np.ndarray:
        """Return a box as bool."""
        found: np.ndarray = super().__getitem__(box) > self.least
        return found


def arrays_of(trained: Trained) -> dict[str, Any]:
    """Return a trained forest as named arrays."""
    return {**vars(trained.forest), **{name: getattr(trained, field) for name, field in _OF_TRAINING.items()}}


def trained_of(stage: Stage) -> Trained:
    """Return the trained forest that a stage of one piece holds."""
    found = dict(stage.facts[0])
    confusion, importance, threshold = (found.pop(name) for name in _OF_TRAINING)
    classes, features = tuple(map(int, found.pop("classes"))), tuple(map(str, found.pop("features")))
    return Trained(Forest(classes, features, **found), confusion, importance, float(threshold))
