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
_GRAINS_PER_CELL = 3.0  # of cells in which near grains are looked for: those beside a grain's cell, too
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


def tints(centres_nm: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return a tint for each grain, such that grains that touch have different ones, with few exceptions.

    Each grain in turn gets the tint whose nearest grain so far is the farthest. Distances are those between centres in
    the sum of the metrics of both grains, so grains are near where they are long. Farther grains than about two
    spacings do not count.

    Parameters
    ----------
    centres_nm : ndarray of float64, shape (n, 3)
        Centres of mass.
    matrices : ndarray of float64, shape (n, 3, 3)
        M of each grain.

    Returns
    -------
    ndarray of int64, shape (n,)
        Numbers in :data:`TINTS`.
    """
    found = np.full(len(centres_nm), -1, np.int64)
    if not len(centres_nm):
        return found
    low, extent = centres_nm.min(axis=0), np.ptp(centres_nm, axis=0)
    # Cells need a positive size even if all centres are in a plane, on a line or in one place.
    extent = np.maximum(extent, max(extent.max() * 1e-3, 1e-6))
    side = float((extent.prod() * _GRAINS_PER_CELL / len(centres_nm)) ** (1 / 3))
    shape = np.floor(extent / side).astype(np.int64) + 1
    cells = np.minimum(((centres_nm - low) / side).astype(np.int64), shape - 1)
    numbers = np.ravel_multi_index(tuple(cells.T), tuple(shape))
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(shape.prod() + 1))
    rows, columns = (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)
    metrics = matrices[:, rows, columns] * np.array([1, 1, 1, 2, 2, 2])
    table = np.column_stack([centres_nm, metrics])[order]
    _tint(table, cells[order], starts, shape, np.argsort(order), found, len(TINTS))
    tinted = np.empty_like(found)
    tinted[order] = found
    return tinted


@kernel
def _tint(
    table: np.ndarray, cells: np.ndarray, starts: np.ndarray, shape: np.ndarray, turns: np.ndarray, found: np.ndarray,
    tints: int,
) -> None:  # fmt: skip
    """Set the tints of grains that are sorted by cell, in the order of `turns`.

    Columns of the table: centre, and the six entries of the metric. The search begins at another tint for each grain.
    """
    nearest = np.empty(tints)
    for number in range(len(turns)):
        one = turns[number]
        row = table[one]
        z, y, x = cells[one, 0], cells[one, 1], cells[one, 2]
        first_x, last_x = max(x - 1, 0), min(x + 2, shape[2])
        nearest[:] = np.inf
        for cell_z in range(max(z - 1, 0), min(z + 2, shape[0])):
            for cell_y in range(max(y - 1, 0), min(y + 2, shape[1])):
                line = (cell_z * shape[1] + cell_y) * shape[2]
                for two in range(starts[line + first_x], starts[line + last_x]):
                    tint = found[two]
                    if tint >= 0:
                        nearest[tint] = min(nearest[tint], _distance2(row, table[two]))
        best = number % tints
        for step in range(1, tints):
            tint = (number + step) % tints
            if nearest[tint] > nearest[best]:
                best = tint
        found[one] = best


@kernel
def _distance2(one: np.ndarray, two: np.ndarray) -> float:
    d0, d1, d2 = one[0] - two[0], one[1] - two[1], one[2] - two[2]
    squares = (one[3] + two[3]) * d0 * d0 + (one[4] + two[4]) * d1 * d1 + (one[5] + two[5]) * d2 * d2
    return squares + (one[6] + two[6]) * d0 * d1 + (one[7] + two[7]) * d0 * d2 + (one[8] + two[8]) * d1 * d2
