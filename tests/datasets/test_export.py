"""Exports: other programs read back the labels, where they lie and how large a voxel is."""

import numpy as np
import pytest
import pyvista
import tifffile

from nmcdist.datasets import export_volume
from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError, StoreError
from tests.conftest import flip_a_byte


def test_npy_is_the_array(store, tmp_path):
    path = export_volume(store, 2, "npy", tmp_path / "a.npy")
    assert (np.load(path) == read_block(store, 2)).all()


def test_tiff_has_the_labels_and_the_voxel_size(store, tmp_path):
    path = export_volume(store, 1, "tiff", tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tiff:
        assert (tiff.asarray() == read_block(store, 1)).all()
        assert tiff.imagej_metadata["spacing"] == pytest.approx(0.08)  # um, as ImageJ has it
        numerator, denominator = tiff.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1 / 0.08, rel=1e-6)


def test_vtk_has_the_labels_at_the_voxel_centres_in_nm(store, tmp_path):
    image = pyvista.read(export_volume(store, 3, "vtk", tmp_path / "a.vtk"))
    assert image.dimensions == (28, 20, 24)
    assert image.spacing == (80.0, 80.0, 80.0)
    assert image.origin == (40.0, 40.0, 40.0)
    labels = image.point_data["label"].reshape(image.dimensions, order="F")
    assert (labels.transpose(2, 1, 0) == read_block(store, 3)).all()


def test_the_default_name_tells_the_dataset_and_the_item(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_volume(store, 1, "tiff").name == "tiny-00001.tif"


def test_a_file_that_is_there_is_kept_unless_it_may_go(store, tmp_path):
    path = tmp_path / "a.npy"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        export_volume(store, 0, "npy", path)
    assert path.read_text() == "mine"
    export_volume(store, 0, "npy", path, overwrite=True)
    assert np.load(path).shape == (24, 20, 28)


def test_a_damaged_volume_leaves_no_file(store, tmp_path):
    flip_a_byte(store / "volume/c/0/0/0/0")
    with pytest.raises(StoreError, match="item 0 is damaged"):
        export_volume(store, 0, "vtk", tmp_path / "a.vtk")
    assert list(tmp_path.glob("a*")) == []


def test_an_unknown_format_is_named_with_those_there_are(store):
    with pytest.raises(InputError, match="found 'gif', expected one of tiff, vtk, npy"):
        export_volume(store, 0, "gif")
