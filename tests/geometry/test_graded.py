"""The graded lattice: conforming at any growth, six cells per voxel at none, coarse where a grain is wide."""

import numpy as np
import pytest

from nmcdist.errors import InputError
from nmcdist.geometry.elements import volume_mesh
from nmcdist.geometry.graded import COARSEST, GradedLattice, LatticeMesh
from tests.geometry.test_elements import CASES, FACES

# Halves of a box with a bump, wide enough for the coarsest cells; its edges are no multiple of their size.
WIDE = np.ones((21, 35, 40), dtype=np.int32)
WIDE[:, :, 23:] = 2
WIDE[10:14, 10:14, 23:26] = 1
GROWTHS = (0.0, 0.2, 0.5, 1.0, 2.0, np.inf)


def lattice_volumes(mesh: LatticeMesh) -> np.ndarray:
    p = mesh.corners.astype(np.float64)[mesh.cells]
    return np.einsum("ij,ij->i", p[:, 1] - p[:, 0], np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 0])) / 6


def face_counts(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    faces = np.sort(np.concatenate([cells[:, list(face)] for face in FACES[4]]), axis=1)
    return np.unique(faces, axis=0, return_counts=True)


@pytest.mark.parametrize("growth", GROWTHS)
def test_cells_meet_in_whole_faces_and_fill_each_grain(growth):
    """Whole numbers: volumes are exact. Faces of one cell only are the halves of the outer faces of voxels."""
    mesh = GradedLattice.of(WIDE).mesh(growth)
    volumes = lattice_volumes(mesh)
    assert volumes.min() == 1 / 6
    filled = np.rint(6 * np.bincount(mesh.grains, weights=volumes))
    assert filled.tolist() == (6 * np.bincount(WIDE.ravel())).tolist()
    _, counts = face_counts(mesh.cells)
    outer = 2 * 2 * (21 * 35 + 35 * 40 + 40 * 21)
    assert counts.max() == 2 and (counts == 1).sum() == len(mesh.outer) == outer
    assert len(mesh.interfaces) == 2 * (21 * 35 + 4 * 4 * 3)  # the plane, and the sides of the bump


@pytest.mark.parametrize("growth", GROWTHS)
def test_no_cell_has_another_angle_than_45_60_or_90_degrees(growth):
    mesh = GradedLattice.of(WIDE).mesh(growth)
    p = mesh.corners.astype(np.float64)[mesh.cells]
    normals = [np.cross(p[:, b] - p[:, a], p[:, c] - p[:, a]) for a, b, c in FACES[4]]
    units = [n / np.linalg.norm(n, axis=1)[:, None] for n in normals]
    cosines = np.array([-(units[a] * units[b]).sum(axis=1) for a in range(4) for b in range(a)])
    squares = np.rint(cosines * np.abs(cosines) * 1e6) / 1e6
    assert set(np.unique(squares)) <= {0.0, 0.25, 0.5, -0.25}


def test_cells_become_fewer_and_larger_with_the_growth():
    lattice = GradedLattice.of(WIDE)
    sizes = [lattice.count(growth) for growth in GROWTHS]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == lattice.most == 6 * WIDE.size
    assert sizes[-1] == lattice.fewest < 0.6 * lattice.most
    largest = [lattice_volumes(lattice.mesh(growth)).max() for growth in GROWTHS]
    assert largest == sorted(largest)
    assert largest[0] == 1 / 6 and largest[-1] >= 4**3 / 6


def test_only_corners_at_interfaces_are_needed():
    """Brute force: the corners where labels meet are nodes at any growth, and any node is kept at lower growths."""
    padded = np.pad(WIDE, 1)
    eight = np.lib.stride_tricks.sliding_window_view(padded, (2, 2, 2)).reshape(*np.array(padded.shape) - 1, 8)
    meet = {tuple(corner) for corner in np.argwhere(eight.min(axis=-1) != eight.max(axis=-1)).tolist()}
    lattice, before = GradedLattice.of(WIDE), None
    for growth in GROWTHS[::-1]:
        nodes = {tuple(corner) for corner in lattice.mesh(growth).corners.tolist()}
        assert meet <= nodes
        assert before is None or before <= nodes
        before = nodes


def test_a_wide_grain_becomes_coarser_by_the_square():
    """Twice as wide a cube has eight times the voxels, but near four times the cells: those of its surface."""
    counts = [GradedLattice.of(np.ones((n, n, n), np.uint8)).fewest for n in (2 * COARSEST, 4 * COARSEST)]
    assert 3.5 < counts[1] / counts[0] < 5


@pytest.mark.parametrize("share", [1.0, 0.8, 0.6])
def test_a_number_is_met_within_30_percent_and_the_mesh_is_good(share):
    mesh = volume_mesh(WIDE, 20.0, elements=int(share * 6 * WIDE.size))
    assert share / 1.3 < len(mesh.cells) / (6 * WIDE.size) < share * 1.3
    assert mesh.smallest_angle > 15 - 1e-9
    p = mesh.points[mesh.cells]
    volumes = np.einsum("ij,ij->i", p[:, 1] - p[:, 0], np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 0])) / 6
    assert volumes.min() > 0
    assert np.bincount(mesh.grains, weights=volumes)[1:] / 20.0**3 == pytest.approx(np.bincount(WIDE.ravel())[1:], 2e-3)


@pytest.mark.parametrize("case", CASES)
def test_grains_of_few_voxels_are_meshed_at_any_growth(case):
    labels = CASES[case]
    lattice = GradedLattice.of(labels)
    mesh = lattice.mesh(np.inf)
    assert lattice.fewest == len(mesh.cells) <= lattice.most
    filled = np.rint(6 * np.bincount(mesh.grains, weights=lattice_volumes(mesh)))[1:]
    assert filled.tolist() == (6 * np.bincount(labels.ravel()))[1:].tolist()


@pytest.mark.parametrize(
    ("count", "help_"), [(1000, "expected larger voxels"), (10_000_000, "expected smaller voxels")]
)
def test_a_number_out_of_reach_says_what_is_in_reach(count, help_):
    with pytest.raises(InputError, match=rf"elements: found {count}, but voxels of 20 nm give \d+ to 176400 .*{help_}"):
        volume_mesh(WIDE, 20.0, elements=count)
