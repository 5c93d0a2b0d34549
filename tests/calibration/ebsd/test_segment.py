"""Grains of EBSD maps, refereed by matrices, trees and other programs; invariances by symmetry."""

import gzip
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from nmcdist.calibration import ebsd
from nmcdist.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "ebsd"


def about(axis, degrees):
    """Return the matrix of a rotation, by Rodrigues' formula."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = math.radians(degrees)
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


# Generators of the rotation groups, and their orders, as in the International Tables.
FOUR_Z, THREE_Z, TWO_Z, SIX_Z = (about((0, 0, 1), degrees) for degrees in (90, 120, 180, 60))
TWO_X, TWO_Y, THREE_111 = about((1, 0, 0), 180), about((0, 1, 0), 180), about((1, 1, 1), 120)
GROUPS = {
    "O": (24, FOUR_Z, THREE_111),
    "T": (12, TWO_Z, THREE_111),
    "D6": (12, SIX_Z, TWO_X),
    "C6": (6, SIX_Z),
    "D4": (8, FOUR_Z, TWO_X),
    "C4": (4, FOUR_Z),
    "D3x": (6, THREE_Z, TWO_X),
    "D3y": (6, THREE_Z, TWO_Y),
    "C3": (3, THREE_Z),
    "D2": (4, TWO_Z, TWO_X),
    "C2y": (2, TWO_Y),
    "C2z": (2, TWO_Z),
    "C1": (1,),
}


def group_matrices(symmetry):
    """Multiply the generators until nothing new comes."""
    matrices = [np.eye(3)]
    for matrix in matrices:
        for generator in GROUPS[symmetry][1:]:
            product = generator @ matrix
            if not any(np.allclose(product, known) for known in matrices):
                matrices.append(product)
    return np.array(matrices)


def bunge_matrices(euler):
    """Return the matrices from sample to crystal axes as Bunge writes them out."""
    (c1, c, c2), (s1, s, s2) = np.cos(euler).T, np.sin(euler).T
    rows = [
        [c1 * c2 - s1 * s2 * c, s1 * c2 + c1 * s2 * c, s2 * s],
        [-c1 * s2 - s1 * c2 * c, -s1 * s2 + c1 * c2 * c, c2 * s],
        [s1 * s, -c1 * s, c],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def smallest_angles(first, second, symmetry):
    """Return in degrees the smallest angle over all pairs of equivalents."""
    between = first @ np.swapaxes(second, 1, 2)
    operators = group_matrices(symmetry)
    traces = np.einsum("aij,njk,bki->nab", operators, between, operators, optimize=True)
    return np.degrees(np.arccos(np.clip((traces.max(axis=(1, 2)) - 1) / 2, -1, 1)))


def grains_of_points(x, y, matrices, phase, symmetries, step, limit):
    """Join points that are a step apart and nearly parallel; return the grain of each, numbered as they come."""
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(1.1 * step, output_type="ndarray")
    a, b = pairs[(phase[pairs[:, 0]] == phase[pairs[:, 1]]) & (phase[pairs[:, 0]] > 0)].T
    near = np.zeros(len(a), dtype=bool)
    for number, symmetry in enumerate(symmetries, 1):
        these = phase[a] == number
        near[these] = smallest_angles(matrices[a[these]], matrices[b[these]], symmetry) <= limit
    graph = coo_array((np.ones(near.sum()), (a[near], b[near])), shape=(len(x), len(x)))
    components = connected_components(graph, directed=False)[1]
    return in_order(np.where(phase > 0, components + 1, 0))


def in_order(labels):
    """Renumber labels by where each first stands; 0 stays."""
    flat = labels.ravel()
    names, first = np.unique(flat[flat > 0], return_index=True)
    numbers = np.zeros(flat.max() + 1, dtype=int)
    numbers[names[np.argsort(first)]] = np.arange(1, len(names) + 1)
    return numbers[labels]


def make_scan(rotations, symmetries=("D3x",), phase=None, grid="square", confidence=None):
    """Return a map of scipy rotations, shape given by `phase`."""
    euler = rotations.as_euler("ZXZ", suppress_warnings=True).reshape(*phase.shape, 3)
    phases = tuple(ebsd.Phase(f"crystal {k}", symmetry) for k, symmetry in enumerate(symmetries))
    confidence = np.ones(phase.shape) if confidence is None else confidence
    step = (50.0, 50.0) if grid == "square" else (50.0 * math.sqrt(0.75), 50.0)
    return ebsd.Scan("made", grid, step, euler, phase.astype(np.int32), phases, confidence, "confidence index")


def unpacked(tmp_path, name):
    """Return the path of a data file, without its compression."""
    source = DATA / name
    if source.suffix != ".gz":
        return source
    target = tmp_path / source.stem
    target.write_bytes(gzip.decompress(source.read_bytes()))
    return target


# --- theory ---


@pytest.mark.parametrize("symmetry", GROUPS)
def test_symmetry_rotations_are_the_group_of_the_international_tables(symmetry):
    found = Rotation.from_quat(ebsd.symmetry_rotations(symmetry), scalar_first=True).as_matrix()
    expected = group_matrices(symmetry)
    assert len(found) == len(expected) == GROUPS[symmetry][0]
    assert all(np.abs(expected - matrix).max(axis=(1, 2)).min() < 1e-12 for matrix in found)


def test_quaternions_are_those_of_bunge_angles():
    rng = np.random.default_rng(5)
    phase = np.ones((6, 7))
    scan = make_scan(Rotation.random(42, random_state=rng), phase=phase)
    found = Rotation.from_quat(scan.quaternions().reshape(-1, 4), scalar_first=True).as_matrix()
    np.testing.assert_allclose(np.swapaxes(found, 1, 2), bunge_matrices(scan.euler.reshape(-1, 3)), atol=1e-12)


@pytest.mark.parametrize("symmetry", GROUPS)
def test_misorientation_is_the_smallest_over_all_pairs_of_equivalents(symmetry):
    rng = np.random.default_rng(11)
    first, second = Rotation.random(300, random_state=rng), Rotation.random(300, random_state=rng)
    quaternions = [rotation.as_quat(scalar_first=True) for rotation in (first, second)]
    expected = smallest_angles(first.inv().as_matrix(), second.inv().as_matrix(), symmetry)
    np.testing.assert_allclose(ebsd.misorientations(*quaternions, symmetry), expected, atol=1e-5)


# Largest possible misorientations (Grimmer, Acta Cryst. A 36, 1980); none can be above.
@pytest.mark.parametrize(
    ("symmetry", "largest"),
    [("O", 62.7994), ("T", 90.0), ("D6", 93.8412), ("D4", 98.4211), ("D3x", 104.4775), ("D2", 120.0)],
)
def test_no_misorientation_exceeds_the_largest_of_the_group(symmetry, largest):
    rng = np.random.default_rng(3)
    one = np.array([[1.0, 0.0, 0.0, 0.0]]).repeat(200_000, axis=0)
    other = Rotation.random(200_000, random_state=rng).as_quat(scalar_first=True)
    found = ebsd.misorientations(one, other, symmetry).max()
    assert largest - 3 < found <= largest + 1e-4


def test_tiny_misorientations_are_exact():
    turn = Rotation.from_rotvec([[0, 0, 1e-7]], degrees=True).as_quat(scalar_first=True)
    found = ebsd.misorientations(np.array([[1.0, 0.0, 0.0, 0.0]]), turn, "O")
    np.testing.assert_allclose(found, 1e-7, rtol=1e-6)


# --- brute force ---


@pytest.mark.parametrize(("grid", "limit"), [("square", 5.0), ("square", 15.0), ("hexagonal", 5.0)])
def test_grains_are_the_components_of_near_neighbours(grid, limit):
    rng = np.random.default_rng(8)
    shape = (23, 17)
    seeds = Rotation.random(30, random_state=rng)
    noise = Rotation.from_rotvec(rng.normal(0, 1.5, (23 * 17, 3)), degrees=True)
    at = np.add(np.indices(shape).reshape(2, -1).T, 0.0)
    nearest = cKDTree(rng.uniform(0, 23, (30, 2))).query(at)[1]
    phase = np.where(rng.random(shape) < 0.1, 0, 1 + (nearest.reshape(shape) % 2))
    scan = make_scan(seeds[nearest] * noise, ("D3x", "O"), phase, grid)
    shift = at[:, 0] % 2 / 2 if grid == "hexagonal" else 0.0
    height = math.sqrt(0.75) if grid == "hexagonal" else 1.0
    expected = grains_of_points(
        at[:, 1] + shift,
        at[:, 0] * height,
        bunge_matrices(scan.euler.reshape(-1, 3)),
        phase.ravel(),
        ("D3x", "O"),
        1.0,
        limit,
    )
    labels = ebsd.segment(scan, limit)
    assert labels.dtype == np.int32
    assert labels.max() > 10
    np.testing.assert_array_equal(labels, expected.reshape(shape))


@pytest.mark.parametrize(
    ("name", "symmetries", "several"),
    [
        ("ti64_pymicro/Ti64-70x60.ang.gz", ("D6",), 20),
        ("sdss_orix/sdss_ferrite_austenite.ang.gz", ("O", "O"), 100),
        ("cu_ebsdlab/EBSD_41rows.ang.gz", ("O",), 8),
    ],
)
def test_grains_of_real_maps_are_the_components_of_near_neighbours(tmp_path, name, symmetries, several):
    path = unpacked(tmp_path, name)
    table = np.loadtxt(path, encoding="utf-8")
    phase = np.where(table[:, 0] > 12, 0, np.maximum(table[:, 7], 1)).astype(int)
    step = table[1, 3] - table[0, 3]
    euler = bunge_matrices(table[:, :3])
    expected = grains_of_points(table[:, 3], table[:, 4], euler, phase, symmetries, step, 5.0)
    scan = ebsd.read(path)
    labels = ebsd.segment(scan)
    there = np.ones(scan.shape, dtype=bool)
    if scan.grid == "hexagonal":
        there[1::2, -1] = False
        assert not labels[1::2, -1].any()
    np.testing.assert_array_equal(labels[there], expected)
    assert labels.max() > several


# --- other programs ---


def test_grains_are_those_of_defdap(tmp_path):
    (tmp_path / "map.cpr").write_bytes((DATA / "ni_defdap" / "testDataEBSD_100x100.cpr").read_bytes())
    packed = (DATA / "ni_defdap" / "testDataEBSD_100x100.crc.gz").read_bytes()
    (tmp_path / "map.crc").write_bytes(gzip.decompress(packed))
    published = np.loadtxt(DATA / "ni_defdap" / "testDataEBSD_100x100_grains.csv", delimiter=",", dtype=int)
    labels = ebsd.segment(ebsd.read(tmp_path / "map.crc"), misorientation_deg=5.0, min_pixels=10)
    np.testing.assert_array_equal(labels, published)


def test_grains_of_a_volume_are_those_that_its_file_lists():
    path = DATA / "edax_ebsdlib" / "Test_European_2.ctf"
    listed = np.array([line.split("\t")[12] for line in path.read_text().splitlines()[21:]], dtype=int)
    for section in range(5):
        labels = ebsd.segment(ebsd.read(path, section))
        index = listed[25 * section :][:25].reshape(5, 5)
        joined_right = (labels[:, 1:] == labels[:, :-1])[(index[:, 1:] >= 0) & (index[:, :-1] >= 0)]
        same_right = (index[:, 1:] == index[:, :-1])[(index[:, 1:] >= 0) & (index[:, :-1] >= 0)]
        np.testing.assert_array_equal(joined_right, same_right)


# --- rules ---


@pytest.mark.parametrize(("angle", "count"), [(4.9, 1), (5.1, 2)])
@pytest.mark.parametrize("symmetry", GROUPS)
def test_grains_part_above_the_limit(symmetry, angle, count):
    rng = np.random.default_rng(4)
    axes = rng.normal(size=(1, 3))
    turn = Rotation.from_rotvec(angle * axes / np.linalg.norm(axes), degrees=True)
    one = Rotation.random(random_state=rng)
    phase = np.ones((6, 8))
    rotations = Rotation.concatenate([one * turn if x >= 4 else one for _ in range(6) for x in range(8)])
    labels = ebsd.segment(make_scan(rotations, (symmetry,), phase), 5.0)
    np.testing.assert_array_equal(labels, np.where(np.arange(8) < 4, 1, count) * np.ones((6, 1)))


@pytest.mark.parametrize("symmetry", GROUPS)
@pytest.mark.parametrize("grid", ["square", "hexagonal"])
def test_labels_do_not_change_when_orientations_are_replaced_by_equivalents(symmetry, grid):
    rng = np.random.default_rng(6)
    phase = np.ones((12, 14))
    seeds = Rotation.random(9, random_state=rng)
    block = (np.arange(12)[:, None] // 4 * 3 + np.arange(14) // 5).ravel()
    noise = Rotation.from_rotvec(rng.normal(0, 1.0, (168, 3)), degrees=True)
    rotations = seeds[block] * noise
    group = Rotation.from_matrix(group_matrices(symmetry))
    equivalents = rotations * group[rng.integers(len(group), size=168)]
    labels = [ebsd.segment(make_scan(r, (symmetry,), phase, grid)) for r in (rotations, equivalents)]
    np.testing.assert_array_equal(*labels)
    assert labels[0].max() >= 5


def test_a_bent_crystal_is_one_grain():
    bend = Rotation.from_rotvec(np.arange(40)[:, None] * [0, 0, 3.0], degrees=True)
    assert ebsd.segment(make_scan(bend, ("C1",), np.ones((1, 40)))).max() == 1


def test_phases_never_join():
    phase = np.array([[1, 1, 2, 2], [1, 2, 2, 1]])
    labels = ebsd.segment(make_scan(Rotation.identity(8), ("O", "O"), phase))
    np.testing.assert_array_equal(labels, [[1, 1, 2, 2], [1, 2, 2, 3]])


def test_unindexed_points_part_grains_and_stay_missing():
    phase = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 0]])
    scan = make_scan(Rotation.identity(9), ("O",), phase)
    scan.euler[phase == 0] = np.nan
    np.testing.assert_array_equal(ebsd.segment(scan), [[1, 0, 2], [1, 0, 2], [0, 3, 0]])


def test_hexagonal_points_have_six_neighbours():
    for y in (1, 2):
        touching = np.zeros((4, 5), dtype=bool)
        for v, u in np.ndindex(4, 5):
            phase = np.zeros((4, 5), dtype=int)
            phase[y, 2] = phase[v, u] = 1
            touching[v, u] = ebsd.segment(make_scan(Rotation.identity(20), ("O",), phase, "hexagonal")).max() == 1
        touching[y, 2] = False
        above = [2, 3] if y == 1 else [1, 2]
        expected = {(y, 1), (y, 3), *[(v, u) for v in (y - 1, y + 1) for u in above]}
        assert {(int(v), int(u)) for v, u in np.argwhere(touching)} == expected


def test_small_grains_become_missing_and_the_others_are_renumbered():
    phase = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 1]])
    scan = make_scan(Rotation.identity(12), ("O",), phase)
    np.testing.assert_array_equal(ebsd.segment(scan), [[1, 0, 2, 2, 0, 3], [0, 0, 2, 0, 3, 3]])
    np.testing.assert_array_equal(ebsd.segment(scan, min_pixels=1), ebsd.segment(scan))
    np.testing.assert_array_equal(ebsd.segment(scan, min_pixels=3), [[0, 0, 1, 1, 0, 2], [0, 0, 1, 0, 2, 2]])
    assert not ebsd.segment(scan, min_pixels=4).any()


def test_a_map_without_solutions_has_no_grain():
    scan = make_scan(Rotation.identity(6), ("O",), np.zeros((2, 3)))
    np.testing.assert_array_equal(ebsd.segment(scan), np.zeros((2, 3)))


def test_points_of_low_confidence_become_missing():
    confidence = np.array([[0.9, 0.1, 0.5], [0.2, 0.1, 0.9]])
    scan = make_scan(Rotation.identity(6), ("O",), np.ones((2, 3)), confidence=confidence)
    np.testing.assert_array_equal(ebsd.segment(scan, min_confidence=0.2), [[1, 0, 2], [1, 0, 2]])
    filtered = scan.filtered(0.2)
    np.testing.assert_array_equal(filtered.indexed, confidence >= 0.2)
    np.testing.assert_array_equal(np.isnan(filtered.euler).all(axis=-1), confidence < 0.2)
    np.testing.assert_array_equal(ebsd.segment(filtered), ebsd.segment(scan, min_confidence=0.2))


# --- failure ---


@pytest.mark.parametrize("angle", [0, -1.0, 180.1, math.nan])
def test_refuses_an_impossible_limit(angle):
    scan = make_scan(Rotation.identity(4), ("O",), np.ones((2, 2)))
    with pytest.raises(InputError, match=r"misorientation_deg is .*, expected more than 0 and at most 180"):
        ebsd.segment(scan, angle)


@pytest.mark.parametrize("pixels", [-1, 2.5, True])
def test_refuses_an_impossible_number_of_pixels(pixels):
    scan = make_scan(Rotation.identity(4), ("O",), np.ones((2, 2)))
    with pytest.raises(InputError, match=r"min_pixels is .*, expected a whole number"):
        ebsd.segment(scan, min_pixels=pixels)


def test_refuses_to_filter_without_confidence():
    scan = make_scan(Rotation.identity(4), ("O",), np.ones((2, 2)))
    with pytest.raises(InputError, match="min_confidence is nan, expected a finite number"):
        scan.filtered(math.nan)
    with pytest.raises(InputError, match=r"min_confidence is 0\.5, but made has no confidence index"):
        replace(scan, confidence=np.full((2, 2), np.nan)).filtered(0.5)
