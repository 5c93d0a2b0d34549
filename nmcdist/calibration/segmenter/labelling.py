"""From a grey stack to three-phase labels in cubic voxels by a segmenter, in place of the forests that learn scribbles.

Solid is what is probably no pore, and graphite what of the solid is probably graphite, each as the mean over a cubic
voxel. What follows is as with forests: small pieces of graphite go.
"""

from functools import partial

import numpy as np

from nmcdist.calibration.boxes import Box
from nmcdist.calibration.fibsem.components import Grid
from nmcdist.calibration.fibsem.cubes import checked_factors, mean_in_cubes
from nmcdist.calibration.fibsem.graphite_stages import label_stage, threshold_of
from nmcdist.calibration.fibsem.labelling import CLOSINGS_NM, HowToLabel, Labelled, shares_of
from nmcdist.calibration.fibsem.phases import cleaned
from nmcdist.calibration.fibsem.stored import FULL, Grey, Stored
from nmcdist.calibration.segmenter.bundles import Segmenter
from nmcdist.calibration.segmenter.prepared import prepared
from nmcdist.calibration.segmenter.segment import EDGES, probability_stage
from nmcdist.calibration.stages import Stages
from nmcdist.errors import BundleError
from nmcdist.images import Image, survey
from nmcdist.images.sources import Array
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE

_EVEN = 0.5


def check_instrument(segmenter: Segmenter, instrument: str) -> None:
    """Raise BundleError if a segmenter was trained on another kind of image."""
    if segmenter.instrument != instrument:
        raise BundleError(f"segmenter: found one for {segmenter.instrument}, expected one for {instrument}")


def label_by(segmenter: Segmenter, image: Image, stages: Stages, how: HowToLabel) -> Labelled:
    """Label a grey stack.

    Parameters
    ----------
    segmenter : Segmenter
        Of FIB-SEM stacks.
    image : Image
        Slices along z.
    stages : Stages
    how : HowToLabel
        Its trees and seed are those of forests, and not used.

    Returns
    -------
    Labelled
        Its facts have `warnings`: why the labels may not be believed.

    Raises
    ------
    BundleError
        If the segmenter is for other images.
    ImageError, InputError
        If the stack is unusable, or its voxels do not make up cubic ones.
    """
    check_instrument(segmenter, "fib-sem")
    factors, voxel = checked_factors(image, how.cubic_nm)
    nz, ny, nx = (n // f for n, f in zip(image.shape, factors, strict=True))
    grid, digest = Grid((nz, ny, nx), (voxel,) * 3), survey(image, is_scanned=True).sha256
    ready = prepared(image, segmenter, stages, ramp=how.ramp, drift=how.drift, digest=digest)
    for warning in ready.warnings:
        stages.progress({"event": "warning", "text": warning})
    shares = probability_stage(
        stages, segmenter.net, ready.image, EDGES, image.voxel_size_nm, [*ready.keys, segmenter.digest]
    )
    fine, boxes = Grey(shares.path, image.shape), (grid.shape, grid.edges, "uint8", grid.voxel_size_nm)
    found = {"solid": stages.boxes("solid", partial(_solid, fine, factors), *boxes, shares.key)}
    above_pore = int(FULL * (how.solid_threshold or _EVEN))
    solid, before = Stored(found["solid"].path, grid.shape, above_pore), f"{found['solid'].key} {above_pore}"
    if how.clean:
        found["solid-clean"] = cleaned(stages, solid, grid, before)
        solid, before = Stored(found["solid-clean"].path, grid.shape), found["solid-clean"].key
    likely = stages.boxes("graphite-probability", partial(_graphite, fine, factors), *boxes, shares.key)
    above = threshold_of(likely, how.threshold or _EVEN, how.quantile)
    kept, labels = label_stage(stages, solid, likely, above, CLOSINGS_NM[how.graphite], grid, before)
    found |= {"graphite-probability": likely, "graphite": kept, "labels": labels}
    facts = {
        **ready.facts, "digest": digest, "slices_with_scribbles": [], "cubic_nm": voxel, "factors": list(factors),
        "least_probability_of_solid": (above_pore + 1) / FULL, "least_probability_of_graphite": (above + 1) / FULL,
        "shares": shares_of(labels), "segmenter": segmenter.digest, "warnings": ready.warnings,
    }  # fmt: skip
    image_of = Image(Array(labels.path, grid.shape, np.dtype(np.uint8)), (0, 1, 2), grid.voxel_size_nm)
    return Labelled(image_of, ready.stack, found, factors, facts)


def _fine(shares: Grey, factors: tuple[int, int, int], box: Box) -> np.ndarray:
    return shares[(slice(None), *(slice(part.start * f, part.stop * f) for part, f in zip(box, factors, strict=True)))]


def _solid(shares: Grey, factors: tuple[int, int, int], box: Box) -> tuple[np.ndarray, None]:
    return mean_in_cubes(FULL - _fine(shares, factors, box)[PORE], factors), None


def _graphite(shares: Grey, factors: tuple[int, int, int], box: Box) -> tuple[np.ndarray, list[int]]:
    """Return the share of graphite in the probability of solid, half up; its fact is a histogram."""
    fine = _fine(shares, factors, box)
    graphite, binder = (_summed(fine[kind], factors) for kind in (GRAPHITE, CARBON_BINDER))
    both = np.maximum(1, graphite + binder)
    found = ((2 * FULL * graphite + both) // (2 * both)).astype(np.uint8)
    return found, np.bincount(found.reshape(-1), minlength=FULL + 1).tolist()


def _summed(values: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    (a, p), (b, q), (c, r) = ((n // f, f) for n, f in zip(values.shape, factors, strict=True))
    sums: np.ndarray = values.reshape(a, p, b, q, c, r).sum(axis=(1, 3, 5), dtype=np.int64)
    return sums
