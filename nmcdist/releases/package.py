"""A release as a few files for an archive: the store in one zip file, stored without compression, beside its documents.

Zenodo takes 100 files per record. Zarr opens the zip file as it is, and the same release gives the same bytes.
"""

import contextlib
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from nmcdist.datasets.files import FileRecord, naming
from nmcdist.datasets.folder import Folder
from nmcdist.datasets.integrity import read_manifest
from nmcdist.datasets.store import MANIFEST
from nmcdist.errors import ReleaseError
from nmcdist.inputs import existing_folder, local_path
from nmcdist.releases import documents
from nmcdist.releases.checksums import CHECKSUMS, checksums_text, read_checksums
from nmcdist.releases.finding import open_release
from nmcdist.releases.model import RELEASE_FILE, Release
from nmcdist.releases.staging import put_in_place, staged
from nmcdist.releases.verification import verify_release

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that zip files know
_UNIX, _MODE = 3, 0o100444
_BLOCK = 1 << 20
_BUNDLE, _RECIPE = "bundle", "recipe.yaml"
_KEPT = (RELEASE_FILE, _RECIPE, documents.PREVIEW, *documents.OF_CITATION)


def pack(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write a release as a folder of a few files, to be uploaded to an archive as they are.

    Parameters
    ----------
    folder : str or Path
        ``ROOT/NAME/VERSION``; every file is compared with its checksum first.
    out : str or Path, optional
        New folder; default: ``ROOT/NAME/NAME-VERSION``, beside the release.

    Returns
    -------
    Path
        The folder, with ``NAME-VERSION.zarr.zip``, ``README.md``, the documents and ``SHA256SUMS``.

    Raises
    ------
    ReleaseError
        If there is no release, it is virtual or damaged, or the new folder exists.
    OSError
        If it cannot be written, for example on a full disk.
    """
    folder = existing_folder(folder, ReleaseError, "no such release")
    release = open_release(folder)
    if release.virtual:
        raise ReleaseError(f"{folder}: is virtual, so it has no files to pack")
    target = local_path(out, ReleaseError) if out is not None else folder.absolute().parent / release.label
    if os.path.lexists(target):
        raise ReleaseError(f"{target}: exists, expected a new folder for the packed release; move it away")
    if target.resolve().is_relative_to(folder.resolve()):
        raise ReleaseError(f"{target}: is in the release {folder}, which never changes; choose another folder")
    faults = verify_release(folder)
    if faults:
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise ReleaseError(f"{folder / faults[0].file}: {faults[0].what}{more}; a damaged release is not packed")
    with naming(target), staged(target.absolute()) as stage:
        _fill(stage, folder, release)
        put_in_place(stage, target.absolute())
    return target


def _fill(stage: Path, folder: Path, release: Release) -> None:
    archive = release.archive
    with (stage / archive).open("wb") as stream:
        _write_zip(stream, folder / release.store)
    sums = read_checksums(folder)
    for name in (*_KEPT, *(name for name in sums if name.startswith(f"{_BUNDLE}/"))):
        if name in sums:
            flat = name.replace("/", "-")  # archives take no folders
            shutil.copyfile(folder / name, stage / flat)
            if Folder(stage).record(flat).sha256 != sums[name]:
                raise ReleaseError(f"{folder / name}: does not match its checksum in {CHECKSUMS}")
    Folder(stage).write(documents.CARD, documents.card(release, archive).encode())
    records = {path.name: Folder(stage).record(path.name) for path in stage.iterdir()}
    for name, text in (
        (documents.CROISSANT, documents.croissant(release, records, archive)),
        (documents.ROCRATE, documents.ro_crate(release, records, archive)),
    ):
        Folder(stage).write(name, text.encode())
        records[name] = FileRecord(hashlib.sha256(text.encode()).hexdigest(), len(text.encode()))
    Folder(stage).write(CHECKSUMS, checksums_text(records).encode())


def _write_zip(stream: object, store: Path) -> None:
    """Write the files of a store, in sorted order and without times.

    Raises
    ------
    ReleaseError
        If a file differs from its record in the manifest.
    """
    records = read_manifest(store)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name in sorted([*records, MANIFEST]):
            expected = records.get(name)
            digest, size = hashlib.sha256(), 0
            with stored_member(archive, name, (store / name).stat().st_size) as entry:
                for block in _blocks(store / name):
                    entry.write(block)
                    digest.update(block)
                    size += len(block)
            if expected is not None and FileRecord(digest.hexdigest(), size) != expected:
                raise ReleaseError(f"{store / name}: does not match its checksum in the manifest")


@contextlib.contextmanager
def stored_member(archive: zipfile.ZipFile, name: str, size: int) -> Iterator[IO[bytes]]:
    """Open a new member of a zip file, without a time and without compression, so that equal files give equal bytes.

    Parameters
    ----------
    archive : zipfile.ZipFile
    name : str
    size : int
        Bytes that will be written, on which the form of the entry depends.
    """
    info = zipfile.ZipInfo(name, _TIME)
    info.create_system, info.external_attr, info.file_size = _UNIX, _MODE << 16, size
    with archive.open(info, "w") as entry:
        yield entry


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block
