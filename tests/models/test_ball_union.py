"""The union of packed balls, refereed by closed forms of one and two balls."""

import numpy as np
import pytest

from nmcdist.bundle import PackingParameters
from nmcdist.models.ball_union import union_volume_and_surface
from nmcdist.models.packing import Packing, pack_balls


def test_hard_balls_have_the_volume_and_surface_of_all_balls():
    parameters = PackingParameters(radius_mean_nm=100.0, ball_fraction=0.4)
    packing = pack_balls(parameters, np.full(3, 1600.0), 1, 0)
    volume, surface = union_volume_and_surface(packing, 1600.0)
    assert volume == pytest.approx(0.4, abs=2e-3)
    # Balls that touch overlap by up to a thousandth of a radius: a cap with less than a thousandth of the directions.
    assert surface == pytest.approx(3 * 0.4 / packing.radius_nm[0], rel=2e-3)


@pytest.mark.parametrize("other", [[350.0, 300.0, 300.0], [150.0, 430.0, 300.0], [300.0, 20.0, 300.0]])
def test_two_balls_meet_in_a_lens_also_across_the_border(other):
    centre, edge, (r, s) = np.array([[150.0, 300.0, 300.0], other]), 600.0, (120.0, 150.0)
    way = centre[1] - centre[0]
    d = np.linalg.norm(way - edge * np.round(way / edge))
    volume, surface = union_volume_and_surface(Packing(centre, np.array([r, s]), 0.0, 0), edge)
    total = 4 / 3 * np.pi * (r**3 + s**3)
    outside = 4 * np.pi * (r**2 + s**2)
    if d < r + s:
        # Heights of the caps, of the plane through the circle in which both surfaces meet.
        first = (d * d + r * r - s * s) / (2 * d)
        h, k = r - first, s - (d - first)
        total -= np.pi * (h * h * (3 * r - h) + k * k * (3 * s - k)) / 3
        outside -= 2 * np.pi * (r * h + s * k)
    assert volume == pytest.approx(total / edge**3, rel=0.01)
    assert surface == pytest.approx(outside / edge**3, rel=2e-3)
