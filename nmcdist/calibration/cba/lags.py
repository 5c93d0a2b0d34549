"""The lattice vectors at which pairs of voxels are counted: thirteen directions, lengths in nm, binned by length."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from nmcdist.errors import ImageError

LONGEST_NM = 1200.0  # ten to fifteen correlation lengths of the binder of the paper
_BINS = 22
_TOLERANCE = 0.12  # a vector may be this share longer or shorter than the lag of its bin
_FEWEST_BINS = 10


@dataclass(frozen=True)
class Lags:
    """Lattice vectors, grouped by length.

    Attributes
    ----------
    vectors : ndarray of int64, shape (n, 3)
        In voxels along z, y, x, one of each pair h and -h; the first is 0.
    length_nm : ndarray of float64, shape (n,)
    bin : ndarray of int64, shape (n,)
        Number of the bin of each vector, ascending in length; bin 0 holds the zero vector alone.
    """

    vectors: np.ndarray
    length_nm: np.ndarray
    bin: np.ndarray

    @property
    def reach(self) -> tuple[int, int, int]:
        """Voxels that the vectors reach along z, y and x."""
        z, y, x = (int(n) for n in np.abs(self.vectors).max(axis=0))
        return z, y, x

    @property
    def bins(self) -> int:
        """Number of bins, with that of the zero vector."""
        return int(self.bin.max()) + 1

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over the vectors of each bin; vectors are the last axis of `values`."""
        firsts = np.flatnonzero(np.diff(self.bin, prepend=-1))  # vectors are in the order of their bins
        return np.asarray(np.add.reduceat(values, firsts, axis=-1))

    def averages(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the different lengths in nm, ascending, and the matrix that averages over the pairs of a bin.

        Long diagonal vectors have fewer pairs in a window. With equal weights, the curve of a model would be off by
        1e-5 in bins of different lengths, more than the contrasts between short lags scatter.

        Parameters
        ----------
        pairs : ndarray, shape (n,)
            Number of pairs that count for each vector.
        """
        lengths, place = np.unique(self.length_nm.round(6), return_inverse=True)
        mean = np.zeros((self.bins, len(lengths)))
        np.add.at(mean, (self.bin, place), pairs / self.sums(pairs)[self.bin])
        return lengths, mean


def lattice_lags(
    voxel_size_nm: tuple[float, float, float], shape: tuple[int, int, int], longest_nm: float = LONGEST_NM
) -> Lags:
    """Return the lattice vectors for an image.

    The lags of the bins grow in equal ratios from the shortest edge of a voxel. In each of the thirteen directions
    that join voxels of a cube of 3 x 3 x 3, the multiple nearest to the lag is taken if it is near enough, so voxels
    need not be cubes.

    Parameters
    ----------
    voxel_size_nm : tuple of float
        Along z, y, x.
    shape : tuple of int
        Voxels of the (smallest) image; vectors reach over at most a quarter of it.
    longest_nm : float

    Raises
    ------
    ImageError
        If the image is too small for ten bins.
    """
    size = np.array(voxel_size_nm)
    longest = min(longest_nm, float((np.array(shape) * size).max()) / 4)
    shortest = float(size.min())
    targets = np.geomspace(shortest, max(longest, shortest), _BINS)
    directions = [d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)]
    found: dict[tuple[int, ...], int] = {}
    for target in targets:
        for direction in directions:
            step = float(np.linalg.norm(direction * size))
            times = round(target / step)
            vector = tuple(times * part for part in direction)
            fits = times and abs(times * step / target - 1) <= _TOLERANCE
            if fits and all(abs(v) <= n / 4 for v, n in zip(vector, shape, strict=True)):
                nearest = int(np.argmin(np.abs(np.log(targets / (times * step)))))
                found.setdefault(vector, nearest)
    used = sorted(set(found.values()))
    if len(used) < _FEWEST_BINS:
        edges = " x ".join(f"{n * s:.0f}" for n, s in zip(shape, voxel_size_nm, strict=True))
        raise ImageError(
            f"image: found {edges} nm along z, y, x in voxels of {shortest:g} nm, expected a larger image or smaller "
            f"voxels: lags up to {longest_nm:g} nm have {len(used)} lengths, of at least {_FEWEST_BINS}"
        )
    order = sorted(found, key=lambda v: (found[v], v))
    vectors = np.array([(0, 0, 0), *order], dtype=np.int64)
    bins = np.array([0, *(1 + used.index(found[v]) for v in order)], dtype=np.int64)
    return Lags(vectors, np.linalg.norm(vectors * size, axis=1), bins)
