"""Stores whose metadata somebody edited and sealed again, checksums and all: one line each, and no hang."""

import hashlib
import json
import os
import re
import shutil

import pytest

from nmcdist.cli import main
from nmcdist.datasets import open_store, read_grains, read_particle
from nmcdist.datasets.catalog import add_entry
from nmcdist.datasets.integrity import MOST_MISSING, verify
from nmcdist.datasets.store import read_block
from nmcdist.errors import StoreError
from nmcdist.products.stores import build_report, export_item
from nmcdist.runs.partition import finalise_store, retry_failed
from nmcdist.runs.progress import Silent
from nmcdist.runs.redescribe import describe_store
from nmcdist.runs.status import status_of
from tests.conftest import HERE, make, recipe_with, store_sha256

DESCRIPTORS = {"max_lag_nm": 160.0, "max_radius_nm": 160.0, "transport": False}


class Events(Silent):
    def __init__(self):
        self.names = []

    def event(self, name, **facts):
        self.names.append(name)


def seal(store):
    """Write the manifest again, as anybody can: the checksums of what is there."""
    files = {}
    for path in sorted(p for p in store.rglob("*") if p.is_file() and p.name != "manifest.json"):
        data = path.read_bytes()
        files[path.relative_to(store).as_posix()] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    (store / "manifest.json").write_text(json.dumps({"files": files}))


def edit_array(store, name, change):
    """Change the metadata of an array in both places where they stand."""
    own, group = (json.loads((store / file).read_text()) for file in (f"{name}/zarr.json", "zarr.json"))
    for content in (own, group["consolidated_metadata"]["metadata"][name]):
        change(content)
    (store / name / "zarr.json").write_text(json.dumps(own))
    (store / "zarr.json").write_text(json.dumps(group))
    seal(store)


def edit_group(store, change):
    group = json.loads((store / "zarr.json").read_text())
    change(group)
    (store / "zarr.json").write_text(json.dumps(group))
    seal(store)


def put(*keys, value):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def drop(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def other_bundle(group):
    bundle = json.loads(group["attributes"]["bundle"])
    bundle["parameters"]["mu"]["value"] += 0.25
    return json.dumps(bundle)


GRID = ("chunk_grid", "configuration", "chunk_shape")
ARRAYS = {
    "a negative shape": put("shape", value=[-4, 24, 20, 28]),
    "a huge shape": put("shape", value=[10**18, 24, 20, 28]),
    "a shape beyond 64 bits": put("shape", value=[10**30, 24, 20, 28]),
    "a shape of text": put("shape", value=["4", 24, 20, 28]),
    "a shape of fractions": put("shape", value=[4.5, 24, 20, 28]),
    "no shape": drop("shape"),
    "a shape of nothing": put("shape", value=[]),
    "chunks of nothing": put(*GRID, value=[0, 24, 20, 28]),
    "chunks with too few axes": put(*GRID, value=[1, 24]),
    "no grid": drop("chunk_grid"),
    "a grid of another kind": put("chunk_grid", "name", value="rectilinear"),
    "another dtype": put("data_type", value="float64"),
    "an unknown dtype": put("data_type", value="float999"),
    "no dtype": drop("data_type"),
    "an unknown codec": put("codecs", value=[{"name": "evil", "configuration": {}}]),
    "codecs of text": put("codecs", value="zstd"),
    "no codecs": put("codecs", value=[]),
    "another node type": put("node_type", value="group"),
    "format 2": put("zarr_format", value=2),
    "a fill value of text": put("fill_value", value="much"),
    "no fill value": drop("fill_value"),
    "no names of dimensions": put("dimension_names", value=None),
    "numbers as dimensions": put("dimension_names", value=[1, 2, 3, 4]),
    "too few dimensions": put("dimension_names", value=["sample"]),
    "attributes that are a list": put("attributes", value=[]),
    "another separator": put("chunk_key_encoding", value={"name": "v2", "configuration": {"separator": "."}}),
    "a count of items that is none": put("attributes", value={"items_per_file": -3}),
    "very many items in a file": put("attributes", value={"items_per_file": 10**15}),
}
GROUPS = {
    "no recipe": drop("attributes", "recipe"),
    "a recipe that is no JSON": put("attributes", "recipe", value="{"),
    "a recipe that is a list": put("attributes", "recipe", value="[]"),
    "a recipe that is an object": put("attributes", "recipe", value={}),
    "an empty recipe": put("attributes", "recipe", value="{}"),
    "a recipe without a volume": put("attributes", "recipe", value='{"seed": 1, "descriptors": null}'),
    "a recipe with NaN": put("attributes", "recipe", value='{"seed": NaN}'),
    "a deep recipe": put("attributes", "recipe", value="[" * 100_000),
    "a bundle that is no JSON": put("attributes", "bundle", value="none"),
    "a bundle that is a list": put("attributes", "bundle", value="[]"),
    "no bundle hash": drop("attributes", "bundle_hash"),
    "a title that is a number": put("attributes", "title", value=3),
    **{
        f"a {name} of {kind}": put("attributes", name, value=value)
        for name in ("bundle_title", "bundle_calibrated_on", "nmcdist_version")
        for kind, value in {"an object": {}, "a list": [], "null": None, "a number": 3}.items()
    },
    "a bundle hash of another bundle": put("attributes", "bundle_hash", value="0" * 64),
    "a bundle without parameters": put("attributes", "bundle", value='{"name": "cba-cathode-2025"}'),
    "a bundle of other parameters": lambda group: put("attributes", "bundle", value=other_bundle(group))(group),
    "a name that is a path": put("attributes", "name", value="../../precious"),
    "a name of two lines": put("attributes", "name", value="a\nb"),
    "a format that is true": put("attributes", "nmcdist_format", value=True),
    "attributes that are a list": put("attributes", value=[]),
    "no attributes": drop("attributes"),
    "another node type": put("node_type", value="array"),
    "format 2": put("zarr_format", value=2),
    "no gathered metadata": put("consolidated_metadata", value=None),
    "gathered metadata that is a list": put("consolidated_metadata", value={"metadata": []}),
    "gathered metadata of paths": put("consolidated_metadata", "metadata", "../x", value={}),
}
TEXTS = {
    "nothing": b"",
    "no JSON": b"{",
    "bytes": b"\xff\x00\xfe",
    "a list": b"[]",
    "a number": b"3",
    "depth": b"[" * 200_000,
    "NaN": b'{"attributes": NaN}',
    "huge integers": b'{"attributes": ' + b"9" * 10_000 + b"}",
}


@pytest.fixture(scope="module")
def bare_once(tmp_path_factory):
    out = tmp_path_factory.mktemp("bare")
    make(out, recipe=recipe_with(descriptors=None))
    return out


@pytest.fixture
def bare(bare_once, tmp_path):
    """A dataset of volumes alone."""
    return shutil.copytree(bare_once, tmp_path / "out") / "tiny.zarr"


def commands(store, tmp_path):
    yield "verify", lambda: verify(store)
    yield "open", lambda: open_store(store).close()
    yield "export", lambda: export_item(store, 0, "npy", tmp_path / "a.npy", overwrite=True)
    yield "catalog add", lambda: add_entry(tmp_path / "catalog.yaml", store)
    yield "status", lambda: status_of(store)
    yield "finalise", lambda: finalise_store(store)
    yield "retry-failed", lambda: retry_failed(store, HERE)
    yield "report", lambda: build_report(store, tmp_path / "report", voxel_sizes_nm=())
    yield "describe", lambda: describe_store(store, HERE, changes=DESCRIPTORS)


def answers(store, tmp_path):
    """What every command answers: a line, faults, or nothing where it does not look at what was edited."""
    said = {}
    for name, command in commands(store, tmp_path):
        try:
            said[name] = command()
        except StoreError as error:
            assert len(str(error).splitlines()) == 1, name
            assert len(str(error)) < 1000, name
            said[name] = error
    return said


@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS)
def test_metadata_of_an_array(bare, tmp_path, change):
    store = bare
    edit_array(store, "volume", change)
    said = answers(store, tmp_path)
    assert said["verify"]
    assert any(isinstance(said[name], StoreError) for name in ("open", "export"))


@pytest.mark.parametrize("change", GROUPS.values(), ids=GROUPS)
def test_metadata_of_the_store(bare, tmp_path, change):
    store = bare
    edit_group(store, change)
    said = answers(store, tmp_path)
    assert said["verify"]
    for name in ("open", "catalog add"):
        assert isinstance(said[name], StoreError), name


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("file", ["zarr.json", "volume/zarr.json", "manifest.json"])
def test_text_that_is_no_metadata(bare, tmp_path, text, file):
    store = bare
    (store / file).write_bytes(text)
    if file != "manifest.json":
        seal(store)
    said = answers(store, tmp_path)
    assert said["verify"]


@pytest.mark.parametrize("name", ["volume_fraction", "phase", "lag_nm", "graphite_fraction", "axis"])
def test_report_of_a_store_without_one_of_its_arrays(store, tmp_path, name):
    shutil.rmtree(store / name)
    edit_group(store, drop("consolidated_metadata", "metadata", name))
    with pytest.raises(StoreError, match=rf"holds no|does not hold.*'{name}") as caught:
        build_report(store, tmp_path / "report", voxel_sizes_nm=())
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [put("shape", value=[4]), put("dimension_names", value=["sample", "lag_nm"]), put("data_type", value="int16")],
)
def test_report_of_a_store_with_another_kind_of_array(store, tmp_path, change):
    edit_array(store, "volume_fraction", change)
    with pytest.raises(StoreError) as caught:
        build_report(store, tmp_path / "report", voxel_sizes_nm=())
    assert len(str(caught.value).splitlines()) == 1


def test_old_format_is_no_store(store, tmp_path):
    (store / "zarr.json").rename(store / ".zgroup")
    seal(store)
    assert all(
        isinstance(said, StoreError) for name, said in answers(store, tmp_path).items() if name != "retry-failed"
    )


def test_very_many_missing_chunks_are_counted_no_further(store):
    edit_array(store, "volume", put("shape", value=[10**18, 24, 20, 28]))
    faults = verify(store)
    assert any(f"more than {MOST_MISSING} chunks are missing" in fault.what for fault in faults)
    assert len(faults) < 2 * MOST_MISSING


def test_gathered_metadata_that_differ_from_the_arrays_own(store):
    edit_group(store, put("consolidated_metadata", "metadata", "volume", "shape", value=[3, 24, 20, 28]))
    (fault,) = verify(store)
    assert str(fault) == "store: zarr.json: differs from the metadata of 'volume'"


def edit_manifest(store, change):
    content = json.loads((store / "manifest.json").read_text())
    change(content["files"])
    (store / "manifest.json").write_text(json.dumps(content))


RECORD = {"sha256": "0" * 64, "size": 0}
ENTRIES = {
    "absolute": put("/etc/passwd", value=RECORD),
    "a device": put("/dev/zero", value={**RECORD, "size": 10}),
    "above": put("../catalog.yaml", value=RECORD),
    "above, within": put("volume/../../catalog.yaml", value=RECORD),
    "NUL": put("a\0b", value=RECORD),
    "empty": put("", value=RECORD),
    "the store": put(".", value=RECORD),
    "a negative size": put("zarr.json", "size", value=-1),
    "a size of text": put("zarr.json", "size", value="12"),
    "a true size": put("zarr.json", "size", value=True),
    "a size of a fraction": put("zarr.json", "size", value=1.5),
    "no size": drop("zarr.json", "size"),
    "a checksum that is none": put("zarr.json", "sha256", value="x"),
    "no record": put("zarr.json", value=None),
}


@pytest.mark.parametrize("change", ENTRIES.values(), ids=ENTRIES)
def test_entry_of_a_manifest_that_can_be_none(store, change):
    edit_manifest(store, change)
    with pytest.raises(StoreError, match=r"manifest\.json: .*expected"):
        verify(store)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"files": []}', '{"files": null}'])
def test_manifest_that_is_none(store, content):
    (store / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json: damaged, expected an object"):
        verify(store)


def test_entries_that_are_folders_pipes_devices_or_links_are_faults(store, tmp_path):
    (tmp_path / "x").write_bytes(b"")
    (store / "folder").mkdir()
    (store / "link").symlink_to(tmp_path / "x")
    os.mkfifo(store / "pipe")
    names = {"folder": "is missing", "link": "is a link", "pipe": "is a named pipe"}
    if os.geteuid() == 0:
        os.mknod(store / "device", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero, which never ends
        names["device"] = "is a device"
    edit_manifest(store, lambda files: files.update(dict.fromkeys(names, RECORD)))
    found = {fault.file: fault.what for fault in verify(store)}
    assert set(found) == set(names)
    assert all(what in found[name] for name, what in names.items())


@pytest.mark.parametrize("file", ["zarr.json", "manifest.json", "volume/zarr.json", "volume/c/0/0/0/0"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_pipe_or_device_in_place_of_a_file_is_not_waited_for(bare, tmp_path, file, make):
    store = bare
    (store / file).unlink()
    make(store / file)
    said = answers(store, tmp_path)
    assert said["verify"]
    if file != "volume/c/0/0/0/0":
        assert isinstance(said["open"], StoreError) or file == "volume/zarr.json"
    assert isinstance(said["export"], StoreError) or file == "manifest.json"


@pytest.mark.parametrize("place", ["volume", "volume/c", "volume/c/0", "volume/c/0/0/0/0", "volume/zarr.json"])
def test_link_inside_a_store_is_not_followed(bare, tmp_path, place):
    (bare / place).rename(tmp_path / "moved")
    (bare / place).symlink_to(tmp_path / "moved")
    said = f"^{re.escape(str(bare / place))}: is a link, expected (a folder|an ordinary file)[^\n]*$"
    with pytest.raises(StoreError, match=said):
        export_item(bare, 0, "npy", tmp_path / "a.npy")
    with pytest.raises(StoreError, match=said):
        add_entry(tmp_path / "catalog.yaml", bare)
    with pytest.raises(StoreError, match=said), open_store(bare) as data:
        data["volume"][0].load()


def test_store_that_is_itself_reached_through_a_link_is_read(bare, tmp_path):
    (tmp_path / "link").symlink_to(bare.parent)
    (tmp_path / "link.zarr").symlink_to(tmp_path / "link" / bare.name)
    expected = read_block(bare, 0)
    for store in (tmp_path / "link" / bare.name, tmp_path / "link.zarr"):
        assert (read_block(store, 0) == expected).all()
        with open_store(store) as data:
            assert (data["volume"][0].values == expected).all()
        assert add_entry(tmp_path / "catalog.yaml", store) == "tiny"


def test_link_to_a_coordinate_is_not_followed(bare, tmp_path):
    (bare / "seed/c").rename(tmp_path / "moved")
    (bare / "seed/c").symlink_to(tmp_path / "moved")
    with pytest.raises(StoreError, match="seed/c: is a link, expected a folder"):
        open_store(bare)


def test_pipe_in_place_of_metadata_that_the_group_repeats_is_refused(bare, tmp_path):
    (bare / "seed/zarr.json").unlink()
    os.mkfifo(bare / "seed/zarr.json")
    for ask in (open_store, lambda store: add_entry(tmp_path / "catalog.yaml", store)):
        with pytest.raises(StoreError, match=r"seed/zarr\.json: is a named pipe, expected an? [^\n]*$"):
            ask(bare)


def test_huge_manifest_is_not_read(store):
    with (store / "manifest.json").open("wb") as stream:
        stream.truncate(2**42)
    with pytest.raises(StoreError, match=r"has 4398046511104 bytes, expected at most"):
        verify(store)


def test_name_that_cannot_be_printed_is_shown_in_one_line(store):
    (store / "a\nb\x1b[31m").write_text("x")
    (store / os.fsdecode(b"\xff")).write_text("x")
    assert sorted(map(str, verify(store))) == [
        "store: \\udcff: does not belong to the store",
        "store: a\\nb\\x1b[31m: does not belong to the store",
    ]


PARTICLES = {
    "the wrong axes": ("seed_nm", put("shape", value=[16384 * 3])),
    "no rows": ("rows", put("shape", value=[0])),
    "floats for counts": ("first_row", put("data_type", value="float64")),
    "an unknown codec": ("gamma", put("codecs", value=[{"name": "evil"}])),
    "a huge table": ("label", put("shape", value=[10**18])),
}


@pytest.mark.parametrize(("name", "change"), PARTICLES.values(), ids=PARTICLES)
def test_tables_of_particles(made_particles, tmp_path, name, change):
    store = shutil.copytree(made_particles / "small.zarr", tmp_path / "small.zarr")
    edit_array(store, name, change)
    refusals = []
    for read in (read_particle, read_grains, lambda store, item: open_store(store).close()):
        try:
            read(store, 1)
        except StoreError as error:
            assert len(str(error).splitlines()) == 1
            refusals.append(error)
    assert refusals


@pytest.mark.parametrize("count", ["5", -5, 10**12, None, True])
def test_number_of_particles(made_particles, tmp_path, count):
    store = shutil.copytree(made_particles / "small.zarr", tmp_path / "small.zarr")
    recipe = json.loads(json.loads((store / "zarr.json").read_text())["attributes"]["recipe"])
    recipe["particles"]["count"] = count
    edit_group(store, put("attributes", "recipe", value=json.dumps(recipe)))
    for read in (read_particle, read_grains):
        with pytest.raises(StoreError, match=r"recipe: particles\.count: found .*, expected a positive integer"):
            read(store, 1)


class TestMissingSource:
    """Descriptors are computed again from the arrays of a store: one that lacks them is refused before any item."""

    def refusal(self, store, name):
        shutil.rmtree(store / name)
        edit_group(store, drop("consolidated_metadata", "metadata", name))
        before = sorted(path.name for path in store.parent.iterdir())
        with pytest.raises(StoreError) as caught:
            describe_store(store, HERE)
        assert str(caught.value) == f"{store}: holds no variable {name!r}"
        assert sorted(path.name for path in store.parent.iterdir()) == before

    def test_volumes(self, store):
        self.refusal(store, "volume")

    @pytest.mark.parametrize("name", ["seed_nm", "shell_coefficients_nm"])
    def test_records_of_particles(self, made_particles, tmp_path, name):
        self.refusal(shutil.copytree(made_particles, tmp_path / "out") / "small.zarr", name)

    def test_on_the_command_line_it_is_one_short_line(self, store, monkeypatch, capsys):
        shutil.rmtree(store / "volume")
        edit_group(store, drop("consolidated_metadata", "metadata", "volume"))
        monkeypatch.setattr("sys.argv", ["nmcdist", "describe", str(store), "--workers", "0"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        assert capsys.readouterr().err == f"nmcdist: error: {store}: holds no variable 'volume'\n"


class TestSeal:
    """A store that was edited and sealed again consistently is not the one that its run sealed."""

    @pytest.fixture
    def resealed(self, store):
        edit_array(store, "volume_fraction", put("attributes", "long_name", value="something else"))
        assert verify(store) == []
        return store

    def test_status_says_so(self, store):
        assert not status_of(store).resealed
        edit_array(store, "volume_fraction", put("attributes", "long_name", value="something else"))
        found = status_of(store)
        assert found.resealed
        assert any("its manifest is not the one that the run sealed it with" in line for line in found.lines())

    def test_finalise_refuses_it(self, resealed):
        with pytest.raises(StoreError, match="is finished but damaged"):
            finalise_store(resealed)

    def test_resume_says_so_and_restores_what_the_run_had_made(self, store):
        sealed, whole = (store / "manifest.json").read_bytes(), store_sha256(store)
        edit_array(store, "volume_fraction", put("attributes", "long_name", value="something else"))
        assert (store / "manifest.json").read_bytes() != sealed
        seen = Events()
        assert make(store.parent, resume=True, progress=seen).manifest_sha256 == hashlib.sha256(sealed).hexdigest()
        assert "damaged" in seen.names
        assert store_sha256(store) == whole
        assert not status_of(store).resealed

    def test_descriptors_computed_again_are_sealed_again(self, store):
        describe_store(store, HERE, changes=DESCRIPTORS)
        assert not status_of(store).resealed
        seal(store)
        assert status_of(store).resealed

    @pytest.mark.parametrize("text", [None, "", "[]", "{}"])
    def test_a_run_that_recorded_no_seal_cannot_say(self, resealed, text):
        record = resealed.parent / "tiny.run" / "sealed.json"
        record.unlink() if text is None else record.write_text(text)
        assert not status_of(resealed).resealed
