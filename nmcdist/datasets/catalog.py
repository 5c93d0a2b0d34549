"""Intake catalogs (format 2) of finished stores: open, list, and add an entry without touching the others.

An entry names its store relative to the catalog file, so a folder with both can be moved or served as it is.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from nmcdist.datasets.files import write_text
from nmcdist.datasets.integrity import manifest_hash, read_manifest
from nmcdist.datasets.store import dask_chunks, read_attributes, read_origin
from nmcdist.errors import CatalogError

CATALOG_FILE = "catalog.yaml"
CATALOG_VARIABLE = "NMCDIST_CATALOG"
_HERE = "{CATALOG_DIR}"  # intake puts the folder of the catalog here


def catalog_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the catalog to use: the one given, else $NMCDIST_CATALOG, else ./catalog.yaml."""
    if path is None:
        path = os.environ.get(CATALOG_VARIABLE) or CATALOG_FILE
    path = Path(path)
    return path / CATALOG_FILE if path.is_dir() else path


def open_catalog(path: str | os.PathLike[str] | None = None) -> Any:
    """Open a catalog of datasets with intake.

    Parameters
    ----------
    path : str or Path, optional
        A catalog file, or the folder that holds ``catalog.yaml``; by default $NMCDIST_CATALOG, else
        ``catalog.yaml`` in the current folder.

    Returns
    -------
    intake Catalog
        ``list(catalog)`` names the datasets; ``catalog[name].to_dask()`` is a lazy xarray.Dataset.

    Raises
    ------
    CatalogError
        If there is no catalog, or it cannot be read.
    """
    import intake

    where = catalog_path(path)
    _load(where)
    return intake.open_catalog(str(where.absolute()))


def list_entries(path: Path) -> dict[str, dict[str, Any]]:
    """Return the metadata of every dataset in a catalog, by name.

    Raises
    ------
    CatalogError
        If there is no catalog, or it cannot be read.
    """
    content = _load(path)
    return {name: content["entries"][token]["metadata"] for name, token in content["aliases"].items()}


def show_entry(path: Path, name: str) -> dict[str, Any]:
    """Return the metadata of one dataset and where its store is.

    Raises
    ------
    CatalogError
        If the catalog cannot be read or has no such dataset.
    """
    entries = list_entries(path)
    if name not in entries:
        raise CatalogError(f"{path}: no dataset {name!r}, expected one of {sorted(entries)}")
    content = _load(path)
    data = content["data"].get(f"{name}_store", {})
    url = data.get("kwargs", {}).get("url", "")
    return {"name": name, "store": url.replace(_HERE, str(path.absolute().parent)), **entries[name]}


def add_entry(catalog: Path, store: Path) -> str:
    """Add a finished store to a catalog, or renew its entry, and return the name of the entry.

    Raises
    ------
    StoreError
        If the store is not finished or of another format.
    CatalogError
        If the catalog is there but cannot be read.
    """
    attributes = read_attributes(store)
    read_manifest(store)
    _, bundle = read_origin(store)
    name = str(attributes["name"])
    with _locked(catalog):
        content = _load(catalog) if catalog.exists() else _empty()
        content["aliases"][name] = name
        content["data"][f"{name}_store"] = {
            "datatype": "intake.readers.datatypes:Zarr",
            "kwargs": {"url": _relative(store, catalog.absolute().parent)},
            "metadata": {},
            "user_parameters": {},
        }
        content["entries"][name] = {
            "reader": "nmcdist.datasets.reader:StoreReader",
            "output_instance": "xarray:Dataset",
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
        write_text(catalog, yaml.safe_dump(content, sort_keys=False, width=110))
    return name


def recorded_manifest(catalog: Path, store: Path) -> str | None:
    """Return the manifest's SHA-256 that a catalog has for a store, or None if it does not list it."""
    try:
        shown = [show_entry(catalog, name) for name in list_entries(catalog)]
    except CatalogError:
        return None
    here = [entry for entry in shown if Path(entry["store"]).resolve() == store.resolve()]
    return here[0].get("manifest_sha256") if here else None


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(f"{path}: no such catalog; name one, or set ${CATALOG_VARIABLE}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or content.get("version") != 2:
        raise CatalogError(f"{path}: not an intake catalog of version 2")
    for key in ("aliases", "data", "entries"):
        if not isinstance(content.get(key), dict):
            raise CatalogError(f"{path}: {key}: found {content.get(key)!r}, expected a mapping")
    missing = set(content["aliases"].values()) - set(content["entries"])
    if missing:
        raise CatalogError(f"{path}: aliases: found {sorted(missing)}, which are not among the entries")
    return content


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
    """Return the store's address from the catalog's folder where it lies in it, else its absolute path."""
    store, folder = store.resolve(), folder.resolve()
    if store.is_relative_to(folder):
        return f"{_HERE}/{store.relative_to(folder).as_posix()}"
    return str(store)


@contextlib.contextmanager
def _locked(catalog: Path) -> Iterator[None]:
    """Let one process at a time change a catalog: two runs may end together in one folder."""
    catalog.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(catalog.absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
