"""Files of label volumes: other programs read the labels, where they lie and how large a voxel is."""

import importlib
import json
import os

import numpy as np
import pytest
import pyvista
import tifffile
import zarr
from ome_zarr_models.v05 import Image

from nmcdist.datasets import export_labels
from nmcdist.errors import InputError, StoreError

LABELS = np.random.default_rng(8).integers(0, 900, (70, 20, 131)).astype(np.int32)
ORIGIN = (-1000.0, 250.0, 3000.0)


def test_npy_is_the_array(tmp_path):
    assert (np.load(export_labels(LABELS, 50.0, ORIGIN, "npy", tmp_path / "a.npy")) == LABELS).all()


def test_tiff_has_more_than_255_labels_and_the_voxel_size(tmp_path):
    with tifffile.TiffFile(export_labels(LABELS, 50.0, ORIGIN, "tiff", tmp_path / "a.tif")) as tiff:
        assert (tiff.asarray() == LABELS).all()
        assert tiff.imagej_metadata["spacing"] == pytest.approx(0.05)  # um, as ImageJ has it
        assert tiff.imagej_metadata["first_voxel_centre_zyx_nm"] == "-1000.0 250.0 3000.0"
        numerator, denominator = tiff.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1 / 0.05, rel=1e-6)


def test_tiff_of_labels_that_imagej_has_no_integers_for_is_ome(tmp_path):
    labels = LABELS * 1000
    with tifffile.TiffFile(export_labels(labels, 50.0, ORIGIN, "tiff", tmp_path / "a.tif", title="p 3")) as tiff:
        assert tiff.is_ome
        assert tiff.asarray().dtype == np.int32
        assert (tiff.asarray() == labels).all()
        for axis in "XYZ":
            assert f'PhysicalSize{axis}="0.05" PhysicalSize{axis}Unit="µm"' in tiff.ome_metadata


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_vtk_has_the_labels_at_the_voxel_centres_in_nm(tmp_path, dtype):
    labels = LABELS.astype(dtype)
    image = pyvista.read(export_labels(labels, 50.0, ORIGIN, "vtk", tmp_path / "a.vtk"))
    assert image.dimensions == (131, 20, 70)
    assert image.spacing == (50.0, 50.0, 50.0)
    assert image.origin == ORIGIN[::-1]
    assert (image.point_data["label"].reshape(LABELS.shape) == labels).all()


def test_ome_zarr_is_valid_and_has_units_places_and_the_labels(tmp_path):
    path = export_labels(LABELS, 50.0, ORIGIN, "ome-zarr", tmp_path / "a.ome.zarr", title="particle 3")
    group = zarr.open_group(path, mode="r", zarr_format=3)
    image = Image.from_zarr(group)  # checks the metadata and the arrays against the specification
    (multiscale,) = image.ome_attributes.multiscales
    assert image.ome_attributes.version == "0.5"
    assert multiscale.name == "particle 3"
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        (name, "space", "nanometer") for name in "zyx"
    ]
    assert [level.path for level in multiscale.datasets] == ["0", "1", "2"]
    assert (group["0"][...] == LABELS).all()
    assert [group[level].shape for level in "012"] == [(70, 20, 131), (35, 10, 66), (18, 5, 33)]
    for level, dataset in enumerate(multiscale.datasets):
        scale, translation = dataset.coordinateTransformations
        assert scale.scale == [50.0 * 2**level] * 3
        # The outer corner of the first voxel is that of the whole volume on each level.
        corner = np.array(translation.translation) - 25.0 * 2**level
        assert corner.tolist() == [start - 25.0 for start in ORIGIN]
    raw = json.loads((path / "0/zarr.json").read_text())
    assert (raw["zarr_format"], raw["dimension_names"], raw["data_type"]) == (3, ["z", "y", "x"], "int32")


@pytest.mark.parametrize("file_format", ["tiff", "vtk", "npy", "ome-zarr"])
def test_what_is_there_is_kept_unless_it_may_go(tmp_path, file_format):
    target = tmp_path / "a"
    export_labels(LABELS, 50.0, ORIGIN, file_format, target)
    with pytest.raises(InputError, match="already exists"):
        export_labels(LABELS, 50.0, ORIGIN, file_format, target)
    export_labels(LABELS[:4], 50.0, ORIGIN, file_format, target, overwrite=True)
    assert list(tmp_path.iterdir()) == [target]
    if file_format == "ome-zarr":
        assert zarr.open_group(target, mode="r")["0"].shape == (4, 20, 131)


def test_a_folder_of_other_files_is_never_replaced(tmp_path):
    target = tmp_path / "papers"
    target.mkdir()
    (target / "thesis.tex").write_text("mine")
    for file_format in ("ome-zarr", "stl-grains"):
        with pytest.raises(InputError, match="holds other files"):
            export_labels(LABELS, 50.0, ORIGIN, file_format, target, overwrite=True)
    with pytest.raises(InputError, match="is a folder"):
        export_labels(LABELS, 50.0, ORIGIN, "npy", target, overwrite=True)
    assert (target / "thesis.tex").read_text() == "mine"


@pytest.fixture
def read_only(tmp_path):
    """Give a folder that may not be written to; root may write anywhere, so root steps down."""
    importlib.import_module("nmcdist.geometry.elements")  # kernels look for a cache to write on import
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("file_format", ["npy", "ome-zarr", "stl", "stl-grains", "msh"])
def test_a_read_only_place_is_named_before_any_work(read_only, file_format):
    def labels():
        raise AssertionError("computed")

    with pytest.raises(StoreError, match="cannot be written: Permission denied"):
        export_labels(labels, 50.0, ORIGIN, file_format, read_only / "a")


@pytest.mark.parametrize("file_format", ["npy", "ome-zarr", "stl-grains"])
def test_a_failure_on_the_way_leaves_nothing_and_keeps_what_was_there(tmp_path, file_format):
    def fails():
        raise KeyboardInterrupt

    target = tmp_path / "a"
    with pytest.raises(KeyboardInterrupt):
        export_labels(fails, 50.0, ORIGIN, file_format, target)
    assert list(tmp_path.iterdir()) == []
    few = np.array([[[0, 3, 3, 0]]], np.int32)
    export_labels(few, 50.0, ORIGIN, file_format, target)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        export_labels(fails, 50.0, ORIGIN, file_format, target, overwrite=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"file_format": "gif"},
            "format: found 'gif', expected one of tiff, vtk, npy, ome-zarr, damask, tesr, network, stl",
        ),
        ({"file_format": "csv"}, "format: found 'csv', which only particles of a store have, expected one of"),
        ({"voxel_size_nm": 0.0}, "voxel_size_nm: found 0.0"),
        ({"origin_nm": (0.0, 1.0)}, "origin_nm: found"),
        ({"labels": LABELS[0]}, "labels: found shape"),
        ({"labels": LABELS.astype(float)}, "of float64, expected three axes of int32 or uint8"),
        ({"labels": -LABELS}, "labels: found -899 to 0, expected 0 to 16777215"),
        ({"labels": np.zeros_like(LABELS), "file_format": "stl"}, "labels: found only 0"),
        ({"labels": np.zeros_like(LABELS), "file_format": "msh", "elements": 100}, "labels: found only 0"),
        ({"label": 3}, "label: found 3 with format npy, expected with one of stl, ply$"),
        (
            {"smoothing": 3},
            "smoothing: found 3 with format npy, expected with one of stl, ply, stl-grains",
        ),
        (
            {"elements": "tetrahedra"},
            "elements: found 'tetrahedra' with format npy, expected with one of msh,",
        ),
        ({"file_format": "msh", "elements": "bricks"}, "elements: found 'bricks'"),
        ({"file_format": "msh", "smoothing": 3}, "smoothing: found with hexahedra"),
        ({"file_format": "stl", "smoothing": -3}, "smoothing: found -3"),
        ({"file_format": "stl", "label": 0}, "label: found 0"),
        ({"file_format": "stl", "label": 5000}, "label: found 5000, which no voxel has"),
    ],
)
def test_impossible_input_is_named_and_leaves_nothing(tmp_path, change, message):
    arguments = {"labels": LABELS, "voxel_size_nm": 50.0, "origin_nm": ORIGIN, "file_format": "npy"}
    with pytest.raises(InputError, match=message):
        export_labels(**{**arguments, **change}, target=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(tmp_path):
    """A link to nothing is refused; one to an earlier export is replaced, and what it points to stays."""
    (tmp_path / "dangling").symlink_to("nowhere")
    for file_format in ("npy", "stl-grains"):
        with pytest.raises(InputError, match="dangling: is a link to nothing, expected a new name"):
            export_labels(LABELS, 50.0, ORIGIN, file_format, tmp_path / "dangling")
    few = np.array([[[0, 3, 3, 0]]], np.int32)
    export_labels(few, 50.0, ORIGIN, "stl-grains", tmp_path / "a")
    (tmp_path / "link").symlink_to("a")
    export_labels(2 * few, 50.0, ORIGIN, "stl-grains", tmp_path / "link", overwrite=True)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["grain-00003.stl"]
    assert [path.name for path in (tmp_path / "link").iterdir()] == ["grain-00006.stl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "dangling", "link"]


@pytest.mark.parametrize("file_format", ["npy", "stl-grains"])
def test_a_file_where_a_folder_must_be_is_named(tmp_path, file_format):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(StoreError, match=r"notes/a: cannot be written: .*notes is a file, expected a folder"):
        export_labels(LABELS, 50.0, ORIGIN, file_format, tmp_path / "notes/a")


def test_labels_that_tables_cannot_have_are_refused(tmp_path):
    for value in (-1, 2**24, 2**31 - 1):
        with pytest.raises(InputError, match=rf"labels: found .*{value}.*, expected 0 to 16777215"):
            export_labels(np.full((2, 2, 2), value, np.int32), 50.0, ORIGIN, "tesr", tmp_path / "a")
    path = export_labels(np.full((2, 2, 2), 2**24 - 1, np.int32), 50.0, ORIGIN, "npy", tmp_path / "a")
    assert (np.load(path) == 2**24 - 1).all()
