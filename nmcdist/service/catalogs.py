"""The catalogs that the service gives out, for its own addresses: JSON, intake of version 2 and of version 1.

Addresses are relative to that of the catalog, as intake has it, so they hold behind any proxy.
"""

from typing import Any
from urllib.parse import quote

from nmcdist.releases.documents import intake_text, intake_v1_text
from nmcdist.service.shelf import Item, Shelf


def store_path(item: Item) -> str:
    """Return the path of a release's store on the service."""
    return f"/v/{quote(item.path)}"


def page_path(item: Item) -> str:
    """Return the path of a release's page."""
    return f"/d/{quote(item.path)}"


def api_path(item: Item) -> str:
    """Return the path of a release's description as JSON."""
    return f"/api/datasets/{quote(item.path)}"


def document_path(item: Item, name: str) -> str:
    """Return the path of a document of a release."""
    return f"/files/{quote(item.path)}/{quote(name)}"


def summary(item: Item, base: str, *, is_latest: bool) -> dict[str, Any]:
    """Return what a list shows of a release.

    Parameters
    ----------
    item : Item
    base : str
        Address of the service, without a slash at the end.
    is_latest : bool
        Whether it is the latest version.
    """
    release = item.release
    return {
        "name": release.name,
        "version": release.version,
        "latest": is_latest,
        "title": release.title,
        "license": release.license,
        "kind": release.kind,
        "virtual": release.virtual,
        "job": item.job,
        "items": release.sizes.items,
        "bytes": release.sizes.bytes,
        "created": release.created.isoformat(),
        "manifest_sha256": release.manifest_sha256,
        "store": base + store_path(item),
        "page": base + page_path(item),
        "api": base + api_path(item),
    }


def details(item: Item, base: str, *, is_latest: bool) -> dict[str, Any]:
    """Return all that a release says of itself, with its addresses."""
    return {
        **summary(item, base, is_latest=is_latest),
        "open": opening_line(item, base),
        "documents": {name: base + document_path(item, name) for name in item.documents.names},
        "release": item.release.model_dump(mode="json"),
    }


def opening_line(item: Item, base: str) -> str:
    """Return the line of Python that opens a release; a virtual one without Dask chunks, of which it has too many."""
    chunks = ", chunks=None" if item.release.virtual else ""
    return f'xarray.open_zarr("{base}{store_path(item)}"{chunks})'


def json_catalog(shelf: Shelf, base: str) -> dict[str, Any]:
    """Return the list of all releases."""
    entries = [
        summary(item, base, is_latest=item is shelf.latest(item.release.name)) for item in shelf.items_in_order()
    ]
    return {"title": shelf.title, "datasets": entries}


def intake_catalog(shelf: Shelf) -> str:
    """Return the catalog of intake, version 2: each name is the latest version, NAME-VERSION that version."""
    return intake_text(*_listed(shelf))


def intake_catalog_v1(shelf: Shelf) -> str:
    """Return the catalog of intake, version 1, for intake-xarray."""
    entries, names = _listed(shelf)
    for item in shelf.items_in_order():
        if item.release.virtual:  # without Dask: a graph of a million chunks never begins to compute
            entries[item.release.label]["chunks"] = None
    return intake_v1_text(entries, names)


def _listed(shelf: Shelf) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the entries of the catalogs, and the other names of some of them."""
    entries = {
        item.release.label: {
            "path": store_path(item).lstrip("/"),
            "chunks": item.entry["kwargs"]["chunks"],
            "metadata": item.entry["metadata"],
            "description": item.release.title,
        }
        for item in shelf.items_in_order()
    }
    return entries, {name: shelf.latest(name).release.label for name in shelf}
