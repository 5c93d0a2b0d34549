"""Special functions of the normal law as kernels, from elementary functions that are the same on every machine."""

import math

from nmcdist.geometry.elementary import exp, log
from nmcdist.jit import kernel

_CENTRAL = (
    (3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_MIDDLE = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


@kernel
def normal_quantile(q: float) -> float:
    """Return the quantile of the standard normal law at 1/2 + q, for q from -1/2 to 1/2.

    Wichura (1988), algorithm AS 241, doi:10.2307/2347330.
    """
    if abs(q) <= 0.425:
        return q * _ratio(_CENTRAL, 0.180625 - q * q)
    tail = 0.5 - abs(q)
    if not tail > 0.0:
        return math.copysign(math.inf, q)
    r = math.sqrt(-log(tail))
    return math.copysign(_ratio(_MIDDLE, r - 1.6) if r <= 5.0 else _ratio(_FAR, r - 5.0), q)


@kernel
def _ratio(coefficients: tuple[tuple[float, ...], ...], r: float) -> float:
    above, below = 0.0, 0.0
    for k in range(7, -1, -1):
        above = above * r + coefficients[0][k]
        below = below * r + coefficients[1][k]
    return above / below


@kernel
def erf(x: float) -> float:
    """Return the error function of a number >= 0."""
    if x > 6.0:
        return 1.0
    if x < 2.0:
        term, total = x, x
        n = 0
        while term > 1e-18 * total:
            n += 1
            term *= 2.0 * x * x / (2 * n + 1)
            total += term
        return 1.1283791670955126 * _exp_of_minus_square(x) * total
    # The continued fraction of 1 - erf.
    below = x
    for n in range(120, 0, -1):
        below = x + 0.5 * n / below
    return 1.0 - 0.5641895835477563 * _exp_of_minus_square(x) / below


@kernel
def dawson(x: float) -> float:
    """Return Dawson's integral, exp(-x^2) times the integral of exp(t^2) from 0 to x, for x >= 0."""
    if x < 6.0:
        power, total, term = x, x, x
        n = 0
        while term > 1e-18 * total:
            n += 1
            power *= x * x / n
            term = power / (2 * n + 1)
            total += term
        return _exp_of_minus_square(x) * total
    term, total = 0.5 / x, 0.5 / x
    for n in range(1, 30):
        term *= (2 * n - 1) / (2.0 * x * x)
        total += term
    return total


@kernel
def _exp_of_minus_square(x: float) -> float:
    # The square of a number with few digits is exact, and the remaining exponent is small.
    short = math.floor(x * 1048576.0) / 1048576.0
    return exp(-short * short) * exp(-(x - short) * (x + short))
