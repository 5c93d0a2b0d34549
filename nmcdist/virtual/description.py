"""The file that makes a folder a virtual store: what its chunks are computed from, and the numbers frozen for it."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numcodecs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nmcdist.bundle import Bundle, load_bundle
from nmcdist.errors import BundleError, RecipeError, StoreError
from nmcdist.faults import fault_lines
from nmcdist.inputs import existing_folder
from nmcdist.json_text import load_json
from nmcdist.products.attributes import fingerprint
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.virtual import BUNDLE_FOLDER, LAYOUT_VERSION
from nmcdist.version import __version__

DESCRIPTION = "virtual.json"
FORMAT = 1

_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Description(BaseModel):
    """The content of ``virtual.json``.

    Attributes
    ----------
    format, layout : int
        Versions of this file, and of the layouts of virtual stores.
    kind : str
    recipe : dict
    bundle_hash : str
        Of the bundle in the folder ``bundle``.
    frozen : dict
        Numbers that fix sizes, as the kind worked them out.
    witnesses : dict of str to str
        SHA-256 of the values that some tasks make, by task: a program of another version must compute them again.
    nmcdist_version, numcodecs_version : str
        Versions that froze the store.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    layout: int
    kind: str
    recipe: dict[str, Any]
    bundle_hash: _Digest
    frozen: dict[str, Any]
    witnesses: dict[str, _Digest] = {}
    nmcdist_version: str
    numcodecs_version: str

    @classmethod
    def of(cls, recipe: BaseRecipe, bundle: Bundle, frozen: dict[str, Any]) -> "Description":
        """Return the description of a new virtual store."""
        return cls(
            layout=LAYOUT_VERSION, kind=recipe.kind, recipe=recipe.content, bundle_hash=bundle.content_hash,
            frozen=frozen, nmcdist_version=__version__, numcodecs_version=numcodecs.__version__,
        )  # fmt: skip

    @property
    def text(self) -> str:
        """The content of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"

    @property
    def is_of_this_version(self) -> bool:
        """Whether the programs that computed and compressed its witnesses are those that run now."""
        return (self.nmcdist_version, self.numcodecs_version) == (__version__, numcodecs.__version__)


def is_virtual(folder: Path) -> bool:
    """Return whether a folder is a virtual store."""
    return (folder / DESCRIPTION).is_file()


def read_description(folder: Path) -> tuple[Description, BaseRecipe, Bundle]:
    """Read the description of a virtual store, with its recipe and its bundle.

    Raises
    ------
    StoreError
        If the folder is no virtual store, is damaged, has another layout, or its bundle is another one.
    """
    folder = existing_folder(folder, StoreError, "no such store")
    path = folder / DESCRIPTION
    if not is_virtual(folder):
        raise StoreError(f"{folder}: not a virtual store (it has no {DESCRIPTION})")
    content = load_json(path, StoreError)
    try:
        description = Description.model_validate(content)
    except ValidationError as error:
        raise StoreError(_first(fault_lines(error, str(path), Description))) from None
    if description.layout != LAYOUT_VERSION:
        raise StoreError(f"{path}: found layout {description.layout}, expected {LAYOUT_VERSION}; publish it again")
    try:
        recipe = parsed_recipe({**description.recipe, "kind": description.kind}, f"{path}: recipe")
        bundle = load_bundle(existing_folder(folder / BUNDLE_FOLDER, StoreError, "is missing"))
    except (BundleError, RecipeError) as error:  # which name the file
        raise StoreError(_first(str(error).splitlines())) from None
    if bundle.content_hash != description.bundle_hash:
        raise StoreError(
            f"{folder / BUNDLE_FOLDER}: found a bundle with hash {bundle.content_hash[:16]}..., expected "
            f"{description.bundle_hash[:16]}..., of which the store was published"
        )
    return description, recipe, bundle


def _first(faults: list[str]) -> str:
    return faults[0] + (f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else "")


def warn_of_versions(folder: Path, description: Description) -> None:
    """Warn if chunks may have other bytes than those that were published; their values are checked."""
    for name, found, recorded in (
        ("numcodecs", numcodecs.__version__, description.numcodecs_version),
        ("nmcdist", __version__, description.nmcdist_version),
    ):
        if found != recorded:
            warnings.warn(
                f"{folder}: was published with {name} {recorded}, this is {found}: chunks may have other bytes, though "
                "the same values",
                stacklevel=3,
            )


def identity(description: Description, recipe: BaseRecipe) -> str:
    """Return the SHA-256 (hex) of all that determines the bytes of every chunk, as this process computes them."""
    deciding = {
        "store": fingerprint(recipe, description.bundle_hash),
        "layout": description.layout,
        "frozen": description.frozen,
        "numcodecs": numcodecs.__version__,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
