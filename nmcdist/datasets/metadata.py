"""Checks of the metadata of a store, which anyone may have edited before sealing the store again."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmcdist.bundle.schema import content_hash
from nmcdist.datasets.files import read_bytes
from nmcdist.datasets.layout import ITEMS_PER_FILE, own_dim
from nmcdist.errors import StoreError
from nmcdist.wording import one_line, shown

METADATA_LIMIT = 64 << 20  # bytes per metadata file; a store with a hundred arrays needs 1 MiB
_LONGEST = 2**62
_MOST_ITEMS = 100_000  # per file, as in recipes
_TEXTS = ("name", "title", "version", "bundle", "bundle_hash", "recipe", "recipe_hash", "fingerprint")
_TEXTS_OF_LATER = ("kind", "bundle_title", "bundle_calibrated_on", "nmcdist_version")  # absent in older stores
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,99}$")  # as in recipes: part of file names
_LABELLED = {"axis", "phase", "conduction", "statistic", "cut_height"}
_ARRAY = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")


@dataclass(frozen=True)
class ArrayMetadata:
    """The part of an array's metadata that determines its files.

    Attributes
    ----------
    shape : tuple of int
    file_shape : tuple of int
        Shape of one file.
    dims : tuple of str
        Names on disk of the dimensions.
    is_sharded : bool
        Whether a file holds several chunks.
    items_per_file : int or None
        Items per file, if batches of items own the files.
    attributes : dict
    """

    shape: tuple[int, ...]
    file_shape: tuple[int, ...]
    dims: tuple[str, ...]
    is_sharded: bool
    items_per_file: int | None
    attributes: dict[str, Any] = field(repr=False)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of files along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.file_shape, strict=True))

    @property
    def file_count(self) -> int:
        """Number of files that the shape requires."""
        return math.prod(self.counts)


def parsed_json(path: Path, limit: int = METADATA_LIMIT, what: str = "metadata") -> Any:
    """Return the content of a JSON file of a store.

    Raises
    ------
    StoreError
        If it is not an ordinary file, too large, or not JSON; NaN and infinities are not JSON.
    FileNotFoundError
        If it is missing.
    """
    try:
        return strict_json(read_bytes(path, limit))
    except ValueError as error:
        raise StoreError(f"{path}: damaged {what}, expected JSON ({one_line(error)})") from None


def strict_json(text: str | bytes) -> Any:
    """Return the content of JSON text; ValueError if it is not JSON, or nested too deeply."""
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def checked_attributes(attributes: dict[str, Any], where: Path) -> None:
    """Refuse attributes of a store that lack a required entry, or have one of the wrong type.

    Raises
    ------
    StoreError
        The message names the first wrong attribute.
    """
    for name in (*_TEXTS, *(name for name in _TEXTS_OF_LATER if name in attributes)):
        if not isinstance(attributes.get(name), str):
            raise StoreError(f"{where}: attribute {name!r}: found {shown(attributes.get(name))}, expected text")
    if not _NAME.match(attributes["name"]):
        found = shown(attributes["name"])
        raise StoreError(f"{where}: attribute 'name': found {found}, expected small letters, digits and hyphens")


def checked_recipe(recipe: Any, where: Path | str) -> dict[str, Any]:
    """Return the recipe in the attributes of a store, if it has the fields that readers need.

    Raises
    ------
    StoreError
        The message names the first wrong field.
    """
    if not isinstance(recipe, dict):
        raise StoreError(f"{where}: recipe: found {shown(recipe)}, expected an object")
    descriptors = recipe.get("descriptors", ())
    if not isinstance(descriptors, dict | None):
        raise StoreError(f"{where}: recipe: descriptors: found {shown(descriptors)}, expected an object or null")
    _field(recipe, ("seed",), where, lambda seed: _is_whole(seed) and 0 <= seed < 2**64, "an integer")
    if "particles" in recipe:
        _field(recipe, ("particles", "count"), where, lambda n: _is_whole(n) and 1 <= n <= 2**31, "a positive integer")
    else:
        _field(recipe, ("volume", "shape"), where, lambda s: _is_shape(s, 1) and len(s) == 3, "three lengths in voxels")
        _field(recipe, ("volume", "voxel_size_nm"), where, _is_length, "a length in nm")
    return recipe


def checked_bundle(bundle: Any, expected_hash: str, where: Path) -> dict[str, Any]:
    """Return the bundle in the attributes of a store, if it matches their hash.

    Units and sources are not checked: they may differ between versions, and the hash does not include them.

    Raises
    ------
    StoreError
        If it is not a bundle with a name, or its hash differs.
    """
    if not isinstance(bundle, dict) or not isinstance(bundle.get("name"), str):
        raise StoreError(f"{where}: its attributes do not say how it was made (the bundle is no object with a name)")
    values = _each(bundle.get("parameters"), "value", f"{where}: bundle: parameters")
    digests = _each(bundle.get("arrays", {}), "sha256", f"{where}: bundle: arrays")
    found = content_hash(bundle.get("model"), values, digests, bundle.get("texts") or {})
    if found != expected_hash:
        raise StoreError(f"{where}: attribute 'bundle_hash': found {shown(expected_hash)}, but the bundle has {found}")
    return bundle


def checked_array(content: Any, where: Path | str) -> ArrayMetadata:
    """Return the part of an array's metadata that determines its files.

    Raises
    ------
    StoreError
        If it is not the metadata of a Zarr 3 array as used in stores.
    """

    def check(name: str, found: Any, fits: bool, expected: str) -> None:
        if not fits:
            raise StoreError(f"{where}: {name}: found {shown(found)}, expected {expected}")

    check("metadata", content, isinstance(content, dict), "an object")
    check("zarr_format", content.get("zarr_format"), content.get("zarr_format") == 3, "3")
    check("node_type", content.get("node_type"), content.get("node_type") == "array", "'array'")
    shape, grid = content.get("shape"), content.get("chunk_grid")
    check("shape", shape, _is_shape(shape, 0), "a list of lengths")
    name, file_shape = _at(grid, "name"), _at(grid, "configuration", "chunk_shape")
    check("chunk_grid.name", name, name == "regular", "'regular'")
    check("chunk_shape", file_shape, _is_shape(file_shape, 1), "a list of positive lengths")
    check("chunk_shape", file_shape, len(file_shape) == len(shape), f"{len(shape)} lengths")
    keys = content.get("chunk_key_encoding")
    separator = _at(keys, "configuration", "separator")
    check("chunk_key_encoding", keys, _at(keys, "name") == "default" and separator in (None, "/"), "'default' with '/'")
    dims = content.get("dimension_names")
    check("dimension_names", dims, _are_names(dims, len(shape)), f"{len(shape)} names")
    codecs, attributes = content.get("codecs"), content.get("attributes")
    check("codecs", codecs, isinstance(codecs, list) and all(isinstance(c, dict) for c in codecs), "a list of objects")
    check("attributes", attributes, isinstance(attributes, dict), "an object")
    items = attributes.get(ITEMS_PER_FILE)
    check(ITEMS_PER_FILE, items, items is None or (_is_whole(items) and 1 <= items <= _MOST_ITEMS), "a count")
    sharded = any(codec.get("name") == "sharding_indexed" for codec in codecs)
    return ArrayMetadata(tuple(shape), tuple(file_shape), tuple(dims), sharded, items, attributes)


def arrays_of(group: Any, where: Path) -> dict[str, ArrayMetadata]:
    """Return the checked metadata of each array in the consolidated metadata of a group.

    Raises
    ------
    StoreError
        If the consolidated metadata is missing, or that of an array is invalid.
    """
    found = _at(group, "consolidated_metadata", "metadata")
    if not isinstance(found, dict):
        raise StoreError(f"{where}: has no consolidated metadata, so it was never finished")
    for name in found:
        if not _ARRAY.match(name):
            raise StoreError(f"{where}: found an array named {shown(name)}, expected letters, digits and underscores")
    arrays = {name: checked_array(content, f"{where}: {name}") for name, content in found.items()}
    for dim in sorted({own_dim(dim) for array in arrays.values() for dim in array.dims} - arrays.keys()):
        if dim in _LABELLED or dim.endswith(("_nm", "_column")):  # otherwise readers would number it from 0
            raise StoreError(f"{where}: holds no coordinate {dim!r}, which the dimension of that name must have")
    return arrays


def _refused(name: str) -> None:
    raise ValueError(f"found {name}, which is not a JSON number")


def _at(content: Any, *names: str) -> Any:
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _field(recipe: Any, names: tuple[str, ...], where: Path | str, fits: Any, expected: str) -> None:
    found = _at(recipe, *names)
    if not fits(found):
        raise StoreError(f"{where}: recipe: {'.'.join(names)}: found {shown(found)}, expected {expected}")


def _each(records: Any, field: str, where: str) -> dict[str, Any]:
    """Return one field of each record, by the name of the record."""
    if not isinstance(records, dict) or not all(isinstance(record, dict) for record in records.values()):
        raise StoreError(f"{where}: found {shown(records)}, expected an object of objects")
    return {name: record.get(field) for name, record in records.items()}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_shape(value: Any, least: int) -> bool:
    return isinstance(value, list) and all(_is_whole(n) and least <= n <= _LONGEST for n in value)


def _are_names(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(name, str) for name in value)
