"""Effective conductivity: closed forms, rigorous bounds, a sparse direct solve, TauFactor, and its failures."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse import csgraph, linalg

from nmcdist.descriptors.transport import effective_conductivity, solve_conduction
from nmcdist.errors import InputError
from nmcdist.geometry import laplace

# Of the order of the square of the default flux spread, 5e-4, with a margin for slow modes.
SOLVER = 1e-5


def blobs(shape, sigma, fractions, seed):
    """Labels 0, 1, ... with the given volume fractions: slices of a smoothed noise."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return np.digitize(noise, np.quantile(noise, np.cumsum(fractions)[:-1])).astype(np.uint8)


def conductivity_field(labels, conductivities, axis=0):
    field = np.zeros(labels.shape)
    for label, value in conductivities.items():
        field[labels == label] = value
    return np.moveaxis(field, axis, 0)


def direct_solve(labels, conductivities, axis=0, edges=(1, 1, 1)):
    """The same discrete equations, assembled anew and solved by sparse elimination."""
    s = conductivity_field(labels, conductivities, axis)
    number = np.arange(s.size).reshape(s.shape)
    turned = [edges[axis], *np.delete(edges, axis)]
    ends, weights = [], []
    for along in range(3):
        lower, upper = np.delete(number, -1, along).ravel(), np.delete(number, 0, along).ravel()
        a, b = s.ravel()[lower], s.ravel()[upper]
        joined = (a > 0) & (b > 0)
        ends.append(np.stack([lower[joined], upper[joined]]))
        # In units of the conductance of a voxel along the flux.
        stretch = (edges[axis] / turned[along]) ** 2
        weights.append(stretch * 2 * a[joined] * b[joined] / (a[joined] + b[joined]))
    (i, j), g = np.concatenate(ends, axis=1), np.concatenate(weights)
    network = sparse.coo_matrix((g, (i, j)), shape=(s.size, s.size))
    network = (network + network.T).tocsr()
    _, cluster = csgraph.connected_components(network, directed=False)
    cluster = cluster.reshape(s.shape)
    carries = np.isin(cluster, np.intersect1d(cluster[0][s[0] > 0], cluster[-1][s[-1] > 0])) & (s > 0)
    if not carries.any():
        return 0.0
    electrodes = np.zeros(s.shape)
    electrodes[0] += 2 * s[0]
    source = electrodes.copy().ravel()
    electrodes[-1] += 2 * s[-1]
    matrix = sparse.diags(np.asarray(network.sum(axis=1)).ravel() + electrodes.ravel()) - network
    keep = np.flatnonzero(carries)
    potential = np.zeros(s.size)
    potential[keep] = linalg.spsolve(matrix.tocsc()[keep][:, keep], source[keep])
    drop = (1.0 - potential.reshape(s.shape)[0]) * carries[0]
    return float((2 * s[0] * drop).sum()) * s.shape[0] / (s.shape[1] * s.shape[2])


class TestClosedForms:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_uniform_volume_conducts_as_its_phase(self, axis):
        solved = solve_conduction(np.full((9, 7, 12), 3), {3: 2.5}, axis)
        assert solved.effective_conductivity == pytest.approx(2.5, rel=1e-6)
        assert (solved.percolates, solved.converged) == (True, True)
        assert solved.m_factor == pytest.approx(1.0, rel=1e-6)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("edges", [10.0, (20.0, 10.0, 10.0), (10.0, 15.0, 40.0)])
    def test_layers_conduct_in_series_across_and_in_parallel_along(self, axis, edges):
        thickness, values = np.array([5, 11, 3, 18]), np.array([1.0, 0.01, 0.3, 0.07])
        labels = np.empty((37, 37, 37), np.uint8)
        np.moveaxis(labels, axis, -1)[:] = np.repeat(np.arange(4), thickness)
        phases = dict(enumerate(values))
        series = thickness.sum() / (thickness / values).sum()
        parallel = (thickness * values).sum() / thickness.sum()
        assert effective_conductivity(labels, phases, axis, edges) == pytest.approx(series, rel=SOLVER)
        assert effective_conductivity(labels, phases, (axis + 1) % 3, edges) == pytest.approx(parallel, rel=SOLVER)
        assert effective_conductivity(labels, phases, (axis + 2) % 3, edges) == pytest.approx(parallel, rel=SOLVER)

    def test_straight_channels_conduct_by_their_area(self):
        channels = np.random.default_rng(1).random((13, 11)) < 0.3
        labels = np.broadcast_to(channels, (10, 13, 11))
        assert effective_conductivity(labels, {1: 1.0}) == pytest.approx(channels.mean(), rel=SOLVER)

    def test_dead_ends_and_islands_carry_nothing(self):
        labels = np.zeros((12, 15, 15), np.uint8)
        labels[:, 7, 7] = 1
        alone = effective_conductivity(labels, {1: 1.0})
        labels[6, 7, 8:14] = 1
        labels[6:10, 2:5, 2:5] = 1
        labels[0:4, 12, 2] = 1
        solved = solve_conduction(labels, {1: 1.0})
        assert alone == pytest.approx(1 / 225, rel=SOLVER)
        # The foot of the dead end spreads the current a little; beyond it nothing flows.
        labels[6, 7, 9:] = 0
        assert solved.effective_conductivity == pytest.approx(alone, rel=SOLVER)
        assert effective_conductivity(labels, {1: 1.0}) == pytest.approx(alone, rel=SOLVER)

    def test_winding_channel_conducts_by_its_length(self):
        labels = np.zeros((5, 1, 9), bool)
        labels[0, 0, 0] = labels[1, 0, :] = labels[2, 0, -1] = labels[3, 0, :] = labels[4, 0, 0] = True
        # 21 voxels in a row between the electrodes.
        assert effective_conductivity(labels, {1: 1.0}) == pytest.approx(5 / 9 / 21, rel=SOLVER)

    @pytest.mark.parametrize(("inside", "fraction"), [(0.0, 0.1), (0.01, 0.2), (10.0, 0.1)])
    @pytest.mark.parametrize("side", [16, 32, 96])
    def test_simple_cubic_spheres_follow_rayleighs_series(self, inside, fraction, side):
        # One ball in a box is the periodic lattice, by mirror symmetry. Rayleigh (1892), coefficient of Runge.
        centre = np.arange(side) - (side - 1) / 2
        distance = np.sqrt(sum(np.square(c) for c in np.ix_(centre, centre, centre)))
        radius = side * (3 * fraction / (4 * math.pi)) ** (1 / 3)
        ball = distance < radius
        f = ball.mean()
        beta = (inside - 1) / (inside + 2)
        higher = 0.523 * (inside - 1) / (inside + 4 / 3)
        theory = 1 + 3 * f / (1 / beta - f - higher * f ** (10 / 3))
        # The staircase blurs the surface by up to half a voxel, a change of f by 3 f / (2 radius), which moves
        # the value by 3 beta times as much.
        tolerance = 3 * abs(beta) * 3 * f / (2 * radius)
        assert effective_conductivity(ball, {0: 1.0, 1: inside}) == pytest.approx(theory, abs=tolerance)


class TestBounds:
    PHASES = {0: 1.0, 1: 0.1, 2: 0.02}  # noqa: RUF012

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_value_lies_between_cut_columns_and_shorted_planes(self, axis):
        # Thomson and Rayleigh: cutting every lateral face can only lower the conductance of the network, and
        # shorting every layer of faces can only raise it. Both hold without any tolerance but the solver's.
        labels = blobs((31, 26, 37), 1.5, [0.4, 0.3, 0.3], seed=4)
        s = conductivity_field(labels, self.PHASES, axis)
        faces = np.concatenate([2 * s[:1], 2 * s[1:] * s[:-1] / (s[1:] + s[:-1]), 2 * s[-1:]])
        columns = (1 / (1 / faces).sum(axis=0)).mean() * s.shape[0]
        planes = s.shape[0] / (1 / faces.mean(axis=(1, 2))).sum()
        value = effective_conductivity(labels, self.PHASES, axis)
        assert columns < value < planes
        assert 1 / (1 / s).mean() < value < s.mean()

    def test_isotropic_two_phase_medium_keeps_the_hashin_shtrikman_bounds(self):
        # One medium of 64^3 with 4 voxels correlation: about 500 independent cells, so its mean over the axes
        # scatters by under 2 %, while the bounds lie 30 % apart and such media run in the middle.
        labels = blobs((64, 64, 64), 3.0, [0.5, 0.5], seed=2)
        low, high, f = 0.1, 1.0, labels.mean()
        lower = low + f / (1 / (high - low) + (1 - f) / (3 * low))
        upper = high + (1 - f) / (1 / (low - high) + f / (3 * high))
        mean = np.mean([effective_conductivity(labels, {0: low, 1: high}, axis) for axis in range(3)])
        assert lower < mean < upper

    def test_power_bounds_the_exact_value_from_above(self):
        labels = blobs((24, 24, 24), 1.0, [0.5, 0.5], seed=6)
        exact = direct_solve(labels, {0: 1.0, 1: 0.01})
        for iterations in (1, 2, 3, 4):
            solved = solve_conduction(labels, {0: 1.0, 1: 0.01}, max_iterations=iterations)
            assert solved.effective_conductivity > exact * (1 - 1e-7)


class TestAgainstDirectSolve:
    @settings(max_examples=100, deadline=None)
    @given(
        st.tuples(*[st.integers(1, 13)] * 3),
        st.integers(0, 2**32 - 1),
        st.sampled_from([{1: 1.0, 2: 0.01}, {2: 1.0}, {0: 1.0, 1: 1e-3, 2: 0.03}, {0: 7.0, 2: 4.0}]),
        st.sampled_from([0, 1, 2]),
    )
    def test_random_phases_in_odd_shapes(self, shape, seed, phases, axis):
        labels = np.random.default_rng(seed).choice(3, shape, p=[0.2, 0.3, 0.5]).astype(np.uint8)
        solved = solve_conduction(labels, phases, axis)
        assert solved.converged
        assert solved.effective_conductivity == pytest.approx(direct_solve(labels, phases, axis), rel=SOLVER, abs=0)

    @settings(max_examples=40, deadline=None)
    @given(
        st.tuples(*[st.integers(1, 11)] * 3),
        st.integers(0, 2**32 - 1),
        st.sampled_from([{1: 1.0, 2: 0.01}, {2: 1.0}, {0: 7.0, 2: 4.0}, {0: 1.0, 1: 1e-4}]),
        st.sampled_from([0, 1, 2]),
        st.sampled_from([(20.0, 10.0, 10.0), (10.0, 10.0, 20.0), (10.0, 31.0, 17.0), (2.0, 9.0, 1.0)]),
    )
    @example((6, 11, 10), 2, {0: 1.0, 1: 1e-4}, 1, (2.0, 9.0, 1.0))  # takes more iterations than any cubes
    def test_voxels_with_three_edges(self, shape, seed, phases, axis, edges):
        labels = np.random.default_rng(seed).choice(3, shape, p=[0.2, 0.3, 0.5]).astype(np.uint8)
        solved = solve_conduction(labels, phases, axis, edges)
        exact = direct_solve(labels, phases, axis, edges)
        assert solved.converged
        assert solved.effective_conductivity == pytest.approx(exact, rel=SOLVER, abs=0)

    @pytest.mark.parametrize("shape", [(37, 21, 29), (24, 33, 22), (41, 18, 25)])
    @pytest.mark.parametrize("phases", [{2: 1.0, 1: 0.01}, {0: 1.0}])
    def test_blobs_in_odd_shapes(self, shape, phases):
        labels = blobs(shape, 2.0, [0.6, 0.25, 0.15], seed=9)
        solved = solve_conduction(labels, phases)
        assert (solved.percolates, solved.converged) == (True, True)
        assert solved.effective_conductivity == pytest.approx(direct_solve(labels, phases), rel=SOLVER)

    @pytest.mark.parametrize("contrast", [1e-3, 1e-4, 1e-5])
    def test_demanded_precision_is_reached(self, contrast):
        labels = blobs((20, 23, 17), 1.5, [0.4, 0.4, 0.2], seed=3)
        phases = {2: 1.0, 1: contrast, 0: math.sqrt(contrast)}
        solved = solve_conduction(labels, phases, flux_spread=1e-8, max_iterations=2000)
        assert solved.converged
        assert solved.flux_spread <= 1e-8
        # Single precision still rounds the conductance of a face: 6e-8 of it, the same on both its sides.
        assert solved.effective_conductivity == pytest.approx(direct_solve(labels, phases), rel=1e-7)


class TestAgainstTauFactor:
    """Its solvers stop on a flux spread, which bounds the error of the mean flux that they report."""

    def test_single_phase(self):
        import taufactor

        pore = blobs((32, 28, 30), 2.0, [0.65, 0.35], seed=8) == 0
        peer = taufactor.Solver(pore.astype(np.uint8), device="cpu")
        peer.solve(verbose=False, conv_crit=5e-4)
        ours = solve_conduction(pore, {1: 1.0})
        assert ours.effective_conductivity == pytest.approx(peer.D_eff.item(), rel=5e-4)
        assert ours.effective_tortuosity == pytest.approx(peer.tau.item(), rel=5e-4)

    def test_two_phases_and_their_tortuosity(self):
        import taufactor

        # It holds the potential a whole voxel from the outermost centres, through a conductance s where ours
        # is half a voxel away through 2 s, and scales by a length of n + 1. Between plates of graphite that
        # adds half a voxel of plate at each end, whose resistance is known.
        labels = np.full((44, 24, 26), 2, np.uint8)
        labels[10:-10] = blobs((24, 24, 26), 2.0, [0.5, 0.3, 0.2], seed=5)
        phases = {2: 1.0, 1: 0.01}
        peer = taufactor.MultiPhaseSolver(labels, cond=phases, device="cpu")
        peer.solve(verbose=False, conv_crit=5e-4)
        ours = solve_conduction(labels, phases)
        resistance = 44 / ours.effective_conductivity + 1.0
        assert resistance == pytest.approx(45 / peer.D_eff.item(), rel=5e-4)
        assert ours.mean_conductivity == pytest.approx(peer.D_mean, rel=1e-12)
        assert peer.tau.item() == pytest.approx(ours.mean_conductivity / peer.D_eff.item(), rel=1e-6)


class TestResult:
    LABELS = blobs((30, 32, 28), 2.0, [0.6, 0.25, 0.15], seed=12)

    def test_means_are_over_the_whole_volume(self):
        solved = solve_conduction(self.LABELS, {2: 1.0, 1: 0.01})
        fractions = np.bincount(self.LABELS.ravel()) / self.LABELS.size
        assert solved.volume_fraction == pytest.approx(fractions[1] + fractions[2])
        assert solved.mean_conductivity == pytest.approx(fractions[2] + 0.01 * fractions[1])
        tortuosity = solved.mean_conductivity / solved.effective_conductivity
        assert solved.effective_tortuosity == pytest.approx(tortuosity)
        assert solved.m_factor == pytest.approx(solved.volume_fraction / tortuosity)

    def test_m_factor_of_one_phase_is_effective_over_intrinsic(self):
        solved = solve_conduction(self.LABELS, {0: 4.0})
        assert solved.m_factor == pytest.approx(solved.effective_conductivity / 4.0)
        assert solved.m_factor == pytest.approx(effective_conductivity(self.LABELS, {0: 1.0}))

    def test_value_scales_with_the_conductivities(self):
        one = effective_conductivity(self.LABELS, {2: 1.0, 1: 0.01})
        assert effective_conductivity(self.LABELS, {2: 5e7, 1: 5e5}) == pytest.approx(5e7 * one, rel=1e-6)

    @pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (2, 0, 1), (2, 1, 0)])
    def test_axes_can_be_permuted(self, order):
        turned = self.LABELS.transpose(order)
        for axis in range(3):
            here = effective_conductivity(self.LABELS, {2: 1.0, 1: 0.01}, order[axis])
            assert effective_conductivity(turned, {2: 1.0, 1: 0.01}, axis) == pytest.approx(here, rel=2 * SOLVER)

    @pytest.mark.parametrize(
        "same",
        [
            pytest.param(lambda v: v.astype(np.int64), id="int64"),
            pytest.param(np.asfortranarray, id="fortran order"),
            pytest.param(lambda v: np.repeat(v, 2, axis=2)[:, :, ::2], id="strided"),
            pytest.param(lambda v: v[::-1][::-1], id="read backwards"),
        ],
    )
    def test_type_and_memory_order_do_not_matter(self, same):
        expected = solve_conduction(self.LABELS, {2: 1.0, 1: 0.01}, 1)
        assert solve_conduction(same(self.LABELS), {2: 1.0, 1: 0.01}, 1) == expected

    def test_booleans_and_negative_labels(self):
        expected = effective_conductivity(self.LABELS, {0: 1.0})
        assert effective_conductivity(self.LABELS == 0, {True: 1.0}) == expected
        assert effective_conductivity(self.LABELS.astype(np.int16) - 7, {-7: 1.0, 4000: 9.0}) == pytest.approx(
            expected, rel=SOLVER
        )

    @pytest.mark.parametrize("phases", [{0: 1.0}, {2: 1.0, 1: 0.01}, {2: 1.0, 1: 1e-4}])
    def test_result_is_the_same_bit_for_bit_on_any_number_of_threads(self, monkeypatch, phases):
        labels = blobs((96, 90, 94), 3.0, [0.6, 0.25, 0.15], seed=2)
        results = []
        for threads in (1, 2, 5):
            monkeypatch.setattr(laplace, "thread_count", lambda n=threads: n)
            results.append(solve_conduction(labels, phases))
        assert results[0] == results[1] == results[2]

    def test_unconverged_result_says_so(self):
        labels = blobs((40, 40, 40), 2.0, [0.6, 0.25, 0.15], seed=12)
        solved = solve_conduction(labels, {2: 1.0, 1: 0.01}, max_iterations=1)
        assert (solved.percolates, solved.converged, solved.iterations) == (True, False, 1)
        assert solved.flux_spread > 5e-4


class TestNoPath:
    @pytest.mark.parametrize(
        ("labels", "phases"),
        [
            pytest.param(np.zeros((6, 5, 4), int), {1: 1.0}, id="phase is absent"),
            pytest.param(np.zeros((6, 5, 4), int), {0: 0.0}, id="phase does not conduct"),
            pytest.param(np.zeros((6, 5, 4), int), {}, id="no phase conducts"),
            pytest.param(np.indices((8, 8, 8)).sum(axis=0) % 2, {1: 1.0}, id="cells meet in edges only"),
            pytest.param((np.arange(9) != 4)[:, None, None] * np.ones((9, 7, 7), int), {1: 1.0}, id="gap"),
            pytest.param(
                (np.arange(9) != 4)[:, None, None] * np.where(np.arange(7) < 3, 1, 2) * np.ones((9, 7, 7), int),
                {1: 1.0, 2: 0.01},
                id="gap through two phases",
            ),
        ],
    )
    def test_value_is_zero_and_flagged(self, labels, phases):
        solved = solve_conduction(labels, phases)
        assert (solved.effective_conductivity, solved.percolates, solved.converged) == (0.0, False, True)
        assert (solved.flux_spread, solved.iterations, solved.m_factor) == (0.0, 0, 0.0)
        assert math.isnan(solved.effective_tortuosity)
        assert effective_conductivity(labels, phases) == 0.0

    def test_other_axes_may_percolate(self):
        labels = np.ones((9, 7, 8), bool)
        labels[4] = False
        assert [effective_conductivity(labels, {1: 1.0}, axis) > 0 for axis in range(3)] == [False, True, True]


class TestBadInput:
    CUBE = np.ones((4, 4, 4), np.uint8)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.ones((4, 4), int), "labels: found 2 dimensions, expected 3"),
            (np.ones((4, 0, 4), int), r"labels: found shape \(4, 0, 4\)"),
            (np.ones((4, 4, 4)), "labels: found values of type float64, expected integers"),
        ],
    )
    def test_labels(self, labels, message):
        with pytest.raises(InputError, match=message):
            effective_conductivity(labels, {1: 1.0})

    @pytest.mark.parametrize(
        ("phases", "message"),
        [
            ({1: -1.0}, "conductivities: found -1.0 for phase 1"),
            ({1: math.nan}, "conductivities: found nan for phase 1"),
            ({1: math.inf}, "conductivities: found inf for phase 1"),
            ({"a": 1.0}, "conductivities: found phase 'a', expected an integer"),
            ({1: 1.0, 2: 1e-13}, "conductivities: found values from 1e-13 to 1, expected a ratio"),
            (dict.fromkeys(range(256), 1.0), "conductivities: found 256 conducting phases"),
        ],
    )
    def test_conductivities(self, phases, message):
        with pytest.raises(InputError, match=message):
            effective_conductivity(self.CUBE, phases)

    @pytest.mark.parametrize("axis", [3, -1, "z", 1.0])
    def test_axis(self, axis):
        with pytest.raises(InputError, match=r"axis: found .*, expected 0, 1 or 2"):
            effective_conductivity(self.CUBE, {1: 1.0}, axis)

    @pytest.mark.parametrize("option", [{"flux_spread": 0.0}, {"flux_spread": math.nan}, {"max_iterations": 0}])
    def test_options(self, option):
        with pytest.raises(InputError, match=next(iter(option))):
            solve_conduction(self.CUBE, {1: 1.0}, **option)
