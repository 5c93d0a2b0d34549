"""Sizes and bottlenecks, refereed by brute force, closed forms and porespy."""

import math

import numpy as np
import porespy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nmcdist.descriptors.pore_size import (
    bottleneck_radius,
    constrictivity,
    constrictivity_from_radii,
    pore_size_distribution,
    squared_distance,
)
from nmcdist.errors import InputError
from nmcdist.threads import set_thread_count


def blobs(shape, seed, share, sigma):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return field < np.quantile(field, share)


phases = st.builds(
    blobs, st.tuples(*[st.integers(1, 12)] * 3), st.integers(0, 2**32), st.floats(0.3, 0.97), st.floats(0.3, 2)
).filter(lambda phase: phase.any() and not phase.all())  # fmt: skip


def levels(phase):
    """Return the squared radii that occur, and the squared distances."""
    distance2 = np.rint(ndimage.distance_transform_edt(phase) ** 2).astype(int)
    return np.unique(distance2[phase]), distance2


def dilated(centres, level):
    """Return what open balls of a squared radius around the centres cover."""
    if not centres.any():
        return centres
    return np.rint(ndimage.distance_transform_edt(~centres) ** 2) < level


def shares_by_morphology(phase):
    """Erode and dilate for each radius; larger balls cover, too."""
    radii2, distance2 = levels(phase)
    covered, shares = np.zeros_like(phase), {}
    for level in radii2[::-1]:
        covered |= dilated(distance2 >= level, level)
        shares[level] = covered.sum() / phase.sum()
    return shares


def r_min_by_morphology(phase, axis):
    """Erode, keep what is joined to the face, dilate, for each radius; return the largest that reaches half."""
    radii2, distance2 = levels(phase)
    reached = np.zeros_like(phase)
    for level in radii2[::-1]:
        labels, _ = ndimage.label(distance2 >= level)
        on_face = np.setdiff1d(np.take(labels, 0, axis=axis), 0)
        reached |= dilated(np.isin(labels, on_face), level)
        if 2 * reached.sum() >= phase.sum():
            return math.sqrt(level)
    return 0.0


def chambers():
    """Two chambers 21 voxels wide, of 30 and 80 layers, joined by 10 layers of a gap 5 wide; outside beside."""
    phase = np.zeros((120, 25, 4), dtype=bool)
    phase[:30, 2:23] = phase[40:, 2:23] = True
    phase[30:40, 10:15] = True
    return phase


class TestBruteForce:
    @settings(max_examples=60, deadline=None)
    @given(phases)
    def test_distribution_is_that_of_openings(self, phase):
        shares = shares_by_morphology(phase)
        radii = np.sqrt(list(shares))
        found = pore_size_distribution(phase, 1.0, radii)
        assert found.fraction == pytest.approx(list(shares.values()))
        assert found.r_max_nm == max(r for r, f in zip(radii, shares.values(), strict=True) if f >= 0.5)

    @settings(max_examples=80, deadline=None)
    @given(phases, st.integers(0, 2))
    def test_intrusion_is_that_of_joined_openings(self, phase, axis):
        assert bottleneck_radius(phase, 1.0, axis) == r_min_by_morphology(phase, axis)

    @settings(max_examples=30, deadline=None)
    @given(phases, st.integers(0, 2))
    def test_constrictivity_is_the_ratio_of_squares(self, phase, axis):
        found = constrictivity(phase, 7.0, axis)
        r_max = pore_size_distribution(phase, 1.0).r_max_nm
        assert found == pytest.approx(r_min_by_morphology(phase, axis) ** 2 / r_max**2)
        assert 0 <= found <= 1 + 1e-12


class TestTheory:
    @pytest.mark.parametrize("width", [9, 10])
    def test_slab(self, width):
        """The outside voxels beside a slab are width + 1 apart; all of it is covered up to half of that."""
        phase = np.zeros((30, 12, 12), dtype=bool)
        phase[7 : 7 + width] = True
        radius = (width + 1) // 2
        found = pore_size_distribution(phase, 20.0, [0, 20.0 * radius, 20.0 * radius + 0.1])
        assert list(found.fraction) == [1, 1, 0]
        assert found.r_max_nm == 20.0 * radius

    def test_two_slabs(self):
        """Slabs 7 and 14 wide have radii 4 and 7; the median is that of the wider, two thirds of the phase."""
        phase = np.zeros((40, 9, 9), dtype=bool)
        phase[5:12] = phase[20:34] = True
        found = pore_size_distribution(phase, 1.0)
        assert list(found.radius_nm) == list(range(9))
        assert found.fraction == pytest.approx([1] * 5 + [14 / 21] * 3 + [0])
        assert found.r_max_nm == 7

    def test_ball(self):
        """A ball of radius 12.5 is covered by itself but for a rim of about half a voxel, 3 x 0.5 / 12.5."""
        z, y, x = np.indices((31, 31, 31)) - 15
        phase = z**2 + y**2 + x**2 <= 12.5**2
        found = pore_size_distribution(phase, 1.0)
        assert found.r_max_nm == pytest.approx(12.5, abs=0.5)
        assert found.fraction[12] > 1 - 3 * 0.5 / 12.5

    def test_small_chamber_before_a_gap(self):
        """Less than half lies before the gap: r_min is that of the gap, (5 + 1) / 2, r_max (21 + 1) / 2."""
        phase = chambers()
        assert bottleneck_radius(phase, 20.0, 0) == 60.0
        assert constrictivity(phase, 20.0, 0) == pytest.approx((3 / 11) ** 2)

    def test_large_chamber_before_a_gap(self):
        assert constrictivity(chambers()[::-1], 20.0, 0) == 1

    def test_closed_phase_is_not_reached(self):
        phase = np.zeros((20, 9, 9), dtype=bool)
        phase[2:, 2:7, 2:7] = True
        assert bottleneck_radius(phase, 1.0, 0) == 0
        assert constrictivity(phase, 1.0, 0) == 0
        assert constrictivity(phase[::-1], 1.0, 0) == 1

    def test_balls_do_not_pass_where_voxels_touch_at_an_edge_only(self):
        phase = np.zeros((8, 8, 5), dtype=bool)
        phase[:2, :4] = phase[2:, 4:] = True
        assert bottleneck_radius(phase, 1.0, 0) == 0


class TestIndependent:
    """Porespy covers with balls of the radii that it is given only, and so loses the rims of larger ones.

    Its balls are therefore among ours; in these phases of about 100 voxels a pore the rims hold below 3 %.
    """

    radii = range(1, 9)

    def test_local_thickness(self):
        phase = blobs((64, 60, 62), 8, 0.6, 3.5)
        theirs = porespy.filters.local_thickness(phase, method="dt", sizes=self.radii)
        theirs = np.array([(theirs[phase] >= r).mean() for r in self.radii])
        ours = pore_size_distribution(phase, 1.0, self.radii).fraction
        assert (ours >= theirs).all()
        assert ours == pytest.approx(theirs, abs=0.03)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_porosimetry(self, axis):
        phase = blobs((64, 60, 62), 9, 0.6, 3.5)
        inlets = np.zeros_like(phase)
        inlets[tuple(0 if k == axis else slice(None) for k in range(3))] = True
        theirs = porespy.filters.porosimetry(phase, inlets=inlets, sizes=self.radii)
        shares = [(theirs[phase] >= r).mean() for r in self.radii]
        r_min = max(r for r, share in zip(self.radii, shares, strict=True) if share >= 0.5)
        # Ours lies between whole radii; half a voxel for the rims.
        assert r_min <= bottleneck_radius(phase, 1.0, axis) < r_min + 1.5


class TestInvariance:
    @settings(max_examples=25, deadline=None)
    @given(phases, st.permutations([0, 1, 2]), st.floats(0.1, 100))
    def test_turned_and_scaled(self, phase, order, voxel_size_nm):
        turned = phase.transpose(order)
        found, expected = pore_size_distribution(turned, voxel_size_nm), pore_size_distribution(phase, 1.0)
        assert np.array_equal(found.fraction, expected.fraction)
        assert found.radius_nm == pytest.approx(voxel_size_nm * expected.radius_nm)
        assert found.r_max_nm == pytest.approx(voxel_size_nm * expected.r_max_nm)
        for axis in range(3):
            assert constrictivity(turned, voxel_size_nm, axis) == pytest.approx(constrictivity(phase, 1.0, order[axis]))

    @settings(max_examples=25, deadline=None)
    @given(phases, st.integers(0, 2))
    def test_a_distance_at_hand_gives_the_same(self, phase, axis):
        distance2 = squared_distance(phase)
        found = pore_size_distribution(phase, 2.0, squared_distance=distance2)
        assert np.array_equal(found.fraction, pore_size_distribution(phase, 2.0).fraction)
        assert bottleneck_radius(phase, 2.0, axis, distance2) == bottleneck_radius(phase, 2.0, axis)

    def test_thread_count_does_not_matter(self):
        phase = blobs((130, 40, 44), 10, 0.7, 3)
        set_thread_count(1)
        try:
            one = pore_size_distribution(phase, 1.0), bottleneck_radius(phase, 1.0)
        finally:
            set_thread_count(2)
        two = pore_size_distribution(phase, 1.0), bottleneck_radius(phase, 1.0)
        assert np.array_equal(one[0].fraction, two[0].fraction)
        assert (one[0].r_max_nm, one[1]) == (two[0].r_max_nm, two[1])


class TestDefinedValues:
    def test_empty_phase(self):
        phase = np.zeros((4, 5, 6), dtype=bool)
        found = pore_size_distribution(phase, 1.0, [0, 1, 2])
        assert list(found.fraction) == [0, 0, 0]
        assert (found.r_max_nm, bottleneck_radius(phase, 1.0), constrictivity(phase, 1.0)) == (0, 0, 0)

    def test_phase_that_fills_the_volume(self):
        phase = np.ones((4, 5, 6), dtype=bool)
        found = pore_size_distribution(phase, 1.0, [0, 1, 200])
        assert list(found.fraction) == [1, 1, 1]
        assert (found.r_max_nm, bottleneck_radius(phase, 1.0)) == (math.inf, math.inf)
        assert constrictivity(phase, 1.0) == 1

    def test_no_phase_on_the_face(self):
        phase = np.zeros((6, 5, 5), dtype=bool)
        phase[3:] = True
        assert constrictivity(phase, 1.0, 0) == 0

    def test_radii_to_ratios(self):
        assert list(constrictivity_from_radii([1.0, 2.0], 2.0)) == [0.25, 1]
        assert list(constrictivity_from_radii([0.0], 0.0)) == [0]
        assert list(constrictivity_from_radii([math.inf], math.inf)) == [1]


class TestBadInput:
    @pytest.mark.parametrize(
        ("function", "arguments", "message"),
        [
            (pore_size_distribution, (np.zeros((4, 4), bool), 1.0), r"phase: found shape \(4, 4\)"),
            (pore_size_distribution, (np.zeros((4, 4, 4), int), 1.0), "phase: found dtype int64"),
            (pore_size_distribution, (np.zeros((4, 4, 4), bool), math.nan), "voxel_size_nm: found nan"),
            (pore_size_distribution, (np.zeros((4, 4, 4), bool), 1.0, [1, -2]), "radii_nm: found -2"),
            (bottleneck_radius, (np.zeros((4, 4, 4), bool), 1.0, 3), "axis: found 3, expected 0, 1 or 2"),
            (constrictivity, (np.zeros((4, 4, 4), bool), 0.0), "voxel_size_nm: found 0"),
            (
                bottleneck_radius,
                (np.zeros((4, 4, 4), bool), 1.0, 0, np.zeros((4, 4, 5), np.uint16)),
                r"squared_distance: found shape \(4, 4, 5\)",
            ),
        ],
    )
    def test_names_the_argument(self, function, arguments, message):
        with pytest.raises(InputError, match=message):
            function(*arguments)
