"""What stages of a labelling hand to each other: stored images that are read in boxes, and forests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmcdist.calibration.boxes import Box
from nmcdist.calibration.fibsem.forest import Forest, Trained
from nmcdist.calibration.stages import Stage

FULL = 255  # probability 1 in stored integers
_OF_TRAINING = ("confusion", "importance")


@dataclass(frozen=True)
class Stored:
    """A stored image of probabilities or of a mask, read in boxes as bool, also on a worker.

    Attributes
    ----------
    path : Path
    shape : tuple of int
    least : int
        Values above it are true.
    """

    path: Path
    shape: tuple[int, int, int]
    least: int = 0

    def __getitem__(self, box: Box) -> np.ndarray:
        """Return a box as bool."""
        import zarr

        found: np.ndarray = np.asarray(zarr.open_array(self.path, mode="r")[box]) > self.least
        return found


def arrays_of(trained: Trained) -> dict[str, Any]:
    """Return a trained forest as named arrays."""
    return {**vars(trained.forest), **{name: getattr(trained, name) for name in _OF_TRAINING}}


def trained_of(stage: Stage) -> Trained:
    """Return the trained forest that a stage of one piece holds."""
    found = dict(stage.facts[0])
    confusion, importance = (found.pop(name) for name in _OF_TRAINING)
    classes, features = tuple(map(int, found.pop("classes"))), tuple(map(str, found.pop("features")))
    return Trained(Forest(classes, features, **found), confusion, importance)
