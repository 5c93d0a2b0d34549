"""The check of a release: no file of it differs from its checksum, none is missing, none was added."""

import os
from dataclasses import replace
from pathlib import Path

from nmcdist.datasets.catalog import CATALOG_FILE
from nmcdist.datasets.catalog_file import read_catalog_file
from nmcdist.datasets.files import entries_below, file_record
from nmcdist.datasets.integrity import Fault, verify
from nmcdist.datasets.store import MANIFEST
from nmcdist.errors import CatalogError, ReleaseError, StoreError
from nmcdist.inputs import existing_folder
from nmcdist.releases.archive import verify_archive
from nmcdist.releases.checksums import CHECKSUMS, read_checksums
from nmcdist.releases.finding import misplaced, open_release, release_of
from nmcdist.releases.model import RELEASE_FILE, Release


def verify_release(folder: str | os.PathLike[str]) -> list[Fault]:
    """Check a release: every document against its checksum, and the whole store.

    Parameters
    ----------
    folder : str or Path
        A release, or a packed one, wherever it lies. In ``ROOT/NAME/VERSION``, the checksum of its checksums must be
        the one in ``ROOT/catalog.yaml``, if that lists it.

    Returns
    -------
    list of Fault
        Empty if the release is what was published.

    Raises
    ------
    ReleaseError
        If there is no release, or its checksums cannot be read.
    """
    folder = existing_folder(folder, ReleaseError, "no such release")
    sums = read_checksums(folder)
    faults, release = _of_description(folder, sums)
    faults += _against_catalog(folder, release)
    stores = {name.partition("/")[0] for name in sums if name.partition("/")[0].endswith(".zarr")}
    archives = {name for name in sums if name.endswith(".zarr.zip")}
    stores |= {release.store} if release is not None and release.archive not in archives else set()
    present = {name for name, _ in entries_below(folder)}
    single = [name for name in sums if name.partition("/")[0] not in stores]
    faults += [Fault(None, name, what) for name in single if (what := _damage(folder / name, sums[name]))]
    known = {*sums, CHECKSUMS}
    strays = [name for name in present if name not in known and name.partition("/")[0] not in stores]
    faults += [Fault(None, name, "does not belong to the release") for name in strays]
    for store in sorted(stores):
        faults += _of_store(folder, store, sums)
    for archive in sorted(archives & present):
        faults += _of_archive(folder, archive)
    return sorted(faults, key=lambda fault: (fault.file, fault.what))


def manifest_of_release(store: Path) -> str | None:
    """Return the manifest's SHA-256 that a release gives for its store; None if the store is not in a release."""
    try:
        release = release_of(store)
        return None if release is None else release.manifest_sha256
    except (ReleaseError, StoreError):  # the release is damaged itself, which its own check reports
        return None


def recorded_checksums(folder: Path) -> str | None:
    """Return the SHA-256 of a release's checksums in the catalog of its root; None if it does not list the release.

    It is empty if the catalog lists the release without it, as `nmcdist` never does.

    Raises
    ------
    CatalogError
        If the catalog cannot be read.
    """
    place = folder.absolute()
    catalog, label = place.parent.parent / CATALOG_FILE, f"{place.parent.name}-{place.name}"
    if not os.path.lexists(catalog):
        return None
    entry = read_catalog_file(catalog).entries.get(label)
    return None if entry is None else str(entry.metadata.get("release_sha256") or "")


def _against_catalog(folder: Path, release: Release | None) -> list[Fault]:
    """Return the fault of a release whose checksums are not those in the catalog of its folder of releases."""
    try:
        recorded = recorded_checksums(folder)
    except CatalogError as error:
        if release is not None and misplaced(release, folder):  # a copy, beside which any catalog may lie
            return []
        return [Fault(None, f"../../{CATALOG_FILE}", f"cannot be read, so {CHECKSUMS} is not checked ({error})")]
    if recorded == "":
        return [Fault(None, f"../../{CATALOG_FILE}", f"gives no release_sha256, so {CHECKSUMS} is not checked")]
    if recorded in (None, file_record(folder / CHECKSUMS).sha256):
        return []
    return [Fault(None, CHECKSUMS, "is not the one that the catalog names")]


def _of_description(folder: Path, sums: dict[str, str]) -> tuple[list[Fault], Release | None]:
    """Return the faults of what a release says of itself, besides its checksum, and its content if it is readable."""
    try:
        release = open_release(folder)
    except ReleaseError as error:
        known = RELEASE_FILE in sums and _damage(folder / RELEASE_FILE, sums[RELEASE_FILE])
        what = str(error).removeprefix(f"{folder / RELEASE_FILE}: ")
        missing = not os.path.lexists(folder / RELEASE_FILE)
        return ([] if known else [Fault(None, RELEASE_FILE, "is missing" if missing else what)]), None
    except StoreError:  # not an ordinary file, which is found by its checksum, or as a stray
        return [], None
    return [], release


def _of_store(folder: Path, name: str, sums: dict[str, str]) -> list[Fault]:
    """Return the faults of the store of a release, with the paths of files from the release."""
    if (folder / name).is_symlink():
        return [Fault(None, name, "is a link, expected a folder of the release")]
    own = {file.removeprefix(f"{name}/"): digest for file, digest in sums.items() if file.startswith(f"{name}/")}
    try:
        found = verify(folder / name, own.get(MANIFEST))
    except StoreError as error:
        found = [Fault(None, "", str(error).removeprefix(f"{folder / name}: "))]
    return [replace(fault, file=f"{name}/{fault.file}".rstrip("/")) for fault in found]


def _of_archive(folder: Path, name: str) -> list[Fault]:
    """Return the faults of the packed store of a release, with the paths of files from the release."""
    try:
        found = verify_archive(folder / name, manifest_of_release(folder / name))
    except StoreError as error:
        found = [Fault(None, "", str(error).removeprefix(f"{folder / name}: "))]
    return [replace(fault, file=f"{name}/{fault.file}".rstrip("/")) for fault in found]


def _damage(path: Path, expected: str) -> str:
    """Return the fault of a file; empty if it is whole."""
    try:
        found = file_record(path).sha256
    except FileNotFoundError:
        return "is missing"
    except StoreError as error:
        return str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if found == expected else f"does not match its checksum in {CHECKSUMS}"
