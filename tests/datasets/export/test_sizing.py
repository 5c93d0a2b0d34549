"""Meshes of a wanted number of tetrahedra: other programs count them, find every grain, and measure its volume."""

import gmsh
import meshio
import numpy as np
import pytest
import pyvista
from click.testing import CliRunner

from nmcdist.cli import cli
from nmcdist.datasets import export_labels
from nmcdist.datasets.particles import read_particle
from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError
from nmcdist.products.stores import export_item
from tests.geometry.test_elements import angles
from tests.geometry.test_surfaces import GRAINS

ORIGIN = (100.0, -50.0, 25.0)
MANY = 6 * np.count_nonzero(GRAINS)


class Read:
    """A file of tetrahedra, as meshio and VTK read it."""

    def __init__(self, path, name="grain"):
        mesh = meshio.read(path)
        self.points, self.cells = mesh.points, mesh.cells_dict["tetra"]
        self.labels = mesh.cell_data[name][0]
        sizes = pyvista.read(path).compute_cell_sizes(length=False, area=False).cell_data["Volume"]
        assert sizes.min() > 0
        self.volumes = np.bincount(self.labels, weights=sizes)


@pytest.fixture(scope="module")
def particle(made_particles):
    return made_particles / "small.zarr", read_particle(made_particles / "small.zarr", 0)


@pytest.mark.parametrize("count", [8_000, 30_000])
def test_a_particle_has_about_as_many_and_all_its_grains(particle, tmp_path, count):
    """Volumes are compared with those of voxels of 20 nm."""
    store, record = particle
    said = []
    path = export_item(store, 0, "vtu", tmp_path / "a.vtu", elements=count, progress=said.append)
    found = Read(path)
    assert count / 1.3 < len(found.cells) < 1.3 * count
    voxels = np.bincount(record.voxelize(20.0).ravel()) * 20.0**3
    there = np.flatnonzero(voxels[1:]) + 1
    assert np.unique(found.labels).tolist() == there.tolist()
    error = np.abs(found.volumes[there] / voxels[there] - 1)
    assert np.median(error) < 0.01 and np.quantile(error, 0.95) < 0.025
    assert angles(found).min() > 15 - 1e-3
    assert said[1] == f"{len(found.cells)} tetrahedra, smallest dihedral angle 15.0 degrees"
    assert said[0].startswith("voxels of ")


def test_gmsh_finds_no_flat_cell(particle, tmp_path, opened):
    """The smallest angle of 15 degrees is checked from normals; gmsh compares the radii of spheres."""
    opened(export_item(particle[0], 0, "msh", tmp_path / "a.msh", elements=8_000))
    for _, grain in gmsh.model.getEntities(3):
        (kind,), (tags,), _ = gmsh.model.mesh.getElements(3, grain)
        assert kind == 4
        assert gmsh.model.mesh.getElementQualities(tags, "gamma").min() > 0.03
        assert gmsh.model.mesh.getElementQualities(tags, "minDetJac").min() > 0


def test_a_given_voxel_size_is_kept(particle, tmp_path):
    """The volumes are then those of its voxels; cells become coarse inside the grains only."""
    store, record = particle
    voxels = np.bincount(record.voxelize(100.0).ravel())
    uniform = 6 * voxels[1:].sum()
    said = []
    options = {"voxel_size_nm": 100.0, "progress": said.append}
    path = export_item(store, 0, "vtu", tmp_path / "a.vtu", elements=int(0.8 * uniform), **options)
    found = Read(path)
    assert 0.8 / 1.3 < len(found.cells) / uniform < 0.8 * 1.3
    assert not any(line.startswith("voxels") for line in said)
    there = np.flatnonzero(voxels[1:]) + 1
    assert found.volumes[there] == pytest.approx(voxels[there] * 100.0**3, rel=0.01)
    with pytest.raises(InputError, match=r"elements: found 1000, but voxels of 100 nm give \d+ to \d+ tetrahedra, and "
                                         r"the nearest is \d+; expected larger voxels"):  # fmt: skip
        export_item(store, 0, "vtu", tmp_path / "b.vtu", elements=1000, **options)
    assert not (tmp_path / "b.vtu").exists()


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_labels_from_memory_are_merged_into_larger_voxels(tmp_path, share):
    """Down to a quarter of the cells of the voxels; grains of few voxels stay."""
    count = int(share * MANY)
    path = export_labels(GRAINS, 50.0, ORIGIN, "vtu", tmp_path / "a.vtu", elements=count)
    found = Read(path)
    assert count / 1.3 < len(found.cells) < 1.3 * count
    voxels = np.bincount(GRAINS.ravel()) * 50.0**3
    there = np.flatnonzero(voxels[1:]) + 1
    assert np.unique(found.labels).tolist() == there.tolist()
    error = np.abs(found.volumes[there] / voxels[there] - 1)
    assert np.median(error) < 0.01
    index = np.argwhere(GRAINS)
    low, high = ORIGIN + (index.min(axis=0) - 0.5) * 50.0, ORIGIN + (index.max(axis=0) + 0.5) * 50.0
    assert np.abs([found.points.min(axis=0)[::-1] - low, found.points.max(axis=0)[::-1] - high]).max() < 1.5 * 50.0


@pytest.mark.parametrize("share", [0.9, 0.3])
def test_a_volume_of_phases_keeps_its_box(made_once, tmp_path, share):
    store = made_once / "tiny.zarr"
    labels = read_block(store, 1)
    count = int(share * 6 * np.count_nonzero(labels))
    found = Read(export_item(store, 1, "vtu", tmp_path / "a.vtu", elements=count), "phase")
    assert count / 1.3 < len(found.cells) < 1.3 * count
    voxels = np.bincount(labels.ravel()) * 80.0**3
    assert found.volumes[1:] == pytest.approx(voxels[1:], rel=0.01)
    box = np.array(labels.shape[::-1]) * 80.0
    assert found.points.min(axis=0) == pytest.approx(np.zeros(3), abs=1e-6)
    assert found.points.max(axis=0) == pytest.approx(box)


def test_mirror_images_count(made_once, tmp_path):
    store = made_once / "tiny.zarr"
    count = int(0.4 * 6 * 4 * np.count_nonzero(read_block(store, 1)))
    found = Read(export_item(store, 1, "vtu", tmp_path / "a.vtu", elements=count, mirror="x,z"), "phase")
    assert count / 1.3 < len(found.cells) < 1.3 * count
    x = found.points[:, 0]
    ends = [np.sort(found.points[np.isclose(x, end)][:, 1:], axis=0) for end in (x.min(), x.max())]
    assert len(ends[0]) == len(ends[1])
    assert np.abs(ends[0] - ends[1]).max() < 1e-6


def test_a_subset_has_the_number_for_itself(particle, tmp_path):
    store, record = particle
    voxels = np.bincount(record.voxelize(100.0).ravel())
    grain = int(voxels[1:].argmax()) + 1
    found = Read(export_item(store, 0, "vtu", tmp_path / "a.vtu", elements=3000, grains=[grain]))
    assert np.unique(found.labels).tolist() == [grain]
    assert 3000 / 1.3 < len(found.cells) < 1.3 * 3000


def test_the_command_takes_a_kind_or_a_number(particle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["export", str(particle[0]), "--item", "0", "--format", "vtu", "--elements"]
    done = CliRunner().invoke(cli, [*arguments, "8000", "--out", "a.vtu"])
    assert done.exit_code == 0, done.output
    assert "tetrahedra, smallest dihedral angle 15.0 degrees\n" in done.stderr
    assert done.stdout == "a.vtu\n"
    assert 8000 / 1.3 < len(meshio.read("a.vtu").cells_dict["tetra"]) < 1.3 * 8000
    done = CliRunner().invoke(cli, [*arguments, "tetrahedron", "--out", "b.vtu"])
    assert "elements: found 'tetrahedron'; did you mean tetrahedra?" in str(done.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elements": 0}, "elements: found 0, expected a number of tetrahedra from 1"),
        ({"elements": 500}, r"elements: found 500, expected more; labels: found no voxel for \d+ of \d+, such as \d+"),
        ({"elements": 10 * MANY}, rf"elements: found {10 * MANY}, but voxels of 50 nm give \d+ to {MANY} .* smaller"),
        ({"elements": 2.5}, "elements: found 2.5, expected one of hexahedra, tetrahedra, a number"),
    ],
)
def test_what_cannot_be_met_is_refused_and_leaves_nothing(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        export_labels(GRAINS, 50.0, ORIGIN, "vtu", tmp_path / "a.vtu", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elements": 3}, "elements: found 3, expected more: they need voxels of [0-9.]+ nm"),
        ({"elements": 8000, "grains": "9999"}, "grains: found 9999, which no voxel has, expected labels of the item"),
        ({"elements": 8000, "min_angle": 50.0}, "min_angle: found 50.0, expected degrees from 0 to 40"),
    ],
)
def test_what_a_particle_cannot_have_is_refused(particle, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        export_item(particle[0], 0, "vtu", tmp_path / "a.vtu", **options)
    assert list(tmp_path.iterdir()) == []
