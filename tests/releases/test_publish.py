"""Publishing: a release appears whole or not at all, never changes, and is only made of a whole store."""

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nmcdist.cli import main
from nmcdist.datasets.catalog import open_catalog
from nmcdist.errors import CatalogError, ReleaseError, StoreError
from nmcdist.releases import find, latest, open_release, publish, verify_release
from tests.conftest import flip_a_byte
from tests.releases.conftest import METADATA, writable

QUIET = {**METADATA, "hosts": False}  # without the line that says which names of machines are published


def run_cli(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["nmcdist", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def rewrite(release: Path, name: str, text: str) -> None:
    """Edit a document and its checksum."""
    writable(release / name).write_text(text)
    sums = writable(release / "SHA256SUMS")
    lines = [line for line in sums.read_text().splitlines() if not line.endswith(f"  {name}")]
    digest = hashlib.sha256((release / name).read_bytes()).hexdigest()
    sums.write_text("\n".join([*lines, f"{digest}  {name}"]) + "\n")


def visible(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*")) if root.exists() else []


def test_a_release_holds_the_store_file_for_file_and_is_read_only(store):
    folder = publish(store, "tiny", "1.0.0", METADATA)
    assert folder == store.parent / "releases/tiny/1.0.0"
    manifest = json.loads((store / "manifest.json").read_text())["files"]
    for name in (*manifest, "manifest.json"):
        assert (folder / "tiny.zarr" / name).samefile(store / name)  # a hard link, no copy
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*")) if path.is_dir()}
    assert modes == {0o555}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o444}
    assert verify_release(folder) == []
    release = open_release(folder)
    assert (release.name, release.version, release.kind, release.sizes.items) == ("tiny", "1.0.0", "volumes", 4)
    assert release.sizes.files == len(manifest) + 1
    assert release.provenance.bundle.path == "bundle"
    assert release.provenance.versions.numcodecs  # the journal says what wrote the chunks
    assert release.provenance.hosts == (os.uname().nodename,)


def test_every_checksum_holds_for_a_program_that_knows_nothing_of_this_package(release):
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=release, check=True)
    listed = {line.split("  ", 1)[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    assert listed | {"SHA256SUMS"} == {str(p.relative_to(release)) for p in release.rglob("*") if p.is_file()}


def test_a_store_can_go_on_after_it_was_published(store, monkeypatch, capsys):
    folder = publish(store, "tiny", "1.0.0", METADATA)
    code, out, _ = run_cli(monkeypatch, capsys, "describe", store, "--workers", 0, "--max-lag-nm", 200)
    assert code == 0, out
    assert verify_release(folder) == []  # a described store has new files; those of the release stay
    publish(store, "tiny", "1.1.0", METADATA)
    releases = find(store.parent / "releases")["tiny"]
    assert [r.version for r in releases] == ["1.0.0", "1.1.0"]
    assert releases[0].manifest_sha256 != releases[1].manifest_sha256


def test_where_links_are_impossible_files_are_copied(store, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    folder = publish(store, "tiny", "1.0.0", METADATA)
    assert not (folder / "tiny.zarr/zarr.json").samefile(store / "zarr.json")
    assert stat.S_IMODE((store / "zarr.json").stat().st_mode) & 0o200  # the store itself stays writable
    assert verify_release(folder) == []


def test_the_highest_version_is_the_latest_and_the_catalog_says_so(store):
    for version in ("1.9.0", "1.10.0", "1.10.0-rc.1", "0.9.9"):
        publish(store, "tiny", version, METADATA)
    root = store.parent / "releases"
    assert latest(find(root)["tiny"]).version == "1.10.0"
    catalog = open_catalog(root)
    assert catalog["tiny"].metadata["version"] == "1.10.0"
    assert catalog["tiny-1.10.0-rc.1"].store == root.absolute() / "tiny/1.10.0-rc.1/tiny.zarr"
    assert set(catalog) == {"tiny", "tiny-0.9.9", "tiny-1.9.0", "tiny-1.10.0-rc.1", "tiny-1.10.0"}


def test_an_existing_version_is_never_touched(release, store):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in release.rglob("*")}
    with pytest.raises(ReleaseError, match=r"1\.0\.0: exists, and a published version never changes"):
        publish(store, "tiny", "1.0.0", METADATA, out=release.parents[1])
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in release.rglob("*")} == before


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "link"])
def test_a_damaged_store_is_refused_and_the_file_is_named(store, harm):
    shard = "volume/c/1/0/0/0"
    if harm == "flip":
        flip_a_byte(store / shard)
    elif harm == "truncate":
        (store / shard).write_bytes((store / shard).read_bytes()[:-1])
    else:
        (store / shard).rename(store.parent / "elsewhere")
        if harm == "link":
            (store / shard).symlink_to(store.parent / "elsewhere")
    with pytest.raises(StoreError, match=shard):
        publish(store, "tiny", "1.0.0", METADATA)
    assert [path for path in visible(store.parent / "releases") if "1.0.0" in path] == []


def test_a_store_sealed_again_by_hand_is_refused(store):
    """Its own checksums fit, but the catalog of its run records another manifest."""
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"manifest\.json: is not the one that the catalog names"):
        publish(store, "tiny", "1.0.0", METADATA)


def test_nothing_is_published_into_a_release(store, tmp_path):
    folder = publish(store, "tiny", "1.0.0", METADATA)
    for options in ({}, {"out": folder / "more"}):
        with pytest.raises(ReleaseError, match=r"is in the release .*tiny/1.0.0, which never changes; choose another"):
            publish(folder / "tiny.zarr", "again", "1.0.0", METADATA, **options)
    assert verify_release(folder) == []
    again = publish(folder / "tiny.zarr", "again", "1.0.0", METADATA, out=tmp_path / "elsewhere")
    assert verify_release(again) == []


def test_an_unfinished_store_is_refused(store):
    (store / "manifest.json").unlink()
    with pytest.raises(StoreError, match="never finished"):
        publish(store, "tiny", "1.0.0", METADATA)
    assert not (store.parent / "releases").exists()


def test_files_that_are_not_of_the_store_stay_out_of_the_release(store):
    (store / "notes.txt").write_text("mine")
    folder = publish(store, "tiny", "1.0.0", METADATA)
    assert not (folder / "tiny.zarr/notes.txt").exists()
    assert verify_release(folder) == []


EDITS = {
    "README.md": lambda path: path.write_text("# Better\n"),
    "release.json": lambda path: path.write_text(path.read_text().replace("Carberry", "Cranberry")),
    "tiny.zarr/volume/c/0/0/0/0": flip_a_byte,
    "tiny.zarr/manifest.json": lambda path: path.write_text(json.dumps(json.loads(path.read_text()))),
    "croissant.json": lambda path: path.unlink(),
    "bundle/bundle.json": flip_a_byte,
}


@pytest.mark.parametrize("name", EDITS)
def test_verify_names_the_file_of_an_edited_release(release, monkeypatch, capsys, name):
    EDITS[name](writable(release / name))
    code, out, err = run_cli(monkeypatch, capsys, "verify", release)
    assert code == 2
    assert f": {name}: " in out
    assert "catalog materialise" in err


def test_verify_of_the_store_of_a_release_knows_the_manifest_of_the_release(release, monkeypatch, capsys):
    assert run_cli(monkeypatch, capsys, "verify", release / "tiny.zarr")[0] == 0
    manifest = writable(release / "tiny.zarr/manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text())))
    code, out, _ = run_cli(monkeypatch, capsys, "verify", release / "tiny.zarr")
    assert code == 2 and "manifest.json" in out


def test_checksums_rewritten_with_the_file_are_found_by_the_catalog(release):
    """The catalog of the folder holds the checksum of the checksums."""
    rewrite(release, "README.md", "# Better\n")
    assert [fault.file for fault in verify_release(release)] == ["SHA256SUMS"]


def test_a_catalog_whose_checksum_was_taken_out_is_named_and_the_next_publish_writes_it_again(release, store):
    path = release.parents[1] / "catalog.yaml"
    content = yaml.safe_load(path.read_text())
    del content["entries"]["tiny-1.0.0"]["metadata"]["release_sha256"]
    path.write_text(yaml.safe_dump(content))
    (fault,) = verify_release(release)
    assert (fault.file, fault.what) == ("../../catalog.yaml", "gives no release_sha256, so SHA256SUMS is not checked")
    publish(store, "other", "1.0.0", METADATA, out=release.parents[1])
    assert verify_release(release) == []


@pytest.mark.parametrize("name", ["../../../secret", "/etc/passwd", "bundle/../../x"])
def test_checksums_of_files_outside_of_the_release_are_refused(release, name):
    sums = writable(release / "SHA256SUMS")
    sums.write_text(f"{sums.read_text()}{'0' * 64}  {name}\n")
    with pytest.raises(ReleaseError, match=rf"SHA256SUMS: names '{name}', expected paths below the release"):
        verify_release(release)


def test_a_file_added_to_a_release_is_named(release):
    release.chmod(0o755)
    (release / "extra.txt").write_text("?")
    assert [(f.file, f.what) for f in verify_release(release)] == [("extra.txt", "does not belong to the release")]


KILLED = """
import os, signal, sys
from nmcdist.releases import publish, staging
def killed(stage, target):
    staging.freeze(stage)
    if sys.argv[2] == "wait":
        print("frozen", flush=True); sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
import nmcdist.releases.publishing as publishing
publishing.put_in_place = killed
publish(sys.argv[1], "tiny", "1.0.0", {"license": "MIT", "creators": [{"name": "A"}]})
"""


def test_a_publisher_killed_before_the_rename_leaves_nothing_visible_and_the_next_cleans_up(store):
    root = store.parent / "releases"
    done = subprocess.run([sys.executable, "-c", KILLED, str(store), "now"], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = (root / "tiny").iterdir()
    assert left.name.startswith(".1.0.0.") and stat.S_IMODE(left.stat().st_mode) == 0o555
    assert find(root) == {}
    folder = publish(store, "tiny", "1.0.0", METADATA)
    assert [path.name for path in (root / "tiny").iterdir()] == ["1.0.0"]
    assert verify_release(folder) == []


def test_the_folder_of_a_publisher_that_lives_is_let_alone(store):
    root = store.parent / "releases"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "frozen\n"
    publish(store, "tiny", "2.0.0", METADATA)
    hidden = [path for path in (root / "tiny").iterdir() if path.name.startswith(".")]
    assert len(hidden) == 1 and (hidden[0] / "release.json").exists()
    child.communicate("go\n")


TWICE = """
import sys, time
from pathlib import Path
import nmcdist.releases.publishing as publishing
from nmcdist.errors import ReleaseError
put = publishing.put_in_place
def together(stage, target):
    Path(sys.argv[2], sys.argv[3]).touch()
    while len(list(Path(sys.argv[2]).iterdir())) < 2:
        time.sleep(0.01)
    put(stage, target)
publishing.put_in_place = together
try:
    publishing.publish(sys.argv[1], "tiny", "1.0.0", {"license": "MIT", "creators": [{"name": sys.argv[3]}]})
except ReleaseError as error:
    print(error)
    sys.exit(3)
"""


def test_of_two_publishers_of_one_version_exactly_one_wins(store, tmp_path):
    (tmp_path / "ready").mkdir()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TWICE, str(store), str(tmp_path / "ready"), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    said = [child.communicate()[0] for child in both]
    assert sorted(child.returncode for child in both) == [0, 3]
    (lost,) = (text for child, text in zip(both, said, strict=True) if child.returncode == 3)
    assert lost.count("\n") == 1 and "exists, and a published version never changes" in lost
    folder = store.parent / "releases/tiny/1.0.0"
    winner = ("one", "two")[[child.returncode for child in both].index(0)]
    assert open_release(folder).creators[0].name == winner
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
    assert verify_release(folder) == []


@pytest.mark.parametrize("written", [0, 1000, 20_000, 60_000])
def test_a_full_disk_publishes_nothing_and_says_so_in_one_line(store, monkeypatch, capsys, written):
    (store.parent / "dataset.yaml").write_text(yaml.safe_dump(METADATA))
    real, left = os.write, [written]

    def full(handle, data):
        if "releases" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            left[0] -= len(data)
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data)

    monkeypatch.setattr(os, "write", full)
    code, _, err = run_cli(monkeypatch, capsys, "publish", store, "--name", "tiny", "--version", "1.0.0")
    assert code == 2
    assert err.count("\n") == 1 and "No space left on device" in err
    assert f"{store.parent}/releases/tiny/1.0.0" in err and ".partial" not in err  # the hidden folder is gone
    assert visible(store.parent / "releases") == ["tiny"]
    monkeypatch.setattr(os, "write", real)
    assert verify_release(publish(store, "tiny", "1.0.0")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_that_is_really_full(store, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(OSError, match="No space left"):
            publish(store, "tiny", "1.0.0", METADATA, out=place)
        assert visible(place) == ["tiny"]
    finally:
        subprocess.run(["umount", place], check=True)


def test_other_datasets_in_the_catalog_are_kept(store):
    """The folder of releases may be that of the stores; their names are not taken over."""
    out = store.parent
    with pytest.raises(ReleaseError, match="holds a dataset tiny that is not a release"):
        publish(store, "tiny", "1.0.0", METADATA, out=out)
    publish(store, "of-release", "1.0.0", METADATA, out=out)
    publish(store, "of-release", "1.0.1", METADATA, out=out)
    catalog = open_catalog(out)
    assert set(catalog) == {"tiny", "of-release", "of-release-1.0.0", "of-release-1.0.1"}
    assert catalog["tiny"].store == store.absolute()


def test_a_catalog_of_strangers_is_refused_before_anything_is_written(store):
    root = store.parent / "releases"
    root.mkdir()
    (root / "catalog.yaml").write_text("sources: {}\n")
    with pytest.raises(CatalogError):
        publish(store, "tiny", "1.0.0", METADATA)
    assert visible(root) == ["catalog.yaml"]


@pytest.mark.parametrize(
    ("name", "version", "line"),
    [
        ("Tiny", "1.0.0", "name: found 'Tiny', expected small letters"),
        ("../tiny", "1.0.0", "name: found '../tiny'"),
        ("con", "1.0.0", "Windows reserves"),
        ("tiny", "1.0", "version: found '1.0', expected a semantic version"),
        ("tiny", "01.0.0", "version: found '01.0.0'"),
        ("tiny", "1.0.0/..", "version: found '1.0.0/..'"),
        ("tiny", "latest", "version: found 'latest', which stands for the highest version, expected a number"),
        ("latest", "1.0.0", "name: found 'latest', which stands for the highest version, expected another name"),
    ],
)
def test_names_and_versions_are_checked(store, name, version, line):
    with pytest.raises(ReleaseError, match=line.replace(".", r"\.")):
        publish(store, name, version, METADATA)
    assert not (store.parent / "releases").exists()


def test_the_command_line_publishes_packs_and_refuses_in_one_line(store, monkeypatch, capsys):
    arguments = ("publish", store, "--name", "tiny", "--version", "1.0.0")
    code, _, err = run_cli(monkeypatch, capsys, *arguments)
    assert code == 2 and err.count("\n") == 1
    assert "dataset.yaml: no such file" in err and "license: CC-BY-4.0" in err
    (store.parent / "dataset.yaml").write_text(yaml.safe_dump(METADATA))
    code, out, _ = run_cli(monkeypatch, capsys, *arguments, "--zip")
    assert code == 0
    folder, packed = map(Path, out.split())
    assert verify_release(folder) == [] and (packed / "tiny-1.0.0.zarr.zip").exists()


@pytest.mark.parametrize(
    ("source", "options", "line"),
    [
        (
            "recipe.yaml",
            (),
            "recipe.yaml: is a file, expected the folder of a finished store; make it with `nmcdist run ",
        ),
        ("nowhere.zarr", (), "nowhere.zarr: no such store; make it with `nmcdist run RECIPE`"),
        ("nowhere.yaml", ("--virtual",), "nowhere.yaml: no such file"),
        (
            "tiny.zarr",
            ("--virtual",),
            "tiny.zarr: is a folder, expected a recipe file; publish a finished store without",
        ),
        ("", (), "has no manifest.json, so it was never finished"),
    ],
)
def test_what_is_no_store_is_refused_with_what_to_do(out, monkeypatch, capsys, source, options, line):
    (out.parent / "mine.yaml").write_text(yaml.safe_dump(METADATA))
    (out / "recipe.yaml").write_text("name: tiny\n")
    arguments = ("publish", out / source, "--name", "tiny", "--version", "1.0.0", "--out", out.parent / "releases")
    code, _, err = run_cli(monkeypatch, capsys, *arguments, "--metadata", out.parent / "mine.yaml", *options)
    assert code == 2 and err.count("\n") == 1 and line in err
    assert visible(out.parent / "releases") == []


def test_a_link_in_place_of_the_folder_of_a_name_is_refused(store, tmp_path):
    root, other = store.parent / "releases", tmp_path / "other"
    root.mkdir(), other.mkdir()
    (root / "tiny").symlink_to(other)
    with pytest.raises(StoreError, match="is a link"):
        publish(store, "tiny", "1.0.0", METADATA)
    assert visible(other) == []


def test_a_publish_that_died_before_the_catalog_is_listed_by_the_next(store, monkeypatch):
    import nmcdist.releases.publishing as publishing

    monkeypatch.setattr(publishing, "update_catalogs", lambda *_: [])
    publish(store, "tiny", "1.0.0", METADATA)
    publish(store, "other", "1.0.0", METADATA)
    monkeypatch.undo()
    root = store.parent / "releases"
    assert not (root / "catalog.yaml").exists()
    with pytest.raises(ReleaseError, match="exists"):
        publish(store, "tiny", "1.0.0", METADATA)
    assert set(open_catalog(root)) == {"tiny", "tiny-1.0.0", "other", "other-1.0.0"}


@pytest.mark.parametrize(
    "change",
    [{"store": "../../other.zarr"}, {"name": "../x"}, {"version": "latest"}, {"extra": 1}, {"nmcdist_release": 2}],
)
def test_a_release_file_that_no_publisher_writes_is_refused(release, store, change):
    path = writable(release / "release.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ReleaseError, match=r"release\.json: damaged"):
        open_release(release)
    said = []
    publish(store, "other", "1.0.0", QUIET, out=release.parents[1], note=said.append)
    assert len(said) == 1 and "keeps its entry in the catalog, but is damaged" in said[0]
    assert {"tiny-1.0.0", "tiny", "other-1.0.0"} <= set(open_catalog(release.parents[1]))


def test_a_release_that_was_rewritten_with_its_checksums_stays_damaged_after_the_next_publish(release, store):
    root = release.parents[1]
    rewrite(release, "README.md", "# Better\n")
    said = []
    publish(store, "other", "1.0.0", QUIET, out=root, note=said.append)
    assert [fault.file for fault in verify_release(release)] == ["SHA256SUMS"]
    assert said == [f"{release}: SHA256SUMS is not the one that the catalog names"]
    assert verify_release(root / "other/1.0.0") == []


HARMS = {
    "no checksums": lambda folder: writable(folder / "SHA256SUMS").unlink(),
    "no release.json": lambda folder: writable(folder / "release.json").unlink(),
    "no store": lambda folder: (folder.chmod(0o755), (folder / "tiny.zarr").rename(folder.parents[2] / "away")),
}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("harm", HARMS)
def test_another_damaged_release_does_not_stop_publishing_and_is_named(
    release, store, monkeypatch, capsys, harm, listed
):
    """It keeps its entry in the catalog; without one, it is not listed."""
    root = release.parents[1]
    HARMS[harm](release)
    if not listed:
        (root / "catalog.yaml").unlink()
    (store.parent / "dataset.yaml").write_text(yaml.safe_dump(QUIET))
    arguments = ("publish", store, "--name", "other", "--version", "1.0.0", "--out", root)
    code, _, err = run_cli(monkeypatch, capsys, *arguments)
    assert code == 0
    assert err.count("\n") == 1 and f"{release}: {'keeps its entry' if listed else 'is not listed'}" in err
    assert ("tiny-1.0.0" in open_catalog(root)) == listed
    assert open_catalog(root)["other"].metadata["version"] == "1.0.0"


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_release_of_the_same_name_is_named_and_the_next_version_is_published(release, store, harm):
    root = release.parents[1]
    HARMS[harm](release)
    said = []
    folder = publish(store, "tiny", "1.1.0", QUIET, out=root, note=said.append)
    assert verify_release(folder) == []
    assert [line.startswith(f"{release}: keeps its entry in the catalog, but is damaged") for line in said] == [True]
    assert open_catalog(root)["tiny"].metadata["version"] == "1.1.0"


@pytest.mark.parametrize("harm", ["no release.json", "a link to nothing"])
def test_a_damaged_release_of_the_same_version_is_said_to_be_damaged(release, store, harm):
    if harm == "a link to nothing":
        release.rename(release.with_name("away"))
        release.symlink_to("nowhere")
    else:
        HARMS[harm](release)
    with pytest.raises(ReleaseError, match=r"1\.0\.0: exists, but is damaged; choose a higher version \(.*1\.0\.0: "):
        publish(store, "tiny", "1.0.0", METADATA, out=release.parents[1])


def test_a_folder_of_another_user_does_not_stop_publishing_and_its_releases_stay_listed(release, store, monkeypatch):
    root, real = release.parents[1], Path.iterdir

    def closed(path):
        if path == root / "tiny":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(Path, "iterdir", closed)
    said = []
    publish(store, "other", "1.0.0", QUIET, out=root, note=said.append)
    assert said == [f"{root / 'tiny'}: cannot be read (Permission denied)"]
    assert set(open_catalog(root)) == {"tiny", "tiny-1.0.0", "other", "other-1.0.0"}


def test_a_folder_that_takes_no_catalog_is_refused_before_anything_appears(root, store, monkeypatch):
    real = os.open

    def denied(path, flags, *rest, **options):
        if flags & os.O_CREAT and Path(path).parent == root:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", denied)
    before = visible(root)
    with pytest.raises(PermissionError) as caught:
        publish(store, "tiny", "2.0.0", METADATA, out=root)
    assert caught.value.filename == str(root / "catalog.yaml")
    assert visible(root) == before


def test_a_release_under_another_version_is_whole_but_said_to_be_misplaced_and_not_listed(
    release, store, monkeypatch, capsys
):
    moved = release.rename(release.with_name("2.0.0"))
    assert verify_release(moved) == []
    code, out, err = run_cli(monkeypatch, capsys, "verify", moved)
    assert (code, out) == (0, f"{moved}: whole\n")
    assert err == f"{moved}: describes tiny/1.0.0, but its folder is tiny/2.0.0\n"
    said = []
    publish(store, "other", "1.0.0", QUIET, out=release.parents[1], note=said.append)
    assert any("2.0.0: is not listed" in line for line in said)
    assert any("tiny-1.0.0: is no longer listed" in line for line in said)


def test_a_release_in_the_place_of_another_is_found_by_the_catalog(release, store):
    other = publish(store, "tiny", "2.0.0", METADATA, out=release.parents[1])
    other.rename(other.with_name("away"))
    release.rename(other)
    assert [(fault.file, fault.what) for fault in verify_release(other)] == [
        ("SHA256SUMS", "is not the one that the catalog names")
    ]


@pytest.mark.parametrize("place", ["tiny-1.0.0", "Downloads", "3.0.0"])
def test_a_downloaded_release_is_verified_by_content_wherever_it_lies(release, tmp_path, monkeypatch, capsys, place):
    (tmp_path / "catalog.yaml").write_text("[")  # of something else
    copied = Path(shutil.copytree(release, tmp_path / "far" / place))
    assert run_cli(monkeypatch, capsys, "verify", copied)[:2] == (0, f"{copied}: whole\n")
    flip_a_byte(writable(copied / "tiny.zarr/volume/c/1/0/0/0"))
    writable(copied / "README.md").write_text("# Better\n")
    code, out, err = run_cli(monkeypatch, capsys, "verify", copied)
    assert code == 2 and "item 1: tiny.zarr/volume/c/1/0/0/0: does not match" in out and "store: README.md" in out
    assert "damaged items: 1; get another copy of this release" in err


def test_a_store_beside_the_release_file_of_another_is_verified_as_itself(out, store, release, monkeypatch, capsys):
    content = json.loads((release / "release.json").read_text()) | {"name": "other", "store": "other.zarr"}
    (out / "release.json").write_text(json.dumps(content | {"manifest_sha256": "0" * 64}))
    assert run_cli(monkeypatch, capsys, "verify", store)[0] == 0


def test_verify_names_a_missing_release_file(release, monkeypatch, capsys):
    writable(release / "release.json").unlink()
    code, out, err = run_cli(monkeypatch, capsys, "verify", release)
    assert code == 2 and out == f"{release}: store: release.json: is missing\n"
    assert "catalog materialise" in err


def test_verify_names_a_catalog_that_cannot_be_read(release):
    (release.parents[1] / "catalog.yaml").write_text("[")
    (fault,) = verify_release(release)
    assert fault.file == "../../catalog.yaml" and "cannot be read" in fault.what


def test_names_of_machines_are_published_with_a_word_or_left_out(store):
    name, said = os.uname().nodename, []
    folder = publish(store, "tiny", "1.0.0", METADATA, note=said.append)
    assert said == [
        f"tiny-1.0.0: names the machines that made it ({name}); `hosts: false` in the metadata leaves them out"
    ]
    assert f"- Machines: `{name}`." in (folder / "README.md").read_text()
    said.clear()
    folder = publish(store, "tiny", "1.0.1", {**METADATA, "hosts": False}, note=said.append)
    assert said == []
    assert [path.name for path in folder.iterdir() if path.is_file() and name in path.read_text("latin-1")] == []


@pytest.mark.parametrize("kind", [StoreError, OSError])
def test_an_error_in_the_making_names_the_place_of_the_release(store, monkeypatch, kind):
    import nmcdist.releases.publishing as publishing

    def fail(inside):
        path = str(inside / "zarr.json")
        raise StoreError(f"{path}: is damaged") if kind is StoreError else OSError(errno.EIO, "bad disk", path)

    monkeypatch.setattr(publishing, "preview", fail)
    with pytest.raises(kind) as caught:
        publish(store, "tiny", "1.0.0", METADATA)
    place = str(store.parent / "releases/tiny/1.0.0/tiny.zarr/zarr.json")
    assert str(caught.value) == {StoreError: f"{place}: is damaged", OSError: f"[Errno 5] bad disk: '{place}'"}[kind]


def test_a_release_is_not_put_into_its_store(store):
    with pytest.raises(ReleaseError, match="is in the store that is published"):
        publish(store, "tiny", "1.0.0", METADATA, out=store / "releases")
    assert not (store / "releases").exists()
