"""Paths, currents and flow in planar images, refereed by closed forms, brute force and independent implementations."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.graph import MCP_Geometric

from nmcdist.descriptors import (
    planar_connected_fractions,
    planar_effective_conductivity,
    planar_geodesic_tortuosity,
    planar_percolates,
    planar_permeability,
)
from nmcdist.errors import InputError

EDGES = [(10.0, 10.0), (20.0, 10.0), (10.0, 17.0)]


def direct_solve(labels, conductivities, axis, edges):
    """The network of pixels, by dense elimination."""
    s = np.moveaxis(np.vectorize(lambda label: conductivities.get(label, 0.0))(labels), axis, 0)
    stretch = (edges[axis] / edges[1 - axis]) ** 2
    number = np.arange(s.size).reshape(s.shape)
    matrix, source = np.zeros((s.size, s.size)), np.zeros(s.size)
    for (y, x), (b, a) in itertools.chain.from_iterable(
        (((y, x), (y + 1, x)), ((y, x), (y, x + 1))) for y, x in np.ndindex(s.shape)
    ):
        if b < s.shape[0] and a < s.shape[1]:
            g = (1.0 if a == x else stretch) * 2 * s[y, x] * s[b, a] / (s[y, x] + s[b, a])
            i, j = number[y, x], number[b, a]
            matrix[[i, j, i, j], [i, j, j, i]] += (g, g, -g, -g)
    for x in range(s.shape[1]):
        matrix[number[0, x], number[0, x]] += 2 * s[0, x]
        source[number[0, x]] = 2 * s[0, x]
        matrix[number[-1, x], number[-1, x]] += 2 * s[-1, x]
    potential = np.linalg.solve(matrix, source).reshape(s.shape)
    return (2 * s[0] * (1 - potential[0])).sum() * s.shape[0] / s.shape[1]


class TestConductivity:
    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("edges", EDGES)
    def test_stripes_conduct_in_series_across_and_in_parallel_along(self, edges, axis):
        thickness, values = np.array([5, 11, 3, 18]), np.array([1.0, 0.01, 0.3, 0.07])
        labels = np.empty((37, 37), np.uint8)
        np.moveaxis(labels, axis, -1)[:] = np.repeat(np.arange(4), thickness)
        phases = dict(enumerate(values))
        series = thickness.sum() / (thickness / values).sum()
        parallel = (thickness * values).sum() / thickness.sum()
        assert planar_effective_conductivity(labels, phases, axis, edges) == pytest.approx(series, rel=1e-5)
        assert planar_effective_conductivity(labels, phases, 1 - axis, edges) == pytest.approx(parallel, rel=1e-5)

    @settings(max_examples=40, deadline=None)
    @given(
        st.tuples(*[st.integers(1, 9)] * 2), st.integers(0, 2**32), st.integers(0, 1), st.sampled_from(EDGES)
    )  # fmt: skip
    def test_random_pixels(self, shape, seed, axis, edges):
        labels = np.random.default_rng(seed).integers(0, 3, shape)
        phases = {0: 1.0, 1: 0.02, 2: 0.3}
        found = planar_effective_conductivity(labels, phases, axis, edges)
        assert found == pytest.approx(direct_solve(labels, phases, axis, edges), rel=1e-5)


class TestPaths:
    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("edges", EDGES)
    def test_scikit_image(self, edges, axis):
        field = ndimage.gaussian_filter(np.random.default_rng(64).standard_normal((60, 70)), 2.0, mode="wrap")
        phase = field < np.quantile(field, 0.7)
        across = np.moveaxis(phase, axis, 0)
        turned = (edges[axis], edges[1 - axis])
        seeds = [(across.shape[0] - 1, place) for place in np.flatnonzero(across[-1])]
        costs, _ = MCP_Geometric(np.where(across, 1.0, -1.0), sampling=turned).find_costs(seeds)
        first = costs[0][across[0] & np.isfinite(costs[0])]
        exact = first.mean() / ((across.shape[0] - 1) * edges[axis])
        assert planar_geodesic_tortuosity(phase, axis, edges) == pytest.approx(exact, rel=1e-6)


class TestConnection:
    PHASE = np.zeros((6, 5), bool)
    PHASE[:, 0] = True  # joins both sides
    PHASE[:3, 2] = True  # from the first side
    PHASE[4:, 4] = True  # from the last
    PHASE[3, 3] = True  # an island, which meets the two pieces before at corners only

    def test_shares(self):
        assert planar_connected_fractions(self.PHASE) == pytest.approx((9 / 12, 8 / 12, 6 / 12))
        assert planar_connected_fractions(self.PHASE, 1) == pytest.approx((6 / 12, 2 / 12, 0))

    def test_corners_join_by_8_neighbours_only(self):
        phase = self.PHASE[:, 1:]
        assert planar_percolates(phase, 0) and planar_percolates(phase, 0, 8)
        assert not planar_percolates(phase, 0, 4) and not planar_percolates(phase, 1)
        assert planar_percolates(self.PHASE, 0, 4)


class TestPermeability:
    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("edges", EDGES)
    def test_slits_are_exact(self, edges, axis):
        """h^2 / 12 times the porosity, as far as the solver iterates."""
        phase = np.zeros((9, 9), bool)
        np.moveaxis(phase, axis, 0)[:, 2:7] = True
        exact = (5 * edges[1 - axis]) ** 2 / 12 * 5 / 9
        for boundary in ("open", "periodic"):
            assert planar_permeability(phase, edges, axis, boundary) == pytest.approx(exact, rel=1e-4)

    def test_walls_beside_an_open_image_are_those_of_a_slit(self):
        """The sides of the axis stay open, so that the flow is that of an infinite slit."""
        whole = np.ones((9, 6), bool)
        for axis, width in ((0, 120.0), (1, 90.0)):
            found = planar_permeability(whole, (10.0, 20.0), axis, "walls")
            assert found == pytest.approx(width**2 / 12, rel=1e-4)

    @pytest.mark.parametrize("share", [0.05, 0.2])
    def test_square_array_of_cylinders(self, share):
        """Drummond and Tahir, Int. J. Multiphase Flow 10 (1984) 515, Eq. for square arrays; 2 % for the pixels."""
        edge, radius = 128, math.sqrt(share / math.pi)
        at = (np.arange(edge) + 0.5) / edge - 0.5
        phase = at[:, None] ** 2 + at**2 > radius**2
        rational = (2 * share - 0.796 * share**2) / (1 + 0.489 * share - 1.605 * share**2)
        exact = radius**2 / (8 * share) * (-math.log(share) - 1.476 + rational)
        for boundary in ("periodic", "open"):  # mirror planes are both
            assert planar_permeability(phase, 1 / edge, 0, boundary) == pytest.approx(exact, rel=0.02)

    def test_a_phase_that_joins_corners_only_lets_nothing_through(self):
        assert planar_permeability(np.eye(5, dtype=bool), 10.0) == 0


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (planar_effective_conductivity, (np.zeros((4, 4, 4), int), {0: 1.0}), "labels: found 3 dimensions"),
        (planar_geodesic_tortuosity, (np.ones((4, 4), bool), 2), "axis: found 2, expected 0 or 1"),
        (planar_percolates, (np.ones((4, 4), bool), 0, 6), "connectivity: found 6, expected 4 or 8"),
        (planar_connected_fractions, (np.ones((4, 4, 4), bool),), r"phase: found shape .*, expected two"),
        (planar_permeability, (np.ones((4, 4), bool), 1.0, 0, "closed"), "boundary: found 'closed'"),
        (planar_permeability, (np.ones((4, 4), bool), (1.0, 2.0, 3.0)), "pixel_size_nm: found .* two for"),
    ],
)
def test_bad_arguments_are_named(function, arguments, message):
    with pytest.raises(InputError, match=message):
        function(*arguments)
