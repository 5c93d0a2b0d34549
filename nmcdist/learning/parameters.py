"""The parameters of the additive of each volume, by the part that they shape."""

import json
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from nmcdist.bundle import Bundle, CbaParameters
from nmcdist.errors import BundleError
from nmcdist.models import theory

if TYPE_CHECKING:
    import xarray as xr

# Of the field and the large pores, and of the graphite. Fractions stand for the intensities of germs, which they give
# together with the other parameters of their part.
FINE = ("mu", "eta_per_nm", "large_pore_fraction", "theta_per_nm")
GRAPHITE = ("graphite_fraction", "alpha_1", "alpha_2", "gamma_per_nm")
_BY_THEORY = {"large_pore_fraction": theory.large_pore_fraction, "graphite_fraction": theory.graphite_fraction}


def parameter_values(data: "xr.Dataset", name: str) -> np.ndarray | None:
    """Return a parameter of `FINE` or `GRAPHITE` of each volume, shape (n,); None if the dataset does not say it.

    A parameter that a store does not vary has the value of the store's bundle.
    """
    if name in data:
        return np.broadcast_to(np.asarray(data[name].values, dtype=float), (data.sizes["sample"],))
    bundle = _bundle(data)
    if bundle is None:
        return None
    if name not in _BY_THEORY:
        return np.full(data.sizes["sample"], float(getattr(bundle, name)))
    columns = [_column(data, bundle, each) for each in CbaParameters.model_fields]
    points, which = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    found = [_BY_THEORY[name](CbaParameters(**_named(point))) for point in points]
    return np.asarray(np.array(found)[which.reshape(-1)])


def _column(data: "xr.Dataset", bundle: CbaParameters, name: str) -> np.ndarray:
    """Return a parameter of the bundle of each volume, as the store varies it."""
    values = data[name].values if name in data else getattr(bundle, name)
    return np.broadcast_to(np.asarray(values, dtype=float), (data.sizes["sample"],))


def _named(point: np.ndarray) -> dict[str, float]:
    return dict(zip(CbaParameters.model_fields, point.tolist(), strict=True))


def _bundle(data: "xr.Dataset") -> CbaParameters | None:
    """Return the parameters of the bundle that a store records; None if it records none of the additive."""
    try:
        return Bundle.model_validate(json.loads(data.attrs["bundle"])).cba()
    except (KeyError, TypeError, ValueError, ValidationError, BundleError):
        return None
