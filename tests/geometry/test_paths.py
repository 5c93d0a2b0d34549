"""Paths from face to face, refereed by textbook algorithms and closed forms."""

import heapq
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.graph import MCP_Geometric

from nmcdist.geometry.paths import UNIT, joins_faces, mean_path_length, widest_from_face

NEIGHBOURS = [v for v in itertools.product((-1, 0, 1), repeat=3) if any(v)]
phases = arrays(np.bool_, st.tuples(*[st.integers(1, 8)] * 3))
distances = arrays(np.uint16, st.tuples(*[st.integers(1, 7)] * 3), elements=st.integers(0, 9))


def dijkstra_length(phase, axis, edges=(1.0, 1.0, 1.0)):
    """Solve the graph of the 26 neighbours in double precision."""
    phase = np.moveaxis(phase, axis, 0)
    turned = np.array([edges[axis], *np.delete(edges, axis)]) / edges[axis]
    number = np.cumsum(phase).reshape(phase.shape) - 1
    rows, columns, lengths = [], [], []
    for v in NEIGHBOURS:
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(v, phase.shape, strict=True))
        there = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(v, phase.shape, strict=True))
        both = phase[here] & phase[there]
        rows.append(number[here][both])
        columns.append(number[there][both])
        lengths.append(np.full(both.sum(), math.dist(v * turned, (0, 0, 0))))
    size = int(phase.sum())
    edges = (np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns)))
    sources, targets = number[-1][phase[-1]], number[0][phase[0]]
    if not len(sources) or not len(targets):
        return math.nan
    found = dijkstra(coo_array(edges, shape=(size, size)).tocsr(), indices=sources, min_only=True)[targets]
    found = found[np.isfinite(found)]
    return found.mean() if len(found) else math.nan


def widest_by_heap(values, axis):
    values = np.moveaxis(values.astype(np.int64), axis, 0)
    widest = np.zeros_like(values)
    heap = []
    for y, x in np.argwhere(values[0]):
        widest[0, y, x] = values[0, y, x]
        heapq.heappush(heap, (-values[0, y, x], 0, y, x))
    while heap:
        width, *place = heapq.heappop(heap)
        if -width < widest[tuple(place)]:
            continue
        for v in NEIGHBOURS:
            to = tuple(p + d for p, d in zip(place, v, strict=True))
            if sum(map(abs, v)) == 1 and all(0 <= t < n for t, n in zip(to, values.shape, strict=True)):
                through = min(-width, values[to])
                if through > widest[to]:
                    widest[to] = through
                    heapq.heappush(heap, (-through, *to))
    return np.moveaxis(widest, 0, axis)


def coil(turns, width):
    """Return a path that winds through every other row of every other layer."""
    phase = np.zeros((2 * turns - 1, width, width), dtype=bool)
    for layer in range(turns):
        plane = phase[2 * layer]
        plane[::2] = True
        plane[1::4, -1] = plane[3::4, 0] = True
    # A layer runs between (0, 0) and (width - 1, end).
    end = width - 1 if (width // 2) % 2 == 0 else 0
    phase[1::4, -1, end] = True
    phase[3::4, 0, 0] = True
    return phase


class TestShortest:
    @settings(max_examples=80, deadline=None)
    @given(phases, st.integers(0, 2))
    def test_dijkstra(self, phase, axis):
        """The integer steps are right to 6e-8."""
        assert mean_path_length(phase, axis) == pytest.approx(dijkstra_length(phase, axis), rel=1e-7, nan_ok=True)

    @settings(max_examples=80, deadline=None)
    @given(phases, st.integers(0, 2), st.tuples(*[st.sampled_from([1.0, 2.0, 3.7, 10.0])] * 3))
    def test_dijkstra_with_three_edges(self, phase, axis, edges):
        exact = dijkstra_length(phase, axis, edges)
        assert mean_path_length(phase, axis, edges) == pytest.approx(exact, rel=1e-6, nan_ok=True)

    @pytest.mark.parametrize("edges", [(20.0, 10.0, 10.0), (10.0, 20.0, 70.0)])
    def test_dijkstra_in_wide_pores_with_three_edges(self, edges):
        phase = ndimage.gaussian_filter(np.random.default_rng(6).standard_normal((40, 36, 44)), 2) < 0.03
        for axis in range(3):
            exact = dijkstra_length(phase, axis, edges)
            assert mean_path_length(phase, axis, edges) == pytest.approx(exact, rel=1e-6)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_scikit_image(self, axis):
        field = ndimage.gaussian_filter(np.random.default_rng(6).standard_normal((40, 36, 44)), 2)
        phase = field < 0.03
        across = np.moveaxis(phase, axis, 0)
        seeds = [(across.shape[0] - 1, *place) for place in np.argwhere(across[-1])]
        costs, _ = MCP_Geometric(np.where(across, 1.0, -1.0)).find_costs(seeds)
        first = costs[0][across[0] & np.isfinite(costs[0])]
        assert mean_path_length(phase, axis) == pytest.approx(first.mean(), rel=1e-7)

    def test_straight_channel(self):
        phase = np.zeros((50, 5, 5), dtype=bool)
        phase[:, 2, 3] = True
        assert mean_path_length(phase, 0) == 49

    @pytest.mark.parametrize(("step", "length"), [((1, 1, 0), math.sqrt(2)), ((1, 1, 1), math.sqrt(3))])
    def test_inclined_channel(self, step, length):
        phase = np.zeros((30, 30, 30), dtype=bool)
        for k in range(30):
            phase[tuple(k * s for s in step)] = True
        assert mean_path_length(phase, 0) == pytest.approx(29 * length, rel=1e-7)

    def test_labyrinth(self):
        """Walls with a gap at alternate ends: 4 columns aside, 2 layers ahead, the turns cut diagonally."""
        phase = np.ones((9, 1, 5), dtype=bool)
        phase[1::4, 0, :4] = phase[3::4, 0, 1:] = False
        # From the first layer's column x into the gap at 4, from gap to gap three times, and out of the last.
        expected = dijkstra_length(phase, 0)
        by_hand = np.mean([
            max(4 - x - 1, 0) + (math.sqrt(2) if x < 4 else 1)  # into the gap
            + 3 * (math.sqrt(2) + 2 + math.sqrt(2))  # gap to gap: out, along, in
            + 1  # out of the last gap
            for x in range(5)
        ])  # fmt: skip
        assert mean_path_length(phase, 0) == pytest.approx(by_hand, rel=1e-7)
        assert by_hand == pytest.approx(expected)

    def test_paths_longer_than_32_bits_hold(self):
        phase = coil(13, 201)
        expected = dijkstra_length(phase, 0)
        assert expected * UNIT > 2**32
        assert mean_path_length(phase, 0) == pytest.approx(expected, rel=1e-7)

    def test_no_path(self):
        phase = np.ones((5, 6, 7), dtype=bool)
        phase[2] = False
        assert math.isnan(mean_path_length(phase, 0))
        assert mean_path_length(phase, 1) == 5

    @settings(max_examples=30, deadline=None)
    @given(phases, st.permutations([0, 1, 2]))
    def test_turned_volumes(self, phase, order):
        turned = phase.transpose(order)
        for axis in range(3):
            ours, theirs = mean_path_length(turned, axis), mean_path_length(phase, order[axis])
            assert ours == pytest.approx(theirs, rel=1e-12, nan_ok=True)


class TestWidest:
    @settings(max_examples=80, deadline=None)
    @given(distances, st.integers(0, 2))
    def test_priority_queue(self, values, axis):
        widest, _ = widest_from_face(values, axis)
        assert np.array_equal(widest, widest_by_heap(values, axis))

    @settings(max_examples=60, deadline=None)
    @given(distances, st.integers(0, 2), st.integers(1, 100))
    def test_stopping_early_knows_the_widest(self, values, axis, enough):
        widest, lowest = widest_from_face(values, axis, enough)
        expected = widest_by_heap(values, axis)
        assert np.array_equal(np.where(widest >= lowest, widest, 0), np.where(expected >= lowest, expected, 0))
        assert np.count_nonzero(expected >= lowest) >= min(enough, np.count_nonzero(expected))


class TestJoins:
    @settings(max_examples=80, deadline=None)
    @given(phases, st.integers(0, 2), st.sampled_from([6, 26]))
    def test_component_labels(self, phase, axis, connectivity):
        structure = ndimage.generate_binary_structure(3, 1 if connectivity == 6 else 3)
        labels = np.moveaxis(ndimage.label(phase, structure)[0], axis, 0)
        expected = bool(set(labels[0].flat) & set(labels[-1].flat) - {0})
        assert joins_faces(phase, axis, connectivity) is expected
