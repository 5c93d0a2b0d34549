"""Entries of catalogs: intake's format 2, which nmcdist reads too, and the ``sources:`` of its format 1."""

from collections.abc import Mapping
from typing import Any

from nmcdist.datasets.catalog_file import DATATYPE, HERE, OUTPUT, READER, catalog_text
from nmcdist.releases.model import Release

HERE_V1 = "{{ CATALOG_DIR }}"
TITLE = "Releases of virtual microstructures"


def one_entry(release: Release, chunks: Mapping[str, int], folder: str, checksums: str = "") -> dict[str, Any]:
    """Return what the catalogs need to know of a release.

    Parameters
    ----------
    release : Release
    chunks : Mapping
        Dask chunks that read each shard once.
    folder : str
        Of the release, relative to the catalog; empty if the catalog is in it.
    checksums : str
        SHA-256 (hex) of its file of checksums, which a catalog outside of it records.
    """
    metadata: dict[str, Any] = {
        "title": release.title,
        "version": release.version,
        "license": release.license,
        "bundle": release.provenance.bundle.name,
        "bundle_hash": release.provenance.bundle.hash,
        "recipe_hash": release.provenance.recipe_hash,
        "manifest_sha256": release.manifest_sha256,
        "citation": release.citation,
    }
    if checksums:
        metadata["release_sha256"] = checksums
    path = f"{folder}/{release.store}" if folder else release.store
    return {
        "path": path,
        "chunks": dict(chunks),
        "metadata": metadata,
        "description": release.title,
        "virtual": release.virtual,
    }


def intake_content(entries: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a catalog of format 2, of entries and other names for them."""
    return {
        "version": 2,
        "metadata": {"title": TITLE},
        "aliases": {**{name: name for name in entries}, **aliases},
        "data": {
            f"{name}_store": {
                "datatype": DATATYPE,
                "kwargs": {"url": f"{HERE}/{entry['path']}"},
                "metadata": {},
                "user_parameters": {},
            }
            for name, entry in entries.items()
        },
        "entries": {
            name: {
                "reader": READER,
                "output_instance": OUTPUT,
                "kwargs": {
                    "data": "{data(" + name + "_store)}",
                    "chunks": dict(entry["chunks"]),
                    "consolidated": True,
                },
                "metadata": dict(entry["metadata"]),
                "user_parameters": {},
            }
            for name, entry in entries.items()
        },
        "user_parameters": {},
    }


def intake_text(entries: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, str]) -> str:
    """Return a catalog of format 2."""
    return catalog_text(intake_content(entries, aliases))


def intake_v1_text(entries: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, str]) -> str:
    """Return a catalog of format 1, which intake opens with the package intake-xarray alone; chunks None: no Dask."""
    named = {**{name: name for name in entries}, **aliases}
    sources = {
        name: {
            "driver": "zarr",
            "description": entries[of]["description"],
            "args": {
                "urlpath": f"{HERE_V1}/{entries[of]['path']}",
                "chunks": entries[of]["chunks"] and dict(entries[of]["chunks"]),
                "consolidated": True,
            },
            "metadata": dict(entries[of]["metadata"]),
        }
        for name, of in named.items()
    }
    return catalog_text({"metadata": {"version": 1}, "sources": sources})
