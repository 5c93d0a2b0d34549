"""Exports of items: what the command line offers, of volumes and of particles."""

import csv

import numpy as np
import pytest
import trimesh

from nmcdist.datasets import read_grains, read_particle
from nmcdist.datasets.export.formats import FORMATS
from nmcdist.datasets.items import default_name
from nmcdist.errors import InputError, PlanError, StoreError
from nmcdist.products.stores import export_item


@pytest.fixture(scope="module")
def particles(made_particles):
    return made_particles / "small.zarr"


@pytest.mark.parametrize("file_format", [name for name in FORMATS if name != "network"])  # which is of named phases
def test_every_format_is_written_under_its_default_name(particles, tmp_path, monkeypatch, file_format):
    monkeypatch.chdir(tmp_path)
    path = export_item(particles, 1, file_format)
    assert path.name == default_name(particles, 1, file_format)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert sum(p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*"))) > 1000


def test_labels_are_rendered_from_the_record(particles, tmp_path):
    path = export_item(particles, 2, "npy", tmp_path / "labels.npy", voxel_size_nm=80.0)
    assert np.array_equal(np.load(path), read_particle(particles, 2).voxelize(80.0))


def test_the_surface_encloses_the_voxels(particles, tmp_path):
    mesh = trimesh.load(export_item(particles, 2, "stl", tmp_path / "a.stl", voxel_size_nm=60.0))
    voxels = (read_particle(particles, 2).voxelize(60.0) > 0).sum() * 60.0**3
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(voxels, rel=0.01)


def test_the_shell_encloses_its_volume(particles, tmp_path):
    mesh = trimesh.load(export_item(particles, 2, "shell-stl", tmp_path / "a.stl"))
    assert mesh.is_watertight
    # A polyhedron on 10,242 points of a surface that bends outwards on average lies within 0.1 % below it.
    assert mesh.volume == pytest.approx(read_particle(particles, 2).shell.volume_nm3, rel=2e-3)


def test_the_table_has_a_line_a_grain(particles, tmp_path):
    with export_item(particles, 2, "csv", tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    grains = read_grains(particles, 2)
    assert [int(row["label"]) for row in rows] == grains.label.values.tolist()
    np.testing.assert_array_equal(np.float32([row["volume_nm3"] for row in rows]), grains.volume_nm3)
    np.testing.assert_array_equal(np.float32([row["centroid_nm_x"] for row in rows]), grains.centroid_nm[:, 2])


@pytest.mark.parametrize(
    ("file_format", "options", "message"),
    [
        ("dxf", {}, "format: found 'dxf', expected one of tiff, vtk"),
        ("stll", {}, r"format: found 'stll'; did you mean stl\?"),
        ("OME-ZAR", {}, r"format: found 'OME-ZAR'; did you mean ome-zarr\?"),
        ("vtu", {"elements": "tetrahedrons"}, r"elements: found 'tetrahedrons'; did you mean tetrahedra\?"),
        ("csv", {"voxel_size_nm": 50.0}, "voxel_size_nm: found 50.0 with format csv, expected with one of tiff"),
        ("stl", {"voxel_size_nm": 1e5}, r"voxel_size_nm: found 100000.0 nm, expected at most the particle's"),
        ("stl", {"voxel_size_nm": -5.0}, r"voxel_size_nm: found -5.0"),
        ("npy", {"label": 3}, "label: found 3 with format npy"),
        ("msh", {"elements": "wedges"}, "elements: found 'wedges'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(particles, tmp_path, file_format, options, message):
    with pytest.raises(InputError, match=message):
        export_item(particles, 0, file_format, tmp_path / "a", **options)
    assert list(tmp_path.iterdir()) == []


def test_too_many_tetrahedra_for_the_memory_are_refused(particles, tmp_path):
    with pytest.raises(
        PlanError, match=r"elements: found 1000000000000, expected fewer; voxel_size_nm: at 0\.0.* needs"
    ):
        export_item(particles, 1, "msh", tmp_path / "a.msh", elements=10**12)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_item_is_refused(particles, tmp_path):
    with pytest.raises(StoreError, match="item 5 does not exist, expected 0 to 4"):
        export_item(particles, 5, "stl", tmp_path / "a.stl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", ["stl", "shell-stl", "csv", "stl-grains"])
def test_what_is_there_is_kept(particles, tmp_path, file_format):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        export_item(particles, 0, file_format, tmp_path / "a")
    assert (tmp_path / "a").read_text() == "mine"


@pytest.mark.parametrize("file_format", ["stl", "shell-stl", "csv", "stl-grains"])
def test_a_place_that_is_no_folder_is_refused(particles, tmp_path, file_format):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot be written"):
        export_item(particles, 0, file_format, tmp_path / "file" / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
