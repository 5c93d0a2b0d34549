"""The fit of all eight parameters from counts, and the quantities that get a standard error."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import CbaParameters
from nmcdist.calibration.cba.binder import BinderFit, binder_coverage, fit_binder
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.graphite import ALPHA_1, GraphiteFit, fit_graphite, plates

# Quantities with a standard error, and their units. The scatter of all but mu is that of their logarithms.
UNITS = {
    "lambda_X": "nm^-3", "mean_a": "nm", "mean_c": "nm", "alpha_2": "1", "gamma": "nm^-1", "mu": "1",
    "eta": "nm^-1", "theta": "nm^-1", "lambda_Y": "nm^-3",
}  # fmt: skip
ABSOLUTE = ("mu",)
OF_GRAPHITE = ("lambda_X", "mean_a", "mean_c", "alpha_2", "gamma")
FIELD_OF = {
    "lambda_X": "lambda_X_per_nm3", "alpha_2": "alpha_2", "gamma": "gamma_per_nm", "mu": "mu", "eta": "eta_per_nm",
    "theta": "theta_per_nm", "lambda_Y": "lambda_Y_per_nm3",
}  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """Both fits of a sample."""

    binder: BinderFit
    graphite: GraphiteFit

    @property
    def parameters(self) -> CbaParameters:
        """The parameters, before the correction by simulation."""
        g, b = self.graphite, self.binder
        gamma = g.alpha_1 / g.mean_a_nm
        return CbaParameters(
            lambda_X_per_nm3=g.lambda_X_per_nm3, alpha_1=g.alpha_1, alpha_2=g.mean_c_nm * gamma, gamma_per_nm=gamma,
            mu=b.mu, eta_per_nm=b.eta_per_nm, theta_per_nm=b.theta_per_nm, lambda_Y_per_nm3=b.lambda_Y_per_nm3,
        )  # fmt: skip


def fit_counts(
    counts: Counts, alpha_1: float = ALPHA_1, start: CbaParameters | None = None, misfit: float | None = None
) -> Fit:
    """Fit the model; see :func:`fit_binder` and :func:`fit_graphite`.

    Parameters
    ----------
    counts : Counts
    alpha_1 : float
        Kept.
    start : CbaParameters, optional
        For replicates of known parameters; default: blind starts, which must agree.
    misfit : float, optional
        See :func:`fit_binder`.

    Raises
    ------
    ImageError
        If the image does not fix the fit.
    """
    if start is None:
        return Fit(fit_binder(counts, None, misfit), fit_graphite(counts, alpha_1))
    near = quantities(start)
    binder = fit_binder(counts, (near["eta"], near["theta"], near["lambda_Y"]), misfit)
    return Fit(binder, fit_graphite(counts, alpha_1, (near["mean_a"], near["mean_c"])))


def quantities(parameters: CbaParameters) -> dict[str, float]:
    """Return the quantities of `UNITS` of a set of parameters."""
    found = {name: float(getattr(parameters, field)) for name, field in FIELD_OF.items()}
    found["mean_a"] = parameters.alpha_1 / parameters.gamma_per_nm
    found["mean_c"] = parameters.alpha_2 / parameters.gamma_per_nm
    return {name: found[name] for name in UNITS}


def coordinates(found: Mapping[str, float]) -> np.ndarray:
    """Return quantities as coordinates in which they scatter: logarithms, but mu itself."""
    return np.array([value if name in ABSOLUTE else math.log(value) for name, value in found.items()])


def corrected(parameters: CbaParameters, bias: np.ndarray, share: float, binder_share: float) -> CbaParameters:
    """Return parameters less the mean error that replicates showed, that still meet both volume fractions.

    Parameters
    ----------
    parameters : CbaParameters
    bias : ndarray, shape (9,)
        In :func:`coordinates`.
    share, binder_share : float
        Volume fraction of graphite, and of carbon binder outside graphite.
    """
    from scipy.special import ndtri

    moved = coordinates(quantities(parameters)) - bias
    now = {name: v if name in ABSOLUTE else math.exp(v) for name, v in zip(UNITS, moved.tolist(), strict=True)}
    graphite = plates(now["mean_a"], now["mean_c"], share, parameters.alpha_1)
    free = math.exp(-now["lambda_Y"] * 8 * math.pi / now["theta"] ** 3)
    return graphite.model_copy(
        update={
            "mu": -float(ndtri(min(binder_share / free, 1 - 1e-9))), "eta_per_nm": now["eta"],
            "theta_per_nm": now["theta"], "lambda_Y_per_nm3": now["lambda_Y"],
        }
    )  # fmt: skip


def fractions(parameters: CbaParameters) -> dict[str, float]:
    """Return V1 (graphite), V_B (carbon binder outside graphite) and V (solid) of the model."""
    from nmcdist.models.theory import graphite_fraction

    v1 = graphite_fraction(parameters)
    q = quantities(parameters)
    v_b = float(binder_coverage(q["mu"], q["eta"], q["theta"], q["lambda_Y"], np.array([0.0]))[0])
    return {"graphite": v1, "carbon_binder_outside_graphite": v_b, "solid": v1 + (1 - v1) * v_b}
