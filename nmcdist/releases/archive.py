"""The check of a packed store, a zip file, against the manifest in it; nothing is unpacked.

The file may come from anyone. Only what :func:`nmcdist.releases.pack` writes is accepted: each file once, stored as it
is, with a path below the store and the size that the manifest gives.
"""

import hashlib
import os
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from nmcdist.datasets.files import FileRecord
from nmcdist.datasets.integrity import GROUP, MANIFEST_LIMIT, Fault, limited, manifest_records, missing_chunks, owner
from nmcdist.datasets.metadata import METADATA_LIMIT, ArrayMetadata, checked_array, strict_json
from nmcdist.datasets.store import MANIFEST
from nmcdist.errors import StoreError
from nmcdist.inputs import ordinary_file
from nmcdist.wording import one_line

_BLOCK = 1 << 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # flags of a member whose content or whose directory is encrypted
_UNIX = 3
_END, _END_BYTES = b"PK\x05\x06", 22  # of the directory, the last bytes of a zip file without a comment
_BROKEN = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OverflowError, struct.error)

Members = Mapping[str, zipfile.ZipInfo]


def verify_archive(path: str | os.PathLike[str], expected_manifest: str | None = None) -> list[Fault]:
    """Check a packed store: every file in the zip file against the manifest in it, every array for completeness.

    Parameters
    ----------
    path : str or Path
        ``NAME-VERSION.zarr.zip``.
    expected_manifest : str, optional
        SHA-256 of the manifest, from its release.

    Returns
    -------
    list of Fault
        Empty if the store is whole.

    Raises
    ------
    StoreError
        If there is no such file, or it is no packed store.
    """
    path = ordinary_file(path, StoreError)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            _refuse_more(path, stream, archive)
            return sorted(_faults(path, archive, expected_manifest), key=lambda fault: (fault.file, fault.what))
    except _BROKEN as error:
        raise StoreError(f"{path}: damaged, expected a zip file ({one_line(error)})") from None


def _faults(path: Path, archive: zipfile.ZipFile, expected_manifest: str | None) -> list[Fault]:
    members, refused = _members(archive)
    if sum(info.file_size for info in members.values()) > path.stat().st_size:
        raise StoreError(f"{path}: its files overlap, expected a packed store")
    if MANIFEST in refused:
        raise StoreError(f"{path}: {MANIFEST} {refused[MANIFEST]}")
    if MANIFEST not in members or members[MANIFEST].file_size > MANIFEST_LIMIT:
        raise StoreError(f"{path}: holds no {MANIFEST} that can be read, expected a packed store")
    content = archive.read(members[MANIFEST])
    records = _records(content, path / MANIFEST)
    arrays, faults = _arrays(archive, members, records)
    for name, record in records.items():
        if name not in refused and (what := _damage(archive, members.get(name), record)):
            sample, items = owner(name, arrays)
            faults.append(Fault(sample, name, what, items))
    for name, array in arrays.items():
        faults += missing_chunks(name, array, records)
    strays = members.keys() - records.keys() - {MANIFEST}
    faults += [Fault(None, name, "does not belong to the store") for name in strays]
    if expected_manifest not in (None, hashlib.sha256(content).hexdigest()):
        faults.append(Fault(None, MANIFEST, "is not the one that the release names"))
    return limited(faults, arrays) + [Fault(None, name, what) for name, what in refused.items()]


def _refuse_more(path: Path, stream: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Refuse a zip file with bytes before its files or after its directory, which unzipping overlooks."""
    stream.seek(-_END_BYTES, os.SEEK_END)
    if stream.read(4) != _END or min((info.header_offset for info in archive.infolist()), default=0) != 0:
        raise StoreError(f"{path}: holds bytes before or after its files, expected a packed store")


def _records(content: bytes, where: Path) -> dict[str, FileRecord]:
    try:
        return manifest_records(strict_json(content), where)
    except ValueError as error:
        raise StoreError(f"{where}: damaged manifest, expected JSON ({one_line(error)})") from None


def _members(archive: zipfile.ZipFile) -> tuple[dict[str, zipfile.ZipInfo], dict[str, str]]:
    """Return the files in a zip file by path, and why others are refused."""
    members: dict[str, zipfile.ZipInfo] = {}
    refused = {}
    for info in archive.infolist():
        name = info.orig_filename  # `filename` ends at a NUL
        if what := "is in the zip file twice" if name in members else _unlike(info):
            refused[name] = what
            members.pop(name, None)
        elif name not in refused:
            members[name] = info
    return members, refused


def _unlike(info: zipfile.ZipInfo) -> str:
    """Return what no packed store has; empty if there is nothing."""
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    if {"\\", "\0"} & {*info.orig_filename} or any(part in ("", ".", "..") for part in info.orig_filename.split("/")):
        return "is not the path of a file below the store"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link or another special file, expected an ordinary file"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted, expected to be stored as it is"
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return "is compressed, expected to be stored as it is"
    return ""


def _arrays(
    archive: zipfile.ZipFile, members: Members, records: Mapping[str, FileRecord]
) -> tuple[dict[str, ArrayMetadata], list[Fault]]:
    """Return the metadata of each array by name, where it is whole, and the faults of sealed metadata."""
    arrays, faults = {}, []
    for file in (name for name in records if name.endswith(f"/{GROUP}") and name in members):
        if records[file].size <= METADATA_LIMIT and not _damage(archive, members[file], records[file]):
            try:
                arrays[file.removesuffix(f"/{GROUP}")] = checked_array(strict_json(archive.read(members[file])), file)
            except (StoreError, ValueError) as error:
                faults.append(Fault(None, file, one_line(error).removeprefix(f"{file}: ")))
    return arrays, faults


def _damage(archive: zipfile.ZipFile, info: zipfile.ZipInfo | None, record: FileRecord) -> str:
    """Return the fault of a file in a zip file; empty if it has none."""
    if info is None:
        return "is missing"
    if info.file_size != record.size:
        return f"has {info.file_size} bytes, expected {record.size}"
    digest = hashlib.sha256()
    try:
        with archive.open(info) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except (*_BROKEN, OSError) as error:
        return f"cannot be read ({one_line(error)})"
    return "" if digest.hexdigest() == record.sha256 else "does not match its checksum in the manifest"
