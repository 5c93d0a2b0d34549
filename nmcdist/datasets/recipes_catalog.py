"""The catalog without a file: the datasets that the recipes of the package can make."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.errors import CatalogError
from nmcdist.yaml_text import load_yaml

_RECIPES = Path(__file__).parent / "recipes"
_SHOWN = ("title", "version", "bundle")


@dataclass(frozen=True)
class RecipeEntry:
    """A dataset that does not exist yet.

    Attributes
    ----------
    name : str
    recipe : Path
    metadata : dict
        Title, version and bundle of the recipe, its path, and the command that makes the dataset.
    """

    name: str
    recipe: Path
    metadata: dict[str, Any]

    def to_dask(self) -> Any:
        """Raise an error, because there is no dataset to open.

        Raises
        ------
        CatalogError
            Always; the message contains the command that makes the dataset.
        """
        raise CatalogError(f"{self.name}: not made; make it with `{self.metadata['make']}`")


class RecipeCatalog(Mapping[str, RecipeEntry]):
    """The datasets that the recipes of the package can make, by name."""

    def __init__(self) -> None:
        entries = (_entry(path) for path in sorted(_RECIPES.glob("*.yaml")))
        self._entries = {entry.name: entry for entry in entries}

    def __getitem__(self, name: str) -> RecipeEntry:
        if name not in self._entries:
            raise CatalogError(f"recipes of nmcdist: no dataset {name!r}, expected one of {', '.join(sorted(self))}")
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<recipes of nmcdist, not made: {', '.join(self)}>"


def _entry(path: Path) -> RecipeEntry:
    recipe = load_yaml(path, CatalogError)
    metadata = {name: recipe[name] for name in _SHOWN} | {"recipe": str(path), "make": f"nmcdist run {path}"}
    return RecipeEntry(recipe["name"], path, metadata)
