"""Catalogs of finished stores: open, list, and add an entry without touching the others.

The file is an intake catalog (format 2), which intake can open too. This module reads it as data and imports no class
named in it (:mod:`nmcdist.datasets.catalog_file`). An entry names its store relative to the catalog file, so a folder
with both can be moved or served unchanged.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmcdist.datasets.catalog_file import (
    DATATYPE,
    HERE,
    OUTPUT,
    READER,
    CatalogFile,
    catalog_text,
    checked,
    read_catalog_file,
)
from nmcdist.datasets.files import locked_folder, write_text
from nmcdist.datasets.integrity import checked_manifest, manifest_hash, read_manifest, refuse_links
from nmcdist.datasets.recipes_catalog import RecipeCatalog
from nmcdist.datasets.store import dask_chunks, open_lazily, read_attributes, read_origin
from nmcdist.errors import CatalogError
from nmcdist.inputs import local_path

if TYPE_CHECKING:
    import xarray as xr

CATALOG_FILE = "catalog.yaml"
CATALOG_VARIABLE = "NMCDIST_CATALOG"


@dataclass(frozen=True)
class CatalogEntry:
    """A dataset in a catalog.

    Attributes
    ----------
    name : str
    store : Path
    metadata : dict
        Title, version, bundle, and the hashes that identify it.
    chunks : dict of str to int
        Dask chunks, aligned with the shards of the store.
    """

    name: str
    store: Path
    metadata: dict[str, Any]
    chunks: dict[str, int]

    def to_dask(self) -> "xr.Dataset":
        """Open the store as a lazy xarray.Dataset.

        Raises
        ------
        StoreError
            If it is missing, its format is unsupported, or it is not the one that the catalog records.
        """
        read_attributes(self.store)  # names a store that is missing
        checked_manifest(self.store, self.metadata.get("manifest_sha256"))
        return open_lazily(self.store, self.chunks)


class Catalog(Mapping[str, CatalogEntry]):
    """The datasets of a catalog file, by name."""

    def __init__(self, path: Path, content: CatalogFile) -> None:
        self.path = path
        self._content = content

    def __getitem__(self, name: str) -> CatalogEntry:
        if name not in self._content.aliases:
            raise CatalogError(f"{self.path}: no dataset {name!r}, expected one of {', '.join(sorted(self))}")
        entry = self._content.entries[self._content.aliases[name]]
        store = self._content.store(name, self.path.absolute().parent)
        return CatalogEntry(name, store, dict(entry.metadata), dict(entry.kwargs.chunks))

    def __iter__(self) -> Iterator[str]:
        return iter(self._content.aliases)

    def __len__(self) -> int:
        return len(self._content.aliases)

    def __repr__(self) -> str:
        return f"<nmcdist catalog {self.path}: {', '.join(self) or 'no datasets'}>"


def catalog_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of the catalog: the argument, else $NMCDIST_CATALOG, else ./catalog.yaml.

    Raises
    ------
    CatalogError
        If it is a URL.
    """
    if path is None:
        path = os.environ.get(CATALOG_VARIABLE) or CATALOG_FILE
    found = local_path(path, CatalogError)
    return found / CATALOG_FILE if found.is_dir() else found


def open_catalog(path: str | os.PathLike[str] | None = None) -> Catalog | RecipeCatalog:
    """Open a catalog of datasets; no code in the file is run, and no class named in it is imported.

    Parameters
    ----------
    path : str or Path, optional
        A catalog file, or the folder that holds ``catalog.yaml``; by default $NMCDIST_CATALOG, else
        ``catalog.yaml`` in the current folder, else the recipes of the package.

    Returns
    -------
    Catalog or RecipeCatalog
        ``list(catalog)`` names the datasets; ``catalog[name].to_dask()`` is a lazy xarray.Dataset. For a recipe, the
        dataset does not exist yet, so this raises CatalogError with the command that makes it.

    Raises
    ------
    CatalogError
        If there is no catalog, it cannot be read, or it holds entries that nmcdist did not write.
    """
    where = catalog_path(path)
    if path is None and not os.environ.get(CATALOG_VARIABLE) and not os.path.lexists(where):
        return RecipeCatalog()
    if not where.exists():
        raise CatalogError(f"{where}: no such catalog; name one, or set ${CATALOG_VARIABLE}")
    return Catalog(where, read_catalog_file(where))


def check_catalog(folder: Path) -> None:
    """Before a run, refuse a catalog to which the run could not add its dataset.

    Raises
    ------
    CatalogError
        If it exists but :func:`open_catalog` cannot open it, or if it is a link, which a file would replace.
    """
    path = folder / CATALOG_FILE
    if path.is_symlink():
        raise CatalogError(f"{path}: is a link, expected an ordinary file; move it away, or make the dataset beside it")
    if path.exists():
        open_catalog(folder)


def list_entries(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return the metadata of every dataset in a catalog, by name.

    Raises
    ------
    CatalogError
        As :func:`open_catalog`.
    """
    return {name: entry.metadata for name, entry in open_catalog(path).items()}


def show_entry(path: Path | None, name: str) -> dict[str, Any]:
    """Return the metadata of one dataset and the path of its store.

    Raises
    ------
    CatalogError
        As :func:`open_catalog`, or if the catalog lacks the dataset.
    """
    entry = open_catalog(path)[name]
    store = str(entry.store) if isinstance(entry, CatalogEntry) else "not made"
    return {"name": name, "store": store, **entry.metadata}


def add_entry(catalog: Path, store: Path) -> str:
    """Add a finished store to a catalog, or update its entry, and return the name of the entry.

    Raises
    ------
    StoreError
        If the store is not finished, has an unsupported format, or holds links, pipes or devices.
    CatalogError
        If the catalog exists but :func:`open_catalog` cannot open it, or it cannot list the store.
    """
    attributes = read_attributes(store)
    read_manifest(store)
    refuse_links(store)
    _, bundle = read_origin(store)
    name = str(attributes["name"])
    with locked_folder(catalog.absolute().parent):  # two runs may end at the same time in one folder
        content = read_catalog_file(catalog).model_dump() if catalog.exists() else _empty()
        content["aliases"][name] = name
        content["data"][f"{name}_store"] = {
            "datatype": DATATYPE,
            "kwargs": {"url": _relative(store, catalog.absolute().parent)},
            "metadata": {},
            "user_parameters": {},
        }
        content["entries"][name] = {
            "reader": READER,
            "output_instance": OUTPUT,
            "kwargs": {
                "data": "{data(" + name + "_store)}",
                "chunks": dask_chunks(store),
                "consolidated": True,
            },
            "metadata": {
                "title": attributes["title"],
                "version": attributes["version"],
                "bundle": bundle["name"],
                "bundle_hash": attributes["bundle_hash"],
                "recipe_hash": attributes["recipe_hash"],
                "manifest_sha256": manifest_hash(store),
            },
            "user_parameters": {},
        }
        checked(content, catalog)
        write_text(catalog, catalog_text(content))
    return name


def recorded_manifest(catalog: Path, store: Path) -> str | None:
    """Return the manifest's SHA-256 that a catalog records for a store, or None if the store is not listed."""
    try:
        shown = [show_entry(catalog, name) for name in list_entries(catalog)]
    except CatalogError:
        return None
    here = [entry for entry in shown if Path(entry["store"]).resolve() == store.resolve()]
    return here[0].get("manifest_sha256") if here else None


def _empty() -> dict[str, Any]:
    return {
        "version": 2,
        "metadata": {"title": "Virtual microstructures"},
        "aliases": {},
        "data": {},
        "entries": {},
        "user_parameters": {},
    }


def _relative(store: Path, folder: Path) -> str:
    """Return the store's path relative to the catalog's folder if it is inside, else its absolute path."""
    store, folder = store.resolve(), folder.resolve()
    if store.is_relative_to(folder):
        return f"{HERE}/{store.relative_to(folder).as_posix()}"
    return str(store)
