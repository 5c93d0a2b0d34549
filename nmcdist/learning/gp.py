"""Exact Gaussian processes: one length scale per input, a constant mean, and noise that is fitted or known.

The equations are those of Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), chapters 2 and 5.
Results come from LAPACK, so their last digits may differ between machines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from nmcdist.arguments import check_one_of, finite_array
from nmcdist.errors import InputError

KERNELS = ("squared-exponential", "matern-5/2")
MOST_POINTS = 4000  # the work grows with their third power
_JITTER = 1e-10  # of the variance: keeps the matrix of repeated points invertible
_LENGTHS, _VARIANCES, _NOISES = (0.03, 100.0), (1e-3, 1e3), (1e-8, 10.0)  # bounds, for standardised data
_STARTS = ((0.5, 1e-2), (1.5, 1e-1), (5.0, 1e-2))  # length scale over the root of the number of inputs, noise


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process with its hyperparameters, conditioned on points.

    Attributes
    ----------
    x : ndarray of float64, shape (n, d)
    y : ndarray of float64, shape (n,)
    noise_variance : ndarray of float64, shape (n,)
        Known variance of each value, besides `noise`.
    length_scales : ndarray of float64, shape (d,)
        In the units of the inputs.
    variance, noise : float
        Variance of the process, and of the noise that is the same at every point.
    mean : float
        Constant mean of the process.
    kernel : {"squared-exponential", "matern-5/2"}
    """

    x: np.ndarray
    y: np.ndarray
    noise_variance: np.ndarray
    length_scales: np.ndarray
    variance: float
    noise: float
    mean: float
    kernel: str = KERNELS[0]

    @classmethod
    def fit(
        cls, x: np.ndarray, y: np.ndarray, noise_variance: np.ndarray | None = None, *, kernel: str = KERNELS[0],
        like: "GaussianProcess | None" = None, shortest: float = _LENGTHS[0],
    ) -> "GaussianProcess":  # fmt: skip
        """Return the process of greatest likelihood, found from several fixed starts.

        Parameters
        ----------
        x : array_like, shape (n, d)
        y : array_like, shape (n,)
        noise_variance : array_like, shape (n,), optional
            Variance of each value, for example of the mean of its replicates. A noise that is the same everywhere is
            fitted in addition. Default: 0.
        kernel : {"squared-exponential", "matern-5/2"}
        like : GaussianProcess, optional
            Start from its hyperparameters alone, which is faster if its points are nearly these.
        shortest : float
            Least length scale, in standard deviations of the inputs. With many inputs and few points, the most likely
            scales may be so short that each point stands alone, and predictions fall back to the mean.

        Raises
        ------
        InputError
            If shapes or values are impossible, or there are fewer than 2 or more than `MOST_POINTS` points.
        """
        check_one_of("kernel", kernel, KERNELS)
        x = finite_array("x", x, ("n", "d"))
        y = finite_array("y", y, (len(x),))
        known = np.zeros(len(y)) if noise_variance is None else finite_array("noise_variance", noise_variance, y.shape)
        if not 2 <= len(x) <= MOST_POINTS or not x.shape[1]:
            raise InputError(f"x: found {len(x)} points of {x.shape[1]} inputs, expected 2 to {MOST_POINTS} points")
        if (known < 0).any():
            raise InputError(f"noise_variance: found {known.min():g}, expected variances from 0")
        spread, scale = _spread(x), float(_spread(y))
        units = (x - x.mean(axis=0)) / spread, (y - y.mean()) / scale, known / scale**2
        starts = _starts(x.shape[1])
        if like is not None:
            starts = [np.array([*like.length_scales / spread, like.variance / scale**2, like.noise / scale**2])]
        lengths, variance, noise = _most_likely(*units, kernel, starts, shortest)
        fitted = cls(x, y, known, lengths * spread, variance * scale**2, noise * scale**2, 0.0, kernel)
        return cls(**{**fitted.__dict__, "mean": _mean(fitted)})

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the process at points; add `noise` for the variance of a new value.

        Parameters
        ----------
        x : array_like, shape (m, d)

        Returns
        -------
        mean, variance : ndarray of float64, shape (m,)
        """
        shared, explained = self._towards(x)
        return self.mean + shared @ self._weights, np.maximum(self.variance - (explained**2).sum(axis=0), 0.0)

    def sample(self, x: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Return draws of the process at points, jointly.

        Parameters
        ----------
        x : array_like, shape (m, d)
        normals : array_like, shape (draws, m)
            Independent standard normal numbers.

        Returns
        -------
        ndarray of float64, shape (draws, m)
        """
        x = finite_array("x", x, ("m", self.x.shape[1]))
        normals = finite_array("normals", normals, ("draws", len(x)))
        shared, explained = self._towards(x)
        covariance = self.covariance(x, x) - explained.T @ explained
        # Not Cholesky: the covariance of many near points is singular to rounding.
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        # The symmetric root of the covariance: vectors may have any sign, and any turn among near values.
        drawn = (normals @ vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return np.asarray(self.mean + shared @ self._weights + drawn)

    @cached_property
    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Residual of each value from its prediction without it, and the variance of that residual.

        Equations (5.10) to (5.12), with unchanged hyperparameters.
        """
        precision = np.diag(cho_solve(self._factor, np.eye(len(self.y))))
        return self._weights / precision, 1.0 / precision

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the process as plain arrays; its kernel is not among them."""
        return {
            "x": self.x,
            "y": self.y,
            "noise_variance": self.noise_variance,
            "length_scales": self.length_scales,
            "scalars": np.array([self.variance, self.noise, self.mean]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], kernel: str = KERNELS[0]) -> "GaussianProcess":
        """Return the process of :meth:`arrays`; InputError if they do not belong together."""
        check_one_of("kernel", kernel, KERNELS)
        x = finite_array("x", arrays["x"], ("n", "d"))
        y, known = (finite_array(name, arrays[name], (len(x),)) for name in ("y", "noise_variance"))
        lengths = finite_array("length_scales", arrays["length_scales"], (x.shape[1],))
        variance, noise, mean = finite_array("scalars", arrays["scalars"], (3,)).tolist()
        if (lengths <= 0).any() or variance <= 0 or noise < 0 or (known < 0).any():
            raise InputError("scalars: found a length scale or a variance that is not positive")
        return cls(x, y, known, lengths, variance, noise, mean, kernel)

    def covariance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the covariance of the process between points, shape (len(a), len(b))."""
        squares = cdist(a / self.length_scales, b / self.length_scales, "sqeuclidean")
        return np.asarray(self.variance * _SHAPES[self.kernel](squares)[0])

    @cached_property
    def _factor(self) -> tuple[np.ndarray, bool]:
        matrix = self.covariance(self.x, self.x)
        matrix[np.diag_indices_from(matrix)] += self.noise + self.noise_variance + _JITTER * self.variance
        return cho_factor(matrix, lower=True)  # type: ignore[no-any-return]

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.asarray(cho_solve(self._factor, self.y - self.mean))

    def _towards(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of new points with the known ones, and the same over the root of the known ones'."""
        shared = self.covariance(finite_array("x", x, ("m", self.x.shape[1])), self.x)
        return shared, solve_triangular(self._factor[0], shared.T, lower=True)


def _squared_exponential(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    correlation = np.exp(-0.5 * squares)
    return correlation, correlation


def _matern(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distance = np.sqrt(5 * squares)
    decay = np.exp(-distance)
    return (1 + distance + distance**2 / 3) * decay, 5 / 3 * (1 + distance) * decay


# Correlation by the squared distance, and -2 times its derivative.
_SHAPES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = dict(
    zip(KERNELS, (_squared_exponential, _matern), strict=True)
)


def _spread(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=0)
    # Beyond rounding: equal values may have a deviation that is not quite 0.
    return np.where(spread > 1e-12 * np.abs(values).max(axis=0), spread, 1.0)


def _mean(process: GaussianProcess) -> float:
    """Return the most likely constant mean."""
    ones = cho_solve(process._factor, np.ones(len(process.y)))
    return float(ones @ process.y / ones.sum())


def _starts(inputs: int) -> list[np.ndarray]:
    return [np.array([length * np.sqrt(inputs)] * inputs + [1.0, noise]) for length, noise in _STARTS]


def _most_likely(
    x: np.ndarray, y: np.ndarray, known: np.ndarray, kernel: str, starts: Sequence[np.ndarray], shortest: float
) -> tuple[np.ndarray, float, float]:  # fmt: skip
    """Return the length scales, the variance and the noise of greatest likelihood, for standardised data."""
    bounds = np.log([(shortest, _LENGTHS[1])] * x.shape[1] + [_VARIANCES, _NOISES])
    best = None
    for start in starts:
        logs = np.clip(np.log(np.maximum(start, 1e-300)), bounds[:, 0], bounds[:, 1])
        found = minimize(
            loss, logs, args=(x, y, known, kernel), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": 200},
        )  # fmt: skip
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    found = np.exp(best.x)
    return found[:-2], float(found[-2]), float(found[-1])


def loss(
    logs: np.ndarray, x: np.ndarray, y: np.ndarray, known: np.ndarray, kernel: str
) -> tuple[float, np.ndarray]:  # fmt: skip
    """Return the negative logarithm of the likelihood, and its gradient: equations (2.30) and (5.9).

    The constant mean has its most likely value, so that it adds nothing to the gradient.

    Parameters
    ----------
    logs : ndarray, shape (d + 2,)
        Natural logarithms of length scales, variance and noise.
    x : ndarray, shape (n, d)
    y, known : ndarray, shape (n,)
    kernel : str
    """
    lengths, variance, noise = np.exp(logs[:-2]), np.exp(logs[-2]), np.exp(logs[-1])
    scaled = x / lengths
    correlation, slope = _SHAPES[kernel](cdist(scaled, scaled, "sqeuclidean"))
    matrix = variance * correlation
    matrix[np.diag_indices_from(matrix)] += noise + known + _JITTER * variance
    try:
        factor = cho_factor(matrix, lower=True)
    except np.linalg.LinAlgError:
        return 1e25, np.zeros(len(logs))
    inverse = cho_solve(factor, np.eye(len(y)))
    ones = inverse.sum(axis=0)
    weights = inverse @ y - ones * (ones @ y / ones.sum())
    value = 0.5 * y @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * len(y) * np.log(2 * np.pi)
    misfit = inverse - np.outer(weights, weights)
    rows = misfit * slope
    # The sum over pairs of rows * (difference of the inputs)^2, without an array of pairs and inputs.
    pairs = 2 * (rows.sum(axis=1) @ scaled**2 - (scaled * (rows @ scaled)).sum(axis=0))
    gradient = [*(0.5 * variance * pairs)]
    gradient.append(0.5 * variance * ((misfit * correlation).sum() + _JITTER * np.trace(misfit)))
    gradient.append(0.5 * noise * np.trace(misfit))
    return float(value), np.array(gradient)
