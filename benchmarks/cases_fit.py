"""The case of the fit: tessellations fitted to one image of grains with missing pixels, ours and PyAPD's.

Ours are restricted to axes along and across the radius, which is how the phantom's grains lie; PyAPD's have
quadratic functions of any kind. What either side answers is the share of the labelled pixels that lie in their grain.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

PARTICLE = (1, 11)  # seed and index of a particle with some 270 grains in its central section
PIXEL_NM = 50.0
MISSING_SHARE = 0.1
THINNEST_PX2 = 1e-3
ITERATIONS = 100


def section_image() -> np.ndarray:
    """Return a central section: grains from 1, 0 outside, -1 where pixels are missing or grains of no width were.

    PyAPD starts from the second moments of the grains, which must not be singular.
    """
    from nmcdist.bundle import load_bundle
    from nmcdist.models.particle import ParticleModel

    section = ParticleModel.from_bundle(load_bundle("nmc811-radial")).draw(*PARTICLE).section(PIXEL_NM)
    missing = np.random.default_rng(5).random(section.shape) < MISSING_SHARE
    image = np.where(missing & (section > 0), -1, section)
    wide = [grain for grain in np.unique(image[image > 0]) if _width2(image == grain) > THINNEST_PX2]
    return np.where(image > 0, np.where(np.isin(image, wide), np.searchsorted(wide, image) + 1, -1), image)


def _width2(grain: np.ndarray) -> float:
    """Return the smaller variance of the grain's pixels in px^2."""
    return float(np.linalg.eigvalsh(np.cov(np.argwhere(grain).T, bias=True))[0])


def ours_fit(image: np.ndarray) -> Callable[[], Any]:
    from nmcdist.calibration.grains.tessellation_fit import fit_tessellation

    fit_tessellation(_four_squares(), PIXEL_NM, steps=2)
    return lambda: np.array([fit_tessellation(image, PIXEL_NM).matched])


def pyapd_fit(image: np.ndarray) -> Callable[[], Any]:
    import PyAPD
    import torch

    # As in its notebook small_ebsd: order 2, eps 1e-2, L-BFGS that only the number of iterations stops.
    torch.set_default_dtype(torch.float64)
    torch.set_flush_denormal(True)

    def fit(labels: np.ndarray, iterations: int) -> np.ndarray:
        seen = labels > 0
        places = torch.tensor(np.argwhere(seen), dtype=torch.float64)
        grains = torch.tensor(labels[seen] - 1, dtype=torch.int64)
        system = PyAPD.min_diagram_system(
            Y=places, grain_map=grains, pixel_params=labels.shape, ho=2, eps=1e-2, dt=torch.float64, device="cpu"
        )
        system.fit_theta(verbose=False, max_iter=iterations, gtol=0.0, xtol=0.0)
        return np.array([(system.assemble_diagram() == grains).double().mean()])

    fit(_four_squares(), 2)  # compiles its formulas
    return lambda: fit(image, ITERATIONS)


def _four_squares() -> np.ndarray:
    return np.kron(np.arange(1, 5).reshape(2, 2), np.ones((8, 8), dtype=int))
