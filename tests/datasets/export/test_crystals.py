"""Files for programs of crystal plasticity, read by DAMASK, by VTK and by a parser of Neper's documented format."""

import numpy as np
import pytest
import pyvista
import yaml
from scipy.spatial.transform import Rotation

from nmcdist.datasets import export_labels
from nmcdist.datasets.particles import read_orientations, read_particle
from nmcdist.errors import InputError
from nmcdist.models.orientation import c_axes
from nmcdist.products.stores import export_item

VOXEL_SIZE_NM = 400.0
ITEM = 1


@pytest.fixture(scope="module")
def store(made_particles):
    return made_particles / "small.zarr"


@pytest.fixture(scope="module")
def rendered(store):
    """Labels, the lowest corner (x, y, z) in nm, and c axes (x, y, z) by label."""
    particle = read_particle(store, ITEM)
    _, origin = particle.grid(VOXEL_SIZE_NM)
    corner = np.array(origin[::-1]) - VOXEL_SIZE_NM / 2
    orientations = read_orientations(store, ITEM)
    axes = c_axes(np.array(list(orientations.values())))[:, ::-1]
    return particle.voxelize(VOXEL_SIZE_NM), corner, dict(zip(orientations, axes, strict=True))


@pytest.fixture(scope="module")
def damask_folder(store, tmp_path_factory):
    return export_item(store, ITEM, "damask", tmp_path_factory.mktemp("damask") / "a", voxel_size_nm=VOXEL_SIZE_NM)


def test_damask_s_reader_opens_grid_and_materials(damask_folder, rendered):
    import damask

    labels, corner, axes = rendered
    grid = damask.GeomGrid.load(damask_folder / "grid.vti")
    present = np.unique(labels)
    assert (present[grid.material.transpose(2, 1, 0)] == labels).all()
    assert grid.size == pytest.approx(np.array(labels.shape[::-1]) * VOXEL_SIZE_NM * 1e-9)
    assert grid.origin == pytest.approx(corner * 1e-9)
    config = damask.ConfigMaterial.load(damask_folder / "material.yaml")
    assert config.is_complete
    assert config.is_valid
    assert len(config["material"]) == len(present)
    turns = damask.Rotation.from_quaternion([row["constituents"][0]["O"] for row in config["material"]][1:])
    in_lab = ~turns @ np.broadcast_to([0.0, 0.0, 1.0], (len(present) - 1, 3))
    assert np.abs(in_lab - [axes[label] for label in present[1:].tolist()]).max() < 1e-6


def test_vtk_and_yaml_read_the_same_fields(damask_folder, rendered):
    labels, corner, axes = rendered
    image = pyvista.read(damask_folder / "grid.vti")
    assert image.cell_data["material"].dtype == np.int32
    present = np.unique(labels)
    assert (present[image.cell_data["material"].reshape(labels.shape)] == labels).all()
    assert image.spacing == pytest.approx([VOXEL_SIZE_NM * 1e-9] * 3)
    assert image.origin == pytest.approx(corner * 1e-9)
    config = yaml.safe_load((damask_folder / "material.yaml").read_text())
    assert config["homogenization"] == {"SX": {"N_constituents": 1, "mechanical": {"type": "pass"}}}
    assert config["phase"] == {"outside": {"lattice": "cI"}, "NMC": {"lattice": "hP", "c/a": 4.94}}
    assert {row["homogenization"] for row in config["material"]} == {"SX"}
    constituents = [row["constituents"] for row in config["material"]]
    assert {len(parts) for parts in constituents} == {1}
    assert [parts[0]["phase"] for parts in constituents] == ["outside"] + ["NMC"] * (len(present) - 1)
    assert {parts[0]["v"] for parts in constituents} == {1.0}
    turns = Rotation.from_quat([parts[0]["O"] for parts in constituents][1:], scalar_first=True)
    expected = [axes[label] for label in present[1:].tolist()]
    assert np.abs(turns.apply([0.0, 0.0, 1.0]) - expected).max() < 1e-6


def test_phases_are_materials_without_orientations(tmp_path):
    labels = np.array([[[0, 1, 2, 2]]], np.uint8)
    names = {0: "pore", 1: "carbon_binder", 2: "graphite"}
    folder = export_labels(labels, 20.0, (10.0,) * 3, "damask", tmp_path / "a", names=names)
    config = yaml.safe_load((folder / "material.yaml").read_text())
    assert [row["constituents"][0]["phase"] for row in config["material"]] == list(names.values())
    assert config["phase"].keys() == set(names.values())


def test_grains_without_orientations_are_refused_for_damask(tmp_path):
    with pytest.raises(InputError, match="format damask: found grains without crystal orientations, expected"):
        export_labels(np.ones((2, 2, 2), np.int32), 20.0, (0.0,) * 3, "damask", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_only_such_a_folder_is_replaced(tmp_path):
    labels, names = np.array([[[0, 1]]], np.uint8), {0: "pore", 1: "graphite"}
    folder = export_labels(labels, 20.0, (0.0,) * 3, "damask", tmp_path / "a", names=names)
    export_labels(labels, 20.0, (0.0,) * 3, "damask", folder, names=names, overwrite=True)
    (folder / "load.yaml").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        export_labels(labels, 20.0, (0.0,) * 3, "damask", folder, names=names, overwrite=True)


def parsed_tesr(text):
    """Read a .tesr 2.1 by its documentation: fields in order, words parted by any white space."""
    words = iter(text.split())

    def take(count, kind):
        return [kind(next(words)) for _ in range(count)]

    found = {}
    assert take(3, str) == ["***tesr", "**format", "2.1"]
    assert next(words) == "**general"
    (dimension,) = take(1, int)
    found["size"], found["voxel"] = take(dimension, int), take(dimension, float)
    for word in words:
        if word == "*origin":
            found["origin"] = take(dimension, float)
        elif word == "**cell":
            (found["cells"],) = take(1, int)
        elif word == "*id":
            found["id"] = take(found["cells"], int)
        elif word == "*ori":
            (found["descriptor"],) = take(1, str)
            found["ori"] = np.array(take(3 * found["cells"], float)).reshape(-1, 3)
        elif word == "*crysym":
            (found["crysym"],) = take(1, str)
        elif word == "**data":
            assert next(words) == "ascii"
            # column-major: x first
            found["data"] = np.array(take(int(np.prod(found["size"])), int)).reshape(found["size"][::-1])
        else:
            assert word == "***end"
    return found


def test_neper_s_raster_has_the_labels_and_the_orientations(store, rendered, tmp_path):
    labels, corner, axes = rendered
    path = export_item(store, ITEM, "tesr", tmp_path / "a.tesr", voxel_size_nm=VOXEL_SIZE_NM)
    found = parsed_tesr(path.read_text())
    assert (np.array([0, *found["id"]])[found["data"]] == labels).all()
    assert np.unique(found["data"]).tolist() == list(range(found["cells"] + 1))
    assert found["voxel"] == [VOXEL_SIZE_NM] * 3
    assert found["origin"] == pytest.approx(corner)
    assert (found["descriptor"], found["crysym"]) == ("euler-bunge:active", "-3m")
    in_lab = Rotation.from_euler("ZXZ", found["ori"], degrees=True).apply([0.0, 0.0, 1.0])
    assert np.abs(in_lab - [axes[label] for label in found["id"]]).max() < 1e-6


def test_a_raster_without_orientations_has_only_cells(tmp_path):
    labels = np.array([[[0, 7, 7], [3, 3, 0]]], np.int32)
    found = parsed_tesr(export_labels(labels, 20.0, (0.0,) * 3, "tesr", tmp_path / "a.tesr").read_text())
    assert "ori" not in found
    assert found["id"] == [3, 7]
    assert found["data"].tolist() == [[[0, 2, 2], [1, 1, 0]]]
