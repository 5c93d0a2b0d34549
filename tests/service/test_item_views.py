"""What is drawn of single items: refereed by public generators and readers, brute force and scipy's rotations."""

import dataclasses
import errno
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import yaml
from PIL import Image
from scipy.spatial.transform import Rotation

from nmcdist import generate_cba, generate_particle, open_store
from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.datasets.integrity import manifest_hash, write_manifest
from nmcdist.datasets.particles import Records, read_grains, read_orientations, read_particle
from nmcdist.errors import StoreError
from nmcdist.models.theory import intensity_for_graphite_fraction
from nmcdist.products.registry import loaded_recipe
from nmcdist.service.renders import bricks, files, items, sections
from nmcdist.service.renders.colours import TINTS, phase_colours, tints
from nmcdist.service.renders.items import view_of
from nmcdist.service.renders.places import EDGES, Place
from nmcdist.virtual import freeze
from tests.conftest import BUNDLE, SMALL, TINY
from tests.products.test_baselines import KINDS
from tests.products.test_baselines import recipe as baseline


def place_of(store, cache):
    return Place(store, manifest_hash(store), (store / "virtual.json").exists(), cache, 1 << 28)


def frozen(content, folder):
    """The virtual store of a recipe."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    recipe, bundle, _ = loaded_recipe(path)
    freeze(recipe, bundle, folder / "store.zarr")
    return place_of(folder / "store.zarr", folder / "cache")


@pytest.fixture(scope="module")
def particle(made_particles, tmp_path_factory):
    """The first particle of a store, as a view and as the public record."""
    store = made_particles / "small.zarr"
    return view_of(place_of(store, tmp_path_factory.mktemp("cache")), 0), read_particle(store, 0)


@pytest.fixture(scope="module")
def blocks_view(blocks, tmp_path_factory):
    return view_of(place_of(blocks, tmp_path_factory.mktemp("cache")), 0)


@pytest.fixture(scope="module")
def volume(blocks):
    return xr.open_zarr(blocks, chunks=None).volume[0].values


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_section_of_a_particle_is_a_plane_of_its_voxels(particle, axis):
    view, record = particle
    grid = view.section_grid()
    voxels = record.voxelize(grid.voxel_size_nm, pieces="keep")
    assert voxels.shape == grid.shape
    seen = set()
    for index in range(0, grid.shape[axis], 20):
        expected = np.take(voxels, index, axis=axis)
        found = np.concatenate([[0], view.labels])[view.plane(axis, index, expected.shape)]
        np.testing.assert_array_equal(found, expected)
        seen |= set(found.flat)
    assert len(seen) == len(np.unique(voxels))


@pytest.mark.parametrize("edge", EDGES[:2])
def test_a_brick_of_a_particle_holds_the_numbers_of_its_grains(particle, edge):
    view, record = particle
    found, grid = view.brick(edge), view.grid(edge)
    assert found.dtype == np.uint8
    assert edge - 3 <= max(found.shape) <= edge
    expected = record.voxelize(grid.voxel_size_nm, pieces="keep")
    np.testing.assert_array_equal(np.concatenate([[0], view.labels])[found], expected)
    assert view.labels.tolist() == (np.flatnonzero(record.kept) + 1).tolist()


def test_grids_cover_the_particle(particle):
    view, record = particle
    for edge in EDGES:
        grid = view.grid(edge)
        low = np.array(grid.low) * grid.voxel_size_nm
        assert (low <= record.box_nm[0]).all()
        assert (low + np.array(grid.shape) * grid.voxel_size_nm >= record.box_nm[1]).all()
        assert max(grid.shape) <= edge


def test_the_angle_of_a_c_axis_is_that_of_scipy(particle, made_particles):
    view, record = particle
    turns = read_orientations(made_particles / "small.zarr", 0)
    for number, label in enumerate(view.labels.tolist()):
        w, x, y, z = turns[label].astype(float)
        axis = Rotation.from_quat([x, y, z, w]).apply([0, 0, 1])[::-1]  # z, y, x
        radius = record.centroids_nm[label - 1].astype(float)
        cosine = abs(axis @ radius) / np.linalg.norm(radius) / np.linalg.norm(axis)
        assert view.angles_deg[number] == pytest.approx(np.degrees(np.arccos(min(cosine, 1))), abs=1e-3)


def test_diameters_are_those_of_balls(particle):
    view, record = particle
    np.testing.assert_allclose(np.pi / 6 * view.diameters_nm**3, record.volumes_nm3[record.kept], rtol=1e-6)


def test_without_orientations_the_angle_is_that_of_the_longest_axis(tmp_path, small_bundle):
    content = {**SMALL, "bundle": str(save_bundle(small_bundle, tmp_path / "bundles")), "descriptors": None}
    content |= {"labels": {"voxel_sizes_nm": []}}
    del content["orientations"]
    view = view_of(frozen(content, tmp_path), 1)
    table = bricks.grain_table(view)
    assert table["radial_angle_of"] == "longest axis"
    angles = np.array([np.nan if angle is None else angle for angle in table["radial_angle_deg"]])
    assert np.isfinite(angles).mean() > 0.9
    assert np.nanmin(angles) >= 0
    assert np.nanmax(angles) <= 90
    assert np.nanmedian(angles) < 45  # the grains of the model are longer along the radius


def test_touching_grains_have_different_tints(particle):
    view, _ = particle
    labels, pairs = view.brick(EDGES[0]).astype(int), set()
    for axis in range(3):
        one, two = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        touch = (one != two) & (one > 0) & (two > 0)
        pairs |= set(zip(one[touch].tolist(), two[touch].tolist(), strict=True))
    assert len(pairs) > 30
    clashes = [pair for pair in pairs if view.tints[pair[0] - 1] == view.tints[pair[1] - 1]]
    assert len(clashes) <= len(pairs) // 100  # of grains that touch although others are nearer
    assert len(set(view.tints.tolist())) > 4


def test_neighbours_of_a_lattice_have_different_tints():
    across = 24  # cubes along each edge
    places = np.stack(np.meshgrid(*[np.arange(across)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    order = np.random.default_rng(1).permutation(len(places))
    found = np.empty(len(places), int)
    found[order] = tints(100.0 * places[order], np.broadcast_to(np.eye(3), (len(places), 3, 3)))
    cube = found.reshape([across] * 3)
    assert all((np.diff(cube, axis=axis) != 0).all() for axis in range(3))
    assert (np.bincount(found, minlength=len(TINTS)) > len(places) / len(TINTS) / 2).all()


def test_long_grains_have_other_tints_than_those_at_their_ends():
    places = np.stack(np.meshgrid(*[np.arange(12)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    size = np.array([200.0, 100.0, 100.0])  # nm: grains are twice as long along z
    stretched = np.broadcast_to(np.diag((100.0 / size) ** 2), (len(places), 3, 3))
    found = tints(places * size, stretched).reshape(12, 12, 12)
    assert all((np.diff(found, axis=axis) != 0).all() for axis in range(3))


@pytest.mark.parametrize("centres", [np.empty((0, 3)), np.zeros((1, 3)), np.zeros((30, 3)), np.eye(3)[[0] * 12]])
def test_grains_in_one_place_have_tints(centres):
    found = tints(centres, np.broadcast_to(np.eye(3), (len(centres), 3, 3)))
    assert found.tolist()[: len(TINTS)] == sorted(set(found.tolist()[: len(TINTS)]), key=found.tolist().index)
    assert set(found.tolist()) <= set(range(len(TINTS)))


def test_phases_have_different_colours():
    for names in ({0: "pore", 1: "carbon_binder", 2: "graphite"}, dict(enumerate(("pore", "solid", "nmc", "a", "b")))):
        assert len(set(phase_colours(names).values())) == len(names)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_section_of_a_volume_is_a_plane_of_it(blocks_view, volume, axis):
    np.testing.assert_array_equal(blocks_view.plane(axis, 37, (128, 128)), np.take(volume, 37, axis=axis))
    twice = np.take(volume, 37, axis=axis).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(blocks_view.plane(axis, 37, (256, 256)), twice)


def test_bricks_of_a_volume_are_every_second_voxel_and_all(blocks_view, volume):
    assert [(edge, grid.shape) for edge, grid in blocks_view.bricks()] == [(96, (64,) * 3), (160, (128,) * 3)]
    np.testing.assert_array_equal(blocks_view.brick(160), volume)
    np.testing.assert_array_equal(blocks_view.brick(96), volume[1::2, 1::2, 1::2])
    assert blocks_view.grid(96).voxel_size_nm == 40.0


def test_a_brick_is_read_in_parts_of_any_depth(blocks_view, volume, monkeypatch):
    monkeypatch.setattr(items, "_TILE_VOXELS", 1)
    np.testing.assert_array_equal(blocks_view.brick(96), volume[1::2, 1::2, 1::2])
    monkeypatch.setattr(items, "_TILE_VOXELS", 7 * 128 * 128)
    np.testing.assert_array_equal(blocks_view.brick(256), volume)


def test_a_volume_that_is_too_large_has_no_bricks(blocks_view, monkeypatch):
    monkeypatch.setattr(items, "MOST_READ", 128**3 - 1)
    assert blocks_view.bricks() == []
    with pytest.raises(ValueError, match="too large to be read"):
        bricks.brick(blocks_view, 96, "identity")


def test_a_particle_of_too_many_grains_has_no_bricks(particle, monkeypatch):
    view, _ = particle
    monkeypatch.setattr(items, "MOST_GRAINS", view.count - 1)
    with pytest.raises(ValueError, match=f"found {view.count} grains"):
        bricks.brick(view, 96, "identity")


def test_virtual_particles_are_those_that_are_generated(tmp_path, small_bundle):
    bundle = save_bundle(small_bundle, tmp_path / "bundles")
    content = {**SMALL, "bundle": str(bundle), "descriptors": None, "labels": {"voxel_sizes_nm": []}}
    view = view_of(frozen(content, tmp_path), 3)
    expected = generate_particle(small_bundle, seed=SMALL["seed"], index=3)
    np.testing.assert_array_equal(view.particle.seeds_nm, expected.seeds_nm)
    np.testing.assert_array_equal(view.particle.kept, expected.kept)
    assert view.has_c_axes


def test_virtual_volumes_are_those_that_are_generated(tmp_path):
    content = {**TINY, "descriptors": None, "storage": {"chunk": 16, "shard": "none"}}
    view = view_of(frozen(content, tmp_path), 3)
    bundle = load_bundle(BUNDLE)
    bundle = bundle.with_parameters(lambda_X_per_nm3=intensity_for_graphite_fraction(bundle.cba(), 0.15))
    expected = generate_cba(bundle, (24, 20, 28), 80.0, seed=TINY["seed"], index=1)
    np.testing.assert_array_equal(view.brick(96), expected)
    np.testing.assert_array_equal(view.plane(1, 7, (24, 28)), expected[:, 7])


def test_virtual_volumes_of_whole_models_come_from_the_cache(tmp_path):
    make, draw, voxel_nm = KINDS["packed-spheres"]
    content = baseline("packed-spheres", tmp_path, make(), voxel_nm)
    content |= {"descriptors": None, "storage": {"chunk": 16, "shard": "none"}}
    place = frozen(content, tmp_path)
    view = view_of(place, 1)
    expected = draw(load_bundle(tmp_path / "bundle"), tuple(content["volume"]["shape"]), voxel_nm, 3, 1)
    np.testing.assert_array_equal(view.brick(256), expected)
    entries = list((tmp_path / "cache" / "entries").iterdir())
    assert len(entries) == 1
    np.testing.assert_array_equal(view.plane(2, 5, expected.shape[:2]), expected[:, :, 5])
    assert list((tmp_path / "cache" / "entries").iterdir()) == entries


def test_a_virtual_store_of_which_other_values_were_published_is_not_drawn(tmp_path):
    place = frozen({**TINY, "descriptors": None, "storage": {"chunk": 16, "shard": "none"}}, tmp_path)
    path = place.store / "virtual.json"
    found = json.loads(path.read_text())
    found["nmcdist_version"] = "0.0.1"
    found["witnesses"] = dict.fromkeys(found["witnesses"], "0" * 64)
    path.write_text(json.dumps(found))
    write_manifest(place.store, {})
    with pytest.warns(UserWarning, match="was published with"), pytest.raises(OSError, match="computes other values"):
        view_of(place, 0)


def test_sections_measure_as_asked(particle, blocks_view):
    for view, size in ((particle[0], 64), (particle[0], 300), (blocks_view, 96), (blocks_view, 500)):
        grid = view.section_grid()
        shape = sections.picture_shape(grid, 0, size)
        assert max(shape) == size
        assert shape[0] / shape[1] == pytest.approx(grid.shape[1] / grid.shape[2], abs=1 / 30)


def test_measured_tables_and_views_name_the_same_grains(particle, made_particles):
    view, _ = particle
    measured = read_grains(made_particles / "small.zarr", 0).label.values
    assert set(measured.tolist()) <= set(view.labels.tolist())
    assert open_store(made_particles / "small.zarr").kept_grains[0] == view.count


def test_particles_shown_last_are_kept_up_to_a_number_of_grains(made_particles, tmp_path, monkeypatch):
    monkeypatch.setattr(items, "_shown", {})
    place = place_of(made_particles / "small.zarr", tmp_path)
    views = [view_of(place, item) for item in range(3)]
    assert [view_of(place, item) for item in range(3)] == views
    monkeypatch.setattr(items, "_MOST_ROWS", sum(len(view.particle.kept) for view in views[1:]))
    view_of(place, 0)
    assert view_of(place, 0) is views[0]
    assert view_of(place, 2) is views[2]
    assert view_of(place, 1) is not views[1]


def test_a_particle_without_grains_is_an_empty_picture(particle):
    _, record = particle

    class Nothing(Records):
        def __init__(self):
            pass

        def particle(self, item):
            return dataclasses.replace(record, kept=np.zeros_like(record.kept), box_nm=np.zeros_like(record.box_nm))

        def orientations(self, item):
            return {}

    empty = items.ParticleView(Nothing(), 0)
    for colouring in sections.OF_GRAINS:
        found = np.asarray(Image.open(io.BytesIO(sections.section(empty, "z", 0.5, 64, colouring))))
        assert found.shape == (64, 64, 4)
        assert not found.any()
    assert not empty.brick(96).any()
    assert bricks.grain_table(empty)["grains"] == []


def test_a_file_that_grows_too_large_is_refused_and_leaves_nothing(made_once, tmp_path, monkeypatch):
    place = place_of(made_once / "tiny.zarr", tmp_path)

    def full(store, item, file_format, target, **options):
        target.write_bytes(b"x" * 100)
        raise StoreError("cannot be written") from OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(files, "export_item", full)
    with pytest.raises(ValueError, match=r"format npy: the file has more than 2.0 GiB"):
        files.write_item(place, 0, "npy", None, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert not (tmp_path / "file.folder").exists()


def test_the_limit_on_files_is_that_of_the_process(tmp_path):
    script = (
        "import resource\nfrom nmcdist.service.renders import places, workers\n"
        "class Pipe:\n    def recv(self): raise EOFError\n"
        "workers._serve(Pipe())\nprint(resource.getrlimit(resource.RLIMIT_FSIZE)[0] == places.MOST_BYTES)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        f"try: open({str(tmp_path / 'file')!r}, 'wb', 0).write(b'x' * 10); "
        f"open({str(tmp_path / 'file')!r}, 'ab', 0).write(b'x')\n"
        "except OSError as error: print(error.errno)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(errno.EFBIG)]


def test_a_halved_picture_has_the_mean_colours_of_what_is_opaque():
    """Against means of each four pixels, one by one; halves are rounded up."""
    picture = np.random.default_rng(3).integers(0, 256, (6, 8, 4)).astype(np.uint8)
    picture[..., 3] = 255 * (picture[..., 3] > 100)
    found = sections._halved(picture)
    for row in range(3):
        for column in range(4):
            four = picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(4, 4).astype(float)
            opaque = four[four[:, 3] > 0]
            wanted = np.floor(opaque[:, :3].mean(axis=0) + 0.5) if len(opaque) else np.zeros(3)
            assert found[row, column, :3].tolist() == wanted.tolist()
            assert found[row, column, 3] == np.floor(255 * len(opaque) / 4 + 0.5)
