"""Crystal orientations in exports: each file gives back the orientations of the store, read by an independent way."""

import csv

import numpy as np
import pytest
import pyvista
from scipy.spatial.transform import Rotation

from nmcdist.datasets import export_labels
from nmcdist.datasets.particles import read_grains, read_orientations
from nmcdist.errors import InputError
from nmcdist.models.orientation import c_axes
from nmcdist.products.stores import export_item
from tests.datasets.export.test_meshes import VOXEL_NM

VOXEL_SIZE_NM = 400.0
TWO = np.zeros((3, 4, 5), dtype=np.int32)
TWO[1, 1:3, 1:3], TWO[1, 1:3, 3] = 5, 9
TURNS = {5: np.array([0.8, 0.0, 0.6, 0.0]), 9: np.array([0.5, 0.5, -0.5, 0.5])}


@pytest.fixture(scope="module")
def store(made_particles):
    return made_particles / "small.zarr"


@pytest.fixture(scope="module")
def stored(store):
    """Orientations of item 1 by label, and c axes (x, y, z) from them."""
    orientations = read_orientations(store, 1)
    axes = c_axes(np.array(list(orientations.values())))[:, ::-1]
    return orientations, dict(zip(orientations, axes, strict=True))


def assert_axes(found, labels, stored):
    expected = np.array([stored[1][label] for label in labels])
    assert len(labels) > 1
    assert np.abs(found - expected).max() < 1e-6


def of_euler(degrees):
    """Return the c axes of Bunge's angles, with scipy."""
    return Rotation.from_euler("ZXZ", degrees, degrees=True).apply([0.0, 0.0, 1.0])


def test_csv_has_the_quaternion_and_the_euler_angles(store, stored, tmp_path):
    with export_item(store, 1, "csv", tmp_path / "a.csv").open() as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    labels = [int(row["label"]) for row in rows]
    assert labels == read_grains(store, 1).label.values.tolist()
    quaternions = np.array([[row[f"orientation_{end}"] for end in "wxyz"] for row in rows])
    assert np.abs(quaternions - [stored[0][label] for label in labels]).max() < 1e-8
    angles = np.array([[row[f"euler_{end}_deg"] for end in ("phi1", "Phi", "phi2")] for row in rows])
    assert_axes(of_euler(angles), labels, stored)


def test_vtu_has_both_for_each_cell(store, stored, tmp_path):
    path = export_item(store, 1, "vtu", tmp_path / "a.vtu", voxel_size_nm=VOXEL_SIZE_NM)
    cells = pyvista.read(path).cell_data
    labels = cells["grain"].tolist()
    assert_axes(of_euler(cells["euler_deg"]), labels, stored)
    turned = Rotation.from_quat(cells["orientation"], scalar_first=True).apply([0.0, 0.0, 1.0])
    assert_axes(turned, labels, stored)


def test_abaqus_has_the_axes_and_a_section_for_each_grain(store, stored, tmp_path):
    path = export_item(store, 1, "inp", tmp_path / "a.inp", voxel_size_nm=VOXEL_SIZE_NM)
    lines = path.read_text().splitlines()
    heads = [k for k, line in enumerate(lines) if line.startswith("*ORIENTATION")]
    names = [lines[k].split("=")[1].split(",")[0] for k in heads]
    labels = [int(name.removeprefix("ORI_GRAIN_")) for name in names]
    axes = np.array([[float(word) for word in lines[k + 1].split(",")] for k in heads]).reshape(-1, 2, 3)
    assert_axes(np.cross(axes[:, 0], axes[:, 1]), labels, stored)
    turns = Rotation.from_quat([stored[0][label] for label in labels], scalar_first=True)
    assert np.abs(axes[:, 0] - turns.apply([1.0, 0.0, 0.0])).max() < 1e-6
    sets = [line.split("=")[1].split(",")[0] for line in lines if line.startswith("*ELSET") and "GENERATE" in line]
    sections = [line for line in lines if line.startswith("*SOLID SECTION")]
    assert sections == [f"*SOLID SECTION, ELSET={name}, ORIENTATION=ORI_{name}, MATERIAL=NMC" for name in sets]
    assert lines[-1] == "*MATERIAL, NAME=NMC"


def test_files_without_orientations_have_none(tmp_path):
    path = export_labels(TWO, VOXEL_NM, (0.0, 0.0, 0.0), "vtu", tmp_path / "a.vtu")
    assert list(pyvista.read(path).cell_data) == ["grain"]
    text = export_labels(TWO, VOXEL_NM, (0.0, 0.0, 0.0), "inp", tmp_path / "a.inp").read_text()
    assert "SECTION" not in text
    assert "MATERIAL" not in text


@pytest.mark.parametrize(
    ("orientations", "message"),
    [
        ({5: TURNS[5]}, "orientations: found none for label 9"),
        ({**TURNS, 9: np.ones(4)}, r"orientations\[9\]: found .*, expected a unit quaternion"),
        ({**TURNS, 9: np.ones(3)}, r"orientations\[9\]: found shape \(3,\)"),
    ],
)
def test_orientations_that_do_not_fit_are_named_and_leave_nothing(tmp_path, orientations, message):
    with pytest.raises(InputError, match=message):
        export_labels(TWO, VOXEL_NM, (0.0, 0.0, 0.0), "inp", tmp_path / "a.inp", orientations=orientations)
    assert list(tmp_path.iterdir()) == []
