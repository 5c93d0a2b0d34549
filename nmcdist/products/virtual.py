"""What a virtual store needs of a kind of dataset: a layout of frozen sizes, and the task that makes a chunk.

A virtual store computes a chunk when it is first read. Its sizes are worked out once, when it is published, and frozen:
to open it, nothing is drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.datasets.layout import SAMPLE, Coordinate, Layout, Variable
from nmcdist.products.plan import Task
from nmcdist.products.recipe import BaseRecipe

LAYOUT_VERSION = 1  # of all virtual layouts: a change of any of them changes the bytes of chunks or their keys

Frozen = Mapping[str, Any]  # plain data


@dataclass(frozen=True)
class VirtualPlan(ABC):
    """The layout of a virtual store, and its tasks; each kind derives its own.

    Attributes
    ----------
    recipe : BaseRecipe
    layout : Layout
        Each chunk is a file; coordinates are small.
    """

    recipe: BaseRecipe
    layout: Layout

    @abstractmethod
    def task(self, variable: Variable, index: tuple[int, ...]) -> Task:
        """Return the task that makes a chunk, with all files that it makes.

        The name of the task identifies it: two chunks whose tasks have one name are made together.

        Parameters
        ----------
        variable : Variable
            One of the layout.
        index : tuple of int
            Of the chunk in the variable's grid.
        """

    @abstractmethod
    def witnesses(self) -> tuple[Task, ...]:
        """Return tasks that are quick to make and run every kernel.

        Their values are recorded when the store is published; a program of another version must compute them again.
        They also compile the kernels before the first reader comes.
        """


def sample_coordinate(samples: int) -> Coordinate:
    """Return the numbers of the items, in one chunk."""
    text = {"units": "1", "long_name": "item, which is also the index of its random streams"}
    return Coordinate(SAMPLE, (SAMPLE,), np.arange(samples, dtype=np.int64), text)
