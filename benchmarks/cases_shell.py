"""The case of the separation: touching particles of a known packing, found by ours and by the SNOW of porespy.

What either side answers is the share of the whole particles that a region fits with an intersection over union above
0.8. ``python -m benchmarks.cases_shell`` prints the other scores too, and compares on a packing of overlapping shells.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

EDGE, VOXEL_NM, LEAST_VOXELS, RATIO = 200, 398.0, 200, 0.9
CUBIC = (1.0, 1.0, 1.0)


def touching_shells() -> np.ndarray:
    """Return labels of particles of nmc-ct-2018 that touch and do not overlap."""
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.microscope.packing import pack

    return pack(load_bundle("nmc-ct-2018"), (EDGE,) * 3, VOXEL_NM, 1, 0.5).labels


def overlapping_shells(wide: int) -> np.ndarray:
    """Return labels of particles packed in a window of `wide`^3 voxels, and then moved together so that they overlap.

    Contested voxels belong to the particle in which they lie deeper.
    """
    from nmcdist.bundle import load_bundle
    from nmcdist.calibration.microscope.packing import pack
    from nmcdist.calibration.shell.packing import packed
    from nmcdist.models.shell import ShellModel

    bundle = load_bundle("nmc-ct-2018")
    packing = pack(bundle, (wide,) * 3, VOXEL_NM, 1, 0.5)
    rows = ShellModel.from_bundle(bundle).draw_many(1, packing.items)[0] / VOXEL_NM
    labels: np.ndarray = packed((EDGE,) * 3, rows, packing.centres_px * EDGE / wide, CUBIC)
    return labels


def separated(labels: np.ndarray, ratio: float | None = RATIO) -> np.ndarray:
    """Return our regions of the phase, merged above a neck ratio; None: chosen by re-populating the phase."""
    from nmcdist.calibration.shell.blocks import Box
    from nmcdist.calibration.shell.choose import choose_ratio
    from nmcdist.calibration.shell.separate import Watershed

    water = Watershed.of(labels > 0, CUBIC)
    regions = water.separated(choose_ratio(water).ratio if ratio is None else ratio)
    return regions.read(Box((0, 0, 0), regions.shape))


def snow(labels: np.ndarray) -> np.ndarray:
    """Return the regions of porespy's SNOW with its own settings."""
    import porespy

    porespy.settings.tqdm["disable"] = True
    return np.asarray(porespy.filters.snow_partitioning(labels > 0).regions).astype(np.int32)


def scored(labels: np.ndarray, found: np.ndarray) -> Any:
    """Return the scores of regions against the known particles."""
    from nmcdist.calibration.shell.packing import overlap, score
    from nmcdist.calibration.shell.separate import Separated

    true, own = (Separated.of(of, int(of.max()), CUBIC) for of in (labels, found))
    return score(RATIO, overlap(labels, found), true.regions.voxels, true.kept(LEAST_VOXELS), own.regions.voxels,
                 own.kept(LEAST_VOXELS))  # fmt: skip


def ours_separation(labels: np.ndarray) -> Callable[[], Any]:
    separated(labels[:60, :60, :60])
    return lambda: np.array([scored(labels, separated(labels)).share_over_08])


def snow_separation(labels: np.ndarray) -> Callable[[], Any]:
    snow(labels[:60, :60, :60])
    return lambda: np.array([scored(labels, snow(labels)).share_over_08])


def main() -> None:
    packings = {"touching": touching_shells(), "overlapping": overlapping_shells(220), "more": overlapping_shells(240)}
    for title, labels in packings.items():
        print(f"{title}, {(labels > 0).mean():.2f} solid")
        for name, method in (
            ("ours, ratio 0.9", separated),
            ("ours, ratio chosen", partial(separated, ratio=None)),
            ("SNOW", snow),
        ):
            one = scored(labels, method(labels))
            shares = ("share_over_08", "mean_iou", "split", "merged")
            told = ", ".join(f"{share} {getattr(one, share):.3f}" for share in shares)
            print(f"  {name}: {told}, found {one.found} of {one.true}", flush=True)


if __name__ == "__main__":
    main()
