"""The catalogs of a folder of releases: every version by NAME-VERSION, and the highest one by NAME."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmcdist.datasets.catalog import CATALOG_FILE
from nmcdist.datasets.catalog_file import CatalogFile, catalog_text, checked, read_catalog_file
from nmcdist.datasets.files import file_record, locked_folder, write_text
from nmcdist.datasets.store import dask_chunks
from nmcdist.errors import ReleaseError
from nmcdist.releases.checksums import CHECKSUMS
from nmcdist.releases.documents.catalogs import intake_content, intake_v1_text, one_entry
from nmcdist.releases.finding import find, latest

CATALOG_V1 = "catalog-v1.yaml"
_MARK = "release_sha256"  # in the metadata of entries of releases, and of no others


def refuse_other_entry(root: Path, name: str) -> None:
    """Refuse the name of a release that is taken by a dataset in the catalog which is not a release.

    Raises
    ------
    CatalogError
        If the catalog was not written by nmcdist.
    ReleaseError
        If it holds such a dataset.
    """
    path = root / CATALOG_FILE
    if path.exists():
        content = read_catalog_file(path)
        if name in content.aliases and not _is_release(content, content.aliases[name]):
            raise ReleaseError(f"{path}: holds a dataset {name} that is not a release; choose another name or folder")


def update_catalogs(root: Path) -> None:
    """Write the catalogs of a folder from the releases that are in it; entries of other datasets are kept.

    Raises
    ------
    CatalogError
        If the catalog was not written by nmcdist.
    """
    with locked_folder(root):
        entries, aliases = _entries(root)
        content = intake_content(entries, aliases)
        path = root / CATALOG_FILE
        if path.exists():
            content = _with_others(read_catalog_file(path), content)
        checked(content, path)
        write_text(path, catalog_text(content))
        files = {name: entry for name, entry in entries.items() if not entry["virtual"]}
        ours = {name: entry for name, entry in aliases.items() if entry in files}
        write_text(root / CATALOG_V1, intake_v1_text(files, ours))


def _entries(root: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    entries, aliases = {}, {}
    for name, releases in find(root).items():
        for release in releases:
            folder = root / name / release.version
            digest = file_record(folder / CHECKSUMS).sha256
            chunks = dask_chunks(folder / release.store)
            entries[release.label] = one_entry(release, chunks, f"{name}/{release.version}", digest)
        aliases[name] = latest(releases).label
    return entries, aliases


def _with_others(before: CatalogFile, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a catalog with the entries of the one before that are not of releases."""
    others = {name: entry for name, entry in before.entries.items() if not _is_release(before, name)}
    sources = {entry.kwargs.source for entry in others.values()}
    kept: Mapping[str, Mapping[str, Any]] = {
        "aliases": {alias: name for alias, name in before.aliases.items() if name in others},
        "data": {name: before.data[name].model_dump() for name in sources},
        "entries": {name: entry.model_dump() for name, entry in others.items()},
    }
    return {**content, "metadata": before.metadata, **{part: {**kept[part], **content[part]} for part in kept}}


def _is_release(content: CatalogFile, entry: str) -> bool:
    return _MARK in content.entries[entry].metadata
