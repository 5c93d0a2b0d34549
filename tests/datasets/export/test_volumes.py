"""Exports of volumes: other programs read back the labels, where they lie, how large a voxel is, and the phases."""

import json
import re

import gmsh
import numpy as np
import pytest
import pyvista
import tifffile
import trimesh
import zarr

from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError, StoreError
from nmcdist.products.stores import export_item
from tests.conftest import flip_a_byte

VOXEL_NM = 80.0
SHAPE = (24, 20, 28)
LEGEND = "tiny item 1; 0 pore, 1 carbon_binder, 2 graphite"


def test_npy_is_the_array(store, tmp_path):
    path = export_item(store, 2, "npy", tmp_path / "a.npy")
    assert (np.load(path) == read_block(store, 2)).all()


def test_tiff_has_the_labels_the_voxel_size_and_the_phases(store, tmp_path):
    path = export_item(store, 1, "tiff", tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.asarray() == read_block(store, 1)).all()
        assert tiff.imagej_metadata["spacing"] == pytest.approx(0.08)  # um, as ImageJ has it
        assert tiff.imagej_metadata["Info"] == LEGEND
        numerator, denominator = tiff.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1 / 0.08, rel=1e-6)


def test_vtk_has_the_labels_at_the_voxel_centres_in_nm(store, tmp_path):
    path = export_item(store, 3, "vtk", tmp_path / "a.vtk")
    image = pyvista.read(path)
    assert image.dimensions == SHAPE[::-1]
    assert image.spacing == (VOXEL_NM,) * 3
    assert image.origin == (VOXEL_NM / 2,) * 3
    labels = image.point_data["label"].reshape(image.dimensions, order="F")
    assert (labels.transpose(2, 1, 0) == read_block(store, 3)).all()
    assert path.read_bytes().splitlines()[1].decode() == LEGEND.replace("item 1", "item 3") + "; lengths in nm"


def test_ome_zarr_has_the_labels_and_the_phases(store, tmp_path):
    group = zarr.open_group(export_item(store, 1, "ome-zarr", tmp_path / "a"), mode="r")
    assert (group["0"][...] == read_block(store, 1)).all()
    assert group.attrs["label_names"] == {"0": "pore", "1": "carbon_binder", "2": "graphite"}


def test_closed_surfaces_enclose_the_voxels_of_a_phase(store, tmp_path):
    labels = read_block(store, 1)
    for label, voxels in ((2, (labels == 2).sum()), (None, (labels > 0).sum())):
        path = export_item(store, 1, "stl", tmp_path / "a.stl", label=label, overwrite=True)
        assert trimesh.load(path).volume == pytest.approx(voxels * VOXEL_NM**3, rel=0.01)


def test_a_folder_of_surfaces_has_one_file_named_for_each_phase(store, tmp_path):
    labels = read_block(store, 1)
    folder = export_item(store, 1, "stl-grains", tmp_path / "a")
    assert sorted(path.name for path in folder.iterdir()) == ["carbon_binder.stl", "graphite.stl"]
    mesh = trimesh.load(folder / "graphite.stl")
    assert mesh.volume == pytest.approx((labels == 2).sum() * VOXEL_NM**3, rel=0.01)


def test_gmsh_finds_each_phase_by_its_name_with_its_volume(store, tmp_path):
    labels = read_block(store, 1)
    path = export_item(store, 1, "msh", tmp_path / "a.msh")
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        gmsh.open(str(path))
        groups = {gmsh.model.getPhysicalName(*group): group for group in gmsh.model.getPhysicalGroups()}
        assert groups.keys() == {"OUTER", "INTERFACES", "PHASE_CARBON_BINDER", "PHASE_GRAPHITE"}
        for name, label in (("PHASE_CARBON_BINDER", 1), ("PHASE_GRAPHITE", 2)):
            assert groups[name] == (3, label)
            _, (tags,), _ = gmsh.model.mesh.getElements(3, label)
            assert len(tags) == (labels == label).sum()
    finally:
        gmsh.finalize()


def test_abaqus_has_one_element_set_per_phase(store, tmp_path):
    labels = read_block(store, 1)
    lines = export_item(store, 1, "inp", tmp_path / "a.inp").read_text().splitlines()
    sets = {line.split("=")[1].split(",")[0]: lines[k + 1] for k, line in enumerate(lines) if "GENERATE" in line}
    binder, graphite = ((labels == label).sum() for label in (1, 2))
    assert sets == {
        "PHASE_CARBON_BINDER": f"1, {binder}, 1",
        "PHASE_GRAPHITE": f"{binder + 1}, {binder + graphite}, 1",
    }


@pytest.mark.parametrize("file_format", ["vtu", "vtp"])
def test_vtk_meshes_have_the_labels_of_the_phases(store, tmp_path, file_format):
    mesh = pyvista.read(export_item(store, 1, file_format, tmp_path / f"a.{file_format}"))
    found = mesh.cell_data["phase" if file_format == "vtu" else "BoundaryLabels"]
    assert np.unique(found).tolist() == ([1, 2] if file_format == "vtu" else [0, 1, 2])


def test_the_default_name_gives_the_dataset_and_the_item(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_item(store, 1, "tiff").name == "tiny-00001.tif"
    assert export_item(store, 1, "stl-grains").name == "tiny-00001-grains"


@pytest.mark.parametrize("file_format", ["npy", "stl"])
def test_a_file_that_is_there_is_kept_unless_it_may_go(store, tmp_path, file_format):
    path = tmp_path / "a"
    path.write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        export_item(store, 0, file_format, path)
    assert path.read_text() == "mine"
    export_item(store, 0, file_format, path, overwrite=True)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("file_format", ["vtk", "ome-zarr", "msh"])
def test_a_damaged_volume_leaves_no_file(store, tmp_path, file_format):
    flip_a_byte(store / "volume/c/0/0/0/0")
    with pytest.raises(StoreError, match="item 0 is damaged"):
        export_item(store, 0, file_format, tmp_path / "a")
    assert list(tmp_path.glob("*a*")) == []


@pytest.mark.parametrize(
    ("file_format", "name", "expected"),
    [
        ("vtk", "a.stl", "found the ending .stl, expected .vtk, as of vtk"),
        ("tiff", "a.NPY", "found the ending .NPY, expected .tif, as of tiff"),
        ("stl-grains", "a.stl", "found the ending .stl, expected a folder without such an ending, as of stl-grains"),
    ],
)
def test_the_ending_of_another_format_is_refused(store, tmp_path, file_format, name, expected):
    with pytest.raises(InputError, match=re.escape(expected)):
        export_item(store, 0, file_format, tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a.tiff", "a.dat", "a", "b.ome.tif"])
def test_other_endings_are_left_to_the_user(store, tmp_path, name):
    assert export_item(store, 0, "tiff", tmp_path / name) == tmp_path / name


def test_an_item_that_does_not_exist_is_refused_and_leaves_nothing(store, tmp_path):
    with pytest.raises(StoreError, match="item 4 does not exist, expected 0 to 3"):
        export_item(store, 4, "npy", tmp_path / "new" / "a.npy")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("file_format", "options", "message"),
    [
        ("gif", {}, "format: found 'gif', expected one of tiff, vtk, npy"),
        (
            "csv",
            {},
            r"format: found 'csv', which only particles of a store have, expected one of tiff, vtk, npy, .*, xdmf$",
        ),
        (
            "shell-stl",
            {},
            r"format: found .shell-stl., which only particles .* have, expected one of tiff, vtk, npy, .*, xdmf$",
        ),
        ("tiff", {"voxel_size_nm": 50.0}, "voxel_size_nm: found 50.0, but .*tiny.zarr holds volumes of fixed voxels"),
        ("npy", {"label": 2}, "label: found 2 with format npy, expected with one of stl, ply$"),
        ("stl", {"label": 3}, "label: found 3, which no voxel has"),
    ],
)
def test_what_a_volume_does_not_give_is_refused(made_once, tmp_path, file_format, options, message):
    with pytest.raises(InputError, match=message):
        export_item(made_once / "tiny.zarr", 0, file_format, tmp_path / "a", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voxel_size_nm": 0}, "volume: attribute voxel_size_nm: found 0, expected a length in nm"),
        ({"voxel_size_nm": True}, "attribute voxel_size_nm: found True"),
        ({"voxel_size_nm": "80"}, "attribute voxel_size_nm: found '80'"),
        ({"flag_meanings": "../../pore b c"}, r"attribute flag_meanings: found '\.\./\.\./pore b c', expected"),
        ({"flag_meanings": "pore Graphite graphite"}, "attribute flag_meanings: found"),
        ({"flag_meanings": ["a", "b", "c"]}, "attribute flag_meanings: found"),
        ({"flag_values": [0, 1]}, r"attribute flag_values: found \[0, 1\], expected 3 whole numbers"),
        ({"flag_values": [0, 1, 2.5]}, "attribute flag_values: found"),
        ({"flag_values": [0, 0, 2]}, r"attribute flag_values: found \[0, 0, 2\], expected different whole numbers"),
        ({"flag_values": None}, "attribute flag_values: found None"),
    ],
)
def test_a_variable_that_says_what_cannot_be_is_refused(store, tmp_path, change, message):
    """Names become names of files, so a store that someone edited must not choose their folder."""
    edit(store, change)
    with pytest.raises(StoreError, match=message):
        export_item(store, 0, "stl-grains", tmp_path / "a")
    assert list(tmp_path.glob("*a*")) == []


def test_labels_without_names_are_numbered(store, tmp_path):
    edit(store, {"flag_meanings": ..., "flag_values": ...})
    folder = export_item(store, 1, "stl-grains", tmp_path / "a")
    assert sorted(path.name for path in folder.iterdir()) == ["grain-00001.stl", "grain-00002.stl"]


def test_the_voxel_size_is_that_of_the_variable(store, tmp_path):
    """Not that of the recipe, which a kind of dataset need not have."""
    edit(store, {"voxel_size_nm": 40.0})
    assert pyvista.read(export_item(store, 0, "vtk", tmp_path / "a.vtk")).spacing == (40.0, 40.0, 40.0)


def edit(store, change):
    path = store / "volume/zarr.json"
    content = json.loads(path.read_text())
    attributes = content["attributes"] | change
    content["attributes"] = {name: value for name, value in attributes.items() if value is not ...}
    path.write_text(json.dumps(content))
