"""The same realisations at two voxel sizes: the coarse ones as control variate of the mean of the fine ones."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nmcdist.report.tables import markdown

FEWEST = 4  # pairs from which a slope and its scatter are estimated
QUANTITIES = (("m_factor_mean", "pore"), ("m_factor_mean", "solid"), ("volume_fraction", "solid"))


@dataclass(frozen=True)
class Coupled:
    """A quantity at a coarse and a fine voxel size.

    Attributes
    ----------
    name : str
    voxel_size_nm : float
        Of the fine volumes.
    pairs, coarse_count : int
        Realisations at both voxel sizes, and at the coarse one.
    correlation, slope : float
        Between the voxel sizes, within points; NaN of fewer than four pairs.
    coarse, fine : (float, float)
        Mean of all coarse, and of the fine volumes alone, with standard errors.
    corrected : (float, float)
        Mean of the fine ones, corrected by what the coarse volumes without a partner show.
    """

    name: str
    voxel_size_nm: float
    pairs: int
    coarse_count: int
    correlation: float
    slope: float
    coarse: tuple[float, float]
    fine: tuple[float, float]
    corrected: tuple[float, float]


def control_variate(coarse: np.ndarray, partner: np.ndarray, fine: np.ndarray) -> tuple[float, float, float, float]:
    """Return correlation, slope, and the corrected mean of the fine values with its standard error.

    The mean of fine values moves by the slope times the difference between the means of all coarse values and of the
    partners. Its variance is that of the residuals over the pairs, and that of the coarse mean times the squared slope.

    Parameters
    ----------
    coarse : ndarray of float64, shape (n,)
    partner : ndarray of int, shape (m,)
        Places in `coarse` of the realisations that also have a fine value.
    fine : ndarray of float64, shape (m,)

    Returns
    -------
    tuple of float
        All NaN with fewer than four pairs, or where one of them does not vary.
    """
    near, count = coarse[partner], len(fine)
    if count < FEWEST or not np.ptp(near) or not np.ptp(fine):
        return (math.nan,) * 4
    slope = float(np.cov(near, fine)[0, 1] / near.var(ddof=1))
    mean = float(fine.mean() + slope * (coarse.mean() - near.mean()))
    residual = fine - fine.mean() - slope * (near - near.mean())
    variance = float((residual**2).sum() / (count - 2) / count + slope**2 * coarse.var(ddof=1) / len(coarse))
    return float(np.corrcoef(near, fine)[0, 1]), slope, mean, math.sqrt(variance)


def coupled(data: xr.Dataset) -> list[Coupled]:
    """Return what each fidelity of a store says of each quantity; volumes without a value are left out.

    Parameters
    ----------
    data : xarray.Dataset
        With the coordinates fidelity, voxel_size_nm and partner.
    """
    fidelity, partner = data["fidelity"].values, data["partner"].values
    found = []
    for name, place in QUANTITIES:
        if name not in data:
            continue
        dim = next(str(d) for d in data[name].dims if d != "sample")
        values = data[name].sel({dim: place}).values
        coarse = values[fidelity == 0]
        for number in range(1, int(fidelity.max()) + 1):
            chosen = fidelity == number
            size = float(data["voxel_size_nm"].values[chosen][0])
            found.append(_coupled(f"{name}, {place}", size, coarse, partner[chosen], values[chosen]))
    return found


def _coupled(name: str, size: float, coarse: np.ndarray, partner: np.ndarray, fine: np.ndarray) -> Coupled:
    kept = np.isfinite(fine) & np.isfinite(coarse[partner])
    places = np.full(len(coarse), -1)
    known = np.isfinite(coarse)
    places[known] = np.arange(known.sum())
    coarse, partner, fine = coarse[known], places[partner[kept]], fine[kept]
    correlation, slope, *corrected = control_variate(coarse, partner, fine)
    return Coupled(
        name, size, len(fine), len(coarse), correlation, slope, _mean(coarse), _mean(fine),
        (corrected[0], corrected[1]),
    )  # fmt: skip


def _mean(values: np.ndarray) -> tuple[float, float]:
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) >= FEWEST else math.nan
    return (float(values.mean()) if len(values) else math.nan), error


def fidelity_table(rows: list[Coupled]) -> str:
    """Return the quantities at both voxel sizes as a Markdown table."""
    header = ["quantity", "voxel / nm", "pairs of", "correlation", "slope", "coarse mean", "fine only", "corrected"]
    return markdown(
        header,
        [[row.name, f"{row.voxel_size_nm:g}", f"{row.pairs} of {row.coarse_count}", _number(row.correlation),
          _number(row.slope), *(_with_error(*pair) for pair in (row.coarse, row.fine, row.corrected))]
         for row in rows],
    )  # fmt: skip


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _with_error(value: float, error: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}" + ("" if math.isnan(error) else f" ± {error:.4f}")


ABOUT = (
    "The same realisations in the same windows, at the voxels of the recipe (coarse) and at others (fine). Corrected: "
    "the mean of the fine volumes, moved by the slope times the difference between all coarse volumes and those with a "
    "fine partner. After ±: standard errors, none below four values. Means are over all points together."
)
