"""Features of pixels for a trained segmentation: Gaussians, gradients, Hessian and structure tensor at several scales.

The structure tensor has gradients at its scale, and their products are smoothed with half of it, as in ilastik.
"""

import itertools

import numpy as np

from nmcdist.calibration.boxes import Box, widened
from nmcdist.calibration.fibsem.filters import derivatives, reach
from nmcdist.calibration.fibsem.plates import PLATE_HALO, PLATE_NAMES, plate_features
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
# Those, but for the one whose filter reaches furthest and helps least, and those of plates.
EXTENDED_NAMES = (*(name for name in SHAPE_NAMES if name != "gradient 15"), *PLATE_NAMES)
NAMES_OF = {"paper": SHAPE_NAMES, "extended": EXTENDED_NAMES}
HALO_OF = {"paper": SHAPE_HALO, "extended": max(reach(5.0) + reach(2.5), PLATE_HALO)}

_FIRST = {count: [tuple(row) for row in np.eye(count, dtype=int).tolist()] for count in (2, 3)}
_SECOND = {
    count: [tuple(a + b for a, b in zip(*pair, strict=True))
            for pair in itertools.combinations_with_replacement(rows, 2)]
    for count, rows in _FIRST.items()
}  # fmt: skip


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
        blurred, *rest = derivatives(grey, scale, [(0, 0), *_FIRST[2], *_SECOND[2]])
        smooth.append(blurred)
        found += [blurred, norm(rest[:2]), *eigenvalues(rest[2:]), *_structure(rest[:2], scale)]
    found += [a - b for a, b in itertools.pairwise(smooth)]
    return np.stack(found)


def shape_features(volume: np.ndarray, inner: Box | None = None, kind: str = "paper") -> np.ndarray:
    """Return the features that tell plates from fine structure, as :data:`NAMES_OF` says.

    Parameters
    ----------
    volume : ndarray of bool or number, shape (nz, ny, nx)
        Solid (1) and pore (0), cubic voxels of 20 nm.
    inner : tuple of slice, optional
        The box that is wanted; all unless given.
    kind : str
        "paper" or "extended", which has those of plates.

    Returns
    -------
    ndarray of float32, shape (14 or 30, nz, ny, nx) or of the box
    """
    solid = np.ascontiguousarray(volume, np.float32)
    box = inner or tuple(slice(0, length) for length in solid.shape)
    found = derivatives(solid, 5.0, [(0, 0, 0)], box)
    if kind == "paper":
        found.append(norm(derivatives(solid, 15.0, _FIRST[3], box)))
    for scale in (3.5, 5.0):
        wide, inside = widened(box, solid.shape, reach(scale / 2))
        found += _structure(derivatives(solid, scale, _FIRST[3], wide), scale, inside)
    for scale in (1.6, 5.0):
        found += eigenvalues(derivatives(solid, scale, _SECOND[3], box))
    if kind == "extended":
        found += list(plate_features(volume, box))
    return np.stack(found)


def _structure(gradient: list[np.ndarray], scale: float, inner: Box | None = None) -> list[np.ndarray]:
    count = len(gradient)
    smooth = (0,) * count
    pairs = itertools.combinations_with_replacement(range(count), 2)
    return eigenvalues([derivatives(gradient[a] * gradient[b], scale / 2, [smooth], inner)[0] for a, b in pairs])
