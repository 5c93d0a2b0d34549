"""The paths of a dataset, its journal and its temporary folders, and checks on their use."""

import os
from dataclasses import dataclass
from pathlib import Path

from nmcdist.datasets.folder import refuse_all_but_folders
from nmcdist.datasets.integrity import GROUP, is_damaged
from nmcdist.datasets.store import UNFINISHED, read_attributes
from nmcdist.errors import StoreError
from nmcdist.execution.journal import Journal
from nmcdist.inputs import local_path, named_path
from nmcdist.products.recipe import BaseRecipe


@dataclass(frozen=True)
class Paths:
    """The paths of a dataset, its journal and its temporary folders.

    Attributes
    ----------
    store : Path
        The finished store.
    """

    store: Path

    @classmethod
    def of(cls, recipe: BaseRecipe, out: Path) -> "Paths":
        """Return the paths of the dataset of a recipe in a folder."""
        return cls(local_path(out) / f"{recipe.name}.zarr")

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", named_path(self.store, StoreError))

    @property
    def folder(self) -> Path:
        """The folder of the dataset, with the catalog."""
        return self.store.parent

    @property
    def wip(self) -> Path:
        """The unfinished store."""
        return self.store.with_name(self.store.name + UNFINISHED)

    @property
    def old(self) -> Path:
        """The store that is about to be replaced; it has this name for an instant only."""
        return self.store.with_name(self.store.name + ".old")

    @property
    def run(self) -> Path:
        """The folder of the journal."""
        return self.store.with_name(self.store.name.removesuffix(".zarr") + ".run")

    @property
    def resume(self) -> str:
        """The command that continues or repairs the run."""
        return f"nmcdist run RECIPE --out {self.folder} --resume"

    def refuse_strangers(self) -> None:
        """Refuse files and links under the names of a run's folders, before anything is touched.

        Raises
        ------
        StoreError
            If one is a link or a file, or a record of the journal is not an ordinary file.
        """
        refuse_all_but_folders(self.store, self.wip, self.run)
        Journal(self.run).refuse_strangers()

    def refuse_what_bars_a_swap(self) -> None:
        """Refuse to replace a folder that is not a store, or if the name for the old store is taken.

        Raises
        ------
        StoreError
            If the store cannot be replaced by another.
        """
        if not os.path.lexists(self.store):
            return
        self.refuse_strangers()
        if not is_damaged(self.store, GROUP):
            read_attributes(self.store)
        if os.path.lexists(self.old):
            raise StoreError(f"{self.old}: exists, but no run has recorded it; move it away, then run: {self.resume}")
