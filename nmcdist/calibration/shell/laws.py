"""Laws of the coefficients: families fitted by likelihood, with errors from scores summed over particles.

Each particle has a weight (see :func:`window_weights`). The values of one particle are not independent, so standard
errors come from the sandwich of the observed information and the scores of the particles.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import gammaln

from nmcdist.calibration.shell.noisy import normal_density, student_density

Family = Literal["log-normal with location", "log-normal", "normal", "student"]
NORMAL_NU = 1e9  # degrees of freedom that stand for the normal law in a bundle
_MOST_NU = 200.0  # beyond, Student's law is the normal law for any sample
_LEAST_LOG_NU, _MOST_LOG_NU = -1.0, 12.0  # of Student's law with noise, whose integral needs a width
_LEAST_SHARE = 1e-3  # of a spread that is not noise; less is nothing
_LOWEST_LOCATION = 50.0  # standard deviations below the smallest value; beyond, the law is normal

LogDensity = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Law:
    """A fitted law.

    Attributes
    ----------
    family : str
    values, errors : dict of str to float
        Parameters in the unit of the data, and their standard errors; an error is NaN where the parameter lies at a
        bound and the data do not fix it.
    aic : float
        Akaike's criterion, lower is better, of the weighted likelihood.
    note : str
        What failed, "" if nothing.
    """

    family: Family
    values: dict[str, float]
    errors: dict[str, float]
    aic: float
    note: str = ""


def window_weights(low: np.ndarray, high: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return weights that undo the choice of particles that the border does not cut (Miles and Lantuejoul).

    Large particles are cut more often: a particle of h voxels lies whole in n voxels in n - h - 1 of its positions.

    Parameters
    ----------
    low, high : ndarray of int, shape (n, 3)
        Boxes around the particles.
    shape : tuple of int

    Returns
    -------
    ndarray of float64, shape (n,)
        With mean 1.
    """
    weights = 1.0 / np.prod(np.asarray(shape) - (high - low) - 1.0, axis=1)
    return np.asarray(weights / weights.mean())


def size_laws(sizes: np.ndarray, weights: np.ndarray) -> list[Law]:
    """Fit the families of the paper to a_00, best first.

    Parameters
    ----------
    sizes : ndarray of float64, shape (n,)
        Positive.
    weights : ndarray of float64, shape (n,)
    """
    rows, mean = sizes[:, None], float(np.average(sizes, weights=weights))
    spread = float(np.sqrt(np.average((sizes - mean) ** 2, weights=weights)))
    start = np.array([np.average(np.log(sizes), weights=weights), 0.0])
    start[1] = np.log(np.sqrt(np.average((np.log(sizes) - start[0]) ** 2, weights=weights)))
    laws = [
        _log_normal_with_location(rows, weights, spread),
        _law("log-normal", _log_normal, start, rows, weights, lambda t: {"scale": np.exp(t[0]), "sigma": np.exp(t[1])}),
        _law("normal", _normal, np.array([mean, np.log(spread)]), rows, weights,
             lambda t: {"mean": t[0], "deviation": np.exp(t[1])}),
    ]  # fmt: skip
    fitted = minimize(
        lambda t: -_total(_student, t, rows, weights), np.array([mean, np.log(spread), np.log(10.0)]),
        method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-6, "maxiter": 2000},
    )  # fmt: skip
    laws.append(_law("student", _student, fitted.x, rows, weights,
                     lambda t: {"mean": t[0], "scale": np.exp(t[1]), "nu": np.exp(t[2])}))  # fmt: skip
    return sorted(laws, key=lambda one: one.aic)


def harmonic_laws(values: np.ndarray, weights: np.ndarray, noise: np.ndarray | None = None) -> list[Law]:
    """Fit a normal and a Student law with mean 0 to the coefficients of one degree, best first.

    Parameters
    ----------
    values : ndarray of float64, shape (n, 2 l + 1)
    weights : ndarray of float64, shape (n,)
    noise : ndarray of float64, shape (n,), optional
        Standard deviation of the normal noise that the values of a particle have; the law is that without it.

    Returns
    -------
    list of Law
        With "scale", and "nu" for Student's law, whose values are scale times T.
    """
    spread = float(np.sqrt(np.average((values**2).mean(axis=1), weights=weights)))
    if noise is None:
        normal_of: LogDensity = _centred_normal
        student_of: LogDensity = _centred_student
        normal_at = np.array([np.log(spread)])
    else:
        normal_of, student_of = _noisy_normal(noise), _noisy_student(noise)
        found = minimize_scalar(
            lambda x: -_total(normal_of, np.array([x]), values, weights), method="bounded",
            bounds=(np.log(_LEAST_SHARE * spread), np.log(2 * spread)), options={"xatol": 1e-7},
        )  # fmt: skip
        normal_at = np.array([found.x])
    normal = _law("normal", normal_of, normal_at, values, weights, lambda t: {"scale": np.exp(t[0])})
    best = minimize(
        lambda t: -_total(student_of, t, values, weights),
        np.array([normal_at[0] + np.log(0.8), np.log(6.0)]),
        method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-6, "maxiter": 2000},
    )  # fmt: skip
    if np.exp(best.x[1]) > _MOST_NU:
        return [normal]
    student = _law("student", student_of, best.x, values, weights,
                   lambda t: {"scale": np.exp(t[0]), "nu": np.exp(t[1])})  # fmt: skip
    return sorted([normal, student], key=lambda one: one.aic)


def ratio_gain(values: np.ndarray, sizes: np.ndarray, weights: np.ndarray) -> tuple[float, list[Law]]:
    """Compare a law of a_lm / a_00 with one of a_lm: their difference of AIC, and the laws of the ratio, best first.

    Returns
    -------
    gain : float
        AIC of the law of a_lm less that of the law of a_lm / a_00, both as densities of a_lm given a_00: positive if
        the ratio describes the particles better.
    laws : list of Law
    """
    laws = harmonic_laws(values / sizes[:, None], weights)
    jacobian = 2 * values.shape[1] * float((weights * np.log(sizes)).sum())
    return harmonic_laws(values, weights)[0].aic - (laws[0].aic + jacobian), laws


def _log_normal_with_location(rows: np.ndarray, weights: np.ndarray, spread: float) -> Law:
    """Maximise the likelihood over the location; mean and deviation of the logarithm follow in closed form."""
    lowest = float(rows.min())

    def at(log_below: float) -> np.ndarray:
        logs = np.log(rows[:, 0] - lowest + np.exp(log_below))
        mean = np.average(logs, weights=weights)
        return np.array([lowest - np.exp(log_below), mean,
                         0.5 * np.log(np.average((logs - mean) ** 2, weights=weights))])  # fmt: skip

    # The likelihood grows without bound as the location approaches the smallest value, so it is kept away from it.
    bounds = np.log(0.02 * spread), np.log(_LOWEST_LOCATION * spread)
    best = minimize_scalar(
        lambda x: -_total(_shifted_log_normal, at(x), rows, weights), bounds=bounds, method="bounded",
        options={"xatol": 1e-7},
    )  # fmt: skip
    is_bound = min(best.x - bounds[0], bounds[1] - best.x) < 1e-2
    name = lambda t: {"location": t[0], "scale": np.exp(t[1]), "sigma": np.exp(t[2])}  # noqa: E731
    law = _law("log-normal with location", _shifted_log_normal, at(best.x), rows, weights, name)
    if not is_bound:
        return law
    lost = dict.fromkeys(law.values, float("nan"))
    return Law(law.family, law.values, lost, law.aic, "the location lies at a bound of the search: not identified")


def _law(
    family: Family, density: LogDensity, at: np.ndarray, values: np.ndarray, weights: np.ndarray,
    named: Callable[[np.ndarray], dict[str, float]],
) -> Law:  # fmt: skip
    aic = 2 * len(at) - 2 * _total(density, at, values, weights)
    covariance = _sandwich(density, at, values, weights)
    found = {name: float(value) for name, value in named(at).items()}
    errors, step = {}, 1e-6
    for name in found:
        slope = np.array([(named(at + step * e)[name] - named(at - step * e)[name]) / (2 * step)
                          for e in np.eye(len(at))])  # fmt: skip
        variance = float(slope @ covariance @ slope)
        errors[name] = float(np.sqrt(variance)) if variance >= 0 else float("nan")
    failed = [name for name, error in errors.items() if not np.isfinite(error)]
    return Law(family, found, errors, float(aic), f"no standard error of {', '.join(failed)}" if failed else "")


def _sandwich(density: LogDensity, at: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the covariance of an estimate: inverse information, scores, inverse information."""
    steps = 1e-4 * np.maximum(1.0, np.abs(at))

    def scores(point: np.ndarray) -> np.ndarray:
        columns = []
        for k, step in enumerate(steps):
            shift = np.zeros(len(at))
            shift[k] = step
            rise = density(point + shift, values) - density(point - shift, values)
            columns.append(weights * rise.sum(axis=1) / (2 * step))
        return np.stack(columns, axis=1)

    score = scores(at)
    information = np.empty((len(at), len(at)))
    for k, step in enumerate(steps):
        shift = np.zeros(len(at))
        shift[k] = step
        information[k] = -(scores(at + shift) - scores(at - shift)).sum(axis=0) / (2 * step)
    try:
        inverse = np.linalg.inv((information + information.T) / 2)
    except np.linalg.LinAlgError:
        return np.full(information.shape, np.nan)
    return np.asarray(inverse @ (score.T @ score) @ inverse)


def _total(density: LogDensity, at: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    return float((weights * density(at, values).sum(axis=1)).sum())


def _normal(at: np.ndarray, x: np.ndarray) -> np.ndarray:
    z = (x - at[0]) * np.exp(-at[1])
    return np.asarray(-0.5 * z * z - at[1] - 0.5 * np.log(2 * np.pi))


def _log_normal(at: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray(_normal(at, np.log(x)) - np.log(x))


def _shifted_log_normal(at: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray(_log_normal(at[1:], np.maximum(x - at[0], 1e-300)))


def _student(at: np.ndarray, x: np.ndarray) -> np.ndarray:
    nu = np.exp(min(at[2], 20.0))
    z = (x - at[0]) * np.exp(-at[1])
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi) - at[1]
    return np.asarray(constant - (nu + 1) / 2 * np.log1p(z * z / nu))


def _centred_normal(at: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _normal(np.array([0.0, at[0]]), x)


def _centred_student(at: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _student(np.array([0.0, at[0], at[1]]), x)


def _noisy_normal(noise: np.ndarray) -> LogDensity:
    return lambda at, x: normal_density(float(np.exp(at[0])), x, noise)


def _noisy_student(noise: np.ndarray) -> LogDensity:
    return lambda at, x: student_density(
        float(np.exp(at[0])), float(np.exp(min(max(at[1], _LEAST_LOG_NU), _MOST_LOG_NU))), x, noise
    )
