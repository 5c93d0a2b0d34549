"""Volume meshes: positive elements that fill the grains, share their nodes, and know their faces."""

import numpy as np
import pytest

from nmcdist.errors import InputError
from nmcdist.geometry.elements import VolumeMesh, volume_mesh
from nmcdist.geometry.graded import GradedLattice
from tests.geometry.test_surfaces import BALL, BOXES, GRAINS, NOISE

CASES = {"grains": GRAINS, "noise": NOISE, "boxes": BOXES, "ball": BALL}
# The faces of an element, their normals pointing out of it.
FACES = {
    4: ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1)),
    8: ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
}


def element_volumes(mesh: VolumeMesh) -> np.ndarray:
    p = mesh.points[mesh.cells]
    share = 1 if mesh.cells.shape[1] == 8 else 6  # of the box that the edges at one node span
    b, c, d = (1, 3, 4) if share == 1 else (1, 2, 3)
    return np.einsum("ij,ij->i", p[:, b] - p[:, 0], np.cross(p[:, c] - p[:, 0], p[:, d] - p[:, 0])) / share


def turned(face: tuple[int, ...]) -> tuple[int, ...]:
    start = face.index(min(face))
    return face[start:] + face[:start]


@pytest.mark.parametrize("elements", ["hexahedra", "tetrahedra"])
@pytest.mark.parametrize("case", CASES)
def test_elements_are_positive_and_fill_each_grain(case, elements):
    labels = CASES[case]
    mesh = volume_mesh(labels, 50.0, elements=elements, min_angle=0)
    volumes = element_volumes(mesh)
    assert volumes.min() > (0.999 if elements == "hexahedra" else 0.099 / 6) * 50.0**3
    assert (np.diff(mesh.grains) >= 0).all()
    filled, voxels = np.bincount(mesh.grains, weights=volumes), np.bincount(labels.ravel())
    voxels[0] = 0
    assert filled == pytest.approx(voxels * 50.0**3, rel=0.01)
    assert case != "grains" or (voxels > 0).sum() > 255


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("elements", ["tetrahedra", "graded"])
def test_a_layer_of_one_voxel_is_filled(axis, elements):
    """All nodes are on two faces of the box: they move within these."""
    labels = np.random.default_rng(4).integers(0, 3, (9, 10)).astype(np.int32)
    layer = np.expand_dims(labels, axis)
    mesh = volume_mesh(layer, 10.0, elements=GradedLattice.of(layer).fewest if elements == "graded" else elements)
    volumes = element_volumes(mesh)
    assert np.isfinite(mesh.points).all() and volumes.min() > 0 and mesh.smallest_angle > 15 - 1e-9
    expected = np.bincount(labels.ravel())[1:] * 1000.0
    assert np.bincount(mesh.grains, weights=volumes)[1:] == pytest.approx(expected, rel=0.01)
    assert set(np.unique(mesh.points[:, axis])) == {-5.0, 5.0}


@pytest.mark.parametrize(
    ("case", "elements"),
    [("grains", "hexahedra"), ("grains", "tetrahedra")]
    + [(case, kind) for case in ("noise", "boxes", "ball") for kind in ("hexahedra", "tetrahedra", "graded")],
)
def test_elements_meet_in_whole_faces_and_the_listed_ones_are_those(case, elements):
    labels = CASES[case]
    mesh = volume_mesh(labels, 50.0, elements=GradedLattice.of(labels).fewest if elements == "graded" else elements)
    sides: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for local in FACES[mesh.cells.shape[1]]:
        for cell, face in enumerate(map(tuple, mesh.cells[:, local].tolist())):
            sides.setdefault(tuple(sorted(face)), []).append((cell, turned(face)))
    assert max(map(len, sides.values())) == 2
    outer = {key: both[0] for key, both in sides.items() if len(both) == 1}
    listed = zip(mesh.outer_cells.tolist(), map(tuple, mesh.outer.tolist()), strict=True)
    assert {tuple(sorted(face)): (cell, turned(face)) for cell, face in listed} == outer
    assert len(mesh.outer) == len(outer)
    grains = mesh.grains.tolist()
    between = {}
    for key, both in sides.items():
        ends = sorted((grains[cell], face) for cell, face in both)
        if len({grain for grain, _ in ends}) == 2:
            between[key] = (ends[0][0], ends[1][0], ends[0][1])
    pairs = zip(mesh.interface_grains.tolist(), map(tuple, mesh.interfaces.tolist()), strict=True)
    assert {tuple(sorted(face)): (*grain_pair, turned(face)) for grain_pair, face in pairs} == between
    assert len(mesh.interfaces) == len(between)
    owners = zip(mesh.interface_cells.tolist(), map(tuple, mesh.interfaces.tolist()), strict=True)
    for cell, face in owners:
        assert grains[cell] == between[tuple(sorted(face))][0]
        assert cell in {owner for owner, _ in sides[tuple(sorted(face))]}
    # No face ends in the middle of another: as many outer faces as voxel faces say.
    padded = np.pad(labels > 0, 1)
    faces = sum(int((np.diff(padded.astype(np.int8), axis=axis) != 0).sum()) for axis in range(3))
    assert len(outer) == faces * (1 if elements == "hexahedra" else 2)


def test_nodes_are_each_used_and_lie_apart():
    for elements in ("hexahedra", "tetrahedra"):
        mesh = volume_mesh(GRAINS, 50.0, elements=elements)
        assert (np.unique(mesh.cells) == np.arange(len(mesh.points))).all()
        assert len(np.unique(mesh.points, axis=0)) == len(mesh.points)


def test_a_voxel_lies_around_its_centre():
    labels = np.zeros((3, 4, 5), np.int32)
    labels[2, 1, 3] = 6
    mesh = volume_mesh(labels, (10.0, 20.0, 40.0), (1.0, 2.0, 3.0))
    assert mesh.points.mean(axis=0).tolist() == [21.0, 22.0, 123.0]
    assert np.ptp(mesh.points, axis=0).tolist() == [10.0, 20.0, 40.0]
    assert (mesh.grains.tolist(), len(mesh.outer), len(mesh.interfaces)) == ([6], 6, 0)


def angles(mesh: VolumeMesh) -> np.ndarray:
    """Return the six dihedral angles of each tetrahedron, from the normals of its faces, in degrees."""
    p = mesh.points[mesh.cells]
    normals = [np.cross(p[:, b] - p[:, a], p[:, c] - p[:, a]) for a, b, c in FACES[4]]
    units = [n / np.linalg.norm(n, axis=1)[:, None] for n in normals]
    pairs = [(a, b) for a in range(4) for b in range(a)]
    return np.degrees([np.arccos(-np.einsum("ij,ij->i", units[a], units[b])) for a, b in pairs]).T


class TestAngles:
    @pytest.mark.parametrize("case", CASES)
    def test_tetrahedra_reach_15_degrees_and_keep_their_grains(self, case):
        """Also on noise, where every node is on an interface; grains keep their volume to 2.5 % for 95 %."""
        labels = CASES[case]
        before = volume_mesh(labels, 50.0, elements="tetrahedra", min_angle=0)
        mesh = volume_mesh(labels, 50.0, elements="tetrahedra")
        assert np.array_equal(mesh.cells, before.cells)
        assert mesh.smallest_angle == pytest.approx(angles(mesh).min(), abs=1e-6) and mesh.smallest_angle > 14.99
        assert before.smallest_angle == pytest.approx(angles(before).min(), abs=1e-6)
        voxels = np.bincount(labels.ravel())[1:]
        filled = np.bincount(mesh.grains, weights=element_volumes(mesh))[1:]
        error = np.abs(filled[voxels > 0] / (voxels[voxels > 0] * 50.0**3) - 1)
        assert np.quantile(error, 0.95) < 0.025
        surface = np.unique(np.concatenate([mesh.outer.ravel(), mesh.interfaces.ravel()]))
        away = np.linalg.norm(mesh.points[surface] - before.points[surface], axis=1)
        assert away.max() <= 0.2 * 50.0 * (1 + 1e-9)

    def test_the_faces_of_the_volume_stay_flat(self):
        labels = np.random.default_rng(5).integers(1, 4, (12, 11, 10)).astype(np.int32)
        mesh = volume_mesh(labels, (1.0, 2.0, 1.5), elements="tetrahedra")
        assert element_volumes(mesh).sum() == pytest.approx(12 * 11 * 10 * 3.0, rel=1e-9)
        for end in (mesh.points.min(axis=0), mesh.points.max(axis=0)):
            assert (mesh.points == end).any(axis=1).sum() == 2 * (12 * 11 + 11 * 10 + 10 * 12) // 2 + 12 + 11 + 10 + 1

    @pytest.mark.parametrize("degrees", [20.0, 30.0])
    def test_larger_angles_are_reached_too(self, degrees):
        mesh = volume_mesh(BALL, 50.0, elements="tetrahedra", min_angle=degrees)
        assert angles(mesh).min() > degrees - 1e-6

    def test_what_cannot_be_reached_is_said(self):
        """Before nodes move, tetrahedra in voxels of 1 x 1 x 6 have angles of arctan(1 / 6), 9.5 degrees."""
        with pytest.raises(
            InputError, match=r"min_angle: found \d+ of \d+ tetrahedra below 30 degrees after all moves"
        ):
            volume_mesh(NOISE[:3, :3, :3], (1.0, 1.0, 6.0), elements="tetrahedra", min_angle=30.0)


def test_smoothing_takes_the_steps_out_of_tetrahedra():
    rough, smooth = (volume_mesh(BALL, 1.0, elements="tetrahedra", smoothing=n, min_angle=0) for n in (0, 20))
    assert (rough.cells == smooth.cells).all()

    def area(mesh):
        p = mesh.points[mesh.outer]
        return np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1).sum() / 2

    assert area(rough) == pytest.approx(6 * np.pi * 12**2, rel=0.02)
    assert area(smooth) < 0.75 * area(rough)
    assert np.abs(smooth.points - rough.points).max() <= 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elements": "bricks"}, "elements: found 'bricks', expected one of hexahedra, tetrahedra, a number"),
        ({"elements": 0}, "elements: found 0, expected a number of tetrahedra from 1"),
        ({"elements": True}, "elements: found True, expected one of"),
        ({"smoothing": -1}, "smoothing: found -1"),
        ({"elements": "tetrahedra", "min_angle": 50.0}, "min_angle: found 50.0"),
        ({"spacing": -1.0}, "voxel size: found -1.0"),
        ({"labels": np.zeros((2, 2, 2), np.int32)}, "labels: found only 0"),
    ],
)
def test_impossible_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        volume_mesh(**{"labels": BOXES, "spacing": 1.0, **options})
