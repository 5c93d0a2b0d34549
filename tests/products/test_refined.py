"""Refined stores and images: the same bytes as the net gives, whatever the workers, blocks and files."""

import re
import shutil

import numpy as np
import pytest
import tifffile
import zarr

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration, validated
from nmcdist.cli import main
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.integrity import verify
from nmcdist.datasets.store import open_store, read_block
from nmcdist.errors import BundleError, InputError, NmcdistError, RecipeError, StoreError
from nmcdist.learning.refine.fitting import layers_of, module_of
from nmcdist.learning.refine.net import Net
from nmcdist.learning.refine.windows import refined
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.volumes import plan
from nmcdist.pytorch import torch
from nmcdist.runs.partition import finalise_store
from nmcdist.runs.redescribe import describe_store
from nmcdist.runs.refine import refine
from nmcdist.virtual.freezing import freeze
from tests.conftest import BUNDLE, HERE, StopsAfter, explains_itself, recipe_with, store_sha256

PHASES = ("pore", "carbon_binder", "graphite")
HOW = {"phases": {"pore": [7], "carbon_binder": [40], "graphite": [3]}, "voxel_size_nm": 80.0}


def net_of(size_nm=40.0, phases=PHASES):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        module = module_of(len(phases), 2, 4)
        for weights in module.parameters():
            weights.data *= 2
    return Net(layers_of(module), phases, size_nm, 1.5 * size_nm)


def bundle_of(net):
    return net.bundle("a-net", "A net", "centre", BUNDLE, Calibration(data="none", method="none", date=""))


@pytest.fixture(scope="module")
def bundle():
    return bundle_of(net_of())


@pytest.fixture
def image(store):
    """The first volume of the store, with other labels."""
    return np.array([7, 40, 3], np.int16)[read_block(store, 0)]


def expected(labels, how="likeliest", seed=1, item=0):
    box = tuple((0, 2 * n) for n in labels.shape)
    return refined(net_of(), lambda b: labels[tuple(slice(*s) for s in b)], labels.shape, box, how, seed, item)


@pytest.mark.parametrize("how", ["likeliest", "drawn"])
def test_every_item_of_a_store(store, bundle, tmp_path, how):
    result = refine(store, bundle, tmp_path / "fine.zarr", HERE, labels=how, seed=9)
    assert result.store == tmp_path / "fine.zarr"
    verify(result.store)
    explains_itself(result.store)
    data = open_store(result.store)
    assert data["volume"].shape == (4, 48, 40, 56)
    assert data["volume"].attrs["voxel_size_nm"] == 40.0
    assert data["volume"].attrs["flag_meanings"] == " ".join(PHASES)
    assert "with the net of the bundle a-net" in data.attrs["source"]
    for item in range(4):
        assert np.array_equal(read_block(result.store, item), expected(read_block(store, item), how, 9, item))


def test_bytes_do_not_depend_on_workers_and_blocks(store, bundle, tmp_path, monkeypatch):
    whole = refine(store, bundle, tmp_path / "a/fine.zarr", HERE, labels="drawn")
    workers = Deployment(workers=2, threads_per_worker=1)
    spread = refine(store, bundle, tmp_path / "b/fine.zarr", workers, labels="drawn")
    assert store_sha256(spread.store) == store_sha256(whole.store)
    cut = {"volume": {"shape": [48, 40, 56], "voxel_size_nm": 40.0}, "storage": {"chunk": 16, "shard": 16}}
    monkeypatch.setattr(plan, "_fitting_block", lambda shape, volume, fits: (32, 16, 48))
    monkeypatch.setattr(
        "nmcdist.runs.refine.parsed_recipe", lambda content, where: parsed_recipe({**content, **cut}, where)
    )
    blocks = refine(store, bundle, tmp_path / "c/fine.zarr", HERE, labels="drawn")
    assert blocks.made == 4 * 2 * 3 * 2
    assert all(np.array_equal(read_block(blocks.store, k), read_block(whole.store, k)) for k in range(4))


def test_an_interrupted_run_is_resumed(store, bundle, tmp_path):
    whole = refine(store, bundle, tmp_path / "a/fine.zarr", HERE)
    with pytest.raises(KeyboardInterrupt):
        refine(store, bundle, tmp_path / "b/fine.zarr", HERE, progress=StopsAfter(2))
    with pytest.raises(StoreError, match="an unfinished run is here; --resume continues it"):
        refine(store, bundle, tmp_path / "b/fine.zarr", HERE)
    result = refine(store, bundle, tmp_path / "b/fine.zarr", HERE, resume=True)
    assert (result.made, result.kept) == (2, 2)
    assert store_sha256(result.store) == store_sha256(whole.store)


def test_a_changed_source_is_refined_again(image, bundle, tmp_path):
    np.save(tmp_path / "i.npy", image)
    how = {**HOW, "axes": "zyx"}
    first = refine(tmp_path / "i.npy", bundle, tmp_path / "fine.zarr", HERE, **how)
    kept = refine(tmp_path / "i.npy", bundle, tmp_path / "fine.zarr", HERE, resume=True, **how)
    assert (kept.made, kept.manifest_sha256) == (0, first.manifest_sha256)
    np.save(tmp_path / "i.npy", np.roll(image, 3, 1))
    with pytest.raises(StoreError, match=r"i.npy: is not as it was when its refinement was described"):
        finalise_store(tmp_path / "fine.zarr")
    assert refine(tmp_path / "i.npy", bundle, tmp_path / "fine.zarr", HERE, resume=True, **how).made == 1


def test_another_source_is_cut_into_blocks_of_its_own(store, image, bundle, tmp_path):
    fresh = refine(store, bundle, tmp_path / "a/fine.zarr", HERE)
    np.save(tmp_path / "i.npy", image[:1])
    refine(tmp_path / "i.npy", bundle, tmp_path / "b/fine.zarr", HERE, axes="zyx", **HOW)
    result = refine(store, bundle, tmp_path / "b/fine.zarr", HERE, resume=True)
    assert (result.made, result.manifest_sha256) == (4, fresh.manifest_sha256)


class TestImages:
    def written(self, image, form, folder):
        path = folder / f"image.{form}"
        if form == "tif":
            tifffile.imwrite(path, image, compression="zlib", metadata=None)
        elif form == "npy":
            np.save(path, image.transpose(2, 0, 1))
        else:
            zarr.save_array(path, image)
        return path, "xzy" if form == "npy" else "zyx"

    @pytest.mark.parametrize("form", ["tif", "npy", "zarr"])
    def test_formats_give_the_same_volume(self, store, image, bundle, tmp_path, form):
        path, axes = self.written(image, form, tmp_path)
        result = refine(path, bundle, tmp_path / "fine.zarr", HERE, **HOW, axes=axes)
        assert np.array_equal(read_block(result.store, 0), expected(read_block(store, 0)))

    def test_command_line(self, store, image, bundle, tmp_path, monkeypatch, capsys):
        np.save(tmp_path / "image.npy", image)
        save_bundle(bundle, tmp_path / "net")
        monkeypatch.chdir(tmp_path)
        arguments = "refine image.npy --with net --out fine.zarr --phases pore=7,carbon_binder=40,graphite=3"
        more = "--voxel-size-nm 80 --axes zyx --labels drawn --seed 6 --workers 0"
        monkeypatch.setattr("sys.argv", ["nmcdist", *arguments.split(), *more.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        assert "fine.zarr: whole, 1 tasks done" in capsys.readouterr().out
        assert np.array_equal(read_block(tmp_path / "fine.zarr", 0), expected(read_block(store, 0), "drawn", 6))

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"phases": None}, "found no names of its labels: give them"),
            ({"phases": {"pore": 7, "solid": [3, 40]}}, "phases: found 'solid', which the net does not know: pore, "),
            ({"phases": {"pore": 7, "graphite": 3}}, "phases: label 40 has no name: add NAME=40"),
            ({"phases": {"pore": [7, 40], "carbon_binder": 40, "graphite": 3}}, "phases: found label 40 twice"),
            ({"voxel_size_nm": 50.0}, "found voxels of 50 nm, expected 80 nm, for which the net of bundle 'a-net'"),
            ({"voxel_size_nm": (80.0, 80.0, 40.0)}, "found voxels of 80 x 80 x 40 nm, expected cubes"),
            ({"axes": None}, "does not say the order of its axes"),
        ],
    )
    def test_refused(self, image, bundle, tmp_path, changes, fault):
        np.save(tmp_path / "image.npy", image)
        how = {**HOW, "axes": "zyx", **changes}
        with pytest.raises(NmcdistError, match=fault) as caught:
            refine(tmp_path / "image.npy", bundle, tmp_path / "fine.zarr", HERE, **how)
        assert len(str(caught.value).splitlines()) == 1
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "tiny.zarr")[-1] != "fine.zarr"
        assert not (tmp_path / "fine.run").exists()

    def test_unions_and_phases_that_are_not_there(self, bundle, tmp_path):
        labels = np.random.default_rng(1).choice(np.array([1, 5], np.uint8), (9, 9, 9))
        np.save(tmp_path / "image.npy", labels)
        how = {"phases": {"pore": [1], "carbon_binder": [5, 6]}, "voxel_size_nm": 80.0, "axes": "zyx"}
        result = refine(tmp_path / "image.npy", bundle, tmp_path / "fine.zarr", HERE, **how)
        assert np.array_equal(read_block(result.store, 0), expected((labels == 5).astype(np.uint8)))


class TestRefused:
    def test_a_store_that_exists(self, store, bundle, tmp_path):
        refine(store, bundle, tmp_path / "fine.zarr", HERE)
        before = store_sha256(tmp_path / "fine.zarr")
        with pytest.raises(StoreError, match=r"fine.zarr: already exists, made from this recipe"):
            refine(store, bundle, tmp_path / "fine.zarr", HERE)
        with pytest.raises(StoreError, match=r"fine.zarr: already exists, made from another recipe or bundle"):
            refine(store, bundle, tmp_path / "fine.zarr", HERE, labels="drawn")
        assert store_sha256(tmp_path / "fine.zarr") == before

    @pytest.mark.parametrize("name", ["fine", "Fine.zarr", "fine.zarr.zarr", "-.zarr"])
    def test_names_of_stores(self, store, bundle, tmp_path, name):
        with pytest.raises(StoreError, match=r"expected a new store NAME.zarr"):
            refine(store, bundle, tmp_path / name, HERE)

    def test_voxel_size_of_a_store(self, store, tmp_path):
        with pytest.raises(InputError, match=r"found voxels of 80 nm, expected 40 nm"):
            refine(store, bundle_of(net_of(20.0)), tmp_path / "fine.zarr", HERE)

    def test_what_a_store_says_itself(self, store, bundle, tmp_path):
        with pytest.raises(InputError, match="is a store, which says its voxel size and axes"):
            refine(store, bundle, tmp_path / "fine.zarr", HERE, axes="zyx")

    def test_a_net_of_other_phases(self, store, tmp_path):
        with pytest.raises(InputError, match="found a net of pore, solid, expected pore, carbon_binder, graphite"):
            refine(store, bundle_of(net_of(phases=("pore", "solid"))), tmp_path / "fine.zarr", HERE)

    def test_a_bundle_of_another_model(self, store, tmp_path):
        with pytest.raises(BundleError, match="found model 'cba', expected 'superres'"):
            refine(store, BUNDLE, tmp_path / "fine.zarr", HERE)

    def test_a_hostile_bundle(self, bundle):
        content = bundle.model_dump(by_alias=True)
        content["arrays"]["weight_1"]["shape"] = (4, 4, 3, 3, 1000)
        with pytest.raises(
            BundleError, match=r"weight_1: found shape \(4, 4, 3, 3, 1000\), expected \(4, 4, 3, 3, 3\)"
        ):
            validated(content, "bundle")

    def test_an_unfinished_and_a_virtual_store(self, store, bundle, tmp_path):
        shutil.copytree(store, tmp_path / "part.zarr")
        (tmp_path / "part.zarr/manifest.json").unlink()
        with pytest.raises(StoreError, match=r"part.zarr: has no manifest.json, so it was never finished"):
            refine(tmp_path / "part.zarr", bundle, tmp_path / "fine.zarr", HERE)
        recipe = recipe_with(descriptors=None, storage={"chunk": 16, "shard": None})
        freeze(recipe, load_bundle(BUNDLE), tmp_path / "virtual.zarr")
        with pytest.raises(StoreError, match=r"is a virtual store, expected a finished one"):
            refine(tmp_path / "virtual.zarr", bundle, tmp_path / "fine.zarr", HERE)

    def test_a_recipe_of_another_source(self, store, bundle, tmp_path):
        done = refine(store, bundle, tmp_path / "fine.zarr", HERE)
        content = parsed_recipe_of(done.store)
        with pytest.raises(RecipeError, match="sweep"):
            parsed_recipe({**content, "sweep": {"mu": [0.1]}}, "r.yaml")
        with pytest.raises(RecipeError, match="source_sha256: found 'x', expected a SHA-256"):
            parsed_recipe({**content, "source_sha256": "x"}, "r.yaml")


def parsed_recipe_of(store):
    from nmcdist.datasets.store import read_origin

    return read_origin(store)[0]


def test_the_store_says_no_path_of_this_machine(store, bundle, tmp_path):
    done = refine(store, bundle, tmp_path / "fine.zarr", HERE)
    assert str(tmp_path) not in (done.store / "zarr.json").read_text()


def test_refined_volumes_are_described_as_any_other(store, bundle, tmp_path):
    done = refine(store, bundle, tmp_path / "fine.zarr", HERE)
    describe_store(done.store, HERE, changes={"transport": False, "max_lag_nm": 400.0})
    data = open_store(done.store)
    share = (read_block(done.store, 1) == 0).mean()
    assert data["volume_fraction"].sel(phase="pore").values[1] == pytest.approx(share)


def test_built_in_net_is_small_and_beats_interpolation():
    """Agreement on a realisation of another seed than those of the training: 262,144 voxels."""
    from nmcdist.learning.refine.interpolation import trilinear
    from nmcdist.learning.refine.labels import likeliest
    from nmcdist.learning.refine.pairs import pair

    bundle = load_bundle("superres-cba-20nm")
    net = Net.of(bundle)
    assert sum(array.nbytes for array in bundle.arrays.values()) < 1e6
    coarse, fine = pair(load_bundle(BUNDLE), 32, net.reach, 20.0, "centre", 4242, 0)
    inner = slice(net.reach - 1, 1 - net.reach)
    ours = (likeliest(net.scores(coarse)) == fine).mean()
    assert ours > (trilinear(coarse[inner, inner, inner], 3) == fine).mean() + 0.003


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not a store (it has no zarr.json)"),
        ("{", "zarr.json"),
        ('{"zarr_format": 3, "node_type": "group", "attributes": {}}', "not a store of nmcdist"),
        ("[]", "not a store of nmcdist"),
    ],
)
def test_a_store_with_damaged_metadata_is_no_image(store, bundle, tmp_path, metadata, message):
    from nmcdist.calibration.baseline_measures import is_store_of_volumes, measured_on_store

    damaged = tmp_path / "coarse.zarr"
    shutil.copytree(store, damaged)
    (damaged / "zarr.json").unlink()
    if metadata is not None:
        (damaged / "zarr.json").write_text(metadata)
    with pytest.raises(StoreError, match=re.escape(message)):
        refine(damaged, bundle, tmp_path / "fine.zarr", HERE)
    assert not (tmp_path / "fine.zarr").exists()
    assert is_store_of_volumes(damaged)
    with pytest.raises(StoreError, match=re.escape(message)):
        measured_on_store(damaged)


def test_a_label_of_a_store_without_a_phase_is_refused_before_the_work(store, bundle, tmp_path):
    with pytest.raises(InputError, match="phases: label 1 has no name: add NAME=1"):
        refine(store, bundle, tmp_path / "fine.zarr", HERE, phases={"pore": 0})
    assert not list(tmp_path.glob("fine*"))


def test_a_store_within_what_is_refined_is_refused(store, bundle):
    before = store_sha256(store)
    with pytest.raises(InputError, match="is in the input"):
        refine(store, bundle, store / "fine.zarr", HERE)
    assert store_sha256(store) == before
