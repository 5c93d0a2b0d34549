"""Measure something of your own on stored volumes: one row says what it is and how it is measured.

The quantity is the share of the graphite surface that touches pores. The rest touches carbon black and binder.
"""

import sys
from pathlib import Path

import numpy as np

import nmcdist
from nmcdist.descriptors.quantity import Quantity

PORE, GRAPHITE = 0, 2
RECIPE = {
    "name": "volumes",
    "version": "1.0.0",
    "title": "Volumes to measure",
    "bundle": "cba-cathode-2025",
    "seed": 11,
    "volume": {"shape": [64, 64, 64], "voxel_size_nm": 60.0},
    "sweep": {"graphite_fraction": [0.05, 0.10, 0.15]},
    "realisations": 2,
    "descriptors": "none",
}


def share_at_pores(volume: np.ndarray) -> float:
    """Return how many of the voxel faces between graphite and something else are faces to pores."""
    to_pore = to_others = 0
    for axis in range(3):
        one, other = np.moveaxis(volume, axis, 0)[:-1], np.moveaxis(volume, axis, 0)[1:]
        for here, there in ((one, other), (other, one)):
            to_pore += np.count_nonzero((here == GRAPHITE) & (there == PORE))
            to_others += np.count_nonzero((here == GRAPHITE) & (there != GRAPHITE))
    return to_pore / to_others


EXPOSED = Quantity(
    "graphite_at_pores", (), "1", "share of the graphite surface that touches pores", "count of voxel faces",
    measure=share_at_pores,
)  # fmt: skip


def main(folder: Path) -> None:
    """Make the volumes, measure them one by one, print a table."""
    store = nmcdist.run(RECIPE, folder, workers=0, resume=True).store
    data = nmcdist.open_store(store)
    assert EXPOSED.measure is not None
    values = [EXPOSED.measure(volume.values) for volume in data["volume"]]  # reads one volume at a time
    data[EXPOSED.name] = ("sample", values, EXPOSED.attrs)
    table = data[EXPOSED.name].to_dataframe()[["graphite_fraction", "realisation", EXPOSED.name]]
    print(f"{EXPOSED.long_name}:")
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
