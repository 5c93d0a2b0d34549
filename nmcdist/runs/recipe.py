"""Recipes: what a dataset is to be, as a YAML file that is checked whole before anything starts."""

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from nmcdist.bundle import Bundle, list_bundles, load_bundle
from nmcdist.errors import RecipeError
from nmcdist.yaml_text import load_yaml

GRAPHITE_FRACTION = "graphite_fraction"

Axis = Literal["z", "y", "x"]
Nanometres = Annotated[float, Field(gt=0)]


class Frozen(BaseModel):
    """A part of a recipe: it does not change, and has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def as_tuple(value: Any) -> Any:
    """Return a list, as YAML has them, as a tuple; anything else as it is, to be refused."""
    return tuple(value) if isinstance(value, list) else value


Edge = Annotated[int, Field(ge=2, le=2**20)]
Shape = Annotated[tuple[Edge, Edge, Edge], BeforeValidator(as_tuple)]
Axes = Annotated[tuple[Axis, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=3)]
Levels = Annotated[tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=1)]


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

    @model_validator(mode="after")
    def _each_axis_once(self) -> "DescriptorSpec":
        if len(set(self.axes)) != len(self.axes):
            raise ValueError(f"axes: found {list(self.axes)}, expected each axis once")
        return self


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

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]
    title: Annotated[str, Field(min_length=1)]
    bundle: Annotated[str, Field(min_length=1)]
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
    sweep: dict[str, Levels] = {}
    realisations: Annotated[int, Field(ge=1, le=2**31)] = 1
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
        if self.samples > 2**31:
            raise ValueError(f"realisations: found {self.samples} items in all, expected at most 2^31")
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
    from nmcdist.runs.particle_recipe import ParticleRecipe  # which builds on this module

    kind = ParticleRecipe if "particles" in content else Recipe
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(fault_lines(error, where))) from None


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


def fault_lines(error: ValidationError, where: str) -> list[str]:
    """Return one line for each fault: where it stands, what was found, what is expected."""
    return [f"{where}: {_fault(e)}" for e in error.errors()]


def _fault(error: Any) -> str:
    parts = [f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"]]
    place = "".join(parts).lstrip(".")
    if error["type"] == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        joint = ": " if message.startswith("found") else "."
        return f"{place}{joint}{message}" if place else message
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown field"
    if error["type"] == "missing":
        return f"{place}: missing"
    found = error["input"]
    shown = f"a {type(found).__name__}" if isinstance(found, dict | list | tuple) else repr(found)
    expected = re.sub(r"^(Input|String|Tuple|Dictionary) should (be|have)?", "", error["msg"]).strip()
    return f"{place}: found {shown}, expected {_PLAINLY.get(expected, expected)}"


_PLAINLY = {
    "a valid string": "text (in quotes, where it looks like a number)",
    "a valid integer": "an integer",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
}
