"""Elementary functions that give the same bits on every machine, for use in kernels.

The results of C libraries, NumPy and vector libraries differ between CPUs and versions in the last digit. These
functions only add, subtract, multiply, divide and take square roots in double precision, which IEEE 754 defines to
the last bit, and change exponents as integers. Their errors are within 2 units in the last place.

Methods and coefficients of exp, log, cube root, sine, cosine and arctangent come from Sun Microsystems' fdlibm (1993)
and FreeBSD's msun, both free to use with this notice.
"""

import math

import numpy as np

from nmcdist.jit import Int, kernel

LARGEST_ANGLE = 1e5  # of sin and cos: larger arguments lose digits

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_HALF_PI = (1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624871116645580e-21, 8.47842766036889956997e-32)
_SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)


@kernel
def _power_of_two(k: Int) -> float:
    """Return 2^k for -1022 <= k <= 1023."""
    return np.int64((k + 1023) << 52).view(np.float64)


@kernel
def exp(x: float) -> float:
    """Return e^x."""
    if not x < 709.782712893384:
        return math.inf if x == x else x
    if x < -745.1332191019412:
        return 0.0
    k = np.floor(x * 1.4426950408889634 + 0.5)
    high, low = x - k * _LN2_HIGH, k * _LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (
        6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))))  # fmt: skip
    y = 1.0 - ((low - (r * c) / (2.0 - c)) - high)
    # In two factors, because 2^1024 and numbers below 2^-1022 are not normal numbers.
    half = np.int64(k) >> 1
    return y * _power_of_two(half) * _power_of_two(np.int64(k) - half)


@kernel
def log(x: float) -> float:
    """Return the natural logarithm; -inf at 0, NaN below."""
    if not x > 0.0 or x == math.inf:
        return -math.inf if x == 0.0 else (x if x == math.inf else math.nan)
    k = np.int64(0)
    if x < 2.2250738585072014e-308:
        x, k = x * 18014398509481984.0, np.int64(-54)
    bits = np.float64(x).view(np.int64)
    # Leaves a mantissa from sqrt(1/2) to sqrt(2).
    shift = (bits - _SQRT_HALF_BITS) >> 52
    k += shift
    f = np.int64(bits - (shift << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = z * (6.666666666666735130e-01 + w * (
        2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)))  # fmt: skip
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + even + odd) + k * _LN2_LOW)) - f)


@kernel
def log1p(x: float) -> float:
    """Return log(1 + x)."""
    if abs(x) < 1e-16:
        return x
    u = 1.0 + x
    if not u > 0.0 or u == math.inf:
        return log(u)
    lost = 1.0 - (u - x) if x >= 1.0 else x - (u - 1.0)
    return log(u) + lost / u


@kernel
def cbrt(x: float) -> float:
    """Return the cube root."""
    a = abs(x)
    if a == 0.0 or not a < math.inf:
        return x
    scale = 1.0
    if a < 2.2250738585072014e-308:
        a, scale = a * 18014398509481984.0, 1.0 / 262144.0
    high = (np.float64(a).view(np.uint64) >> np.uint64(32)) // np.uint64(3) + np.uint64(715094163)
    t = np.uint64(high << np.uint64(32)).view(np.float64)
    r = (t * t) * (t / a)
    t = t * ((1.87595182427177009643 + r * (-1.88497979543377169875 + r * 1.621429720105354466140)) + (
        (r * r) * r) * (-0.758397934778766047437 + r * 0.145996192886612446982))  # fmt: skip
    # Rounded to 23 bits, its square is exact; a step of Newton's method doubles the correct bits.
    bits = np.float64(t).view(np.uint64)
    t = np.uint64((bits + np.uint64(0x80000000)) & np.uint64(0xFFFFFFFFC0000000)).view(np.float64)
    r = a / (t * t)
    t = (t + t * ((r - t) / (t + t + r))) * scale
    return -t if x < 0.0 else t


@kernel
def _reduced(x: float) -> tuple[Int, float, float]:
    """Return the quadrant of an angle, and the remaining angle as a sum of two numbers."""
    n = np.floor(x * 0.6366197723675814 + 0.5)
    a = x - n * _HALF_PI[0]
    # The angle minus n pi / 2; the products of n and the parts of pi / 2 are exact except for the last.
    for part in (1, 2):
        before, w = a, n * _HALF_PI[part]
        a = before - w
        low = (before - a) - w
        if part == 1:
            first = low
    w = n * _HALF_PI[3] - low - first
    rest = a - w
    return np.int64(n) & 3, rest, (a - rest) - w


@kernel
def _sine(x: float, y: float) -> float:
    z = x * x
    v = z * x
    r = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * (
        2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)))  # fmt: skip
    return x - ((z * (0.5 * y - v * r) - y) + v * 1.66666666666666324348e-01)


@kernel
def _cosine(x: float, y: float) -> float:
    z = x * x
    r = z * (0.0416666666666666019037 + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 + z * (
        -2.75573143513906633035e-07 + z * (2.08757232129817482790e-9 + z * -1.13596475577881948265e-11)))))  # fmt: skip
    half = 0.5 * z
    w = 1.0 - half
    return w + (((1.0 - w) - half) + (z * r - x * y))


@kernel
def sin_cos(x: float) -> tuple[float, float]:
    """Return the sine and the cosine of an angle in radians; NaN beyond LARGEST_ANGLE."""
    if not abs(x) <= LARGEST_ANGLE:
        return math.nan, math.nan
    if abs(x) < 7.450580596923828e-09:
        return x, 1.0
    quadrant, rest, low = _reduced(x)
    s, c = _sine(rest, low), _cosine(rest, low)
    if quadrant == 0:
        return s, c
    if quadrant == 1:
        return c, -s
    if quadrant == 2:
        return -s, -c
    return -c, s


@kernel
def _arctangent(x: float) -> float:
    """Return the arctangent of a number from 0."""
    if x < 0.4375:
        high, low, t = 0.0, 0.0, x
    elif x < 0.6875:
        high, low, t = 4.63647609000806093515e-01, 2.26987774529616870924e-17, (2.0 * x - 1.0) / (2.0 + x)
    elif x < 1.1875:
        high, low, t = 7.85398163397448278999e-01, 3.06161699786838301793e-17, (x - 1.0) / (x + 1.0)
    elif x < 2.4375:
        high, low, t = 9.82793723247329054082e-01, 1.39033110312309984516e-17, (x - 1.5) / (1.0 + 1.5 * x)
    else:
        high, low, t = 1.57079632679489655800, 6.12323399573676603587e-17, -1.0 / x
    z = t * t
    w = z * z
    odd = z * (3.33333333333329318027e-01 + w * (1.42857142725034663711e-01 + w * (9.09088713343650656196e-02 + w * (
        6.66107313738753120669e-02 + w * (4.97687799461593236017e-02 + w * 1.62858201153657823623e-02)))))  # fmt: skip
    even = w * (-0.199999999998764832476 + w * (-0.11111110405462355788 + w * (
        -7.69187620504482999495e-02 + w * (-5.83357013379057348645e-2 + w * -3.65315727442169155270e-02))))  # fmt: skip
    return high - ((t * (odd + even) - low) - t)


@kernel
def atan2(y: float, x: float) -> float:
    """Return the angle of the point (x, y) from the x axis, -pi to pi; 0 or pi on the axis."""
    if not (abs(y) < math.inf and abs(x) < math.inf):
        return math.nan
    angle = 1.57079632679489655800 if x == 0.0 and y != 0.0 else 0.0
    if x != 0.0:
        angle = _arctangent(abs(y) / abs(x))
    if x < 0.0:
        angle = 3.1415926535897931160 - (angle - 1.2246467991473531772e-16)
    return -angle if y < 0.0 else angle


@kernel
def asin(x: float) -> float:
    """Return the arcsine of a number from -1 to 1."""
    return atan2(x, math.sqrt((1.0 - x) * (1.0 + x)))


@kernel
def acos(x: float) -> float:
    """Return the arccosine of a number from -1 to 1."""
    return atan2(math.sqrt((1.0 - x) * (1.0 + x)), x)


@kernel
def atanh(x: float) -> float:
    """Return the inverse hyperbolic tangent of a number between -1 and 1."""
    a = abs(x)
    value = 0.5 * log1p(2.0 * a / (1.0 - a)) if a < 1.0 else (math.inf if a == 1.0 else math.nan)
    return -value if x < 0.0 else value
