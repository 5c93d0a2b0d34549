"""Features of pixels for a trained segmentation: Gaussians, gradients, Hessian and structure tensor at several scales.

The structure tensor has gradients at its scale, and their products are smoothed with half of it, as in ilastik.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from nmcdist.calibration.fibsem.filters import gaussian, reach
from nmcdist.calibration.fibsem.tensors import eigenvalues, norm

SCALES_PX = (1.0, 2.0, 4.0, 8.0)
NAMES = (
    "grey",
    *(
        f"{name} {scale:g}"
        for scale in SCALES_PX
        for name in ("gaussian", "gradient", "hessian high", "hessian low", "structure high", "structure low")
    ),
    *(f"difference {a:g} {b:g}" for a, b in itertools.pairwise(SCALES_PX)),
)

# The features for graphite in Sec. 2.3.2 of the CBA paper; scales in voxels of 20 nm.
SHAPE_NAMES = (
    "gaussian 5", "gradient 15", *(f"structure {s:g} {k}" for s in (3.5, 5) for k in range(3)),
    *(f"hessian {s:g} {k}" for s in (1.6, 5) for k in range(3)),
)  # fmt: skip
SHAPE_HALO = reach(15.0)


def slice_features(plane: np.ndarray) -> np.ndarray:
    """Return the features of the pixels of a slice, as :data:`NAMES` says.

    Parameters
    ----------
    plane : ndarray of any real type, shape (ny, nx)

    Returns
    -------
    ndarray of float32, shape (28, ny, nx)
    """
    grey = np.ascontiguousarray(plane, np.float32)
    found, smooth = [grey], []
    for scale in SCALES_PX:
        smooth.append(gaussian(grey, scale))
        gradient = _gradient(grey, scale)
        found += [smooth[-1], norm(gradient), *_hessian(grey, scale), *_structure(gradient, scale)]
    found += [a - b for a, b in itertools.pairwise(smooth)]
    return np.stack(found)


def shape_features(volume: np.ndarray) -> np.ndarray:
    """Return the features that tell plates from fine structure, of solid (1) and pore (0), as :data:`SHAPE_NAMES` says.

    Parameters
    ----------
    volume : ndarray of any real type, shape (nz, ny, nx)
        Cubic voxels of 20 nm.

    Returns
    -------
    ndarray of float32, shape (14, nz, ny, nx)
    """
    solid = np.ascontiguousarray(volume, np.float32)
    found = [gaussian(solid, 5.0), norm(_gradient(solid, 15.0))]
    for scale in (3.5, 5.0):
        found += _structure(_gradient(solid, scale), scale)
    for scale in (1.6, 5.0):
        found += _hessian(solid, scale)
    return np.stack(found)


def _gradient(array: np.ndarray, scale: float) -> list[np.ndarray]:
    return [gaussian(array, scale, orders) for orders in np.eye(array.ndim, dtype=int)]


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    return itertools.combinations_with_replacement(range(count), 2)


def _hessian(array: np.ndarray, scale: float) -> list[np.ndarray]:
    unit = np.eye(array.ndim, dtype=int)
    return eigenvalues([gaussian(array, scale, unit[a] + unit[b]) for a, b in _pairs(array.ndim)])


def _structure(gradient: list[np.ndarray], scale: float) -> list[np.ndarray]:
    return eigenvalues([gaussian(gradient[a] * gradient[b], scale / 2) for a, b in _pairs(len(gradient))])
