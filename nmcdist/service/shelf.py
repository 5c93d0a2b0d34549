"""What the service serves: the releases that a catalog lists, read once at the start, and finished jobs as they end.

The catalog is read as data by this package's own model. It may name only releases below its own folder: no URLs, no
links, nothing elsewhere on this machine.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.datasets.catalog_file import CatalogFile, read_catalog_file
from nmcdist.datasets.files import file_record, refuse_special
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import manifest_hash, read_manifest
from nmcdist.datasets.store import MANIFEST
from nmcdist.errors import CatalogError, StoreError
from nmcdist.inputs import local_path
from nmcdist.releases.checksums import CHECKSUMS, read_checksums
from nmcdist.releases.finding import open_release
from nmcdist.releases.model import RELEASE_FILE, Release
from nmcdist.releases.versions import precedence
from nmcdist.service.settings import Settings
from nmcdist.service.sources import Files, Source
from nmcdist.service.virtual import VirtualSource
from nmcdist.wording import shown

CATALOG_FILE = "catalog.yaml"


@dataclass(frozen=True)
class Item:
    """A release on the shelf.

    Attributes
    ----------
    release : Release
    store : Path
    source : Source
        The bytes of the store.
    documents : Files
        The other files of the release: documents, and the bundle.
    entry : Mapping of str to Any
        The entry of the catalog.
    job : str, optional
        The job that made it; None for a published release.
    """

    release: Release
    store: Path
    source: Source
    documents: Files
    entry: Mapping[str, Any]
    job: str | None = None

    @property
    def path(self) -> str:
        """Name and version, as in paths of the service."""
        return f"{self.release.name}/{self.release.version}"


class Shelf(Mapping[str, Mapping[str, Item]]):
    """The releases by name, then by version, the latest version first; after them finished jobs, the newest first.

    Threads may read it while another adds to it: what they read is replaced as a whole, never changed.
    """

    def __init__(self, title: str, items: Iterable[Item]) -> None:
        self.title = title
        self._lock = threading.Lock()
        self._items = _by_name(items)

    def __getitem__(self, name: str) -> Mapping[str, Item]:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def add(self, *items: Item) -> None:
        """Add releases, or jobs: the newest first."""
        with self._lock:
            self._items = _by_name([*items, *self.items_in_order()])

    def items_in_order(self) -> Iterator[Item]:
        """Yield every release, by name, the latest version of each first."""
        for name in self:
            yield from self._items[name].values()

    def latest(self, name: str) -> Item:
        """Return the latest version; KeyError if there is no such name."""
        return next(iter(self._items[name].values()))


def _by_name(items: Iterable[Item]) -> dict[str, dict[str, Item]]:
    found: dict[str, dict[str, Item]] = {}
    for item in sorted(items, key=_rank, reverse=True):  # items of one rank stay in their order
        found.setdefault(item.release.name, {}).setdefault(item.release.version, item)
    return found


def _rank(item: Item) -> tuple[Any, ...]:
    return (True, precedence(item.release.version)) if item.job is None else (False,)


def open_shelf(path: str | os.PathLike[str], settings: Settings) -> Shelf:
    """Read a catalog and its releases.

    Parameters
    ----------
    path : str or Path
        A folder of releases, or its ``catalog.yaml``.
    settings : Settings
        For the cache of virtual releases.

    Raises
    ------
    CatalogError
        If there is no such catalog, or it lists anything but releases below its folder.
    StoreError
        If a release differs from what was published.
    """
    found = local_path(path, CatalogError)
    catalog = found / CATALOG_FILE if found.is_dir() else found
    if not catalog.exists():
        raise CatalogError(f"{catalog}: no such catalog, expected a folder of releases or its {CATALOG_FILE}")
    content, root = read_catalog_file(catalog), catalog.absolute().parent
    stores: dict[str, Mapping[str, Any]] = {}
    for name in content.aliases:
        stores.setdefault(_below(catalog, content, name), content.entries[content.aliases[name]].model_dump())
    items = [_item(catalog, root, store, entry, settings) for store, entry in stores.items()]
    return Shelf(str(content.metadata.get("title") or "Datasets"), items)


def _below(catalog: Path, content: CatalogFile, name: str) -> str:
    """Return the path of an entry's store relative to the catalog's folder."""
    folder = catalog.absolute().parent
    store = content.store(name, folder)
    if ".." in store.parts or not store.is_relative_to(folder) or store == folder:
        raise CatalogError(f"{catalog}: {name}: found {shown(str(store))}, expected a store below the catalog's folder")
    return store.relative_to(folder).as_posix()


def _item(catalog: Path, root: Path, store: str, entry: Mapping[str, Any], settings: Settings) -> Item:
    path = root / store
    refuse_special(root, store)
    if not (path.parent / RELEASE_FILE).exists():
        raise CatalogError(f"{catalog}: {path}: is not a release; publish it with: nmcdist publish {path}")
    release = open_release(path.parent)
    if path.parent / release.store != path:
        raise CatalogError(f"{catalog}: {path}: the release names {shown(release.store)} as its store")
    if (found := manifest_hash(path)) != release.manifest_sha256:
        raise StoreError(f"{path / MANIFEST}: has the SHA-256 {found}, expected {release.manifest_sha256}")
    _check_against_catalog(path.parent, release, entry["metadata"])
    files = files_of(path)
    return Item(
        release=release,
        store=path,
        source=VirtualSource(path, files, settings) if release.virtual else files,
        documents=_documents(path.parent, release),
        entry=entry,
    )


def _check_against_catalog(folder: Path, release: Release, recorded: Mapping[str, Any]) -> None:
    """Refuse a release whose own checksums agree with its files, but not with the catalog."""
    own = {"manifest_sha256": release.manifest_sha256, "release_sha256": file_record(folder / CHECKSUMS).sha256}
    for mark, file in (("manifest_sha256", MANIFEST), ("release_sha256", CHECKSUMS)):
        if recorded.get(mark) is None:  # whoever can edit a release could also take its entry's checksums out
            raise CatalogError(
                f"{folder}: its entry in the catalog has no {mark}; `nmcdist publish` into this folder of releases "
                "writes the entry again"
            )
        if recorded[mark] != own[mark]:
            raise StoreError(
                f"{folder}: {file} has the SHA-256 {own[mark]}, expected {recorded[mark]}, as the catalog records"
            )


def files_of(store: Path) -> Files:
    """Return the files of a store: those of its manifest, and the manifest itself."""
    folder = Folder(store)
    return Files(folder, {**read_manifest(store), MANIFEST: folder.record(MANIFEST)})


def _documents(path: Path, release: Release) -> Files:
    """Return the files of a release beside its store, as its checksums name them, and the checksums themselves."""
    folder, records = Folder(path), {}
    for name, sha256 in read_checksums(path).items():
        if not name.startswith(f"{release.store}/"):
            records[name] = folder.record(name)
            if records[name].sha256 != sha256:
                raise StoreError(f"{path / name}: does not match its checksum in {CHECKSUMS}")
    return Files(folder, {**records, CHECKSUMS: folder.record(CHECKSUMS)})
