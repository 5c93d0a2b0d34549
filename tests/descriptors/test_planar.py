"""Shape of a phase in planar images, refereed by closed forms, brute force and independent implementations."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import euler_number

from nmcdist.descriptors.planar import (
    DIRECTIONS,
    direction_shares,
    planar_axis_coverage,
    planar_bottleneck_radius,
    planar_chord_lengths,
    planar_constrictivity,
    planar_intrinsic_volumes,
    planar_size_distribution,
    planar_two_point_coverage,
)
from nmcdist.errors import InputError

EDGES = [(10.0, 10.0), (20.0, 10.0), (10.0, 17.0)]
small = arrays(np.bool_, st.tuples(*[st.integers(2, 9)] * 2))


def blobs(shape, seed, share, sigma):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return field < np.quantile(field, share)


def totals(phase, edges):
    """Perimeter and Euler numbers of a body inside the image: densities times rectangles."""
    area = math.prod(n - 1 for n in phase.shape) * math.prod(edges)
    return np.array(planar_intrinsic_volumes(phase, edges)[1:]) * area


def disc(radius_nm, edges):
    """Return a disc in the middle, a little off the pixel centres."""
    count = [math.ceil((2 * radius_nm + 100) / edge) for edge in edges]
    y, x = ((np.arange(n) - (n - 1) / 2 + s) * e for n, s, e in zip(count, (0.12, 0.31), edges, strict=True))
    return y[:, None] ** 2 + x**2 <= radius_nm**2


class TestIntrinsicVolumes:
    @pytest.mark.parametrize("edges", EDGES)
    def test_disc_and_ring(self, edges):
        whole, hole = disc(300.0, edges), disc(120.0, edges)
        perimeter, *euler = totals(whole, edges)
        assert perimeter == pytest.approx(2 * math.pi * 300, rel=0.01)
        assert euler == pytest.approx([1, 1], abs=1e-9)
        first = [(n - m) // 2 for n, m in zip(whole.shape, hole.shape, strict=True)]
        whole[tuple(slice(f, f + m) for f, m in zip(first, hole.shape, strict=True))] &= ~hole
        perimeter, *euler = totals(whole, edges)
        assert perimeter == pytest.approx(2 * math.pi * 420, rel=0.01)
        assert euler == pytest.approx([0, 0], abs=1e-9)

    @pytest.mark.parametrize("edges", EDGES)
    def test_shares_are_those_of_the_angles(self, edges):
        """Nearest of 4 lines to 10^5 random ones; 4 standard errors."""
        angle = np.random.default_rng(61).random(100_000) * np.pi
        lines = [math.atan2(y * edges[0], x * edges[1]) for y, x in DIRECTIONS]
        nearest = np.abs(np.cos(angle[:, None] - lines)).argmax(axis=1)
        shares = np.array(direction_shares(edges))
        found = np.bincount(nearest, minlength=4) / len(angle)
        assert (np.abs(found - shares) < 4 * np.sqrt(shares / len(angle))).all()

    @settings(max_examples=60, deadline=None)
    @given(small, st.sampled_from(EDGES))
    def test_crossings_counted_by_hand(self, phase, edges):
        """Pi times entries per length: over all pairs of neighbours, those along the border counting by half."""
        (ny, nx), expected = phase.shape, 0.0
        for (dy, dx), share in zip(DIRECTIONS, direction_shares(edges), strict=True):
            changes = 0.0
            for y, x in np.ndindex(ny, nx):
                b, a = y + dy, x + dx
                if 0 <= b < ny and 0 <= a < nx:
                    inside = (dy != 0 or 0 < y < ny - 1) and (dx != 0 or 0 < x < nx - 1)
                    changes += (phase[y, x] != phase[b, a]) * (1.0 if inside else 0.5)
            length = math.hypot(dy * edges[0], dx * edges[1])
            expected += math.pi * share * changes / 2 / ((ny - 1) * (nx - 1)) / length
        assert planar_intrinsic_volumes(phase, edges).perimeter == pytest.approx(expected)

    @settings(max_examples=60, deadline=None)
    @given(small)
    def test_euler_number_by_either_adjacency(self, phase):
        body = np.pad(phase, 1)
        expected = [euler_number(body, connectivity=1), euler_number(body, connectivity=2)]
        assert totals(body, (1.0, 1.0))[1:] == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("edges", EDGES[:2])
    def test_boolean_model_of_discs(self, edges):
        """Miles' formulas for discs of 200 nm that cover 40 %, 24 images of 5 um.

        4 standard errors + 1 % for the perimeter. Pixels bridge the creases where discs meet: the Euler number per
        disc is too small by less than 0.05 by 4, by 0.13 by 8.
        """
        radius, side, cover = 200.0, 5000.0, 0.4
        area, perimeter = math.pi * radius**2, 2 * math.pi * radius
        density = -math.log(1 - cover) / area
        free = density * (1 - cover)
        exact = [cover, free * perimeter, free * (1 - density * perimeter**2 / (4 * math.pi))]
        y, x = (np.arange(round(side / edge)) * edge for edge in edges)
        found = []
        for seed in range(24):
            rng = np.random.default_rng([62, seed])
            wide = side + 2 * radius
            phase = np.zeros((len(y), len(x)), bool)
            for b, a in rng.random((rng.poisson(density * wide**2), 2)) * wide - radius:
                rows, columns = np.abs(y - b) <= radius, np.abs(x - a) <= radius
                phase[np.ix_(rows, columns)] |= (y[rows, None] - b) ** 2 + (x[columns] - a) ** 2 <= radius**2
            found.append(planar_intrinsic_volumes(phase, edges))
        mean, error = np.mean(found, axis=0), 4 * np.std(found, axis=0) / np.sqrt(len(found))
        assert mean[0] == pytest.approx(exact[0], abs=error[0])
        assert mean[1] == pytest.approx(exact[1], abs=error[1] + 0.01 * exact[1])
        assert -0.05 * density - error[2] < mean[2] - exact[2] < error[2]
        assert -0.13 * density - error[3] < mean[3] - exact[2] < error[3]
        assert mean[3] < mean[2]


class TestTwoPointCoverage:
    @settings(max_examples=30, deadline=None)
    @given(small, st.integers(0, 6), st.sampled_from(EDGES))
    def test_every_pair_is_counted(self, phase, lags, edges):
        unit = min(edges)
        lags = min(lags, int(max((n - 1) * e for n, e in zip(phase.shape, edges, strict=True)) / unit))
        hits, pairs, number, length = np.zeros((4, lags + 1))
        for h in itertools.product(range(-8, 9), repeat=2):
            distance = math.hypot(*np.multiply(h, edges))
            k = round(distance / unit)
            if k > lags:
                continue
            number[k] += 1
            length[k] += distance
            if all(abs(d) < n for d, n in zip(h, phase.shape, strict=True)):
                here = tuple(slice(max(d, 0), n + min(d, 0)) for d, n in zip(h, phase.shape, strict=True))
                there = tuple(slice(max(-d, 0), n + min(-d, 0)) for d, n in zip(h, phase.shape, strict=True))
                hits[k] += np.count_nonzero(phase[here] & phase[there])
                pairs[k] += phase[here].size
        found = planar_two_point_coverage(phase, edges, lags * unit)
        assert found.lag_nm == pytest.approx(length / number)
        expected = np.divide(hits, pairs, out=np.full(lags + 1, np.nan), where=pairs > 0)
        assert found.coverage == pytest.approx(expected, nan_ok=True)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_along_an_axis(self, axis):
        phase, edges = blobs((12, 15), 66, 0.6, 1.0), (20.0, 10.0)
        across = np.moveaxis(phase, axis, 0)
        expected = [np.mean(across[: len(across) - lag] & across[lag:]) for lag in range(6)]
        found = planar_axis_coverage(phase, edges, axis, 5 * edges[axis])
        assert found.coverage == pytest.approx(expected)
        assert found.lag_nm == pytest.approx(edges[axis] * np.arange(6))


class TestChords:
    def test_stripes(self):
        phase = np.broadcast_to(np.arange(60) // 6 % 2 == 1, (5, 60))
        assert list(planar_chord_lengths(phase, (20.0, 10.0), 1)) == [60.0] * 20  # the last stripe ends at the edge
        assert not len(planar_chord_lengths(phase, (20.0, 10.0), 0))
        assert list(planar_chord_lengths(phase.T, (20.0, 10.0), 0)) == [120.0] * 20

    def test_mean_chord_of_a_disc(self):
        """A quarter of pi of the diameter: pi r^2 over 2 r."""
        for axis in (0, 1):
            found = planar_chord_lengths(disc(300.0, (20.0, 10.0)), (20.0, 10.0), axis)
            assert found.mean() == pytest.approx(math.pi * 150, rel=0.02)


class TestSizes:
    @pytest.mark.parametrize("edges", EDGES[:2])
    @pytest.mark.parametrize("seed", range(6))
    def test_distribution_is_that_of_openings(self, edges, seed):
        phase = blobs((25, 31), [63, seed], 0.7, 0.4 + 0.4 * seed)
        distance = ndimage.distance_transform_edt(phase, sampling=edges).round(9)
        radii, covered, shares = np.unique(distance[phase]), np.zeros_like(phase), []
        for radius in radii[::-1]:
            outside = distance < radius
            covered |= ndimage.distance_transform_edt(outside, sampling=edges).round(9) < radius
            shares.insert(0, covered.sum() / phase.sum())
        found = planar_size_distribution(phase, edges, radii)
        assert found.fraction == pytest.approx(shares)
        assert found.r_max_nm == pytest.approx(radii[np.array(shares) >= 0.5].max())


class TestBottlenecks:
    @pytest.mark.parametrize("edges", EDGES)
    def test_chamber_behind_a_channel(self, edges):
        """Discs of the channel's half-width pass; those of the chamber stay there."""
        rows, columns = (round(600 / edge) for edge in edges)
        y, x = (np.arange(1 - n, n, 2) / 2 * edge for n, edge in zip((rows, columns), edges, strict=True))
        channel, chamber = np.abs(x) < 60, np.abs(x) < 200
        phase = np.where(y[:, None] > -220, chamber, channel)
        for turned, order, axis in ((phase, edges, 0), (phase.T, edges[::-1], 1)):
            r_min = planar_bottleneck_radius(turned, order, axis)
            assert r_min == pytest.approx(60, abs=max(edges) / 2)
            r_max = planar_size_distribution(turned, order, ()).r_max_nm
            assert r_max == pytest.approx(200, abs=max(edges) / 2)
            assert planar_constrictivity(turned, order, axis) == pytest.approx((r_min / r_max) ** 2)

    def test_a_stripe_is_open_along_and_closed_across(self):
        phase = np.broadcast_to(np.arange(30) // 10 == 1, (30, 30))
        assert planar_constrictivity(phase, 10.0, 0) == 1 and planar_constrictivity(phase, 10.0, 1) == 0

    @pytest.mark.parametrize("seed", range(4))
    def test_discs_that_intrude_radius_by_radius(self, seed):
        """Half of the phase within discs whose centres are joined to the side, over pixel edges."""
        edges, phase = (20.0, 10.0), blobs((24, 40), [65, seed], 0.75, 2.0)
        distance = ndimage.distance_transform_edt(phase, sampling=edges).round(9)
        reached = []
        for radius in np.unique(distance[phase]):
            pieces, _ = ndimage.label(distance >= radius)
            centres = np.isin(pieces, np.setdiff1d(pieces[0], 0))
            near = ndimage.distance_transform_edt(~centres, sampling=edges).round(9) < radius
            if centres.any() and 2 * np.count_nonzero(near & phase) >= np.count_nonzero(phase):
                reached.append(radius)
        assert planar_bottleneck_radius(phase, edges) == pytest.approx(max(reached, default=0.0))


class TestBadInput:
    @pytest.mark.parametrize(
        ("function", "arguments", "message"),
        [
            (planar_intrinsic_volumes, (np.zeros((4, 4, 4), bool), 1.0), r"phase: found shape .*, expected two"),
            (planar_intrinsic_volumes, (np.zeros((1, 4), bool), 1.0), r"phase: found shape .*, expected at least"),
            (planar_intrinsic_volumes, (np.zeros((4, 4)), 1.0), "phase: found dtype float64"),
            (planar_intrinsic_volumes, (np.zeros((4, 4), bool), (1.0, 2.0, 3.0)), "pixel_size_nm: found .* two for"),
            (planar_chord_lengths, (np.ones((4, 4), bool), 1.0, 2), "axis: found 2, expected 0 or 1"),
            (planar_constrictivity, (np.ones((4, 4, 4), bool), 1.0), r"phase: found shape .*, expected two"),
            (planar_bottleneck_radius, (np.ones((4, 4), bool), 1.0, -1), "axis: found -1, expected 0 or 1"),
            (planar_axis_coverage, (np.ones((4, 4), bool), 10.0, 0, 31.0), "max_lag_nm: found 31.0, expected"),
            (planar_two_point_coverage, (np.ones((4, 4), bool), 10.0, 31.0), "max_lag_nm: found 31.0, expected"),
        ],
    )
    def test_names_the_argument(self, function, arguments, message):
        with pytest.raises(InputError, match=message):
            function(*arguments)
