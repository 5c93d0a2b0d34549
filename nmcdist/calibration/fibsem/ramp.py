"""The ramp of brightness along y that a tilted section has (CBA paper, Sec. 2.3.1).

The paper fits it to the smoothed minimum over all slices, which noise and charging bend. Here each slice is smoothed
by a few pixels, and a line goes through a low quantile of each band of rows over all slices: the level of the pores.
It is that of Theil and Sen, so a few bands that solid fills do not turn it.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.pictures import Pixels
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError

SMOOTHED_PX, QUANTILE = 1.5, 0.1
_SLICES = 64  # spread over the stack, that are looked at
_BANDS = 32  # of rows
_PARTS = 8  # groups of slices for the standard error


@dataclass(frozen=True)
class Ramp:
    """Brightness that falls linearly with the row.

    Attributes
    ----------
    loss : float
        Share of the brightness lost from the first to the last row.
    standard_error : float or None
        From groups of slices and from the scatter of the bands about the line, as if bands were independent; it does
        not know of a bias, as by solid that fills one side. None with under eight slices.
    """

    loss: float
    standard_error: float | None = None

    def brightness(self, rows: slice, height: int) -> np.ndarray:
        """Return the brightness of rows of a slice of a height, of which the first row has 1, as float32."""
        at = np.arange(rows.start, rows.stop, dtype=np.float64)
        return (1 - self.loss * at / max(1, height - 1)).astype(np.float32)


def fit_ramp(image: Pixels, spread: Spread = map) -> Ramp:
    """Fit the ramp of a stack.

    Raises
    ------
    ImageError
        If the level of the pores is not positive, or a line through it vanishes within the image.
    """
    if image.shape[1] < 2:  # a single row has no slope
        return Ramp(0.0)
    count = min(image.shape[0], _SLICES)
    chosen = np.linspace(0, image.shape[0] - 1, count).round().astype(int).tolist()
    levels = np.stack(list(spread(partial(_levels, image), chosen)))
    parts = np.array_split(levels, _PARTS) if count >= _PARTS else []
    losses = [_loss(part.mean(axis=0), image) for part in parts]
    mean = levels.mean(axis=0)
    error = float(np.hypot(np.std(losses, ddof=1) / len(losses) ** 0.5, _band_error(mean))) if losses else None
    return Ramp(_loss(mean, image), error)


def _levels(image: Pixels, z: int) -> np.ndarray:
    """Return the low quantile of each band of rows of a smoothed slice."""
    smooth = gaussian(image.read(slice(z, z + 1))[0].astype(np.float32), SMOOTHED_PX)
    return np.array([np.quantile(band, QUANTILE) for band in np.array_split(smooth, min(_BANDS, len(smooth)))])


def _line(levels: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return slope and start of the line through bands, from 0 at the first row to 1 at the last, and its residuals."""
    at = (np.arange(len(levels)) + 0.5) / len(levels)
    one, two = np.triu_indices(len(levels), 1)
    slope = float(np.median((levels[two] - levels[one]) / (at[two] - at[one])))
    start = float(np.median(levels - slope * at))
    return slope, start, levels - start - slope * at


def _loss(levels: np.ndarray, image: Pixels) -> float:
    slope, start, _ = _line(levels)
    if not (start > 0 and start + slope > 0):
        raise ImageError(
            f"{image.path}: the dark level goes from {start:g} to {start + slope:g}, expected it above 0 to take out "
            "the ramp of brightness; --no-ramp leaves it in"
        )
    return -slope / start


def _band_error(levels: np.ndarray) -> float:
    """Return the standard error of the loss by the scatter of the bands about the line."""
    _, start, rest = _line(levels)
    return float(rest.std(ddof=2) * np.sqrt(12 / len(rest)) / start)
