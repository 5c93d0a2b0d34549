"""What separating and masking do to the coefficients, measured on the packing of known shapes."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.shell.blur import Edges, sharpened
from nmcdist.calibration.shell.centring import about_centre_of_mass
from nmcdist.calibration.shell.choose import Packing
from nmcdist.calibration.shell.separate import Spacing
from nmcdist.calibration.shell.stars import Contacts, fit_shapes
from nmcdist.calibration.spread import Spread

_LEAST_IOU = 0.5  # a worse match is another particle


@dataclass(frozen=True, eq=False)
class Correction:
    """Known over fitted size of the coefficients, by degree.

    Attributes
    ----------
    factors, errors : ndarray of float64, shape (L + 1,)
        Mean of |a_lm| of the known shapes over that of the fitted ones, and standard errors. A root mean square would
        hang on a few particles: degree 1 has a Student law with about 2 degrees of freedom.
    count : int
        Particles compared.
    true_contact_share : float
        Mean share of faces in contact of the packing's particles.
    """

    factors: np.ndarray
    errors: np.ndarray
    count: int
    true_contact_share: float


def correction(
    packing: Packing,
    spacing: Spacing,
    order: int,
    least_voxels: int,
    contacts: Contacts,
    spread: Spread = map,
    edges: Edges | None = None,
) -> Correction:
    """Fit the found particles of a packing like measured ones, and compare with the known shapes.

    Parameters
    ----------
    packing : Packing
    spacing : tuple of float
    order : int
    least_voxels : int
    contacts : {"mask", "keep"}
    spread : callable
        Applies a function to items as `map` does, in order.
    edges : Edges or None
        Blur of the packing, which is taken out of fitted shapes.
    """
    true = packing.true.kept(least_voxels)
    found_kept = np.append(packing.found.kept(least_voxels), False)  # the last answers for match 0
    chosen = np.flatnonzero(true & (packing.iou > _LEAST_IOU) & found_kept[packing.match - 1])
    own = np.broadcast_to(np.eye(3), (len(chosen), 3, 3))
    fitted = fit_shapes(
        packing.found,
        packing.match[chosen] - 1,
        own,
        spacing,
        order,
        contacts,
        is_centred=contacts == "mask",
        spread=spread,
        sees=False,
    )
    chosen, rows = chosen[fitted.is_star], fitted.coefficients[fitted.is_star]
    if edges is not None:
        rows = about_centre_of_mass(sharpened(rows, edges))
    known = about_centre_of_mass(packing.coefficients[chosen])[:, : rows.shape[1]]
    factors, errors = np.ones(order + 1), np.zeros(order + 1)
    for degree in range(order + 1):
        columns = slice(degree**2, (degree + 1) ** 2)
        sums = [np.abs(part[:, columns]).sum(axis=1) for part in (known, rows)]
        factors[degree] = sums[0].sum() / sums[1].sum()
        errors[degree] = factors[degree] * np.sqrt(((sums[0] / sums[0].sum() - sums[1] / sums[1].sum()) ** 2).sum())
    share = float(packing.true.regions.contact_share[true].mean())
    return Correction(factors, errors, len(chosen), share)
