"""Recipes: the description of a dataset as a YAML file, checked completely before a run starts."""

import hashlib
import json
from abc import abstractmethod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nmcdist.faults import NAME, one_line, spelt
from nmcdist.inputs import folder_name

MOST_ITEMS = 10**7  # a store lists its items, and each item is a task or a part of one

Axis = Literal["z", "y", "x"]
Nanometres = Annotated[float, Field(ge=0.001, le=1e9)]


class Frozen(BaseModel):
    """A part of a recipe: immutable, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def as_tuple(value: Any) -> Any:
    """Return a YAML list as a tuple, and any other value unchanged, to be refused later."""
    return tuple(value) if isinstance(value, list) else value


def none_as_null(value: Any) -> Any:
    """Return the word "none" of a recipe as None, and any other value unchanged."""
    return None if isinstance(value, str) and value == "none" else value


def each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values; refuse duplicates."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"found {value!r} twice, expected each value once")
        seen.add(value)
    return values


Edge = Annotated[int, Field(ge=2, le=2**20)]
Chunk = Annotated[int, Field(ge=8, le=512)]
Shard = Annotated[Annotated[int, Field(ge=8, le=2048)] | None, BeforeValidator(none_as_null)]
Shape = Annotated[tuple[Edge, Edge, Edge], BeforeValidator(as_tuple)]
Axes = Annotated[
    tuple[Axis, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=3), AfterValidator(each_once)
]
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(one_line)]
_VERSION = spelt(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?", "three numbers with points between, as 1.0.0")


class BaseRecipe(Frozen):
    """The fields of every recipe; their descriptions are the reference of recipe keys."""

    kind: str = Field(description="Kind of the dataset. Without it, the other keys decide.")
    name: Annotated[str, Field(max_length=100), NAME, AfterValidator(folder_name)] = Field(
        description="Name of the dataset and of its store: small letters, digits and hyphens."
    )
    version: Annotated[str, Field(max_length=100), _VERSION] = Field(
        description="Version of the dataset: three numbers with points between, in quotes."
    )
    title: Line = Field(description="Title in catalog and report: one line.")
    bundle: Line = Field(description="A built-in bundle, or the path of a bundle folder, relative to the recipe file.")
    seed: Annotated[int, Field(ge=0, lt=2**64)] = Field(description="Seed of every random stream.")

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of items."""

    @property
    def content(self) -> dict[str, Any]:
        """The recipe as plain data, with every default written out."""
        return self.model_dump(mode="json")

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the recipe with every default written out."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()
