"""Steps from a voxel to its neighbours, along z, y, x."""

from collections.abc import Sequence

import numpy as np

Step = tuple[int, int, int]

# A voxel and its 26 neighbours, numbered 9 (z + 1) + 3 (y + 1) + (x + 1); the voxel itself has number 13.
CUBE: tuple[Step, ...] = tuple((z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1))
NEIGHBOURS = tuple(step for step in CUBE if step != (0, 0, 0))
DIRECTIONS = tuple(step for step in CUBE if step > (0, 0, 0))  # one of each pair of opposite steps


def kind_of(step: Step) -> int:
    """Return 0 for a step across a face, 1 across an edge, 2 across a corner, -1 for none."""
    return sum(map(abs, step)) - 1


def offsets_in(steps: Sequence[Step], shape: tuple[int, ...]) -> np.ndarray:
    """Return the steps as int64 in a volume of this shape with voxels numbered in C order."""
    return np.array([(z * shape[1] + y) * shape[2] + x for z, y, x in steps], dtype=np.int64)
