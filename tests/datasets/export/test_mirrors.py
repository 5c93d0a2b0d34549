"""Mirror images: the volume is periodic, and meshes match node by node on opposite faces, without gaps."""

import gmsh
import meshio
import numpy as np
import pytest
import tifffile

from nmcdist.datasets import export_labels
from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError
from nmcdist.products.stores import export_item

VOXEL_NM = 50.0
ORIGIN = (1000.0, -500.0, 200.0)
# two phases that meet each other and the pores on all faces
RNG = np.random.default_rng(15)
LABELS = RNG.integers(0, 3, (5, 6, 7)).repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.uint8)
NAMES = {0: "pore", 1: "binder", 2: "graphite"}
LOW = (np.array(ORIGIN) - VOXEL_NM / 2)[::-1]  # x, y, z
EXTENT = np.array(LABELS.shape[::-1]) * VOXEL_NM
FACES = {
    "tetra": [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]],
    "hexahedron": [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]],
}


def export(file_format, tmp_path, mirror, labels=LABELS, **options):
    path = tmp_path / f"{mirror}.{file_format}"
    return export_labels(labels, VOXEL_NM, ORIGIN, file_format, path, names=NAMES, mirror=mirror, **options)


def mesh_of(tmp_path, elements, mirror, labels=LABELS):
    """Return points (x, y, z), cells, phases and meshio's name of the cells."""
    mesh = meshio.read(export("vtu", tmp_path, mirror, labels, elements=elements))
    kind = mesh.cells[0].type
    return mesh.points, mesh.cells[0].data, mesh.cell_data["phase"][0], kind


def six_volumes(points, cells):
    a, b, c, d = (points[cells[:, k]] for k in range(4))
    return np.linalg.det(np.stack([b - a, c - a, d - a], axis=1))


def test_labels_are_followed_by_their_image(tmp_path):
    found = np.load(export("npy", tmp_path, "z"))
    assert (found == np.concatenate([LABELS, LABELS[::-1]])).all()
    found = np.load(export("npy", tmp_path, "x,y"))
    half = np.concatenate([LABELS, LABELS[:, :, ::-1]], axis=2)
    assert (found == np.concatenate([half, half[:, ::-1]], axis=1)).all()


def test_images_of_a_store_repeat_without_a_step(made_once, tmp_path):
    store = made_once / "tiny.zarr"
    found = tifffile.imread(export_item(store, 1, "tiff", tmp_path / "a.tif", mirror="x,y,z"))
    labels = read_block(store, 1)
    assert found.shape == tuple(2 * n for n in labels.shape)
    assert (found == np.pad(labels, [(0, n) for n in labels.shape], mode="symmetric")).all()
    for axis in range(3):
        assert (found.take(0, axis) == found.take(-1, axis)).all()


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
def test_nodes_and_triangles_match_on_opposite_faces(tmp_path, elements):
    points, cells, _, kind = mesh_of(tmp_path, elements, "x,y,z")
    assert points.min(axis=0) == pytest.approx(LOW)
    assert points.max(axis=0) == pytest.approx(LOW + 2 * EXTENT)
    faces = np.concatenate([cells[:, corners] for corners in FACES[kind]])
    for axis in range(3):
        across = [k for k in range(3) if k != axis]
        sides = []
        for plane in (LOW[axis], LOW[axis] + 2 * EXTENT[axis]):
            on = np.abs(points[:, axis] - plane) < 1e-9 * VOXEL_NM
            outer = faces[on[faces].all(axis=1)]
            sides.append({tuple(sorted(map(tuple, points[face][:, across].tolist()))) for face in outer})
        assert sides[0] == sides[1]
        assert len(sides[0]) > 50


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
def test_the_parts_join_without_gaps_or_overlaps(tmp_path, elements):
    """Every element is right way round, each phase has 8 times its volume, and faces have at most two elements."""
    one_points, one_cells, one_phases, kind = mesh_of(tmp_path, elements, "x")
    points, cells, phases, _ = mesh_of(tmp_path, elements, "z,y,x")
    assert len(np.unique(points, axis=0)) == len(points)
    faces = np.sort(np.concatenate([cells[:, corners] for corners in FACES[kind]]), axis=1)
    _, counts = np.unique(faces, axis=0, return_counts=True)
    assert set(counts) == {1, 2}
    # a face without a neighbour has pores beyond it, or the end of the box
    alone = int((counts == 1).sum())
    whole = np.pad(LABELS, [(0, n) for n in LABELS.shape], mode="symmetric") > 0
    padded = np.pad(whole, 1)
    borders = sum(np.count_nonzero(np.diff(padded.astype(np.int8), axis=axis)) for axis in range(3))
    assert alone == borders * (1 if kind == "hexahedron" else 2)
    if kind == "tetra":
        volumes, first = six_volumes(points, cells), six_volumes(one_points, one_cells)
        assert volumes.min() > 0
        for phase in (1, 2):
            assert volumes[phases == phase].sum() == pytest.approx(4 * first[one_phases == phase].sum(), rel=1e-12)
        # node moves keep volumes within some percent of those of the voxels
        assert volumes.sum() / 6 == pytest.approx(whole.sum() * VOXEL_NM**3, rel=0.05)
    else:
        assert [(phases == phase).sum() for phase in (1, 2)] == [8 * (phase == LABELS).sum() for phase in (1, 2)]
        assert (np.linalg.det(points[cells[:, [1, 3, 4]]] - points[cells[:, :1]]) > 0).all()


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
def test_surfaces_follow_their_elements(tmp_path, elements):
    """In Gmsh, OUTER and INTERFACES of the images have the faces that the elements of the file have there."""
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        gmsh.open(str(export("msh", tmp_path, "x,z", elements=elements)))
        groups = {gmsh.model.getPhysicalName(*group): group[1] for group in gmsh.model.getPhysicalGroups()}
        faces = {}
        for name in ("OUTER", "INTERFACES"):
            (tag,) = gmsh.model.getEntitiesForPhysicalGroup(2, groups[name])
            _, _, (nodes,) = gmsh.model.mesh.getElements(2, tag)
            faces[name] = np.sort(nodes.reshape(-1, 3 if elements == "tetrahedra" else 4).astype(int), axis=1)
        owners = {}
        kind = "tetra" if elements == "tetrahedra" else "hexahedron"
        for phase in (1, 2):
            _, _, (nodes,) = gmsh.model.mesh.getElements(3, phase)
            cells = nodes.reshape(-1, 4 if kind == "tetra" else 8).astype(int)
            for face in np.concatenate([cells[:, corners] for corners in FACES[kind]]):
                owners.setdefault(tuple(sorted(face.tolist())), []).append(phase)
    finally:
        gmsh.finalize()
    found = {name: set(map(tuple, rows.tolist())) for name, rows in faces.items()}
    assert found["OUTER"] == {face for face, phases in owners.items() if len(phases) == 1}
    assert found["INTERFACES"] == {face for face, phases in owners.items() if sorted(phases) == [1, 2]}
    assert [len(rows) for rows in faces.values()] == [len(found[name]) for name in faces]


def test_abaqus_names_the_sides_of_the_images(tmp_path):
    """The element surface OUTER of the images lies on the elements and sides that have the nodes of NSET OUTER."""
    lines = export("inp", tmp_path, "y").read_text().splitlines()
    elements = {}
    at = lines.index("*ELEMENT, TYPE=C3D8") + 1
    while not lines[at].startswith("*"):
        number, *nodes = map(int, lines[at].split(","))
        elements[number] = nodes
        at += 1
    sides = [[0, 1, 2, 3], [4, 7, 6, 5], [0, 4, 5, 1], [1, 5, 6, 2], [2, 6, 7, 3], [3, 7, 4, 0]]
    members, name = {}, None
    for line in lines:
        if line.startswith("*"):
            name = line
        elif name and name.startswith(("*ELSET, ELSET=OUTER_S", "*NSET, NSET=OUTER")):
            members.setdefault(name, []).extend(map(int, line.split(",")))
    used = set()
    for side, corners in enumerate(sides, start=1):
        for number in members[f"*ELSET, ELSET=OUTER_S{side}"]:
            used |= {elements[number][k] for k in corners}
    assert used == set(members["*NSET, NSET=OUTER"])


@pytest.mark.parametrize(
    ("file_format", "options", "message"),
    [
        ("npy", {"mirror": "q"}, "mirror: found 'q', expected axes such as x or x,y,z"),
        ("npy", {"mirror": "x,x"}, "mirror: found 'x,x', expected axes"),
        ("npy", {"mirror": ""}, "mirror: found '', expected axes"),
        ("npy", {"mirror": 2}, "mirror: found 2, expected axes"),
        ("stl", {"mirror": "x"}, "mirror: found 'x' with format stl, expected with one of tiff, vtk"),
        (
            "vtu",
            {"mirror": "x", "orientations": {1: np.array([1.0, 0, 0, 0]), 2: np.array([1.0, 0, 0, 0])}},
            "mirror: found 'x', expected a volume without crystal orientations",
        ),
    ],
)
def test_what_has_no_image_is_refused(tmp_path, file_format, options, message):
    with pytest.raises(InputError, match=message):
        export_labels(LABELS, VOXEL_NM, ORIGIN, file_format, tmp_path / "a", **options)
    assert list(tmp_path.iterdir()) == []


def test_particles_have_no_images(made_particles, tmp_path):
    with pytest.raises(InputError, match=r"mirror: found 'x', but .* holds particles, not volumes"):
        export_item(made_particles / "small.zarr", 0, "npy", tmp_path / "a.npy", mirror="x")
    assert list(tmp_path.iterdir()) == []
