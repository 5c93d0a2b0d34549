"""The catalogs of a folder of releases: every version by NAME-VERSION, and the highest one by NAME."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmcdist.datasets.catalog import CATALOG_FILE
from nmcdist.datasets.catalog_file import HERE, CatalogFile, catalog_text, checked, read_catalog_file
from nmcdist.datasets.files import file_record, locked_folder, replacing, write_text
from nmcdist.datasets.final_names import final_names
from nmcdist.datasets.folder import refuse_all_but_files
from nmcdist.datasets.store import dask_chunks
from nmcdist.errors import ReleaseError, StoreError
from nmcdist.releases.checksums import CHECKSUMS
from nmcdist.releases.documents.catalogs import intake_content, intake_v1_text, one_entry
from nmcdist.releases.finding import places, release_at
from nmcdist.releases.versions import is_version, precedence

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


def refuse_unlistable(root: Path) -> None:
    """Refuse a folder whose catalogs cannot be written, before a release is put into it.

    Raises
    ------
    CatalogError
        If the catalog was not written by nmcdist.
    StoreError
        If a folder or a link is in place of a catalog.
    OSError
        If no file can be written.
    """
    if root.is_dir():
        refuse_all_but_files(root / CATALOG_FILE, root / CATALOG_V1)
        _planned(root, "")
        probe = root / f".{CATALOG_FILE}.probe"
        with final_names(probe, root / CATALOG_FILE):
            with replacing(probe):
                pass
            probe.unlink(missing_ok=True)


def update_catalogs(root: Path, made: str = "") -> list[str]:
    """Write the catalogs of a folder from the releases that are in it; entries of other datasets are kept.

    Parameters
    ----------
    root : Path
    made : str
        Name and version of a release that was just put in place. Of the other releases, those that the catalog names
        keep their entries, with the checksum that was recorded when they were published.

    Returns
    -------
    list of str
        One line per folder of a release that is damaged or not listed.

    Raises
    ------
    CatalogError
        If the catalog was not written by nmcdist.
    """
    with locked_folder(root):
        content, content_v1, notes = _planned(root, made)
        write_text(root / CATALOG_FILE, content)
        write_text(root / CATALOG_V1, content_v1)
    return notes


def _planned(root: Path, made: str) -> tuple[str, str, list[str]]:
    """Return the texts of both catalogs, and what is to be said of the folders."""
    path = root / CATALOG_FILE
    before = read_catalog_file(path) if path.exists() else None
    entries, aliases, notes = _entries(root, before, made)
    content = intake_content(entries, aliases)
    if before is not None:
        content = _with_others(before, content)
        listed = {name for name in before.entries if _is_release(before, name)}
        notes += [f"{root}: {name}: is no longer listed: its folder is gone" for name in sorted(listed - {*entries})]
    checked(content, path)
    files = {name: entry for name, entry in entries.items() if not entry["virtual"]}
    ours = {name: entry for name, entry in aliases.items() if entry in files}
    return catalog_text(content), intake_v1_text(files, ours), notes


def _entries(
    root: Path, before: CatalogFile | None, made: str
) -> tuple[dict[str, dict[str, Any]], dict[str, str], list[str]]:
    """Return the entries by name and version, the highest version by name, and a line per fault."""
    entries: dict[str, dict[str, Any]] = {}
    highest: dict[str, str] = {}
    found_places, closed = places(root)
    notes = [f"{root / name}: {what}" for name, what in closed.items()]
    listed = [] if before is None else [place for place in _listed(before) if place[0] in closed]
    for name, version in sorted([*found_places, *listed], key=lambda place: (place[0], precedence(place[1]))):
        label, folder = f"{name}-{version}", root / name / version
        kept = None if before is None or label == made else _kept(before, label, folder)
        try:
            found = _of_disk(folder)
            if kept is not None and kept["metadata"][_MARK] != found["metadata"][_MARK]:
                notes.append(f"{folder}: {CHECKSUMS} is not the one that the catalog names")
        except (ReleaseError, StoreError, OSError) as error:
            what = "keeps its entry in the catalog, but is damaged" if kept is not None else "is not listed"
            notes.append(f"{folder}: {what}: {error}")
            if kept is None:
                continue
            found = kept
        entries[label] = found if kept is None else kept
        highest[name] = label
    return entries, highest, notes


def _listed(before: CatalogFile) -> list[tuple[str, str]]:
    """Return name and version of each release in a catalog."""
    versions = [
        (label, str(entry.metadata.get("version")))
        for label, entry in before.entries.items()
        if _is_release(before, label)
    ]
    return [(label.removesuffix(f"-{version}"), version) for label, version in versions if is_version(version)]


def _of_disk(folder: Path) -> dict[str, Any]:
    """Return the entry of a release from its files."""
    release = release_at(folder)
    digest = file_record(folder / CHECKSUMS).sha256
    chunks = dask_chunks(folder / release.store)
    return one_entry(release, chunks, f"{folder.parent.name}/{folder.name}", digest)


def _kept(before: CatalogFile, label: str, folder: Path) -> dict[str, Any] | None:
    """Return the entry that a catalog has for a release; None if it does not name it."""
    if label not in before.entries or not _is_release(before, label):
        return None
    entry = before.entries[label]
    return {
        "path": before.data[entry.kwargs.source].kwargs.url.removeprefix(f"{HERE}/"),
        "chunks": dict(entry.kwargs.chunks),
        "metadata": dict(entry.metadata),
        "description": entry.metadata.get("title", label),
        "virtual": _is_virtual(folder),
    }


def _is_virtual(folder: Path) -> bool:
    """Return whether a release is virtual, which the catalog does not record; a damaged one may be."""
    try:
        return release_at(folder).virtual
    except (ReleaseError, StoreError, OSError):
        return True


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
