"""Colours of sections: tints that tell grains apart, scales of angles and sizes, and colours of phases."""

import numpy as np

from nmcdist.jit import kernel

BORDER = (24, 26, 30)  # of grains
UNKNOWN = (200, 200, 200)  # grains without a value
# Tints that also differ for readers with colour blindness: light ones, so that borders stay visible on all of them.
TINTS = (
    "#77aadd", "#eedd88", "#44bb99", "#ffaabb", "#bbcc33", "#99ddff", "#ee8866", "#dddddd", "#aaaa00", "#cc99cc",
    "#5588bb", "#e6b27a",
)  # fmt: skip
# Monotonic in lightness, and never so dark that borders vanish.
ANGLES = ("#fbeeb0", "#e3bd6c", "#b98a5e", "#7f6f86", "#4c63a8")  # from radial to across
SIZES = ("#5a3a8c", "#3f6aa3", "#2f9c95", "#6fce66", "#fde725")  # from small to large
_PHASES = ("#3c4854", "#e69f00", "#0072b2", "#cc79a7", "#009e73", "#d55e00", "#56b4e9", "#f0e442")
_NAMED = {
    "pore": "#dee2e6", "carbon_binder": "#3c4854", "graphite": "#e69f00", "solid": "#0072b2",
}  # fmt: skip


def rgb(colours: tuple[str, ...]) -> np.ndarray:
    """Return colours in hexadecimal as uint8, shape (n, 3)."""
    return np.array([tuple(bytes.fromhex(colour[1:])) for colour in colours], dtype=np.uint8)


def on_scale(places: np.ndarray, scale: tuple[str, ...]) -> np.ndarray:
    """Return the colours at places from 0 to 1 on a scale, uint8, shape (n, 3); those of NaN are grey."""
    steps = rgb(scale).astype(np.float64)
    known = np.nan_to_num(np.clip(places, 0.0, 1.0)) * (len(scale) - 1)
    below = np.minimum(known.astype(int), len(scale) - 2)
    mixed = steps[below] + (known - below)[:, None] * (steps[below + 1] - steps[below])
    colours: np.ndarray = np.rint(mixed).astype(np.uint8)
    colours[np.isnan(places)] = UNKNOWN
    return colours


def phase_colours(names: dict[int, str]) -> dict[int, str]:
    """Return the colour of each phase by label: those of known names, and different ones for the others."""
    free = [colour for colour in _PHASES if colour not in {_NAMED.get(name) for name in names.values()}] or _PHASES
    found, used = {}, 0
    for label, name in sorted(names.items()):
        if name in _NAMED:
            found[label] = _NAMED[name]
        else:
            found[label] = free[used % len(free)]
            used += 1
    return found


def tints(labels: np.ndarray, count: int) -> np.ndarray:
    """Return a tint for each of the grains 1 to `count`, such that grains that touch have different ones.

    Parameters
    ----------
    labels : ndarray of int32, shape (nz, ny, nx)
        Numbers of the grains, 0 outside.
    count : int
        Number of grains.

    Returns
    -------
    ndarray of int64, shape (count,)
        Numbers in :data:`TINTS`. If the neighbours of a grain have all of them, it gets that which the fewest have.
    """
    pairs = _pairs(labels, count)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    first = np.searchsorted(both[:, 0], np.arange(1, count + 2))
    found = np.full(count, -1, np.int64)
    _colour(first, both[:, 1] - 1, len(TINTS), found)
    return found


def _pairs(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the pairs of grains that share a face of voxels, each once."""
    keys = []
    for axis in range(3):
        low, high = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        touch = (low != high) & (low > 0) & (high > 0)
        one, two = low[touch].astype(np.int64), high[touch].astype(np.int64)
        keys.append(np.minimum(one, two) * (count + 1) + np.maximum(one, two))
    found = np.unique(np.concatenate(keys))
    return np.column_stack([found // (count + 1), found % (count + 1)])


@kernel
def _colour(first: np.ndarray, neighbours: np.ndarray, colours: int, found: np.ndarray) -> None:
    """Set the number of a colour for each grain in turn; the search begins at another colour for each."""
    for grain in range(len(found)):
        uses = np.zeros(colours, np.int64)
        for k in range(first[grain], first[grain + 1]):
            if found[neighbours[k]] >= 0:
                uses[found[neighbours[k]]] += 1
        best = grain % colours
        for step in range(colours):
            colour = (grain + step) % colours
            if uses[colour] < uses[best]:
                best = colour
        found[grain] = best
