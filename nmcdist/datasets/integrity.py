"""The manifest of a store, which names every file with its checksum, and the check against it."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nmcdist.datasets.files import FileRecord, entries_below, file_record, matches
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.layout import SAMPLE
from nmcdist.datasets.metadata import ArrayMetadata, parsed_json
from nmcdist.datasets.store import MANIFEST, gathered_metadata, is_virtual, read_origin, readable_metadata, unreadable
from nmcdist.errors import StoreError
from nmcdist.inputs import kind_of, local_path
from nmcdist.wording import shown

GROUP = "zarr.json"
EMPTY = "storage_transformers"  # no array has any, so the metadata of the group leaves them out
MANIFEST_LIMIT = 1 << 30  # bytes: enough for about seven million files
MOST_MISSING = 1000  # chunks listed per array

_FILE = "a file"
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_DIGITS = 18

Arrays = Mapping[str, ArrayMetadata | None]


@dataclass(frozen=True)
class Fault:
    """One fault of a store.

    Attributes
    ----------
    sample : int or None
        The damaged item; None for the store as a whole.
    file : str
        Path relative to the store.
    what : str
        Description: found and expected.
    items : int
        Number of damaged items from `sample` on, which share the file.
    """

    sample: int | None
    file: str
    what: str
    items: int = 1

    def __str__(self) -> str:
        file = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in self.file)
        whose = "store" if self.sample is None else f"item {self.sample}"
        if self.sample is not None and self.items > 1:
            whose = f"items {self.sample} to {self.sample + self.items - 1}"
        return f"{whose}: {file}: {self.what}"


def write_manifest(store: Path, known: Mapping[str, FileRecord]) -> str:
    """Write the manifest of a store and return its SHA-256 (hex).

    Parameters
    ----------
    store : Path
    known : Mapping of str to FileRecord
        Records from receipts; every other file is read.
    """
    refuse_links(store)
    folder = Folder(store)
    records = {name: known.get(name) or folder.record(name) for name in _content(store)}
    content = {name: {"sha256": record.sha256, "size": record.size} for name, record in records.items()}
    text = json.dumps({"files": content}, indent=1, sort_keys=True) + "\n"
    folder.write(MANIFEST, text.encode(), durable=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(store: Path) -> dict[str, FileRecord]:
    """Return the record of every file of a finished store.

    Raises
    ------
    StoreError
        If it is missing, because the store was never finished, or damaged, or names paths that no store can have.
    """
    path = local_path(store, StoreError) / MANIFEST
    try:
        content = parsed_json(path, MANIFEST_LIMIT, "manifest")
    except FileNotFoundError:
        raise StoreError(f"{store}: has no {MANIFEST}, so it was never finished") from None
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
    return manifest_records(content, path)


def manifest_records(content: Any, path: Path) -> dict[str, FileRecord]:
    """Return the record of every file that the content of a manifest names; raises as :func:`read_manifest`."""
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict):
        raise StoreError(f"{path}: damaged, expected an object with the files")
    return {name: _checked_record(name, record, path) for name, record in files.items()}


def _checked_record(name: str, record: Any, path: Path) -> FileRecord:
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise StoreError(f"{path}: names {shown(name)}, expected paths below the store")
    found = record if isinstance(record, dict) else {}
    sha256, size = found.get("sha256"), found.get("size")
    if not (isinstance(sha256, str) and _SHA256.match(sha256)):
        raise StoreError(f"{path}: {shown(name)}: sha256: found {shown(sha256)}, expected 64 hexadecimal digits")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise StoreError(f"{path}: {shown(name)}: size: found {shown(size)}, expected a number of bytes")
    return FileRecord(sha256, size)


def refuse_links(store: Path) -> None:
    """Refuse a store that holds anything but folders and ordinary files.

    Raises
    ------
    StoreError
        If it holds a link, a pipe or a device.
    """
    for name, kind in sorted(_kinds(store).items()):
        if kind != _FILE:
            raise StoreError(f"{store / name}: is {kind}, expected a folder or an ordinary file; remove it")


def manifest_hash(store: Path) -> str:
    """Return the SHA-256 (hex) of the manifest, which identifies the whole store."""
    return file_record(store / MANIFEST).sha256


def checked_manifest(store: Path, expected: str | None) -> str:
    """Return the SHA-256 (hex) of the manifest of a store that a catalog lists.

    Raises
    ------
    StoreError
        If it is missing, cannot be read, or is not the expected one.
    """
    try:
        found = manifest_hash(store)
    except OSError as error:
        raise StoreError(f"{store / MANIFEST}: cannot be read ({error.strerror})") from None
    if expected not in (None, found):
        raise StoreError(f"{store}: {MANIFEST} has the SHA-256 {found}, expected {expected}, as the catalog records")
    return found


def verify(store: Path, expected_manifest: str | None = None) -> list[Fault]:
    """Check a store: every file against its checksum, every array for completeness and shape.

    Parameters
    ----------
    store : Path
    expected_manifest : str, optional
        SHA-256 of the manifest, from a catalog.

    Returns
    -------
    list of Fault
        Empty if the store is whole.

    Raises
    ------
    StoreError
        If there is no store, it was never finished, or its format is unsupported.
    """
    store = local_path(store, StoreError)
    try:
        read_origin(store)
    except StoreError:
        if not is_damaged(store, GROUP):
            raise
    manifest, kinds = read_manifest(store), _kinds(store)
    arrays, faults = _arrays(store, manifest, kinds)
    damaged = _damaged_files(store, manifest, kinds, arrays)
    harmed = {fault.file.partition("/")[0] for fault in damaged}
    computed = _computed(store, arrays, manifest)
    for name, array in arrays.items():
        if array is not None and name not in computed:
            faults += missing_chunks(name, array, manifest)
            if name not in harmed and (what := unreadable(store, name)):
                faults.append(Fault(None, f"{name}/{GROUP}", f"does not fit its chunks ({what})"))
    faults += damaged
    if expected_manifest not in (None, manifest_hash(store)):
        faults.append(Fault(None, MANIFEST, "is not the one that the catalog names"))
    return sorted(limited(faults, arrays), key=lambda f: (f.sample is None, f.sample or 0, f.file, f.what))


def limited(faults: Iterable[Fault], arrays: Arrays) -> list[Fault]:
    """Return faults without the items beyond the last, which the last file of a table has room for."""
    along = (a.shape[0] for a in arrays.values() if a is not None and a.dims[:1] == (SAMPLE,))
    count = max(along, default=None)
    if count is None:
        return list(faults)
    return [f if f.sample is None else replace(f, items=max(1, min(f.items, count - f.sample))) for f in faults]


def damaged_samples(faults: Iterable[Fault]) -> list[int]:
    """Return the items that faults damage."""
    return sorted({f.sample + k for f in faults if f.sample is not None for k in range(f.items)})


def is_damaged(store: Path, file: str) -> bool:
    """Return whether a file of a store differs from its record in the manifest; False if it has none."""
    try:
        return not matches(store / file, read_manifest(store)[file])
    except (StoreError, KeyError):
        return False


def _computed(store: Path, arrays: Arrays, manifest: Mapping[str, FileRecord]) -> set[str]:
    """Return the arrays whose chunks a virtual store computes; another store has none."""
    if is_damaged(store, GROUP) or not is_virtual(store):
        return set()
    return set(arrays) - {file.partition("/c/")[0] for file in manifest if "/c/" in file}


def _damaged_files(
    store: Path, manifest: Mapping[str, FileRecord], kinds: Mapping[str, str], arrays: Arrays
) -> list[Fault]:
    faults = []
    for name, record in manifest.items():
        what = _damage(store / name, record, kinds.get(name))
        if what:
            sample, items = owner(name, arrays)
            faults.append(Fault(sample, name, what, items))
    strays = [name for name in kinds if name not in manifest]
    return faults + [Fault(None, name, _stray(kinds[name])) for name in strays]


def _damage(path: Path, record: FileRecord, kind: str | None) -> str:
    """Return the fault of a file; empty if it has none."""
    if kind is None:
        return "is missing"
    if kind != _FILE:
        return f"is {kind}, expected an ordinary file"
    try:
        found = file_record(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if found.size != record.size:
        return f"has {found.size} bytes, expected {record.size}"
    return "" if found == record else "does not match its checksum in the manifest"


def _stray(kind: str) -> str:
    if kind == _FILE:
        return "does not belong to the store"
    return f"is {kind}, expected a folder or an ordinary file of the store's own"


def missing_chunks(name: str, array: ArrayMetadata, manifest: Mapping[str, FileRecord]) -> Iterator[Fault]:
    """Yield the chunks that an array's shape requires and the manifest lacks, up to a limit."""
    what = "is not in the manifest, but the array's shape requires it"
    missing = 0
    for index in _indices(array.counts):
        file = "/".join([name, "c", *map(str, index)])
        if file in manifest:
            continue
        if missing == MOST_MISSING:
            yield Fault(None, f"{name}/c", f"more than {MOST_MISSING} chunks are missing from the manifest")
            return
        missing += 1
        sample, items = owner(file, {name: array})
        yield Fault(sample, file, what, items)


def _indices(counts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the indices of a grid in C order, lazily."""
    if not all(counts):
        return
    index = [0] * len(counts)
    while True:
        yield tuple(index)
        for axis in reversed(range(len(counts))):
            index[axis] += 1
            if index[axis] < counts[axis]:
                break
            index[axis] = 0
        else:
            return


def _content(store: Path) -> list[str]:
    return sorted(_kinds(store))


def _kinds(store: Path) -> dict[str, str]:
    """Return the type, in words, of everything below a store except folders and its manifest."""
    return {name: kind_of(state.st_mode) for name, state in entries_below(store) if name != MANIFEST}


def _arrays(
    store: Path, manifest: Mapping[str, FileRecord], kinds: Mapping[str, str]
) -> tuple[dict[str, ArrayMetadata | None], list[Fault]]:
    """Return the metadata of every array by name (None if damaged), and the faults of sealed metadata."""
    arrays: dict[str, ArrayMetadata | None] = {}
    faults, contents = [], {}
    for file in (name for name in manifest if name.endswith(f"/{GROUP}")):
        name = file.removesuffix(f"/{GROUP}")
        arrays[name] = None
        if kinds.get(file) == _FILE and matches(store / file, manifest[file]):
            try:
                arrays[name], contents[name] = readable_metadata(store, name), parsed_json(store / file)
            except StoreError as error:
                faults.append(Fault(None, file, str(error).removeprefix(f"{store / name}: ")))
    if GROUP in manifest and matches(store / GROUP, manifest[GROUP]):
        gathered = gathered_metadata(store)
        for name in sorted(gathered.keys() | contents.keys()):
            is_same = name in gathered and {EMPTY: [], **gathered[name]} == contents.get(name)
            if not is_same and arrays.get(name, 1) is not None:
                faults.append(Fault(None, GROUP, f"differs from the metadata of {shown(name)}"))
    return arrays, faults


def owner(file: str, arrays: Arrays) -> tuple[int | None, int]:
    """Return the first item of a chunk and the number of its items; None if it belongs to all items."""
    name, _, place = file.partition("/c/")
    first, array = place.split("/")[0], arrays.get(name)
    if not (first.isascii() and first.isdecimal() and len(first) < _DIGITS):
        return None, 1
    if array is None:  # its metadata is damaged, but its path contains the index
        return int(first), 1
    is_of_items = array.dims[:1] == (SAMPLE,)
    if array.items_per_file is None:
        return (int(first) if is_of_items and array.file_shape[0] == 1 else None), 1
    start = int(first) * array.items_per_file
    return start, max(1, min(array.items_per_file, array.shape[0] - start)) if is_of_items else array.items_per_file
