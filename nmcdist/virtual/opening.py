"""Open a virtual store, or a recipe as one, as a lazy dataset."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nmcdist.datasets.files import parsed_bytes
from nmcdist.datasets.store import in_chunks, quiet, with_labels
from nmcdist.errors import InputError, StoreError
from nmcdist.inputs import local_path
from nmcdist.products.recipe import BaseRecipe
from nmcdist.products.registry import RecipeLike, loaded_recipe
from nmcdist.virtual.computed import Computed
from nmcdist.virtual.description import Description, identity, is_virtual
from nmcdist.virtual.freezing import freeze
from nmcdist.virtual.store import ComputedStore
from nmcdist.wording import one_line, shown

if TYPE_CHECKING:
    import xarray as xr

    from nmcdist.bundle import Bundle

CACHE_VARIABLE = "NMCDIST_CACHE"
_MAKERS = 2
_WHOLE_DIMENSION = -1  # as Dask has it


def open_virtual(
    store: RecipeLike,
    cache: str | os.PathLike[str] | None = None,
    limit: str | int = "10GB",
    chunks: Mapping[str, int] | Literal["auto"] | None = "auto",
) -> "xr.Dataset":
    """Open a virtual store lazily: a chunk is computed when it is first read, and cached.

    Parameters
    ----------
    store : str, Path, Mapping or BaseRecipe
        The folder of a virtual store; or a recipe, as a file or its content, for which one is made in the cache.
    cache : str or Path, optional
        Folder of the cache, which several programs may share; default: $NMCDIST_CACHE, else ``nmcdist/virtual`` in
        the user's cache folder. If it cannot be written, a warning says so, and only the last few items
        are kept, in memory.
    limit : str or int
        Most bytes of the cache, as "10GB".
    chunks : mapping, "auto" or None
        Dask chunks; "auto": the chunks of the store, if no variable has more than 10^5 of them, else no Dask, as for
        None. Without Dask, variables are read when they are indexed and used.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    StoreError
        If the store is missing or damaged. Also when a chunk that cannot be made is read.
    RecipeError, BundleError
        If the recipe cannot be read, or describes what a virtual store cannot hold.
    InputError
        If the limit is no size, `chunks` names an unknown dimension or an impossible length, or the kind of the
        recipe has no virtual stores.
    """
    import xarray as xr

    if isinstance(chunks, str) and chunks != "auto":
        raise InputError(f"chunks: found {shown(chunks)}, expected a mapping, 'auto' or None")
    folder_of_cache = cache_folder(cache)
    try:
        limit_bytes = parsed_bytes(limit)
    except ValueError as error:
        raise InputError(f"limit: {error}") from None
    folder = _store_folder(store, folder_of_cache)
    computed = Computed.open(folder, folder_of_cache, limit_bytes, _makers(), most_waiting=None)
    if trouble := computed.cache_trouble():
        warnings.warn(trouble, stacklevel=2)
    with quiet():
        data = with_labels(xr.open_zarr(ComputedStore(computed), consolidated=True, zarr_format=3, chunks=None))
    if chunks is None:
        return data
    if isinstance(chunks, str):
        return in_chunks(data)
    _check_chunks(chunks, tuple(map(str, data.dims)))
    return in_chunks(data, chunks)


def _check_chunks(chunks: Mapping[str, int], dims: tuple[str, ...]) -> None:
    if not isinstance(chunks, Mapping):
        raise InputError(f"chunks: found {shown(chunks)}, expected a mapping, 'auto' or None")
    for dim, length in chunks.items():
        if dim not in dims:
            raise InputError(f"chunks: no dimension {shown(dim)}, expected one of {', '.join(dims)}")
        is_whole = isinstance(length, int | np.integer) and not isinstance(length, bool)
        if not is_whole or (length < 1 and length != _WHOLE_DIMENSION):
            raise InputError(f"chunks: {dim}: found {shown(length)}, expected a number of items or voxels, -1 for all")


def _makers() -> int:
    return max(1, min(_MAKERS, os.cpu_count() or 1))


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the cache: the argument, else $NMCDIST_CACHE, else that of the user's caches."""
    if cache is not None:
        return local_path(cache)
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return local_path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nmcdist" / "virtual"


def _store_folder(store: RecipeLike, cache: Path) -> Path:
    """Return the folder of a virtual store; of a recipe, one that is frozen in the cache."""
    if isinstance(store, str | Path) and local_path(store).is_dir():
        folder = local_path(store)
        if not is_virtual(folder):
            raise StoreError(f"{folder}: not a virtual store; `nmcdist.open_store` opens a store that was made")
        return folder
    recipe, bundle, _ = loaded_recipe(store)
    return _frozen(recipe, bundle, cache / "stores")


def _frozen(recipe: BaseRecipe, bundle: "Bundle", stores: Path) -> Path:
    """Return the virtual store of a recipe, frozen by this call or an earlier one."""
    folder = stores / f"{_name(recipe, bundle)}.zarr"
    if is_virtual(folder):
        return folder
    try:
        stores.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Path(tempfile.mkdtemp(dir=stores))
    except OSError:
        made = Path(tempfile.mkdtemp())
        freeze(recipe, bundle, made)
        return made
    try:
        freeze(recipe, bundle, made)
        if not is_virtual(folder):
            made.rename(folder)
    except OSError as error:
        if not is_virtual(folder):  # else another process was quicker
            raise StoreError(f"{folder}: cannot be written ({one_line(error)})") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _name(recipe: BaseRecipe, bundle: "Bundle") -> str:
    described = Description.of(recipe, bundle, {})
    return f"{recipe.name}-{identity(described, recipe)[:32]}"
