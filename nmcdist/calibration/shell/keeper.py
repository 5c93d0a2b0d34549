"""Work that is kept: the arrays that a calibration fills, and the results of its pieces, become stages.

The functions of a calibration take a map and what makes arrays, and know nothing of files. A :class:`Keeper` gives
them both. The first map after an array was made fills it, each piece one box.

The key of a stage is the digest of all that its pieces are given: their function, its arguments and the items. An array
of another stage counts by the key of that stage, the image by the digest of its voxels. So another image or other
settings make those stages again that depend on them, and no others.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from nmcdist.calibration.shell.blocks import EDGE, Arrays, Box, Digested, Place
from nmcdist.calibration.spread import Spread
from nmcdist.calibration.stage_array import StageArray
from nmcdist.calibration.stages import Stages

Tables = Mapping[str, np.ndarray]


class Keeper:
    """A map over pieces of work whose results stay in stages, and what makes their arrays.

    Parameters
    ----------
    stages : Stages
    voxel_size_nm : tuple of float
    in_memory : bool
        Whether arrays are also held in memory, from which they are read.
    prefix : str
        Of the names of the stages.
    """

    def __init__(
        self, stages: Stages, voxel_size_nm: tuple[float, float, float], in_memory: bool, prefix: str = ""
    ) -> None:
        self.stages, self.voxel_size_nm, self.in_memory, self.prefix = stages, voxel_size_nm, in_memory, prefix
        self._names = Counter[str]()
        self._empty: StageArray | None = None  # made, and not yet filled

    def arrays(self, name: str, shape: Place, dtype: Any) -> StageArray:
        """Return an array, which the next map fills."""
        if self._empty is not None:
            raise RuntimeError(f"{name}: {self._empty.path.name} is not filled yet")
        chunks, path = tuple(min(EDGE, n) for n in shape), self.stages.folder / f"{self._named(name)}.zarr"
        self._empty = StageArray(path, shape, chunks, dtype, self.in_memory)
        return self._empty

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Fill the array that was made before, or do work that is not kept, as the builtin `map`."""
        if self._empty is None:
            return self.stages.spread(function, items)
        todo, array, self._empty = list(items), self._empty, None
        stage = self.stages.filled(
            array.path.stem, array, function, todo, [_box(item).slices for item in todo], self.voxel_size_nm,
            given(function, todo),
        )  # fmt: skip
        array.key = stage.key
        return iter(stage.facts)

    def recording(self, name: str) -> Spread:
        """Return a map whose results, tuples of arrays, are kept as a stage."""

        def recorded(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            todo = list(items)
            return self.stages.recording(self._named(name), given(function, todo))(function, todo)

        return recorded

    def once(self, name: str, function: Callable[[Any], Tables], item: Any) -> Tables:
        """Return what a function makes of an item in this process, named arrays, kept as a stage."""
        found: Tables = self.stages.once(self._named(name), partial(function, item), given(function, item)).facts[0]
        return found

    def within(self, prefix: str) -> "Keeper":
        """Return what keeps work in stages whose names begin with a prefix."""
        found = Keeper(self.stages, self.voxel_size_nm, self.in_memory, f"{self.prefix}{prefix}-")
        found._names = self._names
        return found

    def _named(self, name: str) -> str:
        """Return the name of the next stage that is called so: each round has its own."""
        name = f"{self.prefix}{name}"
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}-{self._names[name]}"


def recorded(spread: Spread, name: str) -> Spread:
    """Return a map whose results, tuples of arrays, are kept as a stage, if the given one keeps its work."""
    return spread.recording(name) if isinstance(spread, Keeper) else spread


def once(spread: Spread, name: str, function: Callable[[Any], Tables], item: Any) -> Tables:
    """Return what a function makes of an item in this process, named arrays, kept as `recorded` does."""
    return spread.once(name, function, item) if isinstance(spread, Keeper) else function(item)


def within(spread: Spread, arrays: Arrays, prefix: str) -> tuple[Spread, Arrays]:
    """Return the same map, and what makes the same arrays, for stages whose names begin with a prefix."""
    if not isinstance(spread, Keeper):
        return spread, arrays
    found = spread.within(prefix)
    return found, found.arrays


def given(function: Callable[..., Any], items: Any) -> str:
    """Return the digest of what a stage is made of."""
    digest = hashlib.sha256()
    for part in _parts([function, items]):
        digest.update(f"{len(part)}:".encode() + part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """Yield a value as bytes that are equal for equal values only.

    Raises
    ------
    TypeError
        If the type is unknown here.
    """
    if isinstance(value, np.ndarray | np.generic):
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, StageArray):
        yield f"stage {value.key}".encode()
    elif isinstance(value, Digested):
        yield f"image {value.sha256}".encode()
    elif value is None or isinstance(value, bool | int | float | str):
        yield f"{type(value).__name__} {value!r}".encode()
    elif isinstance(value, partial):
        yield from _parts(["partial", value.func, value.args, value.keywords])
    elif isinstance(value, Mapping):
        yield from _parts(["mapping", *value.items()])
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__} {len(value)}".encode()
        for part in value:
            yield from _parts(part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _parts([type(value).__name__, *(getattr(value, of.name) for of in dataclasses.fields(value))])
    elif "<" not in getattr(value, "__qualname__", "<"):  # a function that has a name
        yield f"{value.__module__}.{value.__qualname__}".encode()
    else:
        raise TypeError(f"found {value!r}, expected what a stage can be made of")


def _box(item: Any) -> Box:
    """Return the box that a piece of work writes: its item, or that in its item."""
    if isinstance(item, Box):
        return item
    return next(part for part in item if isinstance(part, Box))
