"""Drift between slices, from band-passed phase correlation over one to three slices.

Registration follows inclined structure: a stack without any drift seems to drift. So coarse bright plates are masked,
and two bands of scales are compared: where they disagree, the estimate is not to be used. Errors of steps between
slices add up along a plate, over some tens of slices, so what is slower (the shear and the slow part) is reported and
never applied: only the jitter is. Correction is for the user to choose.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from nmcdist.calibration.fibsem.filters import gaussian
from nmcdist.calibration.fibsem.pictures import Pixels
from nmcdist.calibration.spread import Spread
from nmcdist.errors import ImageError

LAGS = (1, 2, 3)
BANDS_PX = ((1.5, 4.0), (2.5, 8.0))  # two differences of Gaussians
_PLATE_PX = 6.0  # structure that stays bright after this smoothing is a plate
_MOST_PX = 16  # shift between slices
_ROUNDS = 20
_FEWEST = 8  # slices
SLOW_SLICES = 8.0  # standard deviation of the window whose line is the slow part
# On phantoms, the error of the shifts is 1.4 to 2.1 times the disagreement. Shifts are drift and error together: at a
# third there is no more error than drift.
_MOST_DISAGREEMENT = 1 / 3


@dataclass(frozen=True)
class Drift:
    """The estimated drift of each slice.

    Attributes
    ----------
    shifts_px : ndarray of float64, shape (n, 2)
        Pixel (y, x) of a slice shows the structure at (y, x) + shift; without mean, linear trend and slow part.
    shear_px : ndarray of float64, shape (2,)
        The trend per slice that was left out. Inclined plates give one too.
    slow_px : float
        Root mean square of the slow part that was left out. Plates give one too.
    disagreement_px : float
        Root mean square of the difference between the shifts in the two bands.
    """

    shifts_px: np.ndarray
    shear_px: np.ndarray
    slow_px: float
    disagreement_px: float

    @property
    def rms_px(self) -> float:
        """Root mean square of the shifts, over both axes."""
        return _rms(self.shifts_px)

    @property
    def is_consistent(self) -> bool:
        """Whether the two bands disagree by so little that correction does more good than harm."""
        return self.disagreement_px < _MOST_DISAGREEMENT * self.rms_px


def estimate_drift(image: Pixels, spread: Spread = map) -> Drift:
    """Estimate the drift of a stack.

    Raises
    ------
    ImageError
        If it has fewer than eight slices, or slices of under 64 pixels.
    """
    if image.shape[0] < _FEWEST or min(image.shape[1:]) < 64:
        raise ImageError(f"{image.path}: found shape {image.shape}, expected 8 slices of 64 x 64 pixels for the drift")
    numbers = range(image.shape[0] - 1)
    found = np.stack(list(spread(partial(_pair_shifts, image), numbers)))  # slice, band, lag, axis
    one, two = (_solved(found[:, band]) for band in range(len(BANDS_PX)))
    (first, shear), (second, other) = _without_trend(one), _without_trend(two)
    slow = _slow(first), _slow(second)
    difference = _rms(first - slow[0] - second + slow[1])
    return Drift(
        (first + second - slow[0] - slow[1]) / 2, (shear + other) / 2, _rms((slow[0] + slow[1]) / 2), difference
    )


def _pair_shifts(image: Pixels, z: int) -> np.ndarray:
    """Return the shifts from a slice to the next three in each band, NaN beyond the stack."""
    stop = min(z + max(LAGS) + 1, image.shape[0])
    planes = image.read(slice(z, stop)).astype(np.float32)
    shifts = np.full((len(BANDS_PX), len(LAGS), 2), np.nan)
    for b, band in enumerate(BANDS_PX):
        spectra = [np.fft.rfft2(_textured(plane, band)) for plane in planes]
        for k, lag in enumerate(LAGS):
            if lag < len(spectra):
                shifts[b, k] = _shift(spectra[0], spectra[lag], image.shape[1:])
    return shifts


def _textured(plane: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    """Return a band of scales of a slice, without coarse bright plates and faded at the edges."""
    coarse = gaussian(plane, _PLATE_PX)
    plates = coarse > np.quantile(coarse, 0.9)
    fine = gaussian(plane, band[0]) - gaussian(plane, band[1])
    kept = gaussian((~plates).astype(np.float32), 2.0) * np.hanning(len(plane))[:, None] * np.hanning(plane.shape[1])
    textured: np.ndarray = fine * kept
    return textured


def _shift(one: np.ndarray, two: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the displacement of the view from one slice to another: the peak of the correlation, by parabolas."""
    cross = one * np.conj(two)
    weight = np.abs(cross)
    surface = np.fft.irfft2(cross / np.sqrt(weight + 1e-6 * weight.max()), shape)
    reach = min(_MOST_PX, min(shape) // 4)
    near = np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    inner = near[1:-1, 1:-1]
    y, x = (int(v) + 1 for v in np.unravel_index(inner.argmax(), inner.shape))
    return np.array([
        y - reach + _vertex(near[y - 1 : y + 2, x]), x - reach + _vertex(near[y, x - 1 : x + 2])
    ])  # fmt: skip


def _vertex(three: np.ndarray) -> float:
    a, b, c = (float(v) for v in three)
    bend = a - 2 * b + c
    return 0.0 if bend == 0 else 0.5 * (a - c) / bend


def _solved(shifts: np.ndarray) -> np.ndarray:
    """Return the positions that fit all pair shifts, shape (n, lag, axis), with least absolute errors."""
    count = len(shifts) + 1
    pairs = [(z, k) for z in range(count - 1) for k, lag in enumerate(LAGS) if z + lag < count]
    rows = np.zeros((len(pairs), count))
    for row, (z, k) in enumerate(pairs):
        rows[row, z], rows[row, z + LAGS[k]] = -1, 1
    measured = np.array([shifts[z, k] for z, k in pairs])
    weights = np.ones_like(measured)
    places = np.zeros((count, 2))
    for _ in range(_ROUNDS):
        for axis in range(2):
            root = np.sqrt(weights[:, axis])[:, None]
            places[1:, axis] = np.linalg.lstsq(root * rows[:, 1:], root[:, 0] * measured[:, axis], rcond=None)[0]
        weights = 1 / np.maximum(0.1, np.abs(measured - rows @ places))
    return places


def _without_trend(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(len(places)) - (len(places) - 1) / 2
    slope = (at @ places) / (at @ at)
    return places - places.mean(axis=0) - at[:, None] * slope, slope


def _slow(places: np.ndarray) -> np.ndarray:
    """Return the line through a Gaussian window around each slice, there: also at the ends, where a mean would lag."""
    numbers = np.arange(len(places))
    apart = (numbers[None] - numbers[:, None]) / SLOW_SLICES
    weights = np.exp(-0.5 * apart**2)
    one, first, second = ((weights * apart**power).sum(axis=1)[:, None] for power in range(3))
    mean, tilt = weights @ places, (weights * apart) @ places
    slow: np.ndarray = (second * mean - first * tilt) / (one * second - first**2)
    return slow


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values * values).mean()))
