"""Voxels with three edges: every format has them, and meshes and surfaces fill what the voxels do."""

import damask
import meshio
import numpy as np
import pytest
import pyvista
import tifffile
import trimesh
import zarr
from ome_zarr_models.v05 import Image

from nmcdist.datasets import export_labels
from nmcdist.errors import InputError
from nmcdist.images import open_labels

EDGES = (20.0, 10.0, 16.0)  # z, y, x in nm
ORIGIN = (-40.0, 5.0, 8.0)
RADIUS = 150.0


def two_halves() -> np.ndarray:
    """Halves of a ball of 150 nm, cut across x."""
    z, y, x = (edge * (np.arange(int(2 * RADIUS / edge) + 4) + 0.5) for edge in EDGES)
    z, y, x = (values - values.mean() for values in (z, y, x))
    inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < RADIUS**2
    return np.where(inside, np.where(x < 0, 1, 2), 0).astype(np.int32)


LABELS = two_halves()


def exported(tmp_path, file_format, name, **options):
    return export_labels(LABELS, EDGES, ORIGIN, file_format, tmp_path / name, **options)


def volumes(mesh: meshio.Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Return the volume and the smallest dihedral angle of each tetrahedron."""
    p = mesh.points[mesh.cells_dict["tetra"]]
    six = np.einsum("ij,ij->i", p[:, 1] - p[:, 0], np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 0]))
    faces = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))
    normals = [np.cross(p[:, b] - p[:, a], p[:, c] - p[:, a]) for a, b, c in faces]
    units = [each / np.linalg.norm(each, axis=1)[:, None] for each in normals]
    cosines = [-(units[a] * units[b]).sum(axis=1) for a in range(4) for b in range(a)]
    return six / 6, np.degrees(np.arccos(np.max(cosines, axis=0)))


def test_imagej_has_the_edges_and_our_reader_finds_them_again(tmp_path):
    path = exported(tmp_path, "tiff", "a.tif")
    with tifffile.TiffFile(path) as tiff:
        assert tiff.imagej_metadata["spacing"] == pytest.approx(0.02)
        for axis, edge in (("X", 0.016), ("Y", 0.01)):
            numerator, denominator = tiff.pages[0].tags[f"{axis}Resolution"].value
            assert denominator / numerator == pytest.approx(edge, rel=1e-6)
    opened = open_labels(path)
    assert opened.voxel_size_nm == pytest.approx(EDGES, rel=1e-6)
    assert (opened.read() == LABELS).all()


def test_vtk_and_ome_zarr_have_the_edges(tmp_path):
    grid = pyvista.read(exported(tmp_path, "vtk", "a.vtk"))
    assert (grid.spacing, grid.origin) == (EDGES[::-1], ORIGIN[::-1])
    image = Image.from_zarr(zarr.open_group(exported(tmp_path, "ome-zarr", "a.ome.zarr"), mode="r"))
    scale, translation = image.ome_attributes.multiscales[0].datasets[0].coordinateTransformations
    assert (scale.scale, translation.translation) == (list(EDGES), list(ORIGIN))


def test_damask_and_neper_have_the_edges(tmp_path):
    names = {0: "pore", 1: "one", 2: "two"}
    grid = damask.GeomGrid.load(exported(tmp_path, "damask", "a", names=names, unit="nm") / "grid.vti")
    assert (grid.size / grid.cells).tolist() == pytest.approx(EDGES[::-1])
    assert grid.origin.tolist() == pytest.approx([0.0, 0.0, -50.0])
    assert (grid.material.T == LABELS).all()
    lines = exported(tmp_path, "tesr", "a.tesr").read_text().splitlines()
    general = lines.index(" **general")
    assert lines[general + 3].split() == ["16", "10", "20"]
    assert lines[general + 5].split() == ["0", "0", "-50"]


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra", 9000, 4000])
def test_volume_meshes_fill_the_grains(tmp_path, elements):
    mesh = meshio.read(exported(tmp_path, "vtu", "a.vtu", elements=elements))
    counts = np.bincount(LABELS.ravel())[1:] * np.prod(EDGES)
    if elements == "hexahedra":
        p = mesh.points[mesh.cells_dict["hexahedron"]]
        assert np.ptp(p, axis=1) == pytest.approx(np.tile(EDGES[::-1], (len(p), 1)))
        assert np.bincount(mesh.cell_data["grain"][0])[1:] * np.prod(EDGES) == pytest.approx(counts)
        return
    found, angles = volumes(mesh)
    assert found.min() > 0 and angles.min() > 15 - 1e-3
    assert np.bincount(mesh.cell_data["grain"][0], weights=found)[1:] == pytest.approx(counts, rel=5e-3)
    if elements != "tetrahedra":
        assert elements / 1.3 < len(found) < elements * 1.3


def test_the_surface_is_that_of_the_ball(tmp_path):
    """Smoothing takes the steps of the voxels away: the area is that of the ball, not of its steps (half more)."""
    mesh = trimesh.load(exported(tmp_path, "stl", "a.stl"))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.01)
    assert mesh.area == pytest.approx(4 * np.pi * RADIUS**2, rel=0.03)
    centre = np.array(ORIGIN[::-1]) + (np.array(LABELS.shape[::-1]) - 1) / 2 * EDGES[::-1]
    assert mesh.bounds == pytest.approx(np.stack([centre - RADIUS, centre + RADIUS]), abs=12)


def test_the_mirror_image_follows_the_last_face(tmp_path):
    mesh = meshio.read(exported(tmp_path, "vtu", "a.vtu", mirror="z"))
    counts = 2 * np.bincount(LABELS.ravel())[1:]
    assert np.bincount(mesh.cell_data["grain"][0])[1:].tolist() == counts.tolist()
    plane = ORIGIN[0] + (LABELS.shape[0] - 0.5) * EDGES[0]
    assert mesh.points[:, 2].mean() == pytest.approx(plane)


def test_a_pore_network_wants_cubes(tmp_path):
    with pytest.raises(InputError, match=r"format network: found voxels of 20 x 10 x 16 nm, expected cubes"):
        exported(tmp_path, "network", "a.csv", names={0: "pore", 1: "one", 2: "two"}, unit="nm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(10.0, 20.0), (10.0, 0.0, 10.0), "10"])
def test_other_edges_are_refused(tmp_path, size):
    with pytest.raises(
        InputError, match=r"voxel_size_nm: found .*, expected one positive number of nanometres, or three"
    ):
        export_labels(LABELS, size, ORIGIN, "npy", tmp_path / "a.npy")
