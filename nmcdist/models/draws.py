"""Random numbers that are equal on every machine: the laws of NumPy's Generator on a Philox stream.

NumPy's integers are equal everywhere, but values in the tails of its laws (one normal number in 4000) depend on the
last digit of the C library's logarithm. This module computes them with :mod:`nmcdist.geometry.elementary`, by the
same algorithms and from the same words of the stream, so they equal NumPy's except for rounding.

References
----------
Philox: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011). Ziggurat: Marsaglia and Tsang, J. Stat.
Softw. 5 (2000), doi:10.18637/jss.v005.i08. Gamma: Marsaglia and Tsang, ACM Trans. Math. Softw. 26 (2000) 363.
Poisson: Hörmann, Insur. Math. Econ. 12 (1993) 39, transformed rejection.
"""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nmcdist.geometry.elementary import exp, log, log1p
from nmcdist.jit import Float, Int, kernel

# Start of the tails of the ziggurats, and the area of each of their 256 layers.
_NORMAL_EDGE, _EXPONENTIAL_EDGE = "3.6541528853610087963519472518", "7.6971174701310497140446280481"
_NORMAL_AREA = "0.004928673233974654931590913431847148883305"

_within = kernel(forceinline=True)  # too short to be worth a call


class Stream:
    """One stream of random numbers.

    Parameters
    ----------
    key : numpy.random.SeedSequence
        Key as for `numpy.random.Philox`.
    """

    def __init__(self, key: np.random.SeedSequence) -> None:
        # Key (2 words), counter (4), block (4), position in the block, flag for an unused half word, and that half.
        self._state = np.zeros(13, np.uint64)
        self._state[:2] = key.generate_state(2, np.uint64)
        self._state[10] = 4

    @property
    def state(self) -> np.ndarray:
        """The stream itself, for kernels: :func:`next_uniform` and :func:`next_below` advance it."""
        return self._state

    def branch(self, part: int) -> "Stream":
        """Return another stream of the same key, from 2^192 times `part` blocks on; much cheaper than another key.

        Parameters
        ----------
        part : int
            1, 2, ...; 0 is the stream itself, from its beginning.
        """
        other = Stream.__new__(Stream)
        other._state = np.zeros(13, np.uint64)
        other._state[:2], other._state[5], other._state[10] = self._state[:2], part, 4
        return other

    def uniform(self, *shape: int) -> np.ndarray:
        """Return uniform numbers in [0, 1)."""
        out = np.empty(shape)
        _fill_uniform(self._state, out.reshape(-1))
        return out

    def normal(self, *shape: int) -> np.ndarray:
        """Return standard normal numbers."""
        out = np.empty(shape)
        _fill_normal(self._state, _normal_table(), out.reshape(-1))
        return out

    def normal32(self, *shape: int) -> np.ndarray:
        """Return standard normal numbers as float32, two per word of the stream."""
        out = np.empty(shape, np.float32)
        _fill_normal32(self._state, _normal32_table(), out.reshape(-1))
        return out

    def exponential(self, count: int) -> np.ndarray:
        """Return numbers with the exponential law of mean 1."""
        out = np.empty(count)
        _fill_exponential(self._state, _exponential_table(), out)
        return out

    def gamma(self, shape: float, count: int) -> np.ndarray:
        """Return numbers with the gamma law of a shape > 0 and rate 1."""
        out = np.empty(count)
        _fill_gamma(self._state, _normal_table(), _exponential_table(), float(shape), out)
        return out

    def student(self, freedom: np.ndarray) -> np.ndarray:
        """Return one number with Student's law for each of the degrees of freedom."""
        out = np.empty(len(freedom))
        _fill_student(self._state, _normal_table(), _exponential_table(), freedom, out)
        return out

    def poisson(self, mean: float) -> int:
        """Return a number with Poisson's law."""
        return int(_poisson(self._state, float(mean)))

    def arrivals(self, mean: float) -> int:
        """Return a number with Poisson's law that never falls as the mean grows: arrivals of a process up to it."""
        return int(_arrivals(self._state, _exponential_table(), float(mean)))


# ---- Tables of the ziggurats, in decimal arithmetic, which rounds correctly everywhere ---------------------------


@lru_cache(maxsize=1)
def _normal_table() -> np.ndarray:
    return _table(_NORMAL_EDGE, _NORMAL_AREA, _bell, lambda y: (-2 * y.ln()).sqrt(), 52, np.float64)


@lru_cache(maxsize=1)
def _normal32_table() -> np.ndarray:
    return _table(_NORMAL_EDGE, _NORMAL_AREA, _bell, lambda y: (-2 * y.ln()).sqrt(), 23, np.float32)


@lru_cache(maxsize=1)
def _exponential_table() -> np.ndarray:
    edge = Decimal(_EXPONENTIAL_EDGE)
    with localcontext(prec=40):
        area = str((edge + 1) * (-edge).exp())
    return _table(_EXPONENTIAL_EDGE, area, lambda x: (-x).exp(), lambda y: -y.ln(), 53, np.float64)


def _bell(x: Decimal) -> Decimal:
    return (-x * x / 2).exp()


def _table(
    edge: str, area: str, density: Callable[[Decimal], Decimal], inverse: Callable[[Decimal], Decimal], bits: int,
    kind: type[np.floating],
) -> np.ndarray:  # fmt: skip
    """Return, per layer, the integer below which a draw is inside, the width of an integer, and the density."""
    with localcontext(prec=40):
        ends = [Decimal(0)] * 255 + [Decimal(edge)]
        for k in range(254, 0, -1):
            ends[k] = inverse(Decimal(area) / ends[k + 1] + density(ends[k + 1]))
        base, unit = Decimal(area) / density(ends[255]), Decimal(2) ** bits
        inside = [ends[255] / base * unit, Decimal(0), *(a / b * unit for a, b in pairwise(ends[1:]))]
        widths = [x / unit for x in (base, *ends[1:])]
        rows = [float(round(k)) for k in inside], [float(x) for x in widths], [float(density(x)) for x in ends]
        return np.array(rows).astype(kind)


# ---- The stream ------------------------------------------------------------------------------------------------


def _high_product(_: Any, a: Any, b: Any) -> Any:
    """Return the upper 64 of the 128 bits of a product, as a kernel."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(value, wide) for value in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), build


_high: Any = intrinsic(_high_product)


@kernel
def _next_block(state: np.ndarray) -> None:
    """Increment the counter and encrypt it to four words by Philox 4x64 with ten rounds."""
    for k in range(2, 6):
        state[k] += np.uint64(1)
        if state[k] != 0:
            break
    a, b, c, d = state[2], state[3], state[4], state[5]
    key, other = state[0], state[1]
    for _ in range(10):
        high, low = _high(np.uint64(0xD2E7470EE14C6C93), a), np.uint64(0xD2E7470EE14C6C93) * a
        higher, lower = _high(np.uint64(0xCA5A826395121157), c), np.uint64(0xCA5A826395121157) * c
        a, b, c, d = higher ^ b ^ key, lower, high ^ d ^ other, low
        key += np.uint64(0x9E3779B97F4A7C15)
        other += np.uint64(0xBB67AE8584CAA73B)
    state[6], state[7], state[8], state[9] = a, b, c, d


@_within
def _next(state: np.ndarray) -> int:
    place = state[10]
    if place >= 4:
        _next_block(state)
        place = np.uint64(0)
    state[10] = place + np.uint64(1)
    return state[np.uint64(6) + place]


@_within
def _next_half(state: np.ndarray) -> Int:
    if state[11] != 0:
        state[11] = 0
        return state[12]
    word = _next(state)
    state[11], state[12] = 1, word >> np.uint64(32)
    return word & np.uint64(0xFFFFFFFF)


@_within
def _uniform(state: np.ndarray) -> float:
    return np.float64(_next(state) >> np.uint64(11)) * 2.0**-53


@kernel
def next_uniform(state: np.ndarray) -> float:
    """Return the next uniform number in [0, 1) of a stream, in a kernel."""
    return _uniform(state)


@kernel
def next_below(state: np.ndarray, count: Int) -> Int:
    """Return the next whole number in [0, count) of a stream, in a kernel; count is at most 2^32."""
    return np.int64(_high(_next(state), np.uint64(count)))


@_within
def _uniform32(state: np.ndarray) -> Float:
    return np.float32(_next_half(state) >> np.uint64(8)) * np.float32(2.0**-24)


# ---- Laws ------------------------------------------------------------------------------------------------------


@_within
def _sign(word: Int) -> Int:
    """Return 1 or -1 from a bit, without an unpredictable branch."""
    return 1 - np.int64((word >> np.uint64(7)) & np.uint64(2))


@_within
def _sign32(half: Int) -> Int:
    return np.int32(1) - np.int32((half >> np.uint32(7)) & np.uint32(2))


@_within
def _normal(state: np.ndarray, table: np.ndarray) -> float:
    edge = 3.6541528853610087963519472518
    while True:
        word = _next(state)
        layer = word & np.uint64(0xFF)
        size = (word >> np.uint64(9)) & np.uint64(0xFFFFFFFFFFFFF)
        x = np.float64(np.int64(size) * _sign(word)) * table[1, layer]
        if np.float64(size) < table[0, layer]:
            return x
        if layer == 0:
            while True:
                beyond = -0.27366123732975827203338247596 * log1p(-_uniform(state))
                y = -log1p(-_uniform(state))
                if y + y > beyond * beyond:
                    return -(edge + beyond) if (size >> np.uint64(8)) & np.uint64(1) else edge + beyond
        high, low = table[2, layer - np.uint64(1)], table[2, layer]
        if (high - low) * _uniform(state) + low < exp(-0.5 * x * x):
            return x


@_within
def _normal32(state: np.ndarray, table: np.ndarray) -> Float:
    edge, inverse = np.float32(3.6541528853610087963519472518), np.float32(0.27366123732975827203338247596)
    while True:
        word = _next_half(state)
        layer = word & np.uint64(0xFF)
        size = (word >> np.uint64(9)) & np.uint64(0x7FFFFF)
        x = np.float32(np.int64(size) * _sign(word)) * table[1, layer]
        if np.float32(size) < table[0, layer]:
            return x
        if layer == 0:
            while True:
                beyond = -inverse * np.float32(log1p(-np.float64(_uniform32(state))))
                y = -np.float32(log1p(-np.float64(_uniform32(state))))
                if y + y > beyond * beyond:
                    return -(edge + beyond) if (size >> np.uint64(8)) & np.uint64(1) else edge + beyond
        high, low = table[2, layer - np.uint64(1)], table[2, layer]
        if np.float64((high - low) * _uniform32(state) + low) < exp(-0.5 * np.float64(x) * np.float64(x)):
            return x


@_within
def _two_normal32(state: np.ndarray, table: np.ndarray, out: np.ndarray) -> bool:
    """Write two numbers as :func:`_normal32` from one word, unless one needs more words: then the stream is unchanged.

    Nineteen words of twenty are enough, and one short path for them is four times as fast.
    """
    word = _next(state)
    low, high = np.uint32(word), np.uint32(word >> np.uint64(32))
    size, other = np.int32((low >> np.uint32(9)) & np.uint32(0x7FFFFF)), np.int32(high >> np.uint32(9))
    layer, next_layer = low & np.uint32(0xFF), high & np.uint32(0xFF)
    if np.float32(size) >= table[0, layer] or np.float32(other) >= table[0, next_layer]:
        state[10] -= np.uint64(1)
        return False
    out[0] = np.float32(size * _sign32(low)) * table[1, layer]
    out[1] = np.float32(other * _sign32(high)) * table[1, next_layer]
    return True


@_within
def _exponential(state: np.ndarray, table: np.ndarray) -> float:
    while True:
        word = _next(state) >> np.uint64(3)
        layer, size = word & np.uint64(0xFF), np.float64(word >> np.uint64(8))
        x = size * table[1, layer]
        if size < table[0, layer]:
            return x
        if layer == 0:
            return 7.6971174701310497140446280481 - log1p(-_uniform(state))
        high, low = table[2, layer - np.uint64(1)], table[2, layer]
        if (high - low) * _uniform(state) + low < exp(-x):
            return x


@kernel
def _gamma(state: np.ndarray, normals: np.ndarray, exponentials: np.ndarray, shape: float) -> float:
    if shape == 1.0:
        return _exponential(state, exponentials)
    if shape < 1.0:
        return _gamma_below_one(state, exponentials, shape)
    b = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * b)
    while True:
        x = _normal(state, normals)
        v = 1.0 + c * x
        while v <= 0.0:
            x = _normal(state, normals)
            v = 1.0 + c * x
        v = v * v * v
        u = _uniform(state)
        if u < 1.0 - 0.0331 * (x * x) * (x * x) or log(u) < 0.5 * x * x + b * (1.0 - v + log(v)):
            return b * v


@kernel
def _gamma_below_one(state: np.ndarray, exponentials: np.ndarray, shape: float) -> float:
    while True:
        u, v = _uniform(state), _exponential(state, exponentials)
        y = 0.0 if u <= 1.0 - shape else -log((1.0 - u) / shape)
        x = exp(log(u if u <= 1.0 - shape else 1.0 - shape + shape * y) / shape)
        if x <= v + y:
            return x


@kernel
def _poisson(state: np.ndarray, mean: float) -> Int:
    if mean < 10.0:
        bound, product, count = exp(-mean), _uniform(state), np.int64(0)
        while product > bound:
            product *= _uniform(state)
            count += 1
        return count
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse, most = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = _uniform(state) - 0.5, _uniform(state)
        room = 0.5 - abs(u)
        count = np.int64(np.floor((2.0 * a / room + b) * u + mean + 0.43))
        if room >= 0.07 and v <= most:
            return count
        if count < 0 or (room < 0.013 and v > room):
            continue
        if log(v) + log(inverse) - log(a / (room * room) + b) <= -mean + count * log(mean) - _log_factorial(count):
            return count


@kernel
def _arrivals(state: np.ndarray, exponentials: np.ndarray, mean: float) -> Int:
    """Count the arrivals of a Poisson process of rate 1 up to a time."""
    count, time = 0, _exponential(state, exponentials)
    while time <= mean:
        count += 1
        time += _exponential(state, exponentials)
    return count


@kernel
def _log_factorial(n: Int) -> float:
    """Return log(n!), by Stirling's series from 7! on."""
    x = np.float64(max(n, 6) + 1)
    r = 1.0 / (x * x)
    series = r * (-2.777777777777778e-03 + r * (7.936507936507937e-04 + r * (-5.952380952380952e-04 + r * (
        8.417508417508418e-04 + r * (-1.917526917526918e-03 + r * 6.410256410256410e-03)))))  # fmt: skip
    value = (8.333333333333333e-02 + series) / x + 0.9189385332046727 + (x - 0.5) * log(x) - x
    for k in range(n + 1, 7):
        value -= log(np.float64(k))
    return value


@kernel
def _fill_uniform(state: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):
        out[i] = _uniform(state)


@kernel
def _fill_normal(state: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):
        out[i] = _normal(state, table)


@kernel
def _fill_normal32(state: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    i = 0
    while i < len(out):
        if i + 1 < len(out) and state[11] == 0 and _two_normal32(state, table, out[i : i + 2]):
            i += 2
        else:
            out[i] = _normal32(state, table)
            i += 1


@kernel
def _fill_exponential(state: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):
        out[i] = _exponential(state, table)


@kernel
def _fill_gamma(
    state: np.ndarray, normals: np.ndarray, exponentials: np.ndarray, shape: float, out: np.ndarray
) -> None:
    for i in range(len(out)):
        out[i] = _gamma(state, normals, exponentials, shape)


@kernel
def _fill_student(
    state: np.ndarray, normals: np.ndarray, exponentials: np.ndarray, freedom: np.ndarray, out: np.ndarray
) -> None:
    for i in range(len(out)):
        half = freedom[i] / 2.0
        x = _normal(state, normals)
        out[i] = math.sqrt(half) * x / math.sqrt(_gamma(state, normals, exponentials, half))
