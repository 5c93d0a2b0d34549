"""Files of meshes: meshio, trimesh, pyvista and Gmsh open them and find closed grains of the right volume."""

import re
import sys

import gmsh
import meshio
import numpy as np
import pytest
import pyvista
import trimesh
from scipy.spatial import cKDTree

from nmcdist.datasets import export_labels
from nmcdist.errors import MissingPackageError
from nmcdist.geometry.surfaces import label_surface
from tests.geometry.test_surfaces import BOXES, GRAINS

VOXEL_NM = 50.0
ORIGIN = (1000.0, -500.0, 200.0)
VOXELS = np.bincount(GRAINS.ravel())
LABELS = np.flatnonzero(VOXELS)[1:].tolist()
# Better angles cost grains of a few voxels some of their volume; files are compared without.
AS_SMOOTHED: dict[str, dict[str, float]] = {"hexahedra": {}, "tetrahedra": {"min_angle": 0}}


def export(file_format, tmp_path, labels=GRAINS, **options):
    name = f"a.{file_format}" if "-" not in file_format else "a"
    return export_labels(labels, VOXEL_NM, ORIGIN, file_format, tmp_path / name, title="particle 3", **options)


def box_of(labels):
    """Return the lowest and highest x, y, z that the voxels reach."""
    index = np.argwhere(labels)
    low, high = ORIGIN + (index.min(axis=0) - 0.5) * VOXEL_NM, ORIGIN + (index.max(axis=0) + 0.5) * VOXEL_NM
    return low[::-1], high[::-1]


@pytest.mark.parametrize("file_format", ["stl", "ply"])
@pytest.mark.parametrize("label", [None, LABELS[100]])
def test_trimesh_finds_one_watertight_surface(tmp_path, file_format, label):
    mesh = trimesh.load(export(file_format, tmp_path, label=label))
    mask = GRAINS > 0 if label is None else label == GRAINS
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(mask.sum() * VOXEL_NM**3, rel=0.01)
    low, high = box_of(mask)
    assert np.abs(mesh.bounds - [low, high]).max() < VOXEL_NM / 2


@pytest.mark.parametrize("file_format", ["stl", "ply"])
def test_meshio_and_pyvista_open_it(tmp_path, file_format):
    path = export(file_format, tmp_path)
    theirs = pyvista.read(path)
    assert theirs.is_manifold
    assert theirs.volume == pytest.approx((GRAINS > 0).sum() * VOXEL_NM**3, rel=0.01)
    assert len(meshio.read(path).cells_dict["triangle"]) == theirs.n_cells


def test_stl_has_unit_normals_that_point_out(tmp_path):
    path = export("stl", tmp_path, BOXES)
    facets = np.fromfile(path, np.dtype([("v", "<f4", (4, 3)), ("a", "<u2")]), offset=84)["v"]
    normal, a, b, c = facets.transpose(1, 0, 2)
    cross = np.cross(b - a, c - a)
    assert normal == pytest.approx(cross / np.linalg.norm(cross, axis=1, keepdims=True), abs=1e-4)
    assert not path.read_bytes().startswith(b"solid")


def test_a_folder_has_one_watertight_stl_a_grain(tmp_path):
    folder = export("stl-grains", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [f"grain-{label:05d}.stl" for label in LABELS]
    total = 0.0
    for label in LABELS:
        mesh = trimesh.load(folder / f"grain-{label:05d}.stl")
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume == pytest.approx(VOXELS[label] * VOXEL_NM**3, rel=0.01)
        total += mesh.volume
    assert total == pytest.approx(VOXELS[1:].sum() * VOXEL_NM**3, rel=0.01)


def test_vtp_has_all_interfaces_with_both_labels(tmp_path):
    mesh = pyvista.read(export("vtp", tmp_path))
    ours = label_surface(GRAINS, VOXEL_NM, ORIGIN)
    assert (mesh.cell_data["BoundaryLabels"] == ours.labels).all()
    assert mesh.points == pytest.approx(ours.points[:, ::-1], abs=1e-2)
    assert_grains_close(mesh.points.astype(float), mesh.regular_faces, mesh.cell_data["BoundaryLabels"])


def test_ply_has_all_interfaces_with_both_labels(tmp_path):
    path = export("ply-grains", tmp_path)
    path = path.rename(path.with_suffix(".ply"))
    mesh = trimesh.load(path, process=False)
    faces = mesh.metadata["_ply_raw"]["face"]["data"]
    assert_grains_close(mesh.vertices, mesh.faces, np.stack([faces["label"], faces["neighbour"]], axis=1))
    assert pyvista.read(path).n_cells == len(mesh.faces)


def assert_grains_close(points, triangles, labels):
    assert set(labels.ravel().tolist()) == {0, *LABELS}
    for label in LABELS[::20]:
        faces = np.concatenate([triangles[labels[:, 0] == label], triangles[labels[:, 1] == label][:, ::-1]])
        mesh = trimesh.Trimesh(points, faces, process=False)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume == pytest.approx(VOXELS[label] * VOXEL_NM**3, rel=0.01)


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
def test_gmsh_opens_the_groups_and_finds_the_volume_of_each(tmp_path, opened, elements):
    opened(export("msh", tmp_path, elements=elements, **AS_SMOOTHED[elements]))
    groups = {gmsh.model.getPhysicalName(*group): group for group in gmsh.model.getPhysicalGroups()}
    assert set(groups) == {"OUTER", "INTERFACES", *(f"GRAIN_{label:05d}" for label in LABELS)}
    all_nodes, places, _ = gmsh.model.mesh.getNodes()
    low, high = box_of(GRAINS)
    assert np.abs(places.reshape(-1, 3).min(axis=0) - low).max() < VOXEL_NM / 2
    assert np.abs(places.reshape(-1, 3).max(axis=0) - high).max() < VOXEL_NM / 2
    assert len(all_nodes) == len(set(all_nodes.tolist()))
    for label in LABELS:
        assert groups[f"GRAIN_{label:05d}"] == (3, label)
        assert gmsh.model.getEntitiesForPhysicalGroup(3, label).tolist() == [label]
        (kind,), (tags,), _ = gmsh.model.mesh.getElements(3, label)
        assert kind == (5 if elements == "hexahedra" else 4)
        volumes = gmsh.model.mesh.getElementQualities(tags, "volume")
        assert volumes.min() > 0
        assert gmsh.model.mesh.getElementQualities(tags, "minDetJac").min() > 0
        assert volumes.sum() == pytest.approx(VOXELS[label] * VOXEL_NM**3, rel=0.01)


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
def test_gmsh_finds_the_outer_faces_and_the_interfaces_closed(tmp_path, opened, elements):
    opened(export("msh", tmp_path, elements=elements, **AS_SMOOTHED[elements]))
    padded = np.pad(GRAINS, 1)
    outer = between = 0
    for axis in range(3):
        a, b = np.take(padded, range(41), axis), np.take(padded, range(1, 42), axis)
        outer += int(((a == 0) != (b == 0)).sum())
        between += int(((a != b) & (a > 0) & (b > 0)).sum())
    for tag, faces in ((1, outer), (2, between)):
        (_,), (tags,), _ = gmsh.model.mesh.getElements(2, tag)
        assert len(tags) == faces * (1 if elements == "hexahedra" else 2)


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
@pytest.mark.parametrize("file_format", ["msh", "vtu"])
def test_meshio_and_pyvista_open_the_volume_mesh(tmp_path, file_format, elements):
    path = export(file_format, tmp_path, elements=elements, **AS_SMOOTHED[elements])
    mesh = pyvista.from_meshio(meshio.read(path)) if file_format == "msh" else pyvista.read(path)
    name = "gmsh:physical" if file_format == "msh" else "grain"
    solid = mesh.extract_cells(np.isin(mesh.celltypes, [10, 12]))
    volumes = solid.compute_cell_sizes(length=False, area=False).cell_data["Volume"]
    assert volumes.min() > 0
    filled = np.bincount(solid.cell_data[name], weights=volumes)
    assert filled[LABELS] == pytest.approx(VOXELS[LABELS] * VOXEL_NM**3, rel=0.01)
    if file_format == "vtu":
        kind = "hexahedron" if elements == "hexahedra" else "tetra"
        assert len(meshio.read(path).cells_dict[kind]) == mesh.n_cells


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
def test_abaqus_input_has_complete_sets_and_a_surface(tmp_path, elements):
    path = export("inp", tmp_path, elements=elements)
    blocks = keywords(path.read_text())
    read = meshio.read(path, file_format="abaqus")
    kind, size, per_voxel = ("hexahedron", 8, 1) if elements == "hexahedra" else ("tetra", 4, 6)
    assert list(read.cells_dict) == [kind]
    ids = np.array([row[0] for row in blocks["*ELEMENT", ""]])
    assert (ids == np.arange(1, per_voxel * VOXELS[1:].sum() + 1)).all()
    covered = []
    for label in LABELS:
        ((first, last, step),) = blocks["*ELSET", f"GRAIN_{label:05d}"]
        assert step == 1
        assert last - first + 1 == per_voxel * VOXELS[label]
        covered += range(first, last + 1)
    assert covered == ids.tolist()
    mesh = meshio.read(export("msh", tmp_path, elements=elements))
    faces = mesh.cells_dict["quad" if size == 8 else "triangle"]
    group = mesh.cell_data_dict["gmsh:physical"]["quad" if size == 8 else "triangle"]
    for name, tag in (("OUTER", 1), ("INTERFACES", 2)):
        members = [node for row in blocks["*NSET", name] for node in row]
        assert max(len(row) for row in blocks["*NSET", name]) <= 16
        assert_same_places(read.points[np.array(members) - 1], mesh.points[np.unique(faces[group == tag])])
    # The faces that the surface names, by Abaqus' numbering, are the outer ones.
    sides = {4: ("123", "142", "243", "341"), 8: ("1234", "5876", "1562", "2673", "3784", "4851")}[size]
    found = []
    for name, side in surface_rows(path.read_text()):
        corners = [int(digit) - 1 for digit in sides[int(side[1]) - 1]]
        members = [element for row in blocks["*ELSET", name] for element in row]
        found += [tuple(sorted(row)) for row in read.cells_dict[kind][np.array(members) - 1][:, corners].tolist()]
    assert len(found) == len(set(found)) == (group == 1).sum()
    centres = np.array([read.points[list(face)].mean(axis=0) for face in found])
    assert_same_places(centres, mesh.points[faces[group == 1]].mean(axis=1))


def assert_same_places(ours, theirs):
    distances, rows = cKDTree(theirs).query(ours)
    assert distances.max() < 1e-3
    assert len(ours) == len(theirs) == len(set(rows.tolist()))


def keywords(text):
    """Return the rows of whole numbers under each keyword and name."""
    blocks = {}
    for block in text.split("\n*"):
        head, *rows = block.split("\n")
        word, *rest = head.split(", ")
        names = [part.split("=")[1] for part in rest if part.startswith(("ELSET=", "NSET="))]
        if word in ("ELEMENT", "ELSET", "NSET"):
            lines = [[int(entry) for entry in row.split(",")] for row in rows if row]
            blocks[f"*{word}", names[0] if names else ""] = lines
    return blocks


def surface_rows(text):
    _, rows = text.split("*SURFACE, NAME=OUTER, TYPE=ELEMENT\n")
    return [row.split(", ") for row in rows.split("\n") if row]


def test_a_single_grain_has_no_interfaces(tmp_path, opened):
    one = (BOXES == 4).astype(np.int32)
    opened(export("msh", tmp_path, one))
    assert gmsh.model.getPhysicalGroups() == [(2, 1), (3, 1)]
    assert "INTERFACES" not in export("inp", tmp_path, one).read_text()


def test_a_missing_meshio_is_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "meshio", None)
    with pytest.raises(MissingPackageError, match=r"format vtu needs meshio: pip install 'nmcdist\[export\]'"):
        export("vtu", tmp_path)
    assert list(tmp_path.iterdir()) == []


PAIRED = np.random.default_rng(6).integers(0, 4, (5, 4, 6)).astype(np.int32) * 100  # labels 100, 200, 300


def faces_by_pair(labels):
    """Count the voxel faces between each two labels, by brute force."""
    counts = {}
    for axis in range(3):
        ahead = np.moveaxis(labels, axis, 0)
        for a, b in zip(ahead[:-1].ravel().tolist(), ahead[1:].ravel().tolist(), strict=True):
            if a != b and a and b:
                counts[min(a, b), max(a, b)] = counts.get((min(a, b), max(a, b)), 0) + 1
    return counts


@pytest.mark.parametrize(("elements", "per_face"), [("hexahedra", 1), ("tetrahedra", 2)])
def test_gmsh_finds_a_surface_for_each_pair(tmp_path, opened, elements, per_face):
    path = export("msh", tmp_path, PAIRED, elements=elements, interface_pairs=True)
    opened(path)
    groups = {gmsh.model.getPhysicalName(*group): group for group in gmsh.model.getPhysicalGroups()}
    found = {}
    for (first, second), count in faces_by_pair(PAIRED).items():
        (surface,) = gmsh.model.getEntitiesForPhysicalGroup(*groups.pop(f"INTERFACE_{first:05d}_{second:05d}"))
        _, (tags,), _ = gmsh.model.mesh.getElements(2, surface)
        assert len(tags) == per_face * count
        found[surface] = len(tags)
    assert set(groups) == {"OUTER", "INTERFACES", "GRAIN_00100", "GRAIN_00200", "GRAIN_00300"}
    assert set(gmsh.model.getEntitiesForPhysicalGroup(*groups["INTERFACES"]).tolist()) == set(found)
    mesh = meshio.read(path)
    kind = "quad" if elements == "hexahedra" else "triangle"
    assert (mesh.cell_data_dict["gmsh:physical"][kind] == 2).sum() == sum(found.values())


@pytest.mark.parametrize(("elements", "per_face"), [("hexahedra", 1), ("tetrahedra", 2)])
def test_abaqus_input_has_nodes_and_faces_for_each_pair(tmp_path, elements, per_face):
    path = export("inp", tmp_path, PAIRED, elements=elements, interface_pairs=True)
    text = path.read_text()
    cells = next(iter(meshio.read(path, file_format="abaqus").cells_dict.values()))
    sets = keywords(text)
    sides = {4: ("123", "142", "243", "341"), 8: ("1234", "5876", "1562", "2673", "3784", "4851")}[cells.shape[1]]
    pairs = faces_by_pair(PAIRED)
    assert text.count("*SURFACE, NAME=INTERFACE_") == len(pairs)
    for (first, second), count in pairs.items():
        name = f"INTERFACE_{first:05d}_{second:05d}"
        _, rest = text.split(f"*SURFACE, NAME={name}, TYPE=ELEMENT\n")
        rows = [row.split(", S") for row in rest.split("\n*")[0].splitlines()]
        corners = [cells[int(cell) - 1][[int(digit) - 1 for digit in sides[int(side) - 1]]] for cell, side in rows]
        assert len({tuple(sorted(face.tolist())) for face in corners}) == per_face * count
        nodes = {node for row in sets["*NSET", name] for node in row}
        assert nodes == set((np.concatenate(corners) + 1).tolist())
        ((low, high, _),) = sets["*ELSET", f"GRAIN_{first:05d}"]
        assert all(low <= int(cell) <= high for cell, _ in rows)


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
@pytest.mark.parametrize("file_format", ["bdf", "xdmf"])
def test_meshio_reads_nastran_and_xdmf_back(tmp_path, file_format, elements):
    options = {"elements": elements, **AS_SMOOTHED[elements]}
    mesh = meshio.read(export(file_format, tmp_path, PAIRED, **options))
    ours = meshio.read(export("vtu", tmp_path, PAIRED, **options))
    kind = "hexahedron" if elements == "hexahedra" else "tetra"
    assert (mesh.cells_dict[kind] == ours.cells_dict[kind]).all()
    np.testing.assert_allclose(mesh.points, ours.points, rtol=1e-9, atol=1e-6)
    name = "nastran:ref" if file_format == "bdf" else "grain"
    assert (mesh.cell_data[name][0] == ours.cell_data["grain"][0]).all()


def test_names_of_sets_are_short_and_legal(tmp_path):
    labels = np.array([[[1, 2]]], np.uint8)
    names = {1: "a" * 64, 2: "b" * 64}
    turns = {label: np.array([1.0, 0.0, 0.0, 0.0]) for label in names}
    path = export("inp", tmp_path, labels, names=names, orientations=turns, interface_pairs=True)
    text = path.read_text()
    found = re.findall(r"(?:ELSET|NSET|NAME|ORIENTATION)=([^,\n]+)", text)
    assert "INTERFACE_00001_00002" in found
    assert all(re.fullmatch("[A-Z][A-Z0-9_]{0,79}", name) for name in found)


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
def test_gmsh_reads_a_volume_for_each_property_of_nastran(tmp_path, elements):
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        gmsh.open(str(export("bdf", tmp_path, BOXES, elements=elements)))
        found = {tag: len(gmsh.model.mesh.getElements(3, tag)[1][0]) for _, tag in gmsh.model.getEntities(3)}
    finally:
        gmsh.finalize()
    voxels = np.bincount(BOXES.ravel())
    each = 1 if elements == "hexahedra" else 6
    assert found == {label: each * voxels[label] for label in np.flatnonzero(voxels)[1:].tolist()}
