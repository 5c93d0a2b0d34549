"""Subsets of grains and units of length in exports."""

import meshio
import numpy as np
import pytest
import pyvista
import tifffile
import trimesh
import zarr

from nmcdist.datasets import export_labels
from nmcdist.datasets.export.subsets import only
from nmcdist.datasets.particles import read_particle
from nmcdist.errors import InputError
from nmcdist.products.stores import export_item

VOXEL_NM, ORIGIN = 50.0, (100.0, -50.0, 25.0)
LABELS = np.random.default_rng(3).integers(0, 9, (6, 5, 7)).astype(np.int32)
TURNS = {label: np.array([1.0, 0.0, 0.0, 0.0]) for label in range(1, 9)}
PER_UNIT = {"nm": 1.0, "um": 1e3, "m": 1e9}
SHORT = {"nm": "nm", "um": "µm", "m": "m"}
LONG = {"nm": "nanometer", "um": "micrometer", "m": "meter"}


@pytest.mark.parametrize(
    ("grains", "kept"), [("3", [3]), ("1, 5-7", [1, 5, 6, 7]), ("7-99", [7, 8]), ([2, 4], [2, 4]), (np.array([8]), [8])]
)
def test_only_the_named_labels_stay(grains, kept):
    assert (only(LABELS, grains) == np.where(np.isin(LABELS, kept), LABELS, 0)).all()


@pytest.mark.parametrize(
    ("grains", "message"),
    [
        ("0-3", "grains: found '0-3', expected labels from 1 such as 1,5,20-40"),
        ("5-3", "grains: found '5-3', expected labels"),
        ("1,,3", "grains: found '', expected labels"),
        ("a", "grains: found 'a', expected labels"),
        ([], r"grains: found \[\], expected labels"),
        ([1, 0], "grains: found 0, expected labels"),
        ([2.5], "grains: found 2.5, expected labels"),
        (7, "grains: found 7, expected labels"),
        ("3,9", "grains: found 9, which no voxel has, expected labels of the item, 1 to 8"),
        ("20-40", "grains: found 20-40, which no voxel has"),
    ],
)
def test_what_names_no_grain_is_refused_and_leaves_nothing(tmp_path, grains, message):
    with pytest.raises(InputError, match=message):
        export_labels(LABELS, VOXEL_NM, ORIGIN, "npy", tmp_path / "a.npy", grains=grains)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", ["npy", "vtp", "vtu", "stl-grains"])
def test_labels_surfaces_and_meshes_take_a_subset(tmp_path, file_format):
    path = export_labels(LABELS, VOXEL_NM, ORIGIN, file_format, tmp_path / f"a.{file_format}", grains="2,5-6")
    if file_format == "npy":
        found = np.unique(np.load(path))
    elif file_format == "stl-grains":
        found = [0, *sorted(int(file.stem[-5:]) for file in path.iterdir())]
    else:
        cells = pyvista.read(path).cell_data
        found = np.unique([0, *cells["grain" if file_format == "vtu" else "BoundaryLabels"].ravel()])
    assert list(found) == [0, 2, 5, 6]


def test_a_radius_keeps_the_grains_with_their_centre_in_it(made_particles, tmp_path):
    store = made_particles / "small.zarr"
    particle = read_particle(store, 0)
    distances = np.linalg.norm(particle.centroids_nm, axis=1)
    radius = float(np.nanmedian(distances))
    labels = particle.voxelize(300.0)
    near = np.flatnonzero(distances < radius) + 1
    found = np.load(export_item(store, 0, "npy", tmp_path / "a.npy", voxel_size_nm=300.0, radius_below_nm=radius))
    assert (found == np.where(np.isin(labels, near), labels, 0)).all()
    assert 0 < np.count_nonzero(found) < np.count_nonzero(labels)
    one = int(found.max())
    both = {"radius_below_nm": radius, "grains": [one]}
    found = np.load(export_item(store, 0, "npy", tmp_path / "b.npy", voxel_size_nm=300.0, **both))
    assert (found == np.where(labels == one, one, 0)).all()


def test_volumes_have_no_radius(made_once, tmp_path):
    with pytest.raises(InputError, match=r"radius_below_nm: found 5.0, but .* holds volumes, not particles"):
        export_item(made_once / "tiny.zarr", 0, "npy", tmp_path / "a", radius_below_nm=5.0)


@pytest.mark.parametrize("unit", PER_UNIT)
def test_images_are_in_the_unit_and_name_it(tmp_path, unit):
    size, origin = VOXEL_NM / PER_UNIT[unit], np.array(ORIGIN) / PER_UNIT[unit]
    path = export_labels(LABELS, VOXEL_NM, ORIGIN, "tiff", tmp_path / "a.tif", unit=unit)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.imagej_metadata["spacing"] == pytest.approx(size)
        assert tiff.imagej_metadata["unit"] == unit
        numerator, denominator = tiff.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1 / size, rel=1e-6)
    path = export_labels(LABELS * 10_000, VOXEL_NM, ORIGIN, "tiff", tmp_path / "b.tif", unit=unit)
    with tifffile.TiffFile(path) as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        assert pixels["PhysicalSizeZ"] == pytest.approx(size)
        assert pixels["PhysicalSizeZUnit"] == SHORT[unit]
    path = export_labels(LABELS, VOXEL_NM, ORIGIN, "vtk", tmp_path / "a.vtk", unit=unit)
    image = pyvista.read(path)
    assert image.spacing == pytest.approx([size] * 3)
    assert image.origin == pytest.approx(origin[::-1])
    assert f"lengths in {unit}\n".encode() in path.read_bytes()
    path = export_labels(LABELS, VOXEL_NM, ORIGIN, "ome-zarr", tmp_path / "a.zarr", unit=unit)
    (scales,) = zarr.open_group(path, mode="r").attrs["ome"]["multiscales"]
    assert {axis["unit"] for axis in scales["axes"]} == {LONG[unit]}
    scale, translation = scales["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == pytest.approx([size] * 3)
    assert translation["translation"] == pytest.approx(origin)


@pytest.mark.parametrize("file_format", ["stl", "ply", "vtp", "msh", "inp", "bdf", "vtu", "xdmf"])
def test_meshes_are_in_the_unit_and_name_it_where_they_can(tmp_path, file_format):
    points = {}
    for unit in PER_UNIT:
        path = export_labels(LABELS, VOXEL_NM, ORIGIN, file_format, tmp_path / f"{unit}.{file_format}", unit=unit)
        if file_format in ("stl", "ply"):
            points[unit] = np.asarray(trimesh.load(path, process=False).vertices)
        elif file_format == "vtp":
            points[unit] = pyvista.read(path).points
        else:
            points[unit] = meshio.read(path).points
        named = {"stl": f"{unit}; ", "msh": "", "vtu": "", "xdmf": ""}.get(file_format, f"lengths in {unit}")
        assert named.encode() in path.read_bytes()[:400]
    for unit, scale in PER_UNIT.items():
        np.testing.assert_allclose(points[unit] * scale, points["nm"], rtol=2e-6, atol=1e-4)


@pytest.mark.parametrize(
    ("file_format", "options", "message"),
    [
        ("vtk", {"unit": "inch"}, "unit: found 'inch', expected one of nm, um, m"),
        ("npy", {"unit": "um"}, "unit: found 'um' with format npy, expected with one of tiff, vtk"),
        (
            "vtu",
            {"interface_pairs": True},
            "interface_pairs: found True with format vtu, expected with one of msh, inp$",
        ),
    ],
)
def test_options_that_a_format_does_not_take_are_refused(tmp_path, file_format, options, message):
    with pytest.raises(InputError, match=message):
        export_labels(LABELS, VOXEL_NM, ORIGIN, file_format, tmp_path / "a", **options)
    assert list(tmp_path.iterdir()) == []
