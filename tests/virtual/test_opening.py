"""Datasets over virtual stores: lazy, small to open, and within what Dask can handle."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import intake
import numpy as np
import pytest
import xarray as xr

import nmcdist
from nmcdist.bundle import load_bundle
from nmcdist.datasets.catalog import open_catalog
from nmcdist.datasets.catalog_file import DATATYPE, OUTPUT, READER, catalog_text
from nmcdist.errors import InputError, StoreError
from nmcdist.virtual import ComputedStore, freeze
from nmcdist.virtual.description import read_description
from tests.virtual.conftest import BUNDLE, PARTICLES, VOLUMES, drawn_volume, opened, recipe_of

MILLION = {
    **VOLUMES, "name": "million", "sweep": {}, "realisations": 10**6,
    "volume": {"shape": [6400, 6400, 6400], "voxel_size_nm": 20.0}, "storage": {"chunk": 64, "shard": "none"},
}  # fmt: skip


class Counting(ComputedStore):
    """Counts the requests that a reader over HTTP would send, and the bytes that it would get."""

    requests, received = 0, 0

    async def get(self, key, prototype=None, byte_range=None):
        found = await super().get(key, prototype, byte_range)
        self.requests += 1
        self.received += 0 if found is None else len(found)
        return found


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    store = tmp_path_factory.mktemp("million") / "million.zarr"
    freeze(recipe_of(MILLION), load_bundle(BUNDLE), store)
    return store


@pytest.mark.parametrize("name", ["million", "windows", "grains"])
def test_opening_takes_few_requests_and_few_bytes(name, request):
    store = Counting(opened(request.getfixturevalue(name), None))
    data = xr.open_zarr(store, chunks=None)
    assert data.sizes["sample"] in (4, 40, 10**6)
    assert store.requests <= 6
    assert store.received <= 64_000


def test_a_virtual_million_is_small_on_the_disk(million):
    assert sum(path.stat().st_size for path in million.rglob("*") if path.is_file()) < 150_000


def test_a_million_items_open_without_dask_and_read_anywhere(million, tmp_path):
    data = nmcdist.open_virtual(million, tmp_path)
    assert data.chunks == {}
    assert data.sizes == {"sample": 10**6, "z": 6400, "y": 6400, "x": 6400}
    assert data.sample[[0, -1]].values.tolist() == [0, 999_999]
    found = data.volume.sel(sample=987_654)[3000:3010, 70:75, 6390:].values
    bundle, origin = load_bundle(BUNDLE), (3000, 70, 6390)
    direct = nmcdist.generate_cba(bundle, found.shape, 20.0, seed=2025, index=987_654, origin=origin)
    np.testing.assert_array_equal(found, direct)


def test_few_chunks_open_with_dask(windows, tmp_path):
    data = nmcdist.open_virtual(windows, tmp_path)
    assert data.chunks["z"] == (16,) * 4 + (11,)
    np.testing.assert_array_equal(data.volume[2].values, drawn_volume(2))
    with pytest.raises(InputError, match="chunks: found 'many'"):
        nmcdist.open_virtual(windows, tmp_path, chunks="many")
    for impossible, line in (
        ({"sample": -3}, "chunks: sample: found -3, expected a number of items or voxels, -1 for all"),
        ({"z": 1.5}, "chunks: z: found 1.5, expected a number"),
        ({"samples": 1}, "chunks: no dimension 'samples', expected one of sample, z, y, x"),
        (3, "chunks: found 3, expected a mapping"),
    ):
        with pytest.raises(InputError, match=line):
            nmcdist.open_virtual(windows, tmp_path, chunks=impossible)
    coarse = nmcdist.open_virtual(windows, tmp_path, chunks={"z": 75})
    assert coarse.volume.chunksizes["z"] == (75,)
    assert coarse.volume.chunksizes["x"] == (16, 16, 16)


def test_a_recipe_opens_as_a_virtual_store_that_is_frozen_once(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = nmcdist.open_virtual(VOLUMES, cache)
    (store,) = (cache / "stores").iterdir()
    assert store.name.startswith("windows-")
    stamp = (store / "zarr.json").stat().st_mtime_ns
    again = nmcdist.open_virtual(recipe_of(VOLUMES), cache)
    assert (store / "zarr.json").stat().st_mtime_ns == stamp
    assert first.attrs == again.attrs
    monkeypatch.setenv("NMCDIST_CACHE", str(tmp_path / "named"))
    nmcdist.open_virtual(VOLUMES)
    assert (tmp_path / "named" / "stores").is_dir()


def test_a_recipe_opens_where_nothing_can_be_cached(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cache: .*: cannot be written .*may not be kept on the disk"):
        data = nmcdist.open_virtual(VOLUMES, tmp_path / "file" / "cache")
    np.testing.assert_array_equal(data.volume[0, :20, :20, :20].values, drawn_volume(0)[:20, :20, :20])


@pytest.mark.parametrize("limit", ["", "-1", "many", 0])
def test_a_limit_that_is_no_size_is_refused(windows, tmp_path, limit):
    with pytest.raises(InputError, match="limit: found"):
        nmcdist.open_virtual(windows, tmp_path, limit=limit)


def test_a_store_that_was_made_is_not_opened_as_a_virtual_one(store):
    with pytest.raises(StoreError, match=r"`nmcdist\.open_store` opens a store that was made"):
        nmcdist.open_virtual(store)


def catalog_of(store: Path, folder: Path) -> Path:
    no = {"metadata": {}, "user_parameters": {}}
    entry = {"reader": READER, "output_instance": OUTPUT, "kwargs": {"data": "{data(d)}", "chunks": {}}, **no}
    content = {
        "version": 2, "aliases": {"v": "v"}, "entries": {"v": entry},
        "data": {"d": {"datatype": DATATYPE, "kwargs": {"url": str(store)}, **no}}, **no,
    }  # fmt: skip
    (folder / "catalog.yaml").write_text(catalog_text(content))
    return folder / "catalog.yaml"


def test_every_door_opens_a_virtual_store(windows, tmp_path, monkeypatch):
    monkeypatch.setenv("NMCDIST_CACHE", str(tmp_path / "cache"))
    catalog = catalog_of(windows, tmp_path)
    doors = (
        lambda: nmcdist.open_store(windows),
        lambda: open_catalog(catalog)["v"].to_dask(),
        lambda: intake.open_catalog(str(catalog))["v"].read(),
    )
    for door in doors:
        np.testing.assert_array_equal(door().volume[1, :16, 20:30].values, drawn_volume(1)[:16, 20:30])


def test_opening_draws_nothing(grains, million, tmp_path):
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from nmcdist.models import streams\n"
        "streams.draws = lambda *args: 1 / 0\n"
        "import nmcdist\n"
        "for store in sys.argv[2:]: nmcdist.open_virtual(store, sys.argv[1], chunks=None)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(grains), str(million)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_dataset_of_particles_is_drawn_by_its_descriptors(grains, tmp_path):
    data = nmcdist.open_virtual(grains, tmp_path, chunks=None)
    large = data.isel(sample=data.shell_d_max_nm.values.argsort()[-3:])
    assert (large.shell_volume_nm3 > data.shell_volume_nm3.median()).all()
    assert set(data.coords) == {"axis", "sample"}
    assert PARTICLES["particles"]["count"] == data.sizes["sample"]


def test_every_coordinate_has_units(grains, tmp_path):
    data = nmcdist.open_virtual(grains, tmp_path)
    assert data.axis.attrs["units"] == "1"
    assert data.axis.attrs["description"].startswith("component of a vector")
    assert all("units" in variable.attrs for variable in data.variables.values())


def test_a_cache_too_small_for_a_chunk_is_pointed_out(windows, tmp_path):
    with pytest.warns(UserWarning, match="a limit of 10000 bytes is less than the 12288 that a chunk may need"):
        nmcdist.open_virtual(windows, tmp_path, limit=10_000)


def described(change):
    def harm(store):
        content = json.loads((store / "virtual.json").read_text())
        change(content)
        (store / "virtual.json").write_text(json.dumps(content))

    return harm


FAULTS = {
    "no file of the bundle": (
        lambda store: (store / "bundle/bundle.json").unlink(),
        "bundle/bundle.json: no such file",
    ),
    "no bundle": (lambda store: shutil.rmtree(store / "bundle"), "bundle: is missing"),
    "a damaged bundle": (
        lambda store: (store / "bundle/bundle.json").write_text("?"),
        "bundle/bundle.json: not valid JSON (Expecting value: line 1 column 1 (char 0))",
    ),
    "no seed": (described(lambda content: content["recipe"].pop("seed")), "virtual.json: recipe: seed: missing"),
    "two faults": (
        described(lambda content: content["recipe"].update(seed="x", realisations="x")),
        "virtual.json: recipe: seed: found 'x', expected an integer (and 1 more faults)",
    ),
    "another layout": (
        described(lambda c: c.update(layout="x")),
        "virtual.json: layout: found 'x', expected an integer",
    ),
    "no kind": (described(lambda content: content.pop("kind")), "virtual.json: kind: missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_store_is_refused_by_the_name_of_the_damaged_file(windows, tmp_path, fault):
    harm, message = FAULTS[fault]
    store = Path(shutil.copytree(windows, tmp_path / "windows.zarr"))
    harm(store)
    with pytest.raises(StoreError) as caught:
        read_description(store)
    assert str(caught.value) == f"{store}/{message}"


def test_a_dataset_is_pickled_and_computed_by_other_processes(windows, tmp_path):
    data = nmcdist.open_virtual(windows, tmp_path)
    expected = data.volume[1, :8].values
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.volume[1, :8].values, expected)
    computed = data.volume[1, :8].compute(scheduler="processes", num_workers=2)
    np.testing.assert_array_equal(computed.values, expected)


def test_a_number_names_its_item_in_a_part_of_the_dataset(grains, tmp_path):
    data = nmcdist.open_virtual(grains, tmp_path, chunks=None)
    part = data.isel(sample=slice(1, 4))
    assert float(part.shell_volume_nm3.sel(sample=2)) == float(data.shell_volume_nm3[2])
    with pytest.raises(KeyError):
        part.sel(sample=0)
