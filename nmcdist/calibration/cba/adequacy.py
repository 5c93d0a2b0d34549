"""Whether realisations of the fit look like the image: its curves and descriptors beside those of the replicates."""

from collections.abc import Mapping, Sequence

import numpy as np

from nmcdist.calibration.cba.correlation import correlation_curve
from nmcdist.calibration.cba.counts import Counts
from nmcdist.calibration.cba.curves import PLANES, Curves, curves_of, lags_by_plane
from nmcdist.calibration.cba.fit import Fit
from nmcdist.calibration.cba.levels import SCALARS, STEPS, Measured, middle_of
from nmcdist.calibration.cba.results import Compared, Curve, Level
from nmcdist.images import Image
from nmcdist.models.cba import CARBON_BINDER, GRAPHITE, PORE


def curves_of_image(image: Image, counts: Counts, phases: Mapping[str, int], radii_nm: np.ndarray) -> Curves | None:
    """Return the curves of the sample, with descriptors of the middle of an image; None if voxels are not cubes."""
    if len(set(counts.voxel_size_nm)) > 1:
        return None
    box = labels_in(image, middle_of(image.shape), phases)
    return curves_of(counts, box, counts.voxel_size_nm[0], radii_nm)


def labels_in(image: Image, box: tuple[slice, ...], phases: Mapping[str, int]) -> np.ndarray:
    """Return a box of an image as labels of the model."""
    raw = image.read(*box)
    labels = np.full(raw.shape, PORE, dtype=np.uint8)
    labels[raw == phases["carbon_binder"]], labels[raw == phases["graphite"]] = CARBON_BINDER, GRAPHITE
    return labels


def curves_with_envelopes(fit: Fit, counts: Counts, own: Curves | None, many: Sequence[Curves]) -> dict[str, Curve]:
    """Return what was fitted, and by plane the curves of the image with the envelope of the replicates."""
    b, g = fit.binder, fit.graphite
    curves = {
        "binder": Curve(at_nm=b.lag_nm.tolist(), measured=plain(b.measured), fitted=b.fitted.tolist(),
                        error=b.measured_error.tolist()),
        "correlation": correlation_curve(b),
        "graphite": Curve(at_nm=g.lag_nm.tolist(), measured=plain(g.measured), fitted=g.fitted.tolist()),
    }  # fmt: skip
    if own is None:
        return curves
    by_plane = lags_by_plane(counts.lags)
    for number, plane in enumerate(PLANES):
        for what in ("binder", "graphite"):
            curves[f"{what} {plane}"] = _enveloped(
                by_plane[number], getattr(own, what)[number], [getattr(each, what)[number] for each in many]
            )
    return curves


def compared_levels(
    own: Sequence[Measured], many: Sequence[Curves], radii_nm: np.ndarray, shape: Sequence[int]
) -> list[Level]:
    """Return the descriptors of the image with those of the replicates, by voxel size.

    Parameters
    ----------
    own : sequence of Measured
        Of the middle box of the image.
    many : sequence of Curves
        Of the replicates.
    radii_nm : ndarray of float64, shape (radii,)
    shape : sequence of int
        Voxels of the image.
    """
    box = [part.stop - part.start for part in middle_of(tuple(shape))]
    found = []
    for number, (level, step) in enumerate(zip(own, STEPS, strict=False)):
        z, y, x = (-(-n // step) for n in box)
        others = [each.levels[number] for each in many]
        found.append(Level(
            voxel_size_nm=level.voxel_size_nm, shape=(z, y, x),
            scalars={name: _compared(level.scalars[name], [o.scalars[name] for o in others]) for name in SCALARS},
            pores=_enveloped(radii_nm, level.pores, [o.pores for o in others]),
            coverage=_enveloped(level.lag_nm, level.coverage, [o.coverage for o in others]),
        ))  # fmt: skip
    return found


def plain(values: np.ndarray) -> list[float | None]:
    """Return numbers as they are written, None for NaN."""
    return [float(v) if np.isfinite(v) else None for v in values]


def _compared(image: float, many: Sequence[float]) -> Compared:
    values = np.array([v for v in many if np.isfinite(v)])
    if not len(values):
        return Compared(image=plain(np.array([image]))[0])
    return Compared(
        image=plain(np.array([image]))[0], mean=float(values.mean()), low=float(values.min()), high=float(values.max())
    )


def _enveloped(at: np.ndarray, own: np.ndarray, many: Sequence[np.ndarray]) -> Curve:
    stack = np.array(many) if many else None
    return Curve(
        at_nm=at.tolist(), measured=plain(own), low=None if stack is None else plain(stack.min(axis=0)),
        high=None if stack is None else plain(stack.max(axis=0)),
    )  # fmt: skip
