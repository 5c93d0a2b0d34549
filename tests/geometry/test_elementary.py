"""Elementary functions against mpmath, and at the values where they change or end."""

import math

import mpmath
import numpy as np
import pytest

from nmcdist.geometry import elementary
from nmcdist.geometry.elementary import acos, asin, atan2, atanh, cbrt, exp, log, log1p, sin_cos

RNG = np.random.default_rng(1)
N = 3000
SIZES = 10.0 ** RNG.uniform(-300, 300, N)
SHARES = RNG.uniform(-1, 1, N)
SMALL = SHARES * 10.0 ** RNG.uniform(-18, 0, N)
QUARTERS = np.arange(-60_000, 60_000, 37) * (math.pi / 2)  # floats beside the zeros, where reducing an angle fails
ANGLES = np.concatenate([RNG.uniform(-10, 10, N), RNG.uniform(-1e5, 1e5, N), QUARTERS, SMALL])
NAN, INF = math.nan, math.inf


def error(function, exact, values):
    """Return the largest error in units of the last place."""
    worst = 0.0
    with mpmath.workprec(160):
        for value in values:
            found, true = function(float(value)), exact(mpmath.mpf(float(value)))
            worst = max(worst, float(abs(mpmath.mpf(float(found)) - true)) / math.ulp(float(true)))
    return worst


@pytest.mark.parametrize(
    ("function", "exact", "values", "most"),
    [
        (exp, mpmath.exp, [*RNG.uniform(-708, 709, N), *SHARES, *SMALL], 1),
        (log, mpmath.log, [*SIZES, *RNG.uniform(0.5, 2, N), *(1 + 1e-3 * SHARES)], 1),
        (log1p, mpmath.log1p, [*SIZES, *SHARES, *SMALL], 1.5),
        (cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), [*SIZES, *SHARES], 1),
        (lambda x: sin_cos(x)[0], mpmath.sin, ANGLES, 1),
        (lambda x: sin_cos(x)[1], mpmath.cos, ANGLES, 1),
        (asin, mpmath.asin, [*SHARES, *SMALL], 2),
        (acos, mpmath.acos, SHARES, 2),
        (atanh, mpmath.atanh, [*SHARES, *SMALL], 2),
    ],
    ids=["exp", "log", "log1p", "cbrt", "sin", "cos", "asin", "acos", "atanh"],
)
def test_results_are_within_two_units_of_the_last_place(function, exact, values, most):
    assert error(function, exact, values) < most


def test_the_angle_of_a_point_is_within_two_units_of_the_last_place():
    points = RNG.standard_normal((N, 2)) * 10.0 ** RNG.uniform(-5, 5, (N, 2))
    worst = max(error(lambda y, x=x: atan2(y, x), lambda y, x=x: mpmath.atan2(y, float(x)), [y]) for y, x in points)
    assert worst < 2


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("exp", (0.0,), 1.0),
        ("exp", (710.0,), INF),
        ("exp", (INF,), INF),
        ("exp", (-INF,), 0.0),
        ("exp", (-746.0,), 0.0),
        ("exp", (-745.0,), 5e-324),
        ("exp", (NAN,), NAN),
        ("log", (1.0,), 0.0),
        ("log", (0.0,), -INF),
        ("log", (INF,), INF),
        ("log", (-1.0,), NAN),
        ("log", (NAN,), NAN),
        ("log1p", (0.0,), 0.0),
        ("log1p", (1e-300,), 1e-300),
        ("log1p", (-1.0,), -INF),
        ("log1p", (-2.0,), NAN),
        ("log1p", (INF,), INF),
        ("cbrt", (0.0,), 0.0),
        ("cbrt", (-27.0,), -3.0),
        ("cbrt", (5e-324,), 2.0**-358),
        ("cbrt", (INF,), INF),
        ("cbrt", (NAN,), NAN),
        ("sin_cos", (0.0,), (0.0, 1.0)),
        ("sin_cos", (1.1e5,), (NAN, NAN)),
        ("sin_cos", (NAN,), (NAN, NAN)),
        ("atan2", (0.0, 0.0), 0.0),
        ("atan2", (0.0, 2.0), 0.0),
        ("atan2", (0.0, -2.0), math.pi),
        ("atan2", (2.0, 0.0), math.pi / 2),
        ("atan2", (-2.0, 0.0), -math.pi / 2),
        ("atan2", (1.0, 1.0), math.pi / 4),
        ("atan2", (-1.0, -1.0), -3 * math.pi / 4),
        ("atan2", (NAN, 1.0), NAN),
        ("asin", (1.0,), math.pi / 2),
        ("asin", (-1.0,), -math.pi / 2),
        ("acos", (1.0,), 0.0),
        ("acos", (-1.0,), math.pi),
        ("atanh", (1.0,), INF),
        ("atanh", (-1.0,), -INF),
        ("atanh", (2.0,), NAN),
    ],
)
def test_special_values(name, arguments, value):
    assert getattr(elementary, name)(*arguments) == pytest.approx(value, rel=1e-15, abs=0, nan_ok=True)
