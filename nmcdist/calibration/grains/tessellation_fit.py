"""Restricted 2D tessellations, fitted to images of grains by gradient descent on a softmax of costs.

Grain i of such a tessellation is where its cost (x - s_i)^T M_i (x - s_i) - r_i is the smallest (Eq. 8). The axes of
M_i are along and across the direction from the centre of the section to its seed s_i. Descent needs an image that
varies smoothly with the markers, so the share of grain i at a pixel is the softmax of -cost / T (Eq. 11), and the
loss is the cross entropy between the shares and the grains of the image. The descent starts from the moments of the
areas.

A common scale and a common constant of the costs have no effect, so fitted tessellations are normalised: entries of D
have the geometric mean 1, and the lowest r is 0.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.arguments import check_length, finite_array
from nmcdist.errors import ImageError, InputError
from nmcdist.geometry.tessellation import label_lattice
from nmcdist.jit import kernel

OUTSIDE = 0
MISSING = -1

BLOCK = 4  # pixels along an edge of a block that shares a list of grains
RIVALS = 14  # other grains of lowest cost in the list of a block
REFRESH = 25  # steps between new lists
# Adam's rates for seeds (in typical grain widths), for logarithms of D, and for r (costs are about 4 where grains
# meet); its memories; and its steps up to the full rates.
_SEED_RATE, _MARKER_RATE, _OFFSET_RATE = 0.02, 0.05, 0.15
_MEMORY, _SQUARES_MEMORY, _TINY = 0.9, 0.99, 1e-8
_RISE = 20
# Shares below exp(-25) of the largest count as 0.
_NEGLIGIBLE = 25.0
# Within half a pixel of the centre, the direction of a seed is meaningless, so its rotation is damped.
_NEAR_CENTRE = 0.5

_jit = kernel(error_model="numpy")


@dataclass(frozen=True, eq=False)
class Tessellation2D:
    """A generalised balanced power diagram of the plane whose matrices have radial frames.

    M = D_r e e^T + D_t t t^T with e = s / |s| and t across it; at s = 0, e is along the first axis.

    Attributes
    ----------
    seeds_nm : ndarray of float64, shape (n, 2)
        s, ordered y, x, relative to the centre of the section.
    diagonals : ndarray of float64, shape (n, 2)
        D, positive: entries along the radius and across it.
    offsets_nm2 : ndarray of float64, shape (n,)
        r.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not finite or an entry of D is not positive.
    """

    seeds_nm: np.ndarray
    diagonals: np.ndarray
    offsets_nm2: np.ndarray

    def __post_init__(self) -> None:
        seeds = finite_array("seeds_nm", self.seeds_nm, ("n", 2))
        diagonals = finite_array("diagonals", self.diagonals, (len(seeds), 2))
        offsets = finite_array("offsets_nm2", self.offsets_nm2, (len(seeds),))
        if not len(seeds):
            raise InputError("seeds_nm: found none, expected at least one")
        if not (diagonals > 0).all():
            raise InputError(f"diagonals: found {diagonals.min():g}, expected positive numbers")
        for name, array in (("seeds_nm", seeds), ("diagonals", diagonals), ("offsets_nm2", offsets)):
            object.__setattr__(self, name, array)

    def matrices(self) -> np.ndarray:
        """Return M of all grains, float64, shape (n, 2, 2), exactly symmetric."""
        length = np.hypot(*self.seeds_nm.T)
        along = np.where(length[:, None] > 0, self.seeds_nm, [1.0, 0.0]) / np.where(length > 0, length, 1.0)[:, None]
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        radial, tangential = self.diagonals.T[:, :, None, None]
        return np.asarray(radial * _squared(along) + tangential * _squared(across))

    def labels(
        self, shape: tuple[int, int], pixel_size_nm: float, centre_px: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Return the grain at each pixel centre (Eq. 8), the lowest row in a tie.

        Parameters
        ----------
        shape : tuple of two int
            Rows and columns.
        pixel_size_nm : float
            Pixel edge in nm.
        centre_px : two floats, optional
            Row and column of the section's centre; pixel centres are whole numbers. Default: the centre of the image.

        Returns
        -------
        ndarray of int32, shape `shape`
            Row of the grain + 1.

        Raises
        ------
        InputError
            If an argument is impossible.
        """
        if np.size(shape) != 2:
            raise InputError(f"shape: found {shape}, expected two numbers of pixels")
        pixel = check_length("pixel_size_nm", pixel_size_nm)
        centre = _middle(shape) if centre_px is None else finite_array("centre_px", centre_px, (2,))
        seeds, matrices = np.zeros((len(self.seeds_nm), 3)), np.zeros((len(self.seeds_nm), 3, 3))
        seeds[:, 1:], matrices[:, 1:, 1:], matrices[:, 0, 0] = self.seeds_nm, self.matrices(), 1.0
        steps = pixel * np.eye(3)[1:]
        return label_lattice(seeds, matrices, self.offsets_nm2, shape, steps, [0.0, *(-pixel * centre)]) + 1

    def augmented(self, share: float, generator: np.random.Generator) -> "Tessellation2D":
        """Return a tessellation with each entry of D and each r multiplied by an independent factor.

        Parameters
        ----------
        share : float
            Factors are uniform in [1 - share, 1 + share); the paper's share is 0.2.
        generator : numpy.random.Generator

        Returns
        -------
        Tessellation2D

        Raises
        ------
        InputError
            If the share is not in [0, 1).
        """
        if not 0 <= share < 1:
            raise InputError(f"share: found {share}, expected a number in [0, 1)")
        factors = generator.uniform(1.0 - share, 1.0 + share, (len(self.seeds_nm), 3))
        return Tessellation2D(self.seeds_nm, self.diagonals * factors[:, :2], self.offsets_nm2 * factors[:, 2])


@dataclass(frozen=True, eq=False)
class Fit:
    """A tessellation fitted to an image, and the quality of the fit at the image's labelled pixels.

    Attributes
    ----------
    tessellation : Tessellation2D
    grains : ndarray of int64, shape (n,)
        Label in the image of each row of the tessellation, ascending.
    matched : float
        Share of the pixels that lie in their grain.
    boundary_distance_nm : float
        Mean distance from a boundary between pixels in one image to the nearest one in the other, in both directions;
        0 if neither image has boundaries, infinite if only one has none.
    area_error : float
        Mean of |area - fitted area| / area over the grains.
    lost_grains : int
        Number of grains without a pixel in the tessellation.
    iterations : int
    seconds : float
    """

    tessellation: Tessellation2D
    grains: np.ndarray
    matched: float
    boundary_distance_nm: float
    area_error: float
    lost_grains: int
    iterations: int
    seconds: float


def fit_tessellation(
    labels: np.ndarray,
    pixel_size_nm: float,
    centre_px: tuple[float, float] | None = None,
    *,
    steps: int = 300,
    temperatures: tuple[float, float] = (1.0, 0.5),
) -> Fit:
    """Fit a restricted tessellation to an image of grains (Eqs. 8 and 11), a pure function of its arguments.

    Outside and missing pixels have no influence: the tessellation may cover them in any way.

    Parameters
    ----------
    labels : ndarray of int, shape (ny, nx)
        -1 where missing, 0 outside the particle; labels of grains are positive, in any order and with any gaps.
    pixel_size_nm : float
        Pixel edge in nm.
    centre_px : two floats, optional
        Row and column of the section's centre; pixel centres are whole numbers. Default: the centre of the image.
    steps : int
        Number of steps of the descent.
    temperatures : two floats
        T of the first and the last step, geometric in between. Initial costs are squared Mahalanobis distances from
        the grains. The image does not determine the scale of the costs; the descent adapts it.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        If an argument has an impossible value, shape or type.
    ImageError
        If the image has no grain, or labels below -1.
    """
    begin = time.perf_counter()
    grains, rows = _checked_image(labels)
    pixel = check_length("pixel_size_nm", pixel_size_nm)
    centre = _checked_centre(centre_px, rows.shape)
    _check_descent(steps, temperatures)
    parameters = _descend(rows, centre, steps, temperatures)
    tessellation = _as_tessellation(parameters, pixel)
    fitted = tessellation.labels(rows.shape, pixel, (centre[0], centre[1]))
    matched, area_error, lost = _compare(rows, fitted)
    distance = pixel * _boundary_distance(rows, fitted)
    seconds = time.perf_counter() - begin
    return Fit(tessellation, grains, matched, distance, area_error, lost, steps, seconds)


def _checked_image(labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the grains, and the image with grains numbered from 1, or raise."""
    image = np.asarray(labels)
    if image.ndim != 2 or not np.issubdtype(image.dtype, np.integer):
        raise InputError(f"labels: found {image.dtype} of {image.ndim} dimensions, expected integers of two")
    if image.size and image.min() < MISSING:
        raise ImageError(f"labels: found {image.min()}, expected -1 (missing), 0 (outside) or labels of grains")
    grains = np.unique(image[image > 0])
    if not len(grains):
        raise ImageError("labels: found no grain, expected pixels with positive labels")
    rows = np.where(image > 0, np.searchsorted(grains, image) + 1, image).astype(np.int32)
    return grains.astype(np.int64), rows


def _squared(vectors: np.ndarray) -> np.ndarray:
    """Return v v^T of each vector."""
    return np.asarray(vectors[:, :, None] * vectors[:, None, :])


def _middle(shape: tuple[int, ...]) -> np.ndarray:
    return 0.5 * (np.asarray(shape) - 1.0)


def _checked_centre(centre_px: Any, shape: tuple[int, ...]) -> np.ndarray:
    centre = _middle(shape) if centre_px is None else finite_array("centre_px", centre_px, (2,))
    if (centre < -0.5).any() or (centre > np.asarray(shape) - 0.5).any():
        raise InputError(f"centre_px: found {centre.tolist()}, expected a place in the image of {shape} pixels")
    return centre


def _check_descent(steps: Any, temperatures: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise InputError(f"steps: found {steps!r}, expected a positive integer")
    if not (finite_array("temperatures", temperatures, (2,)) > 0).all():
        raise InputError(f"temperatures: found {temperatures}, expected two positive numbers")


def _descend(rows: np.ndarray, centre: np.ndarray, steps: int, temperatures: tuple[float, float]) -> np.ndarray:
    """Return the parameters of the grains after Adam's steps, with rates that fall as a cosine."""
    softmax = Softmax.of_image(rows, centre)
    parameters = _guess(softmax)
    width = math.sqrt(len(softmax.places) / len(parameters))
    rates = np.array([_SEED_RATE * width] * 2 + [_MARKER_RATE] * 2 + [_OFFSET_RATE])
    mean, squares = np.zeros_like(parameters), np.zeros_like(parameters)
    first, last = temperatures
    for step in range(steps):
        if step % REFRESH == 0:
            softmax.refresh(parameters)
        part = step / steps
        gradient = softmax.loss(parameters, first * (last / first) ** part)[1]
        mean += (1 - _MEMORY) * (gradient - mean)
        squares += (1 - _SQUARES_MEMORY) * (gradient**2 - squares)
        unbiased = mean / (1 - _MEMORY ** (step + 1))
        spread = np.sqrt(squares / (1 - _SQUARES_MEMORY ** (step + 1)))
        pace = min(1.0, (step + 1) / _RISE) * 0.5 * (1 + math.cos(math.pi * part))
        parameters -= pace * rates * unbiased / (spread + _TINY)
    return parameters


@dataclass(frozen=True, eq=False)
class Softmax:
    """The loss of an image: labelled pixels in blocks, each with a list of the relevant grains.

    Parameters of a grain, in pixels: its seed relative to the centre, the logarithms of D along and across, and r.

    Attributes
    ----------
    places : ndarray of float64, shape (m, 2)
        Labelled pixels relative to the centre, block by block.
    targets : ndarray of int32, shape (m,)
        Rows of their grains.
    starts : ndarray of int64, shape (blocks + 1,)
        Index of the first pixel of each block.
    corners : ndarray of float64, shape (blocks, 2)
        First pixel of each block.
    lists : ndarray of int32, shape (blocks, BLOCK^2 + RIVALS)
        Rows of a block's own grains, then of other grains of lowest cost.
    lengths : ndarray of int64, shape (blocks,)
        Lengths of the lists.
    """

    places: np.ndarray
    targets: np.ndarray
    starts: np.ndarray
    corners: np.ndarray
    lists: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of_image(cls, rows: np.ndarray, centre: np.ndarray) -> "Softmax":
        """Return the loss of an image with grains numbered from 1; its lists are still empty."""
        places, targets, starts, corners = _divide(rows)
        lists = np.zeros((len(corners), BLOCK**2 + RIVALS), dtype=np.int32)
        lengths = np.zeros(len(corners), dtype=np.int64)
        return cls(places - centre, targets, starts, corners - centre, lists, lengths)

    def refresh(self, parameters: np.ndarray) -> None:
        """Write new lists of relevant grains."""
        _list_grains(_table(parameters), self.targets, self.starts, self.corners, self.lists, self.lengths)

    def loss(self, parameters: np.ndarray, temperature: float) -> tuple[float, np.ndarray]:
        """Return the cross entropy, summed over the labelled pixels, and its gradient in the parameters."""
        table, sums = _table(parameters), np.zeros((len(parameters), 6))
        loss = _cross_entropy(
            table, self.places, self.targets, self.starts, self.lists, self.lengths, temperature, sums
        )  # fmt: skip
        return loss, _gradient(table, sums, temperature)


def _guess(softmax: Softmax) -> np.ndarray:
    """Return initial parameters from the moments of the grains: centroid, and inverse variances along and across."""
    places, targets = softmax.places, softmax.targets
    count = np.bincount(targets)

    def average(values: np.ndarray) -> np.ndarray:
        return np.bincount(targets, values) / count

    seeds = np.stack([average(places[:, 0]), average(places[:, 1])], axis=1)
    length = np.hypot(*seeds.T)
    along = np.where(length[:, None] > 0, seeds / np.maximum(length, 1e-300)[:, None], [1.0, 0.0])[targets]
    d = places - seeds[targets]
    u, v = (d * along).sum(axis=1), d[:, 1] * along[:, 0] - d[:, 0] * along[:, 1]
    # Pixels are squares with a variance of 1/12 each.
    variances = np.stack([average(u * u), average(v * v)], axis=1) + 1.0 / 12.0
    return np.concatenate([seeds, -np.log(variances), np.zeros((len(seeds), 1))], axis=1)


def _as_tessellation(parameters: np.ndarray, pixel: float) -> Tessellation2D:
    """Return the tessellation in nm, normalised as described in the module."""
    scale = parameters[:, 2:4].mean()
    offsets = (parameters[:, 4] - parameters[:, 4].min()) * math.exp(-scale) * pixel**2
    return Tessellation2D(pixel * parameters[:, :2], np.exp(parameters[:, 2:4] - scale), offsets)


def _compare(rows: np.ndarray, fitted: np.ndarray) -> tuple[float, float, int]:
    """Return the share of labelled pixels that agree, the mean relative error of areas, and the lost grains."""
    seen = rows > 0
    areas, n = np.bincount(rows[seen])[1:], rows.max()
    found = np.bincount(fitted[seen], minlength=n + 1)[1:]
    matched = float((rows[seen] == fitted[seen]).mean())
    return matched, float((np.abs(found - areas) / areas).mean()), int((found == 0).sum())


def _boundary_distance(rows: np.ndarray, fitted: np.ndarray) -> float:
    """Return the mean distance in pixels between the boundaries of the two images."""
    from scipy.spatial import cKDTree

    one, two = _boundaries(rows, rows > 0), _boundaries(fitted, rows > 0)
    if not len(one) or not len(two):
        return 0.0 if len(one) == len(two) else math.inf
    there, back = cKDTree(two).query(one)[0], cKDTree(one).query(two)[0]
    return float(0.5 * (there.mean() + back.mean()))


def _boundaries(labels: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the middles of the edges between two labelled pixels of different grains, shape (m, 2)."""
    down = np.argwhere((labels[1:] != labels[:-1]) & seen[1:] & seen[:-1])
    right = np.argwhere((labels[:, 1:] != labels[:, :-1]) & seen[:, 1:] & seen[:, :-1])
    return np.concatenate([down + np.array([0.5, 0.0]), right + np.array([0.0, 0.5])])


@_jit
def _divide(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the labelled pixels block by block, the rows of their grains, and the starts and corners of blocks."""
    ny, nx = rows.shape
    tall, wide = (ny + BLOCK - 1) // BLOCK, (nx + BLOCK - 1) // BLOCK
    places, targets = np.empty((rows.size, 2)), np.empty(rows.size, np.int32)
    starts, corners = np.zeros(tall * wide + 1, np.int64), np.empty((tall * wide, 2))
    m = blocks = 0
    for b in range(tall * wide):
        top, left = b // wide * BLOCK, b % wide * BLOCK
        for y in range(top, min(top + BLOCK, ny)):
            for x in range(left, min(left + BLOCK, nx)):
                if rows[y, x] > 0:
                    places[m, 0], places[m, 1], targets[m] = y, x, rows[y, x] - 1
                    m += 1
        if m > starts[blocks]:
            corners[blocks, 0], corners[blocks, 1] = top, left
            blocks += 1
            starts[blocks] = m
    return places[:m].copy(), targets[:m].copy(), starts[: blocks + 1].copy(), corners[:blocks].copy()


@_jit
def _table(parameters: np.ndarray) -> np.ndarray:
    """Return, for each grain, its seed, direction, D, r, and its rotation per motion of the seed across the radius."""
    table = np.empty((len(parameters), 8))
    for i in range(len(parameters)):
        s0, s1 = parameters[i, 0], parameters[i, 1]
        length = math.hypot(s0, s1)
        table[i, 0], table[i, 1] = s0, s1
        table[i, 2], table[i, 3] = (s0 / length, s1 / length) if length > 0 else (1.0, 0.0)
        table[i, 4], table[i, 5] = math.exp(parameters[i, 2]), math.exp(parameters[i, 3])
        table[i, 6], table[i, 7] = parameters[i, 4], 1.0 / max(length, _NEAR_CENTRE)
    return table


@_jit
def _seen_from(row: np.ndarray, y: float, x: float) -> tuple[float, float, float]:
    """Return a position along and across the radius, relative to the grain's seed, and the grain's cost there."""
    d0, d1 = y - row[0], x - row[1]
    u, v = row[2] * d0 + row[3] * d1, row[2] * d1 - row[3] * d0
    return u, v, row[4] * u * u + row[5] * v * v - row[6]


@_jit
def _list_grains(
    table: np.ndarray, targets: np.ndarray, starts: np.ndarray, corners: np.ndarray, lists: np.ndarray,
    lengths: np.ndarray,
) -> None:  # fmt: skip
    """Write each block's list: its own grains, then those of lowest cost at its corners."""
    lowest, ranked = np.empty(len(table)), np.empty(RIVALS)
    for b in range(len(corners)):
        for i in range(len(table)):
            lowest[i] = np.inf
            for corner in range(4):
                y, x = corners[b, 0] + (corner & 1) * (BLOCK - 1), corners[b, 1] + (corner >> 1) * (BLOCK - 1)
                lowest[i] = min(lowest[i], _seen_from(table[i], y, x)[2])
        own = 0
        for grain in targets[starts[b] : starts[b + 1]]:
            if lowest[grain] < np.inf:
                lists[b, own] = grain
                lowest[grain] = np.inf
                own += 1
        lengths[b] = own + _rank(lowest, ranked, lists[b, own:])


@_jit
def _rank(lowest: np.ndarray, ranked: np.ndarray, grains: np.ndarray) -> int:
    """Write the grains of lowest finite cost, the lowest first; return their number."""
    length = 0
    for i in range(len(lowest)):
        cost = lowest[i]
        if cost == np.inf or (length == RIVALS and cost >= ranked[length - 1]):
            continue
        k = min(length, RIVALS - 1)
        while k > 0 and ranked[k - 1] > cost:
            ranked[k], grains[k] = ranked[k - 1], grains[k - 1]
            k -= 1
        ranked[k], grains[k] = cost, i
        length = min(length + 1, RIVALS)
    return length


@_jit
def _cross_entropy(
    table: np.ndarray, places: np.ndarray, targets: np.ndarray, starts: np.ndarray, lists: np.ndarray,
    lengths: np.ndarray, temperature: float, sums: np.ndarray,
) -> float:  # fmt: skip
    """Return the loss, and sum up 1, u, v, u^2, v^2, uv per grain, weighted by the loss's derivative in its cost."""
    most = lists.shape[1]
    u, v, cost = np.empty(most), np.empty(most), np.empty(most)
    total = 0.0
    for b in range(len(lengths)):
        for pixel in range(starts[b], starts[b + 1]):
            least, own = np.inf, 0
            for k in range(lengths[b]):
                u[k], v[k], cost[k] = _seen_from(table[lists[b, k]], places[pixel, 0], places[pixel, 1])
                least = min(least, cost[k])
                if lists[b, k] == targets[pixel]:
                    own = k
            total += (cost[own] - least) / temperature
            whole = 0.0
            for k in range(lengths[b]):
                excess = (cost[k] - least) / temperature
                cost[k] = math.exp(-excess) if excess < _NEGLIGIBLE else 0.0
                whole += cost[k]
            total += math.log(whole)
            for k in range(lengths[b]):
                slope = (1.0 if k == own else 0.0) - cost[k] / whole
                if slope != 0.0:
                    _add(sums[lists[b, k]], slope, u[k], v[k])
    return total


@_jit
def _add(sums: np.ndarray, slope: float, u: float, v: float) -> None:
    sums[0] += slope
    sums[1] += slope * u
    sums[2] += slope * v
    sums[3] += slope * u * u
    sums[4] += slope * v * v
    sums[5] += slope * u * v


@_jit
def _gradient(table: np.ndarray, sums: np.ndarray, temperature: float) -> np.ndarray:
    """Return the gradient in seed, logarithms of D, and r; moving a seed across the radius also rotates its axes."""
    gradient = np.empty((len(table), 5))
    for i in range(len(table)):
        e0, e1, along, across = table[i, 2], table[i, 3], table[i, 4], table[i, 5]
        by_radius = -2.0 * along * sums[i, 1]
        by_side = -2.0 * across * sums[i, 2] + 2.0 * (along - across) * sums[i, 5] * table[i, 7]
        gradient[i, 0] = (by_radius * e0 - by_side * e1) / temperature
        gradient[i, 1] = (by_radius * e1 + by_side * e0) / temperature
        gradient[i, 2] = along * sums[i, 3] / temperature
        gradient[i, 3] = across * sums[i, 4] / temperature
        gradient[i, 4] = -sums[i, 0] / temperature
    return gradient
