"""Opening, keys, sharing of work, and refusals of virtual stores."""

import json
import random
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.datasets.integrity import verify, write_manifest
from nmcdist.errors import Busy, InputError, RecipeError, StoreError
from nmcdist.products.kind import Kind
from nmcdist.products.particles import kind as particles_kind
from nmcdist.products.particles.kind import Particles
from nmcdist.virtual import Computed, ComputedStore, freeze
from tests.virtual.conftest import (
    BUNDLE,
    PARTICLES,
    VOLUMES,
    drawn_window,
    opened,
    recipe_of,
    window_keys,
)


@pytest.fixture
def copied(windows, tmp_path):
    return shutil.copytree(windows, tmp_path / "copied.zarr")


def rewritten(store, **changes):
    """Change the description of a store and seal it again, as somebody might."""
    path = store / "virtual.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    write_manifest(store, {})


@pytest.mark.parametrize(
    "key",
    [
        "volume/c/4/0/0/0", "volume/c/0/5/0/0", "volume/c/0/0/0/3", "volume/c/0/0/0", "volume/c/0/0/0/0/0",
        "volume/c/00/0/0/0", "volume/c/0/0/0/-1", "volume/c/0/0/0/1 ", "volume/c/0/0/0/x", "volume/c/0/0/0/0/",
        "volume/c/٠/0/0/0", "volume/c/99999999999999999999/0/0/0", "volume/c", "volume", "other/c/0", "", "/",
        "../virtual.json", "volume/../zarr.json", "zarr.json\0", "./zarr.json", "sample/c/1", "volume//c/0/0/0/0",
    ],
)  # fmt: skip
def test_a_key_that_the_layout_lacks_is_a_key_error(windows, key):
    computed = opened(windows, None)
    with pytest.raises(KeyError):
        computed.get(key)
    with pytest.raises(KeyError):
        computed.etag(key)
    assert not computed.keys_known(key)


def test_keys_and_etags_cost_nothing(windows, monkeypatch):
    computed = opened(windows, None)
    monkeypatch.setattr(computed._maker, "files", lambda task: pytest.fail("made"))
    keys = [*window_keys(), "zarr.json", "volume/zarr.json", "z_nm/c/0", "virtual.json", "bundle/bundle.json"]
    assert all(map(computed.keys_known, keys))
    assert len({computed.etag(key) for key in keys}) == len(keys)
    assert computed.etag(keys[0]) == opened(windows, None).etag(keys[0])


def test_all_variables_of_a_particle_come_from_one_draw_however_many_ask(grains, tmp_path, monkeypatch):
    computed = opened(grains, tmp_path, most_waiting=None)
    tasks = []
    make = Particles.make_virtual
    monkeypatch.setattr(Particles, "make_virtual", lambda *args: tasks.append(args[-1].name) or make(*args))
    keys = [f"{name}/c/5/0" for name in ("gamma", "kept", "offset_nm2", "lattice_volume_nm3")]
    keys += ["rows/c/5", "labels_200nm/c/5/0/0/0", "labels_200nm/c/5/1/1/1"]
    keys += [f"shell_{name}/c/1" for name in ("sphericity", "d_max_nm", "rejections")]
    asked = 4 * keys
    random.Random(3).shuffle(asked)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(computed.get, asked))
    assert sorted(tasks) == ["item-5", "shells-1"]


def test_two_handles_on_one_cache_share_what_is_made(windows, tmp_path, monkeypatch):
    one, other = opened(windows, tmp_path), opened(windows, tmp_path)
    key = window_keys()[0]
    content = one.get(key)
    monkeypatch.setattr(other._maker, "files", lambda task: pytest.fail("made again"))
    assert other.get(key) == content == drawn_window(key)


def test_too_many_waiting_makers_are_refused_with_a_time_to_come_back(windows, monkeypatch):
    computed = opened(windows, None, makers=1, most_waiting=1)
    began, may_end = threading.Semaphore(0), threading.Event()
    files = computed._maker.files

    def slow(task):
        began.release()
        may_end.wait()
        return files(task)

    monkeypatch.setattr(computed._maker, "files", slow)
    first, second, third = window_keys()[:3]
    with ThreadPoolExecutor(3) as pool:
        running = pool.submit(computed.get, first)
        began.acquire()
        waiting = pool.submit(computed.get, second)
        while len(computed._flights._flying) < 2:
            pass
        with pytest.raises(Busy) as refused:
            computed.get(third)
        assert refused.value.retry_after_s > 0
        joined = pool.submit(computed.get, first)  # waits for what is being made, and takes no place
        may_end.set()
        assert running.result() == joined.result() == drawn_window(first)
        assert waiting.result() == drawn_window(second)
    assert computed.get(third) == drawn_window(third)


def test_an_error_of_a_maker_is_of_the_chunk_and_the_next_try_works(windows, tmp_path, monkeypatch):
    computed = opened(windows, tmp_path)
    key = window_keys()[7]
    with monkeypatch.context() as patch:
        patch.setattr(computed._maker._kind, "draw", lambda *args: 1 / 0)
        with pytest.raises(
            StoreError, match=r"item-0-chunk-0-2-1: cannot be made \(ZeroDivisionError: division by zero"
        ):
            computed.get(key)
    assert computed.get(key) == drawn_window(key)


def test_a_particle_beyond_the_frozen_sizes_is_an_error_and_not_cut(small_bundle, tmp_path, monkeypatch):
    sizes = particles_kind.frozen_sizes(recipe_of(PARTICLES), small_bundle)
    with monkeypatch.context() as patch:
        patch.setattr(particles_kind, "frozen_sizes", lambda *_: {**sizes, "rows_per_particle": 320})
        freeze(recipe_of(PARTICLES), small_bundle, tmp_path / "rows.zarr")
        patch.setattr(particles_kind, "frozen_sizes", lambda *_: {**sizes, "largest_nm": 1000.0})
        freeze(recipe_of(PARTICLES), small_bundle, tmp_path / "labels.zarr")
    for store, complaint in (("rows.zarr", "grains, expected at most the 320"), ("labels.zarr", "of labels_200nm")):
        computed = opened(tmp_path / store, None)
        failed = 0
        for item in range(40):
            try:
                computed.get(f"kept/c/{item}/0")
            except StoreError as error:
                assert complaint in str(error)
                failed += 1
        assert failed


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"layout": 99}, "found layout 99, expected 1"),
        ({"format": 2}, "format: "),
        ({"frozen": {"rows": 3}}, "frozen: found {'rows': 3}, expected nothing"),
        ({"kind": "pebbles"}, "kind: found 'pebbles'"),
        ({"more": 1}, "more: "),
        ({"bundle_hash": "0" * 64}, "found a bundle with hash"),
    ],
)
def test_a_store_that_this_program_cannot_compute_is_refused_when_it_is_opened(copied, changes, complaint):
    rewritten(copied, **changes)
    with pytest.raises(StoreError) as refused:
        Computed.open(copied, None, 1 << 20, 1)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_another_bundle_in_its_place_is_refused(copied):
    shutil.rmtree(copied / "bundle")
    save_bundle(load_bundle(BUNDLE).with_parameters(mu=0.6), copied / "bundle")
    write_manifest(copied, {})
    with pytest.raises(StoreError, match="of which the store was published"):
        Computed.open(copied, None, 1 << 20, 1)


@pytest.mark.parametrize("file", ["zarr.json", "z_nm/c/0", "volume/zarr.json", "virtual.json", "manifest.json"])
def test_a_damaged_file_is_refused(copied, file):
    content = (copied / file).read_bytes()
    (copied / file).write_bytes(content[:-20])
    with pytest.raises(StoreError):
        Computed.open(copied, None, 1 << 20, 1)


def test_another_version_is_warned_of_and_must_prove_its_values(copied):
    rewritten(copied, numcodecs_version="0.0.1")
    with pytest.warns(UserWarning, match=r"was published with numcodecs 0\.0\.1, this is"):
        computed = Computed.open(copied, None, 1 << 20, 1)
    key = window_keys()[0]
    assert computed.get(key) == drawn_window(key)
    rewritten(copied, witnesses={"item-3-chunk-4-4-2": "0" * 64})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        computed = Computed.open(copied, None, 1 << 20, 1)
    for ask in (lambda: computed.get(key), computed.warm):
        with pytest.raises(StoreError, match="this program computes other values than nmcdist"):
            ask()


def test_warming_proves_the_values_of_a_store_of_this_version(windows, grains):
    for store in (windows, grains):
        opened(store, None).warm()


def test_verify_knows_that_chunks_are_computed(copied):
    assert verify(copied) == []
    content = (copied / "z_nm/c/0").read_bytes()
    (copied / "z_nm/c/0").write_bytes(content[:-1])
    assert [fault.file for fault in verify(copied)] == ["z_nm/c/0"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({**VOLUMES, "descriptors": {}}, "descriptors: found options, expected none"),
        ({**VOLUMES, "storage": {"chunk": 16, "shard": 16}}, "storage.shard: found 16, expected none"),
        ({**PARTICLES, "bundle": "nmc811-radial", "descriptors": {}}, "descriptors: found options, expected none"),
        (
            {**PARTICLES, "bundle": "nmc811-radial", "labels": {"voxel_sizes_nm": [200.0]}},
            "labels.shard: found 512, expected none",
        ),
    ],
)
def test_a_recipe_of_more_than_a_virtual_store_holds_is_refused(content, complaint, tmp_path):
    recipe = recipe_of(content)
    with pytest.raises(RecipeError, match=complaint):
        freeze(recipe, load_bundle(recipe.bundle), tmp_path / "v.zarr")
    assert not (tmp_path / "v.zarr").exists()


def test_a_kind_without_virtual_stores_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(Particles, "freeze", Kind.freeze)
    recipe = recipe_of({**PARTICLES, "bundle": "nmc811-radial"})
    with pytest.raises(InputError, match=r"^kind 'particles': has no virtual stores$"):
        freeze(recipe, load_bundle("nmc811-radial"), tmp_path / "v.zarr")


def test_a_folder_with_files_is_not_frozen_into(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds other files, expected a new or an empty folder"):
        freeze(recipe_of(VOLUMES), load_bundle(BUNDLE), tmp_path)


def test_the_store_refuses_to_be_written_and_lists_what_is_on_the_disk(windows):
    import zarr

    store = ComputedStore(opened(windows, None))
    group = zarr.open_group(store, mode="r")
    assert "volume" in set(group.array_keys())
    assert group["volume"].shape == (4, 75, 65, 48)
    with pytest.raises(ValueError, match="read-only"):
        group["volume"][0, 0, 0, 0] = 1
