"""Contacts between phases in planar images, refereed by closed forms and by counting."""

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from nmcdist.descriptors import (
    planar_active_length,
    planar_interface_length,
    planar_intrinsic_volumes,
    planar_triple_points,
)
from nmcdist.errors import InputError

EDGES = [(10.0, 10.0), (20.0, 10.0)]


def area(labels: np.ndarray, edges: tuple[float, float]) -> float:
    return math.prod((n - 1) * edge for n, edge in zip(labels.shape, edges, strict=True))


class TestInterfaces:
    @pytest.mark.parametrize("edges", EDGES)
    def test_disc_cut_in_halves(self, edges):
        """Half of a circle of 400 nm for each half, and a diameter between them.

        Circles within 3 %, as pixels where three phases meet count for two boundaries. The diameter lies along y, where
        lines are 5 % too short on squares and 10 % on these boxes.
        """
        y, x = ((np.arange(round(1000 / e)) + 0.5) * e - 500 for e in edges)
        labels = (y[:, None] ** 2 + x**2 <= 400**2).astype(int)
        labels[(labels == 1) & (x > 0)] = 2
        lengths = [planar_interface_length(labels, pair, edges) * area(labels, edges) for pair in ((0, 1), (0, 2))]
        assert lengths == pytest.approx([math.pi * 400] * 2, rel=0.03)
        assert planar_interface_length(labels, (1, 2), edges) * area(labels, edges) == pytest.approx(800, rel=0.12)

    def test_boundaries_of_a_phase_add_up_to_its_perimeter(self):
        labels, edges = np.random.default_rng(93).integers(0, 3, (19, 21)), (20.0, 13.0)
        together = planar_interface_length(labels, (0, 1), edges) + planar_interface_length(labels, (0, 2), edges)
        assert together == pytest.approx(planar_intrinsic_volumes(labels == 0, edges).perimeter)


class TestTriplePoints:
    @pytest.mark.parametrize("edges", EDGES)
    def test_sectors_of_120_degrees_meet_once(self, edges):
        """Whatever their orientation and place between the pixels."""
        random = np.random.default_rng(94)
        for _ in range(50):
            y, x = ((np.arange(12) - 5.5) * edge + random.uniform(-edge, edge) / 2 for edge in edges)
            turn = (np.arctan2(*np.broadcast_arrays(y[:, None], x)) + random.uniform(0, 2 * np.pi)) % (2 * np.pi)
            labels = np.minimum(turn // (2 * np.pi / 3), 2).astype(int)
            assert planar_triple_points(labels, (0, 1, 2), edges) * area(labels, edges) == pytest.approx(1)
            assert planar_triple_points(labels, (0, 1, 5), edges) == 0

    def test_cells_of_random_points(self):
        """A Poisson-Voronoi tessellation has two points per cell (Euler), three cells each.

        Cells have one of three phases at random, so 6 of 27 points have three. 25 images, 4 standard errors, and 2 %
        for corners that lie closer than a pixel.
        """
        found, intensity, side, pixel = [], 1e-4, 800.0, 2.0
        for seed in range(25):
            random = np.random.default_rng([95, seed])
            wide = side + 800
            points = random.random((random.poisson(intensity * wide**2), 2)) * wide - 400
            at = np.stack(np.meshgrid(*[np.arange(0, side, pixel)] * 2, indexing="ij"), axis=-1)
            labels = random.integers(0, 3, len(points))[cKDTree(points).query(at)[1]]
            found.append(planar_triple_points(labels, (0, 1, 2), pixel))
        error = 4 * np.std(found) / math.sqrt(len(found))
        assert np.mean(found) == pytest.approx(2 * intensity * 6 / 27, abs=error + 0.02 * 2 * intensity * 6 / 27)


class TestConnection:
    def test_only_connected_parts_are_active(self):
        labels = np.ones((12, 8), int)
        labels[:, 4:] = 2
        assert planar_active_length(labels, (1, 2), 10.0) == planar_interface_length(labels, (1, 2), 10.0) > 0
        labels[6] = 0  # neither reaches across: the first phase counts before the gap, the second behind it
        assert planar_active_length(labels, (1, 2), 10.0) == 0
        labels[6, 4:] = 2  # the second phase is whole again, the first ends before the gap
        half = np.where(np.arange(12)[:, None] > 5, 2 * (labels == 2), labels)
        assert planar_active_length(labels, (1, 2), 10.0) == planar_interface_length(half, (1, 2), 10.0)
        assert planar_active_length(labels.T, (1, 2), 10.0, 1) == pytest.approx(
            planar_active_length(labels, (1, 2), 10.0, 0)
        )


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (planar_interface_length, (np.zeros((3, 3, 3), int), (0, 1), 1.0), r"labels: found shape .*two dimensions"),
        (planar_interface_length, (np.zeros((3, 3), int), (1, 1), 1.0), "phases: found .*2 different labels"),
        (planar_triple_points, (np.zeros((3, 1), int), (0, 1, 2), 1.0), "labels: found shape .*at least two pixels"),
        (planar_triple_points, (np.zeros((3, 3), int), (0, 1), 1.0), "phases: found .*3 different labels"),
        (planar_active_length, (np.zeros((3, 3), int), (0, 1), 1.0, 2), "axis: found 2"),
    ],
)
def test_bad_arguments_are_named(function, arguments, message):
    with pytest.raises(InputError, match=message):
        function(*arguments)
