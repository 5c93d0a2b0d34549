"""The catalog that is there without a file: the datasets that the recipes of the package make.

For small datasets the SHA-256 of the manifest that their recipe makes is recorded, and what made it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmcdist.errors import CatalogError
from nmcdist.yaml_text import load_yaml

_RECIPES = Path(__file__).parent / "recipes"
_RECORDED = Path(__file__).parent / "recorded.yaml"
_SHOWN = ("title", "version", "bundle")


@dataclass(frozen=True)
class RecipeEntry:
    """A dataset that is not made yet.

    Attributes
    ----------
    name : str
    recipe : Path
    metadata : dict
        Title, version and bundle of the recipe, its path, the command that makes the dataset, and the manifest's
        SHA-256 (hex) if it is recorded.
    made_with : dict of str to str
        Versions of the packages that wrote the recorded bytes.
    """

    name: str
    recipe: Path
    metadata: dict[str, Any]
    made_with: dict[str, str] = field(default_factory=dict)

    def to_dask(self) -> Any:
        """Refuse, since there is nothing to open.

        Raises
        ------
        CatalogError
            With the command that makes the dataset.
        """
        raise CatalogError(f"{self.name}: not made; make it with `{self.metadata['make']}`")


class RecipeCatalog(Mapping[str, RecipeEntry]):
    """The datasets that the recipes of the package make, by name."""

    def __init__(self) -> None:
        recorded = load_yaml(_RECORDED, CatalogError)
        how = recorded["datasets"], recorded["made_with"]
        entries = (_entry(path, *how) for path in sorted(_RECIPES.glob("*.yaml")))
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


def _entry(path: Path, recorded: dict[str, Any], made_with: dict[str, str]) -> RecipeEntry:
    recipe = load_yaml(path, CatalogError)
    metadata = {name: recipe[name] for name in _SHOWN} | {"recipe": str(path), "make": f"nmcdist run {path}"}
    if recipe["name"] not in recorded:
        return RecipeEntry(recipe["name"], path, metadata)
    return RecipeEntry(recipe["name"], path, metadata | recorded[recipe["name"]], dict(made_with))
