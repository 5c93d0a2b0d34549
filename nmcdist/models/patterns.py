"""Multiple-point statistics: direct sampling of a training image, in a periodic box.

Voxels are visited in random order, on a coarse grid first and then on finer ones. For each, random places of the image
are compared with the known voxels around it, and the voxel gets the label of the best place. With sections, each label
is rated by its best places in three sections, one per plane through the voxel. The voxels of each grid are then visited
again, as the first ones knew few neighbours.

Alone this loses rare labels, above all with sections, since errors favour the frequent ones. So a label that is in
excess so far is rated worse, by `SERVO` times its excess.

References
----------
Mariethoz, Renard and Straubhaar, Water Resour. Res. 46 (2010) W11536. Sections: Comunian, Renard and Straubhaar,
Comput. Geosci. 40 (2012) 49. Servo system: Strebelle, Math. Geol. 34 (2002) 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nmcdist.bundle import Bundle, PatternsParameters, resolved
from nmcdist.bundle.reconstructions import SECTIONS
from nmcdist.errors import BundleError
from nmcdist.jit import kernel
from nmcdist.models import streams
from nmcdist.models.cba import check_window
from nmcdist.models.draws import next_below
from nmcdist.models.reconstruction import arrays_of, check_voxel_size

SERVO = 5.0
_LIMIT = 0.25  # share of unlike neighbours that an excess counts for at most: it must not outvote a pattern
_UNKNOWN = 255
_REACH = 5  # distance of the farthest neighbours, in steps of the grid
_STEPS = (8, 4, 2, 1)  # of the grids, in voxels
_BYTES_PER_VOXEL = 26.0  # the finest grid, the path along it, and what finds it


@dataclass(frozen=True)
class Patterns:
    """A drawn volume.

    Attributes
    ----------
    labels : ndarray of uint8, shape (nz, ny, nx)
    proportions, wanted : ndarray of float64, shape (labels,)
        Share of each label in the volume, and in the training image. They may differ: see :attr:`miss`.
    """

    labels: np.ndarray
    proportions: np.ndarray
    wanted: np.ndarray

    @property
    def miss(self) -> float:
        """The largest difference between a share and that in the training image."""
        return float(np.abs(self.proportions - self.wanted).max())


@dataclass(frozen=True)
class _Images:
    """Volumes of labels, sections with an edge of 1, and the lattice vectors of the neighbours, one after another."""

    voxels: np.ndarray
    starts: np.ndarray
    shapes: np.ndarray
    vectors: np.ndarray
    ends: np.ndarray  # of the vectors of each image


def generate_patterns(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, index: int = 0
) -> np.ndarray:
    """Draw a periodic volume with the patterns of the training image; see :func:`draw_patterns`.

    Returns
    -------
    ndarray of uint8, shape `shape`
        The labels of the image.
    """
    return draw_patterns(bundle, shape, voxel_size_nm, seed, index).labels


def draw_patterns(
    bundle: Bundle | str | Path, shape: tuple[int, int, int], voxel_size_nm: float, seed: int, index: int = 0
) -> Patterns:
    """Draw a periodic volume with the patterns of the training image, and tell how well the proportions are met.

    Parameters
    ----------
    bundle : Bundle, str or Path
        A bundle of model "patterns", with its arrays.
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size_nm : float
        Voxel edge in nm, which must be that of the bundle.
    seed, index : int
        Numbers that identify the volume.

    Raises
    ------
    InputError
        If an argument has an impossible value.
    BundleError
        If the bundle cannot be loaded, is of another model, or its image has impossible labels or a chord as long as
        itself.
    """
    shape, _, voxel_size_nm = check_window(shape, (0, 0, 0), voxel_size_nm)
    bundle = resolved(bundle)
    parameters = bundle.parameters_as(PatternsParameters)
    check_voxel_size(voxel_size_nm, parameters.voxel_size_nm)
    seed, index = streams.check_key(seed, index)
    images = training_images(bundle)
    counts = np.bincount(np.concatenate([image.reshape(-1) for image in images]))
    wanted, drawn = counts / counts.sum(), np.zeros(len(counts), dtype=np.int64)
    labels = np.full(shape, _UNKNOWN, dtype=np.uint8)
    state = streams.draws(seed, streams.PATTERNS, index).state
    packed = _packed(images)
    shortest = min(n for image in images for n in image.shape if n > 1)
    # On a grid so coarse that neighbours on both sides do not fit into half of the image, voxels would know too few.
    steps = [step for step in _STEPS if step == 1 or 4 * step <= shortest]
    for path, step in _paths(labels, steps, int(parameters.revisits)):
        _shuffle(path, state)
        _visit(
            labels, path, step, packed.voxels, packed.starts, packed.shapes, packed.vectors, packed.ends, wanted, drawn,
            int(parameters.neighbours), parameters.tolerance, int(parameters.most_places), state,
        )  # fmt: skip
    return Patterns(labels, drawn / labels.size, wanted)


def draw_bytes(shape: tuple[int, ...]) -> float:
    """Return the bytes needed to draw a volume besides its voxels and the training image."""
    return _BYTES_PER_VOXEL * float(np.prod(shape))


def training_images(bundle: Bundle) -> list[np.ndarray]:
    """Return the training images of a bundle as volumes of uint8; a section has the edge 1 along its normal.

    Raises
    ------
    BundleError
        If labels are not whole numbers from 0 to 254, or a chord of one label is as long as the image: then the image
        does not show how long chords are.
    """
    arrays = arrays_of(bundle)
    names = ("image",) if "image" in arrays else ("section",) * 3 if "section" in arrays else SECTIONS
    images = []
    for axis, name in enumerate(names):
        where = f"bundle {bundle.name!r}: arrays.{name}"
        found = arrays[name]
        if (found != np.rint(found)).any() or found.min() < 0 or found.max() >= _UNKNOWN:
            raise BundleError(f"{where}: found {found.min():g} to {found.max():g}, expected whole labels from 0 to 254")
        image = np.ascontiguousarray(found, dtype=np.uint8)
        image = image if name == "image" else np.expand_dims(image, axis)
        _check_chords(image, where)
        images.append(image)
    return images


def _check_chords(image: np.ndarray, where: str) -> None:
    for axis, edge in enumerate(image.shape):
        first = image.take([0], axis=axis)
        whole = (image == first).all(axis=axis, keepdims=True)
        if edge > 1 and whole.any():
            raise BundleError(
                f"{where}: found a chord of label {first[whole][0]} over all {edge} voxels along {'zyx'[axis]}, "
                "expected an image longer than its largest chord"
            )


def _packed(images: list[np.ndarray]) -> _Images:
    vectors = [_neighbours(image.shape) for image in images]
    return _Images(
        np.concatenate([image.reshape(-1) for image in images]),
        np.cumsum([0] + [image.size for image in images[:-1]]),
        np.array([image.shape for image in images]),
        np.concatenate(vectors),
        np.cumsum([len(each) for each in vectors]),
    )


def _neighbours(shape: tuple[int, ...]) -> np.ndarray:
    """Return the lattice vectors to the neighbours in an image of this shape, nearest first."""
    axes = [np.arange(-_REACH, _REACH + 1) if n > 1 else np.zeros(1, dtype=np.int64) for n in shape]
    vectors = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    length = (vectors**2).sum(axis=1)
    order = np.argsort(length, kind="stable")
    return np.asarray(vectors[order][(length[order] > 0) & (length[order] <= _REACH**2)])


def _paths(labels: np.ndarray, steps: list[int], revisits: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield, for each grid, the places of its unknown voxels and its step, and then those of all its voxels."""
    places = np.arange(labels.size).reshape(labels.shape)
    for step in steps:
        grid = places[::step, ::step, ::step].reshape(-1)
        yield grid[labels.reshape(-1)[grid] == _UNKNOWN], step
        for _ in range(revisits):
            yield grid.copy(), step


@kernel
def _shuffle(path: np.ndarray, state: np.ndarray) -> None:
    for k in range(len(path) - 1, 0, -1):
        other = next_below(state, k + 1)
        path[k], path[other] = path[other], path[k]


@kernel
def _visit(
    labels: np.ndarray, path: np.ndarray, step: int, voxels: np.ndarray, starts: np.ndarray, shapes: np.ndarray,
    vectors: np.ndarray, ends: np.ndarray, wanted: np.ndarray, drawn: np.ndarray, neighbours: int, tolerance: float,
    most: int, state: np.ndarray,
) -> None:  # fmt: skip
    """Give a label to each voxel on the path, in turn; `drawn` counts the voxels of each label."""
    _, ny, nx = labels.shape
    near, seen = np.empty((neighbours, 3), dtype=np.int64), np.empty(neighbours, dtype=np.uint8)
    cost, best = np.empty(len(wanted)), np.empty(len(wanted))
    for place in path:
        z, y, x = place // (ny * nx), place // nx % ny, place % nx
        if labels[z, y, x] != _UNKNOWN:
            drawn[labels[z, y, x]] -= 1
            labels[z, y, x] = _UNKNOWN
        total = max(1, drawn.sum())
        for label in range(len(cost)):
            excess = SERVO * (drawn[label] / total - wanted[label])
            cost[label] = len(starts) * max(-_LIMIT, min(_LIMIT, excess))
        for k in range(len(starts)):
            around = vectors[(ends[k - 1] if k else 0) : ends[k]]
            shape = shapes[k]
            count, low, high = _known(labels, z, y, x, step, around, shape, near, seen)
            image = voxels[starts[k] : starts[k] + shape[0] * shape[1] * shape[2]]
            _search(image, shape, near[:count], seen[:count], low, high, tolerance, most, best, state)
            cost += best
        chosen = np.argmin(cost)
        labels[z, y, x] = chosen
        drawn[chosen] += 1


@kernel
def _known(
    labels: np.ndarray, z: int, y: int, x: int, step: int, around: np.ndarray, shape: np.ndarray, near: np.ndarray,
    seen: np.ndarray,
) -> tuple[int, np.ndarray, np.ndarray]:  # fmt: skip
    """Write the vectors and labels of the nearest known voxels; return their number and extent.

    Those that would extend over more than half of the image are left out: too few places would remain.
    """
    nz, ny, nx = labels.shape
    low, high = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    count = 0
    for k in range(len(around)):
        dz, dy, dx = around[k, 0] * step, around[k, 1] * step, around[k, 2] * step
        label = labels[(z + dz) % nz, (y + dy) % ny, (x + dx) % nx]
        if label == _UNKNOWN:
            continue
        near[count, 0], near[count, 1], near[count, 2] = dz, dy, dx
        fits = True
        for axis in range(3):
            d = near[count, axis]
            fits &= 2 * (max(high[axis], d) - min(low[axis], d)) <= shape[axis]
        if not fits:
            continue
        for axis in range(3):
            low[axis], high[axis] = min(low[axis], near[count, axis]), max(high[axis], near[count, axis])
        seen[count] = label
        count += 1
        if count == len(near):
            break
    return count, low, high


@kernel
def _search(
    image: np.ndarray, shape: np.ndarray, near: np.ndarray, seen: np.ndarray, low: np.ndarray, high: np.ndarray,
    tolerance: float, most: int, best: np.ndarray, state: np.ndarray,
) -> None:  # fmt: skip
    """Write, for each label, the least share of other neighbours at places of the image with that label.

    The search ends at the first place within the tolerance.
    """
    my, mx = shape[1] - (high[1] - low[1]), shape[2] - (high[2] - low[2])
    places = (shape[0] - (high[0] - low[0])) * my * mx
    steps = (near[:, 0] * shape[1] + near[:, 1]) * shape[2] + near[:, 2]
    share = 1.0 / max(1, len(seen))
    best[:] = 1.0
    for _ in range(most):
        k = next_below(state, places)
        place = ((k // (my * mx) - low[0]) * shape[1] + k // mx % my - low[1]) * shape[2] + k % mx - low[2]
        label, found = image[place], 0.0
        for m in range(len(seen)):
            if image[place + steps[m]] != seen[m]:
                found += share
                if found >= best[label]:
                    break
        if found < best[label]:
            best[label] = found
            if found <= tolerance:
                break
