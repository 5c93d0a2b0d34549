"""The check of a packed store: whole, damaged, or made by somebody who means harm."""

import hashlib
import json
import shutil
import stat
import sys
import warnings
import zipfile
from pathlib import Path

import pytest

from nmcdist.cli import main
from nmcdist.errors import StoreError
from nmcdist.releases import pack, verify_archive, verify_release
from tests.conftest import flip_a_byte
from tests.releases.conftest import writable

CHUNK = "volume/c/1/0/0/0"


@pytest.fixture(scope="module")
def packed_once(published_once, tmp_path_factory):
    return pack(published_once / "tiny/1.0.0", tmp_path_factory.mktemp("packed") / "tiny-1.0.0")


@pytest.fixture
def packed(packed_once, tmp_path):
    """A folder with a packed release, which the test may harm."""
    return Path(shutil.copytree(packed_once, tmp_path / "tiny-1.0.0"))


@pytest.fixture
def archive(packed):
    return writable(packed / "tiny-1.0.0.zarr.zip")


@pytest.fixture
def verify(monkeypatch, capsys):
    def run(path):
        monkeypatch.setattr(sys, "argv", ["nmcdist", "verify", str(path)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def rewritten(path, change):
    """Write the zip file again; `change` takes the list of members (ZipInfo, content) and changes it."""
    with zipfile.ZipFile(path) as found:
        members = [(info, found.read(info)) for info in found.infolist()]
    members = change(members) or members
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as new:
        warnings.simplefilter("ignore")  # of names that are given twice
        for info, content in members:
            new.writestr(info, content, compress_type=info.compress_type)


def member(name, **fields):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def found_in(path):
    return [(fault.sample, fault.file, fault.what) for fault in verify_archive(path)]


def resealed(members, drop):
    """Take a file out of a zip file and out of its manifest."""
    kept = [(info, content) for info, content in members if info.filename not in (drop, "manifest.json")]
    (content,) = (json.loads(content) for info, content in members if info.filename == "manifest.json")
    del content["files"][drop]
    return [*kept, (member("manifest.json"), json.dumps(content).encode())]


def test_a_packed_release_and_its_zip_file_are_whole(packed, archive, verify, tmp_path):
    assert verify_release(packed) == []
    assert verify(packed)[:2] == (0, f"{packed}: whole\n")
    assert verify(archive) == (0, f"{archive}: whole\n", "")
    alone = Path(shutil.copy(archive, tmp_path / "renamed.zip"))
    assert verify(alone)[0] == 0


def test_nothing_is_unpacked(packed_once, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "extract", None)
    monkeypatch.setattr(zipfile.ZipFile, "_extract_member", None)
    monkeypatch.setattr(Path, "mkdir", None)
    assert verify_archive(packed_once / "tiny-1.0.0.zarr.zip") == []


def test_a_flipped_byte_is_found_with_its_item(packed, archive, verify):
    with zipfile.ZipFile(archive) as found:
        place = found.getinfo(CHUNK).header_offset + 100
    content = bytearray(archive.read_bytes())
    content[place] ^= 1
    archive.write_bytes(content)
    ((item, file, what),) = found_in(archive)
    assert (item, file) == (1, CHUNK) and what.startswith("cannot be read (Bad CRC-32")
    code, out, err = verify(packed)
    assert code == 2 and f"item 1: tiny-1.0.0.zarr.zip/{CHUNK}: " in out
    assert "store: tiny-1.0.0.zarr.zip: does not match its checksum in SHA256SUMS" in out
    assert "damaged items: 1; get another copy" in err


def other(members):
    members[:] = [(i, content[:-1] + b"?" if i.filename == CHUNK else content) for i, content in members]


HOSTILE = {
    "another content": (other, [(1, CHUNK, "does not match its checksum in the manifest")]),
    "longer than the manifest says": (
        lambda members: [(i, content + b"?" * (i.filename == CHUNK)) for i, content in members],
        [(1, CHUNK, "has N bytes, expected M")],
    ),
    "missing": (lambda members: [m for m in members if m[0].filename != CHUNK], [(1, CHUNK, "is missing")]),
    "twice": (
        lambda members: [*members, (member(CHUNK), b"other")],
        [(None, CHUNK, "is in the zip file twice")],
    ),
    "a stray": (
        lambda members: [*members, (member("extra"), b"?")],
        [(None, "extra", "does not belong to the store")],
    ),
    "outside": (
        lambda members: [*members, (member("../extra"), b"?"), (member("/etc/extra"), b"?"), (member("a\\b"), b"?")],
        [(None, name, "is not the path of a file below the store") for name in ("../extra", "/etc/extra", "a\\b")],
    ),
    "a folder": (
        lambda members: [*members, (member("volume/"), b"")],
        [(None, "volume/", "is not the path of a file below the store")],
    ),
    "a link": (
        lambda members: [*members, (member("extra", external_attr=(stat.S_IFLNK | 0o777) << 16), b"/etc/passwd")],
        [(None, "extra", "is a link or another special file, expected an ordinary file")],
    ),
    "compressed": (
        lambda members: [
            (member(CHUNK, compress_type=zipfile.ZIP_DEFLATED) if i.filename == CHUNK else i, content)
            for i, content in members
        ],
        [(None, CHUNK, "is compressed, expected to be stored as it is")],
    ),
    "a chunk left out and sealed again": (
        lambda members: resealed(members, CHUNK),
        [(1, CHUNK, "is not in the manifest, but the array's shape requires it")],
    ),
}


@pytest.mark.parametrize("harm", HOSTILE)
def test_what_no_publisher_packs_is_named(archive, tmp_path, harm):
    change, expected = HOSTILE[harm]
    alone = Path(shutil.copy(archive, tmp_path / "alone.zip"))
    rewritten(alone, change)
    found = [(s, f, "has N bytes, expected M" if w.startswith("has ") else w) for s, f, w in found_in(alone)]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_an_encrypted_member_is_refused(archive):
    content = bytearray(archive.read_bytes())
    place = content.rindex(CHUNK.encode())  # in the directory at the end of the file, 46 bytes after its entry begins
    assert content[place - 46 : place - 42] == b"PK\x01\x02"
    content[place - 46 + 8] |= 1
    archive.write_bytes(content)
    assert (None, CHUNK, "is encrypted, expected to be stored as it is") in found_in(archive)


def test_a_zip_file_sealed_again_is_not_the_one_of_its_release(archive, verify):
    rewritten(archive, lambda members: resealed(members, CHUNK))
    code, out, _ = verify(archive)
    assert code == 2 and "manifest.json: is not the one that the release names" in out


def test_files_that_overlap_are_refused_before_they_are_read(archive):
    """The directory gives many names to one part of the zip file, so that reading it would never end."""
    with zipfile.ZipFile(archive, "a") as new:
        large = max(new.infolist(), key=lambda info: info.file_size)
        for number in range(2 * archive.stat().st_size // large.file_size):
            again = member(f"extra-{number}", header_offset=large.header_offset, CRC=large.CRC)
            again.file_size = again.compress_size = large.file_size
            new.filelist.append(again)
            new.NameToInfo[again.filename] = again
        new._didModify = True
    with pytest.raises(StoreError, match="its files overlap, expected a packed store"):
        verify_archive(archive)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(b"PK"), "damaged, expected a zip file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-500]), "damaged, expected a zip file"),
        (lambda path: path.unlink(), "no such file"),
        (lambda path: rewritten(path, lambda members: members[:1]), "holds no manifest.json that can be read"),
        (
            lambda path: rewritten(path, lambda members: [(member("manifest.json"), b"{")]),
            r"manifest\.json: damaged manifest, expected JSON",
        ),
    ],
)
def test_what_is_no_packed_store_is_refused_in_one_line(archive, harm, message):
    harm(archive)
    with pytest.raises(StoreError, match=message) as caught:
        verify_archive(archive)
    assert "\n" not in str(caught.value) and str(archive) in str(caught.value)


def test_any_flipped_byte_is_found_or_does_not_matter(packed_once, tmp_path):
    """A byte of a time or of another field that nobody reads may be flipped; whatever is read stays the same."""
    path = Path(shutil.copy(packed_once / "tiny-1.0.0.zarr.zip", tmp_path / "alone.zip"))
    path.chmod(0o644)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as found:
        sums = {name: hashlib.sha256(found.read(name)).digest() for name in found.namelist()}
    for place in (k / 40 for k in range(40)):
        path.write_bytes(whole)
        flip_a_byte(path, place)
        try:
            faults = verify_archive(path)
        except StoreError:
            continue
        if not faults:
            with zipfile.ZipFile(path) as found:
                assert {name: hashlib.sha256(found.read(name)).digest() for name in found.namelist()} == sums


@pytest.mark.parametrize("place", ["before", "after"])
def test_bytes_that_unzipping_overlooks_are_refused(archive, place):
    content = archive.read_bytes()
    archive.write_bytes(b"junk" * 100 + content if place == "before" else content + b"junk" * 100)
    with zipfile.ZipFile(archive) as found:
        assert CHUNK in found.namelist()
    with pytest.raises(StoreError, match=r"zarr.zip: holds bytes before or after its files, expected a packed store"):
        verify_archive(archive)


def test_a_store_zipped_by_another_program_is_refused_with_the_reason(archive):
    def compress(members):
        for info, _ in members:
            info.compress_type = zipfile.ZIP_DEFLATED

    rewritten(archive, compress)
    with pytest.raises(StoreError, match=r"manifest.json is compressed, expected to be stored as it is"):
        verify_archive(archive)
