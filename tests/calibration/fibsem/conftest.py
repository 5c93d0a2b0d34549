"""Images in memory for the tests of segmentation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest


@dataclass(frozen=True)
class InMemory:
    """An array that is read like an image."""

    array: np.ndarray
    voxel_size_nm: tuple[float, float, float] = (20.0, 10.0, 10.0)
    path: Path = Path("memory")

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    def read(self, z=slice(None), y=slice(None), x=slice(None)):
        return self.array[z, y, x]


@pytest.fixture
def in_memory():
    return InMemory
