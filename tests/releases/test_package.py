"""Packed releases: few files, the same bytes each time, and a zip that Zarr opens as it is."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile

import pytest
import xarray as xr
import zarr
from zarr.storage import ZipStore

from nmcdist.datasets.store import open_store
from nmcdist.errors import ReleaseError
from nmcdist.releases import open_release, pack, verify_release
from tests.conftest import flip_a_byte
from tests.releases.conftest import writable


@pytest.fixture(scope="module", params=["volumes", "particles"])
def packed(request, published_once, particle_release, tmp_path_factory):
    folder = published_once / "tiny/1.0.0" if request.param == "volumes" else particle_release
    return folder, pack(folder, tmp_path_factory.mktemp("packed") / "out")


def archive(out):
    (path,) = out.glob("*.zarr.zip")
    return path


def test_a_record_of_zenodo_takes_it(packed):
    folder, out = packed
    assert all(path.is_file() for path in out.iterdir())  # no folders
    assert len(list(out.iterdir())) < 100 < open_release(folder).sizes.files
    assert {".zenodo.json", "README.md", "croissant.json", "datacite.json", "release.json"} <= {
        p.name for p in out.iterdir()
    }
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_zarr_and_xarray_open_the_zip_with_the_values_of_the_store(packed):
    folder, out = packed
    release = open_release(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = xr.open_zarr(ZipStore(archive(out), mode="r"), chunks=None)
        group = zarr.open_group(ZipStore(archive(out), mode="r"), mode="r")
    assert sorted(group.array_keys()) == [v.name for v in release.variables]
    whole = open_store(folder / release.store)
    name = "volume" if release.kind == "volumes" else "shell_volume_nm3"
    assert (data[name].values == whole[name].values).all()


def test_the_zip_holds_the_files_of_the_store_as_they_are(packed):
    folder, out = packed
    store = folder / open_release(folder).store
    with zipfile.ZipFile(archive(out)) as content:
        assert content.testzip() is None
        names = content.namelist()
        assert names == sorted(names) == sorted(str(p.relative_to(store)) for p in store.rglob("*") if p.is_file())
        assert {info.compress_type for info in content.infolist()} == {zipfile.ZIP_STORED}
        for name in names[:: max(1, len(names) // 40)]:
            assert content.read(name) == (store / name).read_bytes()


def test_the_same_release_gives_the_same_bytes_elsewhere_and_later(packed, tmp_path):
    folder, out = packed
    other = shutil.copytree(folder, tmp_path / "elsewhere" / folder.parent.name / folder.name)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    again = pack(other, tmp_path / "out")
    digests = [{p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in where.iterdir()} for where in (out, again)]
    assert digests[0] == digests[1]


def test_croissant_and_the_crate_describe_the_zip(packed):
    _, out = packed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant
        from rocrate.rocrate import ROCrate

        found = mlcroissant.Dataset(out / "croissant.json").metadata
        crate = ROCrate(out)
    assert not found.ctx.issues.errors and not found.ctx.issues.warnings
    files = {one.id: one for one in found.distribution}
    assert files[archive(out).name].sha256 == hashlib.sha256(archive(out).read_bytes()).hexdigest()
    assert files["store"].contained_in == [archive(out).name]
    assert all((out / part.id).exists() for part in crate.root_dataset["hasPart"])


def test_the_lines_of_its_page_open_the_zip(packed):
    folder, out = packed
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), flags=re.DOTALL)
    check = f"{code}\nprint(ds.sizes['sample'])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", check], cwd=out, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == open_release(folder).sizes.items


def linked(store):
    writable(store / "zarr.json")  # and its folders
    store.parent.chmod(0o755)
    store.rename(store.parents[2] / "away")
    store.symlink_to(store.parents[2] / "away")


def edited(path):
    path.write_text(path.read_text().replace("{", "{ ", 1))


HARMS = {
    "tiny.zarr/volume/c/0/0/0/0": flip_a_byte,
    "tiny.zarr/manifest.json": edited,
    "datacite.json": edited,
    "README.md": lambda path: path.unlink(),
    "tiny.zarr": linked,
}


@pytest.mark.parametrize("name", HARMS)
def test_a_damaged_release_is_not_packed_and_the_file_is_named(release, name):
    HARMS[name](writable(release / name) if (release / name).is_file() else release / name)
    assert name in [fault.file for fault in verify_release(release)]
    with pytest.raises(ReleaseError, match=f"{re.escape(name)}: .*a damaged release is not packed"):
        pack(release)
    assert [path.name for path in release.parent.iterdir()] == ["1.0.0"]


def test_a_release_is_not_packed_into_itself(release):
    with pytest.raises(ReleaseError, match="never changes; choose another folder"):
        pack(release, release / "packed")
    assert verify_release(release) == []


def test_a_full_disk_leaves_nothing_and_packing_can_be_tried_again(release, monkeypatch):
    real = shutil.copyfile

    def full(source, target, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        pack(release)
    assert [path.name for path in release.parent.iterdir()] == ["1.0.0"]
    monkeypatch.setattr(shutil, "copyfile", real)
    assert pack(release).name == "tiny-1.0.0"
    with pytest.raises(ReleaseError, match="exists, expected a new folder"):
        pack(release)


def test_folders_of_others_beside_the_packed_release_are_never_touched(release, tmp_path):
    others = [tmp_path / name for name in (".mydownload.partial", ".p.partial", f".q.{'0a' * 8}.partial")]
    for folder in others:
        folder.mkdir()
        (folder / "kept").write_text("mine")
    (tmp_path / f".p.{'0b' * 8}.partial").write_text("a file")
    (tmp_path / ".x.partial").symlink_to(tmp_path / "nowhere")
    left = tmp_path / f".p.{'0c' * 8}.partial"  # what a killed process leaves
    left.mkdir()
    pack(release, tmp_path / "p")
    assert [(folder / "kept").read_text() for folder in others] == ["mine"] * 3
    assert (tmp_path / f".p.{'0b' * 8}.partial").read_text() == "a file"
    assert not left.exists()
