"""What separating and masking do to the coefficients, measured on the packing of known shapes."""

from dataclasses import dataclass

import numpy as np

from nmcdist.calibration.shell.blur import Edges, left_by_blur, sharpened
from nmcdist.calibration.shell.centring import about_centre_of_mass
from nmcdist.calibration.shell.choose import Packing
from nmcdist.calibration.shell.rays import Surface
from nmcdist.calibration.shell.separate import Spacing
from nmcdist.calibration.shell.stars import Contacts, fit_shapes
from nmcdist.calibration.spread import Spread

_LEAST_IOU = 0.5  # a worse match is another particle
_MEAN_TO_DEVIATION = np.sqrt(np.pi / 2)  # of the absolute value of a normal variable


@dataclass(frozen=True, eq=False)
class Correction:
    """Known over fitted size of the coefficients, by degree.

    Attributes
    ----------
    factors, errors : ndarray of float64, shape (L + 1,)
        Known over fitted size, and standard errors, see :func:`correction` and :func:`grey_correction`.
    noise, noise_errors : ndarray of float64, shape (L + 1,), or None
        Of a grey image: standard deviation of the noise of a fitted coefficient, in voxels, before the blur was taken
        out, which makes it larger, and standard errors. None: the factors contain the noise.
    count : int
        Particles compared.
    true_contact_share : float
        Mean share of faces in contact of the packing's particles.
    """

    factors: np.ndarray
    errors: np.ndarray
    noise: np.ndarray | None
    noise_errors: np.ndarray | None
    count: int
    true_contact_share: float


def correction(
    packing: Packing, spacing: Spacing, order: int, least_voxels: int, contacts: Contacts, spread: Spread = map
) -> Correction:
    """Fit the found particles of a packing like measured ones, and compare with the known shapes.

    The factors are means of |a_lm| of the known shapes over those of the fitted ones. A root mean square would hang on
    a few particles: degree 1 has a Student law with about 2 degrees of freedom.

    Parameters
    ----------
    packing : Packing
    spacing : tuple of float
    order : int
    least_voxels : int
    contacts : {"mask", "keep"}
    spread : callable
        Applies a function to items as `map` does, in order.
    """
    chosen, rows = _fitted(packing, spacing, order, least_voxels, contacts, spread, None)
    known = about_centre_of_mass(packing.coefficients[chosen])[:, : rows.shape[1]]
    factors, errors = np.ones(order + 1), np.zeros(order + 1)
    for degree in range(order + 1):
        columns = slice(degree**2, (degree + 1) ** 2)
        factors[degree], errors[degree] = _ratio(
            np.abs(known[:, columns]).sum(axis=1), np.abs(rows[:, columns]).sum(axis=1)
        )
    return Correction(factors, errors, None, None, len(chosen), _contact_share(packing, least_voxels))


def grey_correction(
    packing: Packing, surface: Surface, edges: Edges, spacing: Spacing, order: int, least_voxels: int,
    spread: Spread = map,
) -> Correction:  # fmt: skip
    """Fit the particles of a packing that was seen as a grey image, and tell what the fit leaves and what it adds.

    A fitted coefficient is the known one, times what the fit leaves of it, and noise. The factor is the inverse of the
    first, sum |k| / sum f sign(k) for known k and fitted f, which noise does not change. The noise is the rest. As the
    spread of the image's particles less the noise counts, the packing need not have the same spread.

    Parameters
    ----------
    packing : Packing
    surface : Surface
        Of the image of the packing.
    edges : Edges
        Of values between voxels, see :func:`nmcdist.calibration.shell.blur.between_voxels`.
    spacing : tuple of float
    order : int
    least_voxels : int
    spread : callable
        Applies a function to items as `map` does, in order.
    """
    chosen, blurred = _fitted(packing, spacing, order, least_voxels, "mask", spread, surface)
    rows = about_centre_of_mass(sharpened(blurred, edges))
    left = left_by_blur(blurred[:, 0] / np.sqrt(4 * np.pi), edges, order)
    known = about_centre_of_mass(packing.coefficients[chosen])[:, : rows.shape[1]]
    factors, errors = np.ones(order + 1), np.zeros(order + 1)
    noise, noise_errors = np.zeros(order + 1), np.zeros(order + 1)
    for degree in range(order + 1):
        columns = slice(degree**2, (degree + 1) ** 2)
        own, fitted = known[:, columns], rows[:, columns]
        factors[degree], errors[degree] = _ratio(np.abs(own).sum(axis=1), (fitted * np.sign(own)).sum(axis=1))
        rest = np.abs(fitted - own / factors[degree]).mean(axis=1) * left[:, degree] * _MEAN_TO_DEVIATION
        noise[degree], noise_errors[degree] = rest.mean(), rest.std() / np.sqrt(len(rest))
    share = _contact_share(packing, least_voxels)
    return Correction(factors, errors, noise, noise_errors, len(chosen), share)


def _fitted(
    packing: Packing, spacing: Spacing, order: int, least_voxels: int, contacts: Contacts, spread: Spread,
    surface: Surface | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the known particles that were found whole with a star shape, and the fitted coefficients."""
    true = packing.true.kept(least_voxels)
    found_kept = np.append(packing.found.kept(least_voxels), False)  # the last answers for match 0
    chosen = np.flatnonzero(true & (packing.iou > _LEAST_IOU) & found_kept[packing.match - 1])
    own = np.broadcast_to(np.eye(3), (len(chosen), 3, 3))
    fitted = fit_shapes(
        packing.found, packing.match[chosen] - 1, own, spacing, order, contacts, is_centred=contacts == "mask",
        spread=spread, sees=False, surface=surface,
    )  # fmt: skip
    return chosen[fitted.is_star], fitted.coefficients[fitted.is_star]


def _ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """Return the ratio of two sums over particles, and its standard error."""
    ratio = float(above.sum() / below.sum())
    return ratio, abs(ratio) * float(np.sqrt(((above / above.sum() - below / below.sum()) ** 2).sum()))


def _contact_share(packing: Packing, least_voxels: int) -> float:
    return float(packing.true.regions.contact_share[packing.true.kept(least_voxels)].mean())
