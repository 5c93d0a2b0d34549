"""Functions of the normal law against mpmath."""

import math

import mpmath
import numpy as np
import pytest

from nmcdist.models.quantiles import dawson, erf, normal_quantile

RNG = np.random.default_rng(2)
SMALL = 10.0 ** RNG.uniform(-8, 0, 100)


def relative_error(function, exact, values):
    with mpmath.workdps(40):
        pairs = [(mpmath.mpf(function(float(x))), exact(mpmath.mpf(float(x)))) for x in values]
        return max(float(abs(found / true - 1)) for found, true in pairs)


def test_error_function():
    assert relative_error(erf, mpmath.erf, [*RNG.uniform(0, 7, 300), *SMALL, 2.0, 100.0]) < 1e-15
    assert erf(0.0) == 0.0


def test_dawsons_integral():
    def exact(x):
        return mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x)

    assert relative_error(dawson, exact, [*RNG.uniform(0, 7, 300), *RNG.uniform(5, 100, 100), *SMALL]) < 1e-14
    assert dawson(0.0) == 0.0


def test_normal_quantile():
    ends = 0.5 - 10.0 ** RNG.uniform(-16, -1, 200)
    values = [*RNG.uniform(-0.5, 0.5, 300), *ends, *(-ends), *(0.4 * SMALL)]
    assert relative_error(normal_quantile, lambda q: mpmath.sqrt(2) * mpmath.erfinv(2 * q), values) < 2e-15
    assert [normal_quantile(q) for q in (-0.5, 0.0, 0.5)] == pytest.approx([-math.inf, 0.0, math.inf])
