"""How much to image: the volume at which the 95 % interval of a parameter is as narrow as asked.

Standard errors fall with the square root of the volume, but that of mu: the field of the carbon binder has the
covariance 1 / (1 + (eta h)^2), which is so long that the mean of the field over a cube, which nobody can tell from the
threshold, scatters almost like 1 / edge. It is scaled by the exact variance of that mean.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.cba.fit import ABSOLUTE
from nmcdist.calibration.cba.reference import REFERENCE_SD
from nmcdist.errors import InputError
from nmcdist.faults import proposal
from nmcdist.wording import shown

NAMES = tuple(REFERENCE_SD)
_TARGET = re.compile(r"([A-Za-z_0-9]+)=([0-9.eE+-]+)(%?)")
_NORMAL = 1.959963984540054
SHORTEST_NM = 4800.0  # edge of an image: lags reach over a quarter of it
_LOWEST, _HIGHEST = 100.0, 1e8  # edges of a cube in nm


@dataclass(frozen=True)
class Known:
    """Standard errors that were measured.

    Attributes
    ----------
    sd : mapping of str to float
        Of mu, and of the logarithms of the others.
    edges_nm : list of (float, float, float)
        Of the images or realisations with these errors.
    eta_per_nm : float
    origin : str
        Where they come from.
    """

    sd: Mapping[str, float]
    edges_nm: list[tuple[float, float, float]]
    eta_per_nm: float
    origin: str


@dataclass(frozen=True)
class Need:
    """The volume for one target.

    Attributes
    ----------
    name : str
    accuracy : float
        Half-width of the 95 % interval: of mu, and as a share of the others.
    volume_nm3 : float
    """

    name: str
    accuracy: float
    volume_nm3: float


def parsed_targets(texts: Iterable[str]) -> dict[str, float]:
    """Return accuracies by name from texts like "eta=1%" and "mu=0.03".

    Raises
    ------
    InputError
        If a text is something else, a parameter is given twice, or none is given.
    """
    found = {}
    for text in texts:
        match = _TARGET.fullmatch(text.strip())
        if match is None:
            raise InputError(f"accuracy: found {shown(text)}, expected a parameter and a share, such as eta=1%")
        name, number, percent = match.groups()
        if name not in NAMES:
            raise InputError(f"accuracy: unknown parameter {shown(name)}{proposal(name, NAMES)}")
        if (name in ABSOLUTE) == bool(percent):
            kind = "a number, such as mu=0.03" if name in ABSOLUTE else f"a share in per cent, such as {name}=10%"
            raise InputError(f"accuracy: found {shown(text)}, expected {kind}")
        try:
            value = float(number) / (100 if percent else 1)
        except ValueError:
            value = math.nan
        if not 0 < value < 10:
            raise InputError(f"accuracy: found {shown(text)}, expected a positive number")
        if name in found:
            raise InputError(f"accuracy: found {name} twice, expected it once")
        found[name] = value
    if not found:
        raise InputError("accuracy: found none, expected one or more, such as eta=1% lambda_X=20%")
    return found


def plan(targets: Mapping[str, float], known: Known) -> list[Need]:
    """Return the volume that each target needs."""
    return [Need(name, accuracy, _volume(name, accuracy, known)) for name, accuracy in targets.items()]


def standard_error(name: str, edge_nm: float, known: Known) -> float:
    """Return the standard error of a parameter from a cube: of mu, and of the logarithms of the others."""
    return error_in(name, [(edge_nm,) * 3], known)


def error_in(name: str, edges_nm: list[tuple[float, float, float]], known: Known) -> float:
    """Return the standard error of a parameter from images with these edges."""
    if name in ABSOLUTE:
        ratio = _mean_variance(known.eta_per_nm, edges_nm) / _mean_variance(known.eta_per_nm, known.edges_nm)
    else:
        ratio = sum(map(math.prod, known.edges_nm)) / sum(map(math.prod, edges_nm))
    return known.sd[name] * math.sqrt(ratio)


def _volume(name: str, accuracy: float, known: Known) -> float:
    """Return the volume by bisection of the edge; errors of logarithms become those of the values' upper ends."""
    wanted = (accuracy if name in ABSOLUTE else math.log1p(accuracy)) / _NORMAL
    low, high = _LOWEST, _HIGHEST
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if standard_error(name, middle, known) > wanted else (low, middle)
    return float(high**3)


def _mean_variance(eta: float, edges_nm: list[tuple[float, float, float]]) -> float:
    """Return the variance of the mean over boxes of a field with covariance 1 / (1 + (eta h)^2).

    The covariance is a mixture of exp(-s (eta h)^2) with weights exp(-s) ds, and separates for each s.
    """
    from scipy.special import erf

    log_s, step = np.linspace(math.log(1e-14), math.log(60.0), 3000, retstep=True)
    s = np.exp(log_s)
    weight = np.exp(-s) * s * step
    total, found = 0.0, 0.0
    for edges in edges_nm:
        product = np.ones_like(s)
        for edge in edges:
            k = np.sqrt(s) * eta * edge
            product *= np.where(k < 1e-3, 1.0, np.sqrt(np.pi) / k * erf(k) + np.expm1(-(k**2)) / k**2)
        volume = math.prod(edges)
        total, found = total + volume, found + volume**2 * float((weight * product).sum())
    return found / total**2
