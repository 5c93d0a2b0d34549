"""How much of a volume is copied from a training image: cubes, or squares of its sections, that occur there verbatim.

Cubes of one label are left out, as they are copies of everything. Cubes are compared by hashes of 64 bits: among 10^6
cubes and as many of the image, two that differ have the same with a probability of 10^-7.
"""

import numpy as np

from nmcdist.arguments import check_whole, plain_array
from nmcdist.errors import InputError

_FACTORS = (0x9E3779B97F4A7C15, 0xD2E7470EE14C6C93, 0xCA5A826395121157)  # odd, for the axes z, y, x


def copied_share(labels: np.ndarray, image: np.ndarray, edge: int) -> float:
    """Return the share of the cubes of this edge that occur in the image, among those with more than one label.

    Parameters
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
    image : ndarray of uint8, shape (mz, my, mx)
        The training image. Along an axis with the edge 1 cubes are one voxel thick: so sections are compared.
    edge : int
        Edge in voxels, 2 or more.

    Returns
    -------
    float
        0 if no cube has more than one label, or none fits.

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    """
    volumes = [_check_labels("labels", labels), _check_labels("image", image)]
    edge = check_whole("edge", edge, 2)
    edges = [1 if n == 1 else edge for n in volumes[1].shape]
    if any((np.array(volume.shape) < edges).any() for volume in volumes):
        return 0.0
    drawn, known = (_hashes(volume, edges) for volume in volumes)
    return float(np.isin(drawn, known).mean()) if drawn.size else 0.0


def largest_copy(labels: np.ndarray, image: np.ndarray) -> int:
    """Return the edge in voxels of the largest cube with more than one label that occurs in the image; 0 if none does.

    Parameters and errors are those of :func:`copied_share`.
    """
    low, high = 1, min(*(n for n in image.shape if n > 1), *labels.shape) + 1
    while high - low > 1:  # a copied cube contains smaller ones
        middle = (low + high) // 2
        low, high = (middle, high) if copied_share(labels, image, middle) > 0 else (low, middle)
    return low if low > 1 else 0


def _hashes(volume: np.ndarray, edges: list[int]) -> np.ndarray:
    """Return the hash of each cube that has more than one label."""
    values, low, high = volume.astype(np.uint64) + np.uint64(1), volume, volume
    for axis, (edge, factor) in enumerate(zip(edges, _FACTORS, strict=True)):
        count = values.shape[axis] - edge + 1
        at = [tuple(slice(k, k + count) if a == axis else slice(None) for a in range(3)) for k in range(edge)]
        total = values[at[0]].copy()
        least, most = low[at[0]], high[at[0]]
        for k in range(1, edge):
            total *= np.uint64(factor)
            total += values[at[k]]
            least, most = np.minimum(least, low[at[k]]), np.maximum(most, high[at[k]])
        total ^= total >> np.uint64(31)  # mixes upper into lower bits, which products leave alone
        values, low, high = total, least, most
    return np.asarray(values[low != high])


def _check_labels(name: str, value: np.ndarray) -> np.ndarray:
    found = plain_array(name, value)
    if found.ndim != 3 or not found.size or found.dtype != np.uint8:
        raise InputError(f"{name}: found {found.dtype} of shape {found.shape}, expected a volume of uint8")
    return found
