"""A grey stack as it is segmented: without its ramp of brightness, and without its drift if that is corrected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.drift import SLOW_SLICES, Drift, estimate_drift
from nmcdist.calibration.fibsem.pictures import Pixels
from nmcdist.calibration.fibsem.ramp import Ramp, fit_ramp
from nmcdist.calibration.fibsem.scribbles import Scribbles
from nmcdist.calibration.stages import Stages
from nmcdist.errors import ImageError, InputError
from nmcdist.images import Image


@dataclass(frozen=True, eq=False)
class CorrectedStack:
    """A stack that is corrected as it is read.

    Attributes
    ----------
    image : Pixels
    ramp : Ramp
    shifts_px : ndarray of float64, shape (nz, 2), optional
        Pixel (y, x) of a slice of the image shows the structure at (y, x) + shift.
    """

    image: Pixels
    ramp: Ramp
    shifts_px: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.image.shape

    def read(self, z: slice, y: slice = slice(None), x: slice = slice(None)) -> np.ndarray:
        """Return a box as float32; beyond the edge of a shifted slice its last pixels continue.

        Raises
        ------
        ImageError
            If bytes are damaged, or values are not finite numbers.
        """
        rows, columns = (slice(*part.indices(n)[:2]) for part, n in zip((y, x), self.shape[1:], strict=True))
        first, stop, _ = z.indices(self.shape[0])
        if self.shifts_px is None:
            return self._flat(slice(first, stop), rows, columns)
        return np.concatenate([self._shifted(k, rows, columns, self.shifts_px[k]) for k in range(first, stop)])

    def moved(self, scribbles: Scribbles) -> Scribbles:
        """Return scribbles on slices of the image where the corrected slices show what they label."""
        if self.shifts_px is None:
            return scribbles
        return {z: _moved(plane, np.rint(self.shifts_px[z]).astype(int)) for z, plane in scribbles.items()}

    def _flat(self, z: slice, y: slice, x: slice) -> np.ndarray:
        grey = self.image.read(z, y, x)
        if grey.dtype.kind == "f" and not np.isfinite(grey).all():
            bad = z.start + int(np.argmin(np.isfinite(grey).all(axis=(1, 2))))
            raise ImageError(f"{self.image.path}: slice {bad}: found values that are not finite numbers")
        flat: np.ndarray = grey.astype(np.float32) / self.ramp.brightness(y, self.shape[1])[:, None]
        return flat

    def _shifted(self, z: int, y: slice, x: slice, shift: np.ndarray) -> np.ndarray:
        """Return a part of a slice, moved by its shift, linear between pixels; shape (1, ny, nx)."""
        parts, weights = [], []
        for part, by, n in zip((y, x), shift, self.shape[1:], strict=True):
            at = np.clip(np.arange(part.start, part.stop) - by, 0, n - 1)
            low = np.minimum(np.floor(at).astype(np.int64), max(0, n - 2))
            parts.append(low)
            weights.append((at - low).astype(np.float32))
        (rows, columns), (v, u) = parts, weights
        ny, nx = self.shape[1:]
        read = slice(rows.min(), min(ny, rows.max() + 2)), slice(columns.min(), min(nx, columns.max() + 2))
        plane = self._flat(slice(z, z + 1), *read)[0]
        i, j = rows - read[0].start, columns - read[1].start
        below, right = np.minimum(i + 1, plane.shape[0] - 1), np.minimum(j + 1, plane.shape[1] - 1)
        lines = plane[i] * (1 - v)[:, None] + plane[below] * v[:, None]
        moved: np.ndarray = lines[:, j] * (1 - u) + lines[:, right] * u
        return moved[None]


def _moved(plane: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return a plane of labels moved by whole pixels; what comes in from outside is not labelled."""
    found = np.zeros_like(plane)
    to, origin = [], []
    for shift, n in zip(by.tolist(), plane.shape, strict=True):
        to.append(slice(max(shift, 0), max(0, min(n, n + shift))))
        origin.append(slice(max(-shift, 0), max(0, min(n, n - shift))))
    found[tuple(to)] = plane[tuple(origin)]
    return found


def corrected_stack(
    image: Image, stages: Stages, ramp: bool, drift: str | np.ndarray, after: str
) -> tuple[CorrectedStack, list[str], dict[str, Any]]:
    """Return the stack without its ramp and drift, the keys of these stages, and what they found.

    Parameters
    ----------
    image : Image
    stages : Stages
    ramp : bool
        Whether to take out the ramp.
    drift : "none", "estimate" or ndarray of float64, shape (nz, 2)
        Shift of each slice in pixels along y and x, if it is known.
    after : str
        Digest of the image.

    Raises
    ------
    ImageError
        If the drift is to be estimated, and two scales disagree on it.
    InputError
        If the known drift is not of this stack.
    """
    keys, facts = [after], dict[str, Any](ramp=None, drift=None)
    loss = Ramp(0.0)
    if ramp:
        stage = stages.once("ramp", lambda: _arrays(vars(fit_ramp(image, stages.spread))), after)
        error = float(stage.facts[0]["standard_error"])
        loss = Ramp(float(stage.facts[0]["loss"]), None if np.isnan(error) else error)
        facts["ramp"] = vars(loss)
        keys.append(stage.key)
    if isinstance(drift, np.ndarray):
        if drift.shape != (image.shape[0], 2) or not np.isfinite(drift).all():
            raise InputError(
                f"drift: found an array of shape {drift.shape}, expected {(image.shape[0], 2)}: finite shifts along y "
                "and x of each slice"
            )
        if abs(drift).max() > min(image.shape[1:]) / 2:
            raise InputError(
                f"drift: found a shift of {abs(drift).max():g} pixels, expected at most half of a slice of "
                f"{image.shape[1]} x {image.shape[2]}"
            )
        keys.append(repr(drift.round(6).tolist()))
        facts["drift"] = {"given": True, "rms_px": _rms(drift)}
        return CorrectedStack(image, loss, drift), keys, facts
    if drift == "none":
        return CorrectedStack(image, loss), keys, facts
    stage = stages.once("drift", lambda: vars(estimate_drift(image, stages.spread)), [after, SLOW_SLICES])
    found = stage.facts[0]
    estimated = Drift(found["shifts_px"], found["shear_px"], float(found["slow_px"]), float(found["disagreement_px"]))
    if not estimated.is_consistent:
        raise ImageError(
            f"{image.path}: two scales disagree on the drift by {estimated.disagreement_px:.2f} pixels of "
            f"{estimated.rms_px:.2f}, over a third: it cannot be estimated from this stack; give it, from fiducials "
            "(--drift FILE), or leave the drift in (--drift none)"
        )
    facts["drift"] = {
        "given": False, "rms_px": estimated.rms_px, "shear_px": estimated.shear_px.tolist(),
        "slow_px": estimated.slow_px, "disagreement_px": estimated.disagreement_px,
    }  # fmt: skip
    return CorrectedStack(image, loss, estimated.shifts_px), [*keys, stage.key], facts


def _arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.nan if value is None else value for name, value in values.items()}


def _rms(shifts: np.ndarray) -> float:
    return float(np.sqrt((shifts * shifts).mean()))
