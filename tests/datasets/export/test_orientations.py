"""Crystal orientations in exports: each file gives back the orientations of the store, read by an independent way."""

import csv
import os
import shutil
import subprocess

import gmsh
import meshio
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


def test_nastran_has_a_coordinate_system_of_the_crystal_for_each_grain(store, stored, tmp_path):
    path = export_item(store, 1, "bdf", tmp_path / "a.bdf", voxel_size_nm=VOXEL_SIZE_NM)
    lines = path.read_text().splitlines()
    heads = [k for k, line in enumerate(lines) if line.startswith("CORD2R*")]
    labels = [int(lines[k][8:24]) for k in heads]
    fields = np.array([
        [float(line[at : at + 16]) for line in lines[k : k + 3] for at in range(8, len(line), 16)] for k in heads
    ])  # fmt: skip
    assert (fields[:, 1:5] == 0).all()
    assert_axes(fields[:, 5:8], labels, stored)
    turns = Rotation.from_quat([stored[0][label] for label in labels], scalar_first=True)
    assert np.abs(fields[:, 8:] - turns.apply([1.0, 0.0, 0.0])).max() < 1e-6
    properties = [line.split()[1:] for line in lines if line.startswith("PSOLID")]
    assert properties == [[str(label), "1", str(label)] for label in labels]


@pytest.mark.skipif(
    shutil.which("ccx") is None and "NMCDIST_REQUIRE_CCX" not in os.environ,
    reason="CalculiX is not installed: apt install calculix-ccx",
)
@pytest.mark.parametrize(
    ("elements", "edges"),
    [
        ("hexahedra", VOXEL_NM),
        ("tetrahedra", VOXEL_NM),
        ("hexahedra", (30.0, 20.0, 24.0)),
        ("tetrahedra", (30.0, 20.0, 24.0)),
    ],
)
def test_calculix_finds_the_stress_of_a_uniform_strain_in_each_crystal(tmp_path, elements, edges):
    """A strain that is the same everywhere gives each crystal the stress of its own stiffness, in its own axes."""
    export_labels(
        TWO, edges, (0.0,) * 3, "inp", tmp_path / "mesh.inp",
        elements=elements, orientations=TURNS, interface_pairs=True,
    )  # fmt: skip
    strain = np.array([[2.0, 0.5, -0.3], [0.5, -1.0, 0.7], [-0.3, 0.7, 1.5]]) * 1e-3
    points = meshio.read(tmp_path / "mesh.inp", file_format="abaqus").points
    moves = [
        f"{node}, {axis + 1}, {axis + 1}, {value:.12e}\n"
        for node, row in enumerate((points @ strain).tolist(), start=1)
        for axis, value in enumerate(row)
    ]
    (tmp_path / "deck.inp").write_text(
        "*INCLUDE, INPUT=mesh.inp\n*ELASTIC, TYPE=ENGINEERING CONSTANTS\n"
        "200., 200., 100., 0.2, 0.15, 0.15, 80., 60.,\n60., 293.\n"
        f"*STEP\n*STATIC\n*BOUNDARY\n{''.join(moves)}*EL PRINT, ELSET=GRAIN_00005\nS\n*EL PRINT, ELSET=GRAIN_00009\nS\n"
        "*END STEP\n"
    )
    subprocess.run(["ccx", "deck"], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    compliance = np.diag([1 / 200, 1 / 200, 1 / 100, 1 / 80, 1 / 60, 1 / 60])
    for (i, j), poisson in {(0, 1): 0.2, (0, 2): 0.15, (1, 2): 0.15}.items():
        compliance[i, j] = compliance[j, i] = -poisson / 200
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    _, *blocks = (tmp_path / "deck.dat").read_text().split("for set GRAIN_")
    assert len(blocks) == 2
    for block in blocks:
        label = int(block[:5])
        turn = Rotation.from_quat(TURNS[label], scalar_first=True).as_matrix()
        local = turn.T @ strain @ turn
        shears = [local[pair] * (1 if pair[0] == pair[1] else 2) for pair in pairs]
        lines = [line.split() for line in block.splitlines()[1:]]
        rows = [[float(word) for word in words[2:8]] for words in lines if words and words[0].isdigit()]
        assert rows
        np.testing.assert_allclose(rows, [np.linalg.solve(compliance, shears)] * len(rows), atol=1e-5)


def test_xdmf_has_both_for_each_cell(store, stored, tmp_path):
    path = export_item(store, 1, "xdmf", tmp_path / "a.xdmf", voxel_size_nm=VOXEL_SIZE_NM)
    data = meshio.read(path).cell_data
    labels = data["grain"][0].tolist()
    assert_axes(of_euler(data["euler_deg"][0]), labels, stored)
    turns = np.column_stack([data[f"orientation_{end}"][0] for end in "wxyz"])
    assert_axes(Rotation.from_quat(turns, scalar_first=True).apply([0.0, 0.0, 1.0]), labels, stored)


@pytest.mark.parametrize("pairs", [False, True])
def test_gmsh_shows_the_orientation_of_each_element(store, stored, tmp_path, pairs):
    path = export_item(store, 1, "msh", tmp_path / "a.msh", voxel_size_nm=VOXEL_SIZE_NM, interface_pairs=pairs)
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        gmsh.open(str(path))
        everything = gmsh.model.mesh.getElements()[1]
        labels, views = {}, {}
        for _, label in gmsh.model.getEntities(3):
            _, (tags,), _ = gmsh.model.mesh.getElements(3, label)
            labels |= dict.fromkeys(tags.tolist(), label)
        for number in gmsh.view.getTags():
            kind, tags, values, _, width = gmsh.view.getModelData(number, 0)
            name = gmsh.view.option.getString(number, "Name")
            assert (kind, width) == ("ElementData", 3 if name == "euler_deg" else 1)
            assert sorted(tags) == sorted(np.concatenate(everything))
            views[name] = dict(zip(tags.tolist(), values, strict=True))
    finally:
        gmsh.finalize()
    assert_axes(of_euler([views["euler_deg"][tag] for tag in labels]), labels.values(), stored)
    turns = np.column_stack([[views[f"orientation_{end}"][tag][0] for tag in labels] for end in "wxyz"])
    assert_axes(Rotation.from_quat(turns, scalar_first=True).apply([0.0, 0.0, 1.0]), labels.values(), stored)


def test_meshio_reads_them_from_msh_for_elements_and_their_faces(store, stored, tmp_path):
    path = export_item(store, 1, "msh", tmp_path / "a.msh", voxel_size_nm=VOXEL_SIZE_NM)
    mesh = meshio.read(path)
    cells = mesh.cells_dict["hexahedron"]
    labels = mesh.get_cell_data("gmsh:physical", "hexahedron")
    assert_axes(of_euler(mesh.get_cell_data("euler_deg", "hexahedron")), labels, stored)
    lower = {}  # label of the nodes of each face
    for side in ([0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]):
        for face, label in zip(np.sort(cells[:, side]).tolist(), labels.tolist(), strict=True):
            lower[tuple(face)] = min(label, lower.get(tuple(face), label))
    faces = [lower[tuple(face)] for face in np.sort(mesh.cells_dict["quad"]).tolist()]
    assert_axes(of_euler(mesh.get_cell_data("euler_deg", "quad")), faces, stored)
