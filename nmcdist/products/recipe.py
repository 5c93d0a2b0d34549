"""Recipes: what a dataset is to be, as a YAML file that is checked whole before anything starts."""

import difflib
import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from nmcdist.bundle import Bundle, CbaParameters, list_bundles, load_bundle
from nmcdist.errors import RecipeError
from nmcdist.faults import KEYS, NAME, fault_lines, spelt
from nmcdist.inputs import folder_name
from nmcdist.wording import shown
from nmcdist.yaml_text import load_yaml

GRAPHITE_FRACTION = "graphite_fraction"
SWEPT = [GRAPHITE_FRACTION, *CbaParameters.model_fields]

MOST_ITEMS = 10**7  # a store lists its items, and each is a task or a part of one

Axis = Literal["z", "y", "x"]
Nanometres = Annotated[float, Field(ge=0.001, le=1e9)]


class Frozen(BaseModel):
    """A part of a recipe: it does not change, and has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def as_tuple(value: Any) -> Any:
    """Return a list, as YAML has them, as a tuple; anything else as it is, to be refused."""
    return tuple(value) if isinstance(value, list) else value


Edge = Annotated[int, Field(ge=2, le=2**20)]
Shape = Annotated[tuple[Edge, Edge, Edge], BeforeValidator(as_tuple)]


def each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values, or refuse those that are given twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"found {value!r} twice, expected each value once")
        seen.add(value)
    return values


def one_line(text: str) -> str:
    """Return text of one printable line, or refuse it."""
    if not text.isprintable() or not text.strip():
        raise ValueError(f"found {shown(text)}, expected a line of printable text")
    return text


Axes = Annotated[
    tuple[Axis, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=3), AfterValidator(each_once)
]
_VERSION = spelt(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?", "three numbers with points between, as 1.0.0")
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(one_line)]
Levels = Annotated[
    tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=1000), AfterValidator(each_once)
]


class VolumeSpec(Frozen):
    """Voxels of one volume along z, y, x, and their edge in nm."""

    shape: Shape
    voxel_size_nm: Nanometres


class DescriptorSpec(Frozen):
    """Which descriptors are computed, and how far their curves go."""

    max_lag_nm: Nanometres = 3000.0
    max_radius_nm: Nanometres = 1500.0
    axes: Axes = ("z", "y", "x")
    transport: bool = True


class StorageSpec(Frozen):
    """How volumes are stored: edge of a chunk and longest edge of a shard in voxels; or not at all."""

    chunk: Annotated[int, Field(ge=8, le=512)] = 64
    shard: Annotated[int, Field(ge=8, le=2048)] = 512
    volumes: bool = True

    @model_validator(mode="after")
    def _chunk_fits_in_shard(self) -> "StorageSpec":
        if self.shard < self.chunk:
            raise ValueError(f"shard: found {self.shard}, expected at least chunk = {self.chunk}")
        return self


class BaseRecipe(Frozen):
    """What every recipe says, whatever it makes.

    Attributes
    ----------
    name, version, title : str
        Under which the dataset is published; `name` also names the store.
    bundle : str
        A built-in bundle or the path of a bundle folder, relative to the recipe file.
    seed : int
        Seed of every random stream, in [0, 2^64).
    """

    kind: ClassVar[str]

    name: Annotated[str, Field(max_length=100), NAME, AfterValidator(folder_name)]
    version: Annotated[str, Field(max_length=100), _VERSION]
    title: Line
    bundle: Line
    seed: Annotated[int, Field(ge=0, lt=2**64)]

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


class Recipe(BaseRecipe):
    """A dataset of label volumes of the additive phase.

    Attributes
    ----------
    volume : VolumeSpec
    sweep : dict
        One bundle parameter, or "graphite_fraction", with the values it takes; empty for the bundle as it is.
    realisations : int
        Volumes for each value of the sweep.
    descriptors : DescriptorSpec or None
        None for volumes without descriptors.
    storage : StorageSpec
    """

    kind: ClassVar[str] = "volumes"

    volume: VolumeSpec
    sweep: Annotated[dict[str, Levels], Field(json_schema_extra={KEYS: SWEPT})] = {}
    realisations: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = 1
    descriptors: DescriptorSpec | None = DescriptorSpec()
    storage: StorageSpec = StorageSpec()

    @field_validator("sweep")
    @classmethod
    def _sweeps_one_parameter(cls, sweep: dict[str, Levels]) -> dict[str, Levels]:
        if len(sweep) > 1:
            raise ValueError(f"found {sorted(sweep)}, expected one parameter")
        outside = [v for v in sweep.get(GRAPHITE_FRACTION, ()) if not 0 < v < 1]
        if outside:
            raise ValueError(f"{GRAPHITE_FRACTION}: found {outside}, expected numbers in (0, 1)")
        return sweep

    @model_validator(mode="after")
    def _stores_something(self) -> "Recipe":
        if self.descriptors is None and not self.storage.volumes:
            raise ValueError("storage.volumes: found false beside no descriptors, so nothing would be stored")
        if self.samples > MOST_ITEMS:
            raise ValueError(f"realisations: found {self.samples} items in all, expected at most {MOST_ITEMS}")
        return self

    @property
    def levels(self) -> tuple[float | None, ...]:
        """Values of the swept parameter; a single None where nothing is swept."""
        return next(iter(self.sweep.values()), (None,))

    @property
    def swept(self) -> str | None:
        """Name of the swept parameter."""
        return next(iter(self.sweep), None)

    @property
    def samples(self) -> int:
        """Number of volumes; item = level * realisations + realisation."""
        return len(self.levels) * self.realisations


def load_recipe(path: str | Path) -> BaseRecipe:
    """Read a recipe file; a relative bundle path in it is taken from its folder.

    Raises
    ------
    RecipeError
        If it cannot be read; otherwise one line for every fault in it, with the field's path.
    """
    return parsed_recipe(load_yaml(path, RecipeError), str(path))


def parsed_recipe(content: Any, where: str) -> BaseRecipe:
    """Return the recipe that plain data describes: of particles where it says `particles`, else of volumes.

    Raises
    ------
    RecipeError
        With one line for every fault.
    """
    if not isinstance(content, Mapping):
        raise RecipeError(f"{where}: found {type(content).__name__}, expected a mapping of fields")
    if content.get("descriptors") == "none":
        content = {**content, "descriptors": None}
    kind = _kind_of(content)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(fault_lines(error, where, kind))) from None


def _kind_of(content: Mapping[str, Any]) -> type[BaseRecipe]:
    """Return the kind of recipe that fields belong to, also where the field that decides is misspelt."""
    from nmcdist.products.particles.recipe import ParticleRecipe  # which builds on this module

    deciding: dict[str, type[BaseRecipe]] = {"particles": ParticleRecipe, "volume": Recipe}
    names = [str(name) for name in content]
    near = (found for name in names for found in difflib.get_close_matches(name, deciding, n=1, cutoff=0.7))
    name = next((name for name in deciding if name in content), None) or next(near, "volume")
    return deciding[name]


def recipe_bundle(recipe: BaseRecipe, folder: Path) -> Bundle:
    """Load the bundle that a recipe in this folder names.

    Raises
    ------
    BundleError
        If it is unknown or damaged.
    """
    if recipe.bundle in list_bundles() or not (folder / recipe.bundle).exists():
        return load_bundle(recipe.bundle)
    return load_bundle(folder / recipe.bundle)
