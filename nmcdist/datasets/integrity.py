"""The manifest of a store, which names every file with its checksum, and the check against it."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmcdist.datasets.files import FileRecord, file_record, files_below, matches, write_text
from nmcdist.datasets.layout import ITEMS_PER_FILE, SAMPLE
from nmcdist.datasets.store import read_attributes
from nmcdist.errors import StoreError

MANIFEST = "manifest.json"
GROUP = "zarr.json"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a store.

    Attributes
    ----------
    sample : int or None
        The item that it spoils; None where it is the store as a whole.
    file : str
        Path relative to the store.
    what : str
        What was found and what was expected.
    items : int
        Number of items that it spoils, from `sample` on: those that share the file.
    """

    sample: int | None
    file: str
    what: str
    items: int = 1

    def __str__(self) -> str:
        last = "" if self.sample is None or self.items == 1 else f" to {self.sample + self.items - 1}"
        whose = "store" if self.sample is None else f"item {self.sample}{last}"
        return f"{whose}: {self.file}: {self.what}"


def write_manifest(store: Path, known: Mapping[str, FileRecord]) -> str:
    """Write the manifest of a store and return its SHA-256 (hex).

    Parameters
    ----------
    store : Path
    known : Mapping of str to FileRecord
        Records that receipts vouch for; every other file is read.
    """
    records = {name: known.get(name) or file_record(store / name) for name in _content(store)}
    content = {name: {"sha256": record.sha256, "size": record.size} for name, record in records.items()}
    text = json.dumps({"files": content}, indent=1, sort_keys=True) + "\n"
    write_text(store / MANIFEST, text)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(store: Path) -> dict[str, FileRecord]:
    """Return the record of every file of a finished store.

    Raises
    ------
    StoreError
        If there is none, as in a store that was never finished, or it is damaged.
    """
    path = store / MANIFEST
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {name: FileRecord(str(r["sha256"]), int(r["size"])) for name, r in files.items()}
    except FileNotFoundError:
        raise StoreError(f"{store}: has no {MANIFEST}, so it was never finished") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path}: damaged ({error})") from None


def manifest_hash(store: Path) -> str:
    """Return the SHA-256 (hex) of the manifest, which stands for the whole store."""
    return file_record(store / MANIFEST).sha256


def verify(store: Path, expected_manifest: str | None = None) -> list[Fault]:
    """Check a store: every file against its checksum, every array for completeness and shape.

    Parameters
    ----------
    store : Path
    expected_manifest : str, optional
        SHA-256 of the manifest as a catalog has it.

    Returns
    -------
    list of Fault
        Empty if the store is whole.

    Raises
    ------
    StoreError
        If there is no store, it was never finished, or its format is another.
    """
    try:
        read_attributes(store)
    except StoreError:
        if not is_damaged(store, GROUP):
            raise
    manifest = read_manifest(store)
    arrays = _array_metadata(store, manifest)
    faults = _damaged_files(store, manifest, arrays) + _missing_chunks(manifest, arrays)
    if expected_manifest not in (None, manifest_hash(store)):
        faults.append(Fault(None, MANIFEST, "is not the one that the catalog names"))
    return sorted(faults, key=lambda f: (f.sample is None, f.sample or 0, f.file, f.what))


def damaged_samples(faults: Iterable[Fault]) -> list[int]:
    """Return the items that faults spoil."""
    return sorted({f.sample + k for f in faults if f.sample is not None for k in range(f.items)})


def is_damaged(store: Path, file: str) -> bool:
    """Return whether a file of a store differs from what the manifest says; False if it does not say."""
    try:
        return not matches(store / file, read_manifest(store)[file])
    except (StoreError, KeyError):
        return False


def _damaged_files(store: Path, manifest: Mapping[str, FileRecord], arrays: Mapping[str, Any]) -> list[Fault]:
    faults = []
    for name, record in manifest.items():
        sample, items = _owner(name, arrays)
        try:
            found = file_record(store / name)
        except FileNotFoundError:
            faults.append(Fault(sample, name, "is missing", items))
            continue
        if found.size != record.size:
            faults.append(Fault(sample, name, f"has {found.size} bytes, expected {record.size}", items))
        elif found != record:
            faults.append(Fault(sample, name, "has another checksum than the manifest", items))
    strays = [name for name in _content(store) if name not in manifest]
    return faults + [Fault(None, name, "does not belong to the store") for name in strays]


def _missing_chunks(manifest: Mapping[str, FileRecord], arrays: Mapping[str, Any]) -> list[Fault]:
    """Find the chunks that the shapes of the arrays call for and the manifest lacks."""
    faults = []
    for name, meta in arrays.items():
        if meta is None:
            continue
        grid = meta["chunk_grid"]["configuration"]["chunk_shape"]
        counts = [math.ceil(n / c) for n, c in zip(meta["shape"], grid, strict=True)]
        for index in itertools.product(*map(range, counts)):
            file = "/".join([name, "c", *map(str, index)])
            if file not in manifest:
                what = "is not in the manifest, though the shape of the array calls for it"
                sample, items = _owner(file, arrays)
                faults.append(Fault(sample, file, what, items))
    return faults


def _content(store: Path) -> list[str]:
    return [name for name in files_below(store) if name != MANIFEST]


def _array_metadata(store: Path, manifest: Mapping[str, FileRecord]) -> dict[str, Any]:
    """Return the metadata of every array by name; None where it is damaged."""
    paths = {n.removesuffix("/zarr.json"): store / n for n in manifest if n.endswith("/zarr.json")}
    return {
        name: None if not matches(path, manifest[f"{name}/zarr.json"]) else json.loads(path.read_text())
        for name, path in paths.items()
    }


def _owner(file: str, arrays: Mapping[str, Any]) -> tuple[int | None, int]:
    """Return the first item that a chunk belongs to and how many share it; None for what is of all items."""
    array, _, place = file.partition("/c/")
    first = place.split("/")[0]
    meta = arrays.get(array)
    if not first.isdigit():
        return None, 1
    if meta is None:  # its metadata is damaged, but the path still tells the place
        return int(first), 1
    axis, per_file = (meta.get("dimension_names") or [None])[0], meta["chunk_grid"]["configuration"]["chunk_shape"][0]
    items = meta["attributes"].get(ITEMS_PER_FILE)
    if items is None:
        return (int(first) if axis == SAMPLE and per_file == 1 else None), 1
    start = int(first) * items
    return start, min(items, meta["shape"][0] - start) if axis == SAMPLE else items
