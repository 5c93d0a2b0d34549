"""Computed chunks hold what is drawn directly, and are the files of a store that a run makes."""

import json
import random
import subprocess
import sys

import numpy as np
import xarray as xr
import zarr

from nmcdist import open_virtual
from nmcdist.bundle import load_bundle
from nmcdist.datasets.store import open_store
from nmcdist.models.particle import generate_particle
from nmcdist.products.volumes.additive import Additive
from nmcdist.virtual import Computed, ComputedStore, freeze
from tests.conftest import make, make_particles
from tests.virtual.conftest import (
    BUNDLE,
    PARTICLES,
    VOLUMES,
    drawn_window,
    encoded,
    opened,
    particle_values,
    recipe_of,
    sha256,
    window_keys,
)

READ = """
import hashlib, json, random, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from nmcdist.virtual import Computed
store, cache, seed, keys = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.stdin.read())
random.Random(seed).shuffle(keys)
computed = Computed.open(Path(store), Path(cache), 64 << 20, 2, most_waiting=None)
with ThreadPoolExecutor(8) as pool:
    found = pool.map(lambda key: (key, hashlib.sha256(computed.get(key)).hexdigest()), keys)
    print(json.dumps(dict(found)))
"""


def read_by_two_processes(store, cache, keys):
    """Return the digests that each of two processes of 8 threads finds for the keys, in orders of their own."""
    command = [sys.executable, "-c", READ, str(store), str(cache)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "1"], **pipes) as one, subprocess.Popen([*command, "2"], **pipes) as other:
        for process in (one, other):
            process.stdin.write(json.dumps(keys))
            process.stdin.close()
        return [json.loads(process.stdout.read()) for process in (one, other)]


def test_200_windows_in_any_order_by_8_threads_of_2_processes_are_what_is_drawn(windows, tmp_path):
    keys = random.Random(5).sample(window_keys(), 200)
    expected = {key: sha256(drawn_window(key)) for key in keys}
    assert read_by_two_processes(windows, tmp_path / "cache", keys) == [expected, expected]


def test_the_files_of_windows_are_those_of_a_run(windows, tmp_path):
    make(tmp_path, recipe=recipe_of(VOLUMES))
    made = tmp_path / "windows.zarr"
    computed = opened(windows, None)
    for key in random.Random(6).sample(window_keys(), 20):
        assert computed.get(key) == (made / key).read_bytes(), key
    for name in ("sample", "graphite_fraction", "seed", "z_nm"):
        here = xr.open_zarr(ComputedStore(computed), chunks=None)[name]
        assert here.identical(xr.open_zarr(made, chunks=None)[name]), name


def test_a_volume_without_a_sharding_codec_has_one_file_per_chunk(tmp_path):
    volume = {"shape": [20, 20, 20], "voxel_size_nm": 20.0}
    make(tmp_path, recipe=recipe_of({**VOLUMES, "realisations": 1, "volume": volume}))
    store = tmp_path / "windows.zarr"
    files = sorted(p.relative_to(store).as_posix() for p in (store / "volume/c/0").rglob("*") if p.is_file())
    assert files == [f"volume/c/0/{z}/{y}/{x}" for z in (0, 1) for y in (0, 1) for x in (0, 1)]
    codecs = json.loads((store / "volume/zarr.json").read_text())["codecs"]
    assert [codec["name"] for codec in codecs] == ["bytes", "zstd"]
    whole = open_store(store).volume.values
    assert whole.shape == (2, 20, 20, 20)
    assert whole.max() <= 2


def test_200_chunks_of_particles_in_any_order_by_8_threads_of_2_processes_are_what_is_drawn(
    grains, small_bundle, tmp_path
):
    group = zarr.open_group(ComputedStore(opened(grains, None)), mode="r")
    drawn = [particle_values(small_bundle, item) for item in range(40)]
    expected = {}
    for name, array in group.arrays():
        for place in range(array.cdata_shape[0] if name in drawn[0] else 0):
            chunk = np.full(array.chunks, array.fill_value, array.dtype)
            for row, values in enumerate(drawn[place * len(chunk) : (place + 1) * len(chunk)]):
                is_of_grains = "grain" in array.metadata.dimension_names
                chunk[(row, slice(0, len(values[name]))) if is_of_grains else row] = values[name]
            expected[f"{name}/c/{place}" + "/0" * (array.ndim - 1)] = sha256(encoded(chunk))
    keys = random.Random(7).sample(sorted(expected), 200)
    asked = {key: expected[key] for key in keys}
    assert read_by_two_processes(grains, tmp_path / "cache", keys) == [asked, asked]


def test_the_grains_of_a_particle_are_read_as_the_store_says(grains, small_bundle, tmp_path):
    ds = open_virtual(grains, tmp_path)
    i = 17
    names = {"ds": ds, "i": i}
    exec(ds.attrs["grains_of_particle_i"], names)
    p = generate_particle(small_bundle, 811, i)
    np.testing.assert_array_equal(names["grains"].seed_nm, p.seeds_nm[p.kept])
    np.testing.assert_array_equal(names["grains"].lattice_centroid_nm, p.centroids_nm[p.kept])


def test_particles_are_those_of_a_run(grains, small_bundle, tmp_path):
    recipe = recipe_of(PARTICLES)
    make_particles(tmp_path, small_bundle, recipe=recipe)
    made, here = open_store(tmp_path / "grains.zarr"), open_virtual(grains, tmp_path / "cache", chunks=None)
    for name in (n for n in here.data_vars if here[n].dims[0] == "sample" and "grain" not in here[n].dims):
        if name in made:
            np.testing.assert_array_equal(here[name].values, made[name].values, err_msg=name)
    first, rows = made.first_row.values, made.rows.values
    for item in (0, 13, 39):
        part = slice(int(first[item]), int(first[item] + rows[item]))
        for name in ("seed_nm", "diagonal", "offset_nm2", "gamma", "kept", "lattice_volume_nm3", "orientation"):
            values = here[name][item, : rows[item]].values
            np.testing.assert_array_equal(values, made[name][part].values, err_msg=name)


def test_the_files_of_labels_are_those_of_a_run(grains, small_bundle, tmp_path):
    make_particles(tmp_path, small_bundle, recipe=recipe_of(PARTICLES))
    made = tmp_path / "grains.zarr"
    computed = opened(grains, None, most_waiting=None)
    files = sorted(path for path in (made / "labels_200nm/c").rglob("*") if path.is_file())
    assert len(files) >= 40
    for path in files:
        key = path.relative_to(made).as_posix()
        assert computed.get(key) == path.read_bytes(), key


def test_a_kind_that_cannot_draw_windows_makes_whole_volumes(tmp_path, monkeypatch):
    monkeypatch.setattr(Additive, "divisible", False)
    boxes = []
    draw = Additive.draw
    monkeypatch.setattr(
        Additive, "draw", lambda self, b, r, item, box: boxes.append(box) or draw(self, b, r, item, box)
    )
    freeze(recipe_of(VOLUMES), load_bundle(BUNDLE), tmp_path / "v.zarr")
    computed = Computed.open(tmp_path / "v.zarr", tmp_path / "cache", 64 << 20, 2)
    boxes.clear()
    for key in (key for key in window_keys() if key.startswith("volume/c/3/")):
        assert computed.get(key) == drawn_window(key)
    assert boxes == [((0, 75), (0, 65), (0, 48))]
