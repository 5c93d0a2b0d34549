"""Surfaces of labels: closed, outward, of the volume of the voxels, and each interface once."""

import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from nmcdist.errors import InputError
from nmcdist.geometry.surfaces import closed_surface, label_surface


def voronoi(seeds: int, shape: tuple[int, int, int], radius: float) -> np.ndarray:
    """Label a ball of voxels by the nearest of random seeds, by brute force."""
    rng = np.random.default_rng(5)
    points = rng.uniform(0, 1, (seeds, 3)) * shape
    grid = np.stack(np.indices(shape), axis=-1).reshape(-1, 3).astype(float)
    nearest = np.concatenate([((part[:, None] - points) ** 2).sum(-1).argmin(1) for part in np.array_split(grid, 50)])
    inside = ((grid - (np.array(shape) - 1) / 2) ** 2).sum(axis=1) < radius**2
    return np.where(inside, 3 * nearest + 2, 0).reshape(shape).astype(np.int32)  # labels with gaps


GRAINS = voronoi(700, (40, 40, 40), 17.5)
NOISE = np.random.default_rng(6).integers(0, 4, (9, 8, 10)).astype(np.int32)
CUBE = np.zeros((8, 8, 8), dtype=np.int32)
CUBE[1:7, 1:7, 1:7] = 9
BOXES = np.zeros((6, 7, 12), dtype=np.int32)
BOXES[1:5, 1:6, 1:6], BOXES[1:5, 1:6, 6:12] = 4, 7
INDEX = np.indices((30, 30, 30)) - 14.5
BALL = ((INDEX**2).sum(axis=0) < 12**2).astype(np.int32)
# Voxels of one grain that touch across an edge only, in the ways that there are: towards the outside, towards
# two others, and two grains crossing; and across a corner.
EDGES = np.zeros((5, 7, 16), dtype=np.int32)
EDGES[1:3, 2, 2] = EDGES[1:3, 3, 3] = 1
EDGES[1:3, 2, 6] = EDGES[1:3, 3, 7] = 2
EDGES[1:3, 3, 6], EDGES[1:3, 2, 7] = 3, 4
EDGES[1:3, 2, 10] = EDGES[1:3, 3, 11] = 5
EDGES[1:3, 3, 10] = EDGES[1:3, 2, 11] = 6
EDGES[1, 5, 13] = EDGES[2, 4, 14] = 7

CASES = {"grains": GRAINS, "noise": NOISE, "cube": CUBE, "boxes": BOXES, "ball": BALL, "edges": EDGES}


def assert_closed_and_consistent(triangles: np.ndarray) -> None:
    """Each edge belongs to two triangles that run through it in opposite directions."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)
    _, counts = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    assert (counts == 2).all()


def volume(points: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def voxel_faces(labels: np.ndarray) -> int:
    padded = np.pad(labels, 1)
    return sum(int((np.diff(padded, axis=axis) != 0).sum()) for axis in range(3))


@pytest.mark.parametrize("smoothing", [0, 8, 40])
@pytest.mark.parametrize("case", CASES)
def test_each_grain_has_a_closed_outward_surface_of_the_volume_of_its_voxels(case, smoothing):
    labels = CASES[case]
    surface = label_surface(labels, 50.0, smoothing=smoothing)
    seen = []
    for label, points, triangles in surface.grains():
        assert_closed_and_consistent(triangles)
        assert volume(points, triangles) == pytest.approx((labels == label).sum() * 50.0**3, rel=0.01)
        assert len(np.unique(points.astype(np.float32), axis=0)) == len(points)  # or a STL would join sheets
        seen.append(label)
    assert seen == [value for value in np.unique(labels).tolist() if value]
    assert case != "grains" or len(seen) > 255


@pytest.mark.parametrize("case", CASES)
def test_all_grains_together_have_a_closed_outward_surface(case):
    labels = CASES[case]
    points, triangles = label_surface(labels, 50.0).outer()
    if case not in ("noise", "edges", "grains"):  # where grains touch across an edge, sheets of several meet in it
        assert_closed_and_consistent(triangles)
    assert volume(points, triangles) == pytest.approx((labels > 0).sum() * 50.0**3, rel=0.01)
    points, triangles = closed_surface(labels, 50.0)
    assert_closed_and_consistent(triangles)
    assert volume(points, triangles) == pytest.approx((labels > 0).sum() * 50.0**3, rel=0.01)


def test_each_interface_is_there_once_with_both_labels():
    surface = label_surface(GRAINS, 50.0)
    first, second = surface.labels.T
    assert ((second == 0) | (first > 0) & (first < second)).all()
    assert len(np.unique(np.sort(surface.triangles, axis=1), axis=0)) == len(surface.triangles)
    padded = np.pad(GRAINS, 1)
    pairs: set[frozenset[int]] = set()
    for axis in range(3):
        lower, upper = np.take(padded, range(41), axis), np.take(padded, range(1, 42), axis)
        pairs |= {frozenset(pair) for pair in np.stack([lower, upper], axis=-1)[lower != upper].tolist()}
    assert {frozenset(pair) for pair in surface.labels.tolist()} == pairs


def test_without_smoothing_or_pinches_it_is_the_faces_of_the_voxels():
    surface = label_surface(BOXES, 50.0, (10.0, 20.0, 30.0), smoothing=0)
    assert len(surface.triangles) == 2 * voxel_faces(BOXES)
    assert surface.volumes()[1] == pytest.approx([4 * 5 * 5 * 50.0**3, 4 * 5 * 6 * 50.0**3], rel=1e-12)
    points, _ = surface.grain(4)
    # The corner of voxel (1, 1, 1), whose centre is one voxel from the first one's.
    assert points.min(axis=0) == pytest.approx([10 + 25, 20 + 25, 30 + 25])
    assert points.max(axis=0) == pytest.approx([10 + 225, 20 + 275, 30 + 275])


@pytest.mark.parametrize("case", ["grains", "boxes", "ball"])
def test_it_has_the_faces_and_corners_of_vtk_s_surface_nets(case):
    labels = CASES[case]
    theirs = vtk_surface_nets(labels)
    pairs = vtk_to_numpy(theirs.GetCellData().GetArray("BoundaryLabels"))
    corners = vtk_to_numpy(theirs.GetPoints().GetData())[:, ::-1]
    ours = label_surface(labels, 1.0, smoothing=0)
    pinched = (len(ours.triangles) - len(pairs)) // 4  # edges where VTK splits corners, and we the edge
    own_corners = ours.points[: len(ours.points) - 2 * pinched]
    assert len(own_corners) == len(np.unique(corners, axis=0))
    # A pinch changes volumes a little, and what restores them moves the corners around it.
    assert np.abs(own_corners - np.floor(own_corners) - 0.5).max() < 0.05
    assert (np.unique(corners, axis=0) == np.unique(np.floor(own_corners) + 0.5, axis=0)).all()
    assert set(map(tuple, ours.labels.tolist())) == set(map(tuple, pairs.astype(int).tolist()))
    assert case == "grains" or np.array_equal(np.bincount(ours.labels[:, 0]), np.bincount(pairs[:, 0].astype(int)))


def vtk_surface_nets(labels: np.ndarray) -> vtk.vtkPolyData:
    padded = np.pad(labels, 1)
    image = vtk.vtkImageData(dimensions=padded.shape[::-1], origin=(-1, -1, -1))
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=True))
    nets = vtk.vtkSurfaceNets3D(smoothing=False, background_label=0)
    nets.SetOutputMeshTypeToTriangles()
    for row, label in enumerate(np.unique(labels[labels > 0]).tolist()):
        nets.SetLabel(row, label)
    nets.SetInputData(image)
    nets.Update()
    return nets.GetOutput()


def test_smoothing_makes_a_ball_rounder_and_stays_in_the_cell():
    area = {}
    for smoothing in (0, 30):
        points, triangles = closed_surface(BALL, 1.0, smoothing=smoothing)
        a, b, c = (points[triangles[:, k]] for k in range(3))
        area[smoothing] = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    true = 4 * np.pi * 12**2
    assert area[0] == pytest.approx(1.5 * true, rel=0.02)  # of the voxels, whatever their size
    assert area[30] == pytest.approx(true, rel=0.04)
    corners, _ = closed_surface(BALL, 1.0, smoothing=0)
    points, _ = closed_surface(BALL, 1.0, smoothing=30)
    assert np.abs(points - corners).max() <= 0.5


def test_the_label_of_one_grain_gives_its_surface_alone():
    label = int(GRAINS[20, 20, 20])
    points, triangles = closed_surface(GRAINS, 20.0, label=label)
    assert_closed_and_consistent(triangles)
    assert volume(points, triangles) == pytest.approx((label == GRAINS).sum() * 20.0**3, rel=0.01)


def test_anisotropic_voxels_scale_the_mesh():
    surface = label_surface(BOXES, (10.0, 20.0, 40.0), smoothing=0)
    assert surface.volumes()[1].sum() == pytest.approx((BOXES > 0).sum() * 10 * 20 * 40)


def test_a_far_origin_and_large_labels_do_no_harm():
    labels = np.where(BOXES > 0, BOXES.astype(np.int64) + 2**31 - 100, 0)
    surface = label_surface(labels, 50.0, (1e7, -1e7, 1e7))
    assert surface.volumes()[0].tolist() == [2**31 - 96, 2**31 - 93]
    assert surface.volumes()[1] == pytest.approx([100 * 50.0**3, 120 * 50.0**3], rel=0.01)


@pytest.mark.parametrize(
    ("labels", "spacing", "smoothing", "message"),
    [
        (np.zeros((4, 4, 4), np.int32), 1.0, 1, "labels: found only 0"),
        (np.zeros((0, 4, 4), np.int32), 1.0, 1, "labels: found only 0"),
        (CUBE[0], 1.0, 1, "labels: found 2 axes"),
        (CUBE.astype(float), 1.0, 1, "of float64, expected three axes of integers"),
        (-CUBE, 1.0, 1, "labels: found -9 to -9"),
        (CUBE, 0.0, 1, "voxel size: found 0.0"),
        (CUBE, (1.0, 2.0), 1, "voxel size: found"),
        (CUBE, float("nan"), 1, "voxel size: found nan"),
        (CUBE, 1.0, -1, "smoothing: found -1"),
    ],
)
def test_impossible_input_is_named(labels, spacing, smoothing, message):
    with pytest.raises(InputError, match=message):
        label_surface(labels, spacing, smoothing=smoothing)


@pytest.mark.parametrize("label", [0, -1, 8])
def test_a_label_that_no_voxel_has_is_named(label):
    with pytest.raises(InputError, match=f"label: found {label}"):
        closed_surface(CUBE, 1.0, label=label)
    with pytest.raises(InputError, match=f"label: found {label}"):
        label_surface(CUBE, 1.0).grain(label)
