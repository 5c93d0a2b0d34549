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
_GRAINS_PER_CELL = 1.0  # of the cells in which near grains are looked for
_RING = 2  # so many cells on each side of that of a grain
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
    _tint(table, cells[order], starts, shape, len(TINTS), found)
    tinted = np.empty_like(found)
    tinted[order] = found
    return tinted


@kernel
def _tint(
    table: np.ndarray, cells: np.ndarray, starts: np.ndarray, shape: np.ndarray, count: int, found: np.ndarray
) -> None:  # fmt: skip
    """Set the tints of grains that are sorted by cell; the search begins at another tint for each.

    Columns of the table: centre, and the six entries of the metric.
    """
    nearest = np.empty(count)
    for one in range(len(table)):
        s0, s1, s2 = table[one, 0], table[one, 1], table[one, 2]
        n0, n1, n2 = table[one, 3], table[one, 4], table[one, 5]
        n3, n4, n5 = table[one, 6], table[one, 7], table[one, 8]
        z, y, x = cells[one, 0], cells[one, 1], cells[one, 2]
        first_x, last_x = max(x - _RING, 0), min(x + _RING + 1, shape[2])
        nearest[:] = np.inf
        for cell_z in range(max(z - _RING, 0), z + 1):
            for cell_y in range(max(y - _RING, 0), min(y + _RING + 1, shape[1])):
                line = (cell_z * shape[1] + cell_y) * shape[2]
                for two in range(starts[line + first_x], min(starts[line + last_x], one)):
                    d0, d1, d2 = s0 - table[two, 0], s1 - table[two, 1], s2 - table[two, 2]
                    distance2 = (n0 + table[two, 3]) * d0 * d0 + (n1 + table[two, 4]) * d1 * d1
                    distance2 += (n2 + table[two, 5]) * d2 * d2 + (n3 + table[two, 6]) * d0 * d1
                    distance2 += (n4 + table[two, 7]) * d0 * d2 + (n5 + table[two, 8]) * d1 * d2
                    nearest[found[two]] = min(nearest[found[two]], distance2)
        best = one % count
        for step in range(1, count):
            tint = (one + step) % count
            if nearest[tint] > nearest[best]:
                best = tint
        found[one] = best
