"""What a virtual store needs of a kind of dataset: a layout of frozen sizes, and the task that makes a chunk.

A virtual store computes a chunk when it is first read. Its sizes are worked out once, when it is published, and frozen:
to open it, nothing is drawn.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nmcdist.bundle import Bundle
from nmcdist.datasets.layout import Layout, Variable
from nmcdist.products.plan import Task
from nmcdist.products.recipe import BaseRecipe

BUNDLE_FOLDER = "bundle"  # in a virtual store: what it is drawn from
LAYOUT_VERSION = 1  # of all virtual layouts: a change of any of them changes the bytes of chunks or their keys

Frozen = Mapping[str, Any]  # plain data


@dataclass(frozen=True)
class VirtualPlan(ABC):
    """The variables of a virtual store, and its tasks; each kind derives its own.

    Attributes
    ----------
    recipe : BaseRecipe
    bundle : Bundle
    variables : tuple of Variable
        Computed variables; each chunk is a file.
    """

    recipe: BaseRecipe
    bundle: Bundle
    variables: tuple[Variable, ...]

    @abstractmethod
    def layout(self) -> Layout:
        """Return the whole layout, for writing it: its coordinates have as many values as there are items."""

    @abstractmethod
    def task(self, variable: Variable, index: tuple[int, ...]) -> Task:
        """Return the task that makes a chunk, with all files that it makes.

        The name of the task identifies it: two chunks whose tasks have one name are made together.

        Parameters
        ----------
        variable : Variable
            One of `variables`.
        index : tuple of int
            Of the chunk in the variable's grid.
        """

    @abstractmethod
    def witnesses(self) -> tuple[Task, ...]:
        """Return tasks that are quick to make and run every kernel.

        Their values are recorded when the store is published; a program of another version must compute them again.
        They also compile the kernels before the first reader comes.
        """
