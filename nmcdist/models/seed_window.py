"""The distance from the centre beyond which no seed can change a lattice of labels."""

import math

import numpy as np

from nmcdist.jit import kernel
from nmcdist.models.grains import GrainModel
from nmcdist.models.markers import MarkerLaw

_EDGE = 3.0  # initial margin of the lattice beyond a shell, in spacings of the seeds
_COST = 2.2  # squared spacings times the mean of D: a cost that is rarely exceeded
_TRIAL = 6.0  # spacings: radius of the ball of grains for this mean


def first_margins_nm(model: GrainModel) -> tuple[float, float]:
    """Return the initial margins of the lattice and of the seeds beyond a shell; they affect only the time."""
    law, spacing = model.law, model.widest_spacing_nm
    diagonals = model.draw(_TRIAL * spacing, 0).diagonals
    mean = math.fsum(diagonals.ravel().tolist()) / diagonals.size
    rim = math.sqrt((_COST * mean * spacing * spacing + law.largest_offset_nm2) / law.lowest_diagonal)
    return _EDGE * spacing, _EDGE * spacing + rim


def needed_nm(
    labels: np.ndarray,
    centre: tuple[float, float, float],
    step_nm: float,
    diagram: tuple[np.ndarray, np.ndarray, np.ndarray],
    law: MarkerLaw,
    reach2: float = math.inf,
) -> float:
    """Return the distance from the centre beyond which no seed can win a point of a lattice.

    Parameters
    ----------
    labels : ndarray of int32, shape (nz, ny, nx)
        Row of the grain at each point, negative for no grain.
    centre : tuple of float
        Index of the centre along each axis.
    step_nm : float
        Distance between points.
    diagram : tuple of ndarray
        Seeds, matrices and offsets of the grains: see :meth:`nmcdist.models.grains.Grains.diagram`.
    law : MarkerLaw
        Marker law of these grains.
    reach2 : float
        Squared distance from the centre, in steps, up to which points are relevant.
    """
    z, y, x = (float(c) for c in centre)
    return float(
        _window(labels, z, y, x, step_nm, *diagram, law.lowest_diagonal, law.largest_offset_nm2, float(reach2))
    )


@kernel
def _window(
    labels: np.ndarray, zc: float, yc: float, xc: float, step: float, seeds: np.ndarray, matrices: np.ndarray,
    offsets: np.ndarray, lowest: float, largest: float, reach2: float,
) -> float:  # fmt: skip
    """Return the largest distance of a winning seed; s cannot win x if D_min (|s| - |x|)^2 - r_max > cost at x."""
    nz, ny, nx = labels.shape
    window = 0.0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                g = labels[z, y, x]
                c, b, a = z - zc, y - yc, x - xc
                squared = c * c + b * b + a * a
                if g < 0 or squared > reach2:
                    continue
                d0, d1, d2 = c * step - seeds[g, 0], b * step - seeds[g, 1], a * step - seeds[g, 2]
                m = matrices[g]
                cost = m[0, 0] * d0 * d0 + m[1, 1] * d1 * d1 + m[2, 2] * d2 * d2
                cost += 2.0 * (m[0, 1] * d0 * d1 + m[0, 2] * d0 * d2 + m[1, 2] * d1 * d2) - offsets[g]
                window = max(window, math.sqrt(squared) * step + math.sqrt((cost + largest) / lowest))
    # Seeds and markers are rounded to float32.
    return window * (1.0 + 1e-6)
