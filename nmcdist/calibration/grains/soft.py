"""Windows of grains as smooth functions of the markers: softmax shares, images for discriminators, moments.

The share of a grain at a pixel is the softmax of -cost / T (Eq. 11) over the grains of lowest cost there; the shares
of others are negligible. All lengths are in pixels. The code uses torch and runs on any of its devices.
"""

import numpy as np

from nmcdist.calibration.grains.windows import ENTRIES, Places, Seeds, complete_grains, ranked
from nmcdist.pytorch import torch

CHANNELS = 12  # grains per image: the paper keeps the 12 largest
_LEAST_PIXELS = 4  # grains smaller than this have no shape


class SoftWindows:
    """The grains of a batch of windows.

    Parameters
    ----------
    places : Places
    seeds : Seeds
    matrices : torch.Tensor of float32, shape (n, 6)
        Entries of M, in the order of :data:`nmcdist.calibration.grains.windows.ENTRIES`.
    offsets : torch.Tensor of float32, shape (n,)
    temperature : float
        T, in squared pixels.
    """

    def __init__(
        self, places: Places, seeds: Seeds, matrices: torch.Tensor, offsets: torch.Tensor, temperature: float
    ) -> None:
        self.places, self.seeds, self.temperature = places, seeds, temperature
        entries, added = (x.detach().cpu().double().numpy() for x in (matrices, offsets))
        rows = ranked(places, seeds, entries, added)
        self.labels = rows[:, :, 0].reshape(-1, places.size, places.size)
        self.rows = torch.from_numpy(rows).to(matrices.device)
        self._along, self._across = _pixels(places.size, matrices.device)
        self.shares = self._shares(matrices, offsets)

    def _shares(self, matrices: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        # Relative to the window's centre, so that float32 suffices.
        seeds = self.seeds.near.copy()
        seeds[:, :2] -= self._centres
        near, m = torch.from_numpy(seeds.astype(np.float32)).to(matrices.device)[self.rows], matrices[self.rows]
        d = (self._along[:, None] - near[..., 0], self._across[:, None] - near[..., 1], -near[..., 2])
        cost = -offsets[self.rows]
        for k, (a, b) in enumerate(ENTRIES):
            cost = cost + (1 if a == b else 2) * m[..., k] * d[a] * d[b]
        return torch.softmax(-cost / self.temperature, dim=-1)

    @property
    def _centres(self) -> np.ndarray:
        """Centre of the window of each grain."""
        return np.repeat(self.places.centres, np.diff(self.seeds.starts), axis=0)

    @property
    def hard(self) -> torch.Tensor:
        """Shares rounded to 0 and 1, with the gradient of the smooth ones."""
        rounded = torch.zeros_like(self.shares)
        rounded[..., 0] = 1.0
        return rounded + (self.shares - self.shares.detach())

    @property
    def visible_per_pixel(self) -> float:
        """NG: visible grains over counted pixels."""
        return visible_grains(self.places, self.labels)

    def images(self, shares: torch.Tensor) -> torch.Tensor:
        """Return images whose channels are the largest grains, largest first (T2D, T3D); shape (b, 12, n, n)."""
        channel = np.full(len(self.seeds.near), CHANNELS)
        for first, last, labels in zip(self.seeds.starts, self.seeds.starts[1:], self.labels, strict=False):
            areas = np.bincount(labels.ravel() - first, minlength=last - first)
            largest = np.argsort(-areas, kind="stable")[:CHANNELS]
            channel[first + largest] = np.arange(len(largest))
        where = torch.from_numpy(channel).to(shares.device)[self.rows]
        image = torch.zeros(*shares.shape[:2], CHANNELS + 1, device=shares.device).scatter_add(2, where, shares)
        n = self.places.size
        return image[..., :CHANNELS].transpose(1, 2).reshape(-1, CHANNELS, n, n)

    def features(self) -> torch.Tensor:
        """Return the features of the whole grains in windows, with a gradient: see :func:`measured_features`."""
        chosen = _whole_grains(self.labels, self.places.counted, len(self.seeds.near))
        centres = torch.from_numpy(self._centres[chosen].astype(np.float32)).to(self.shares.device)
        return _shape_features(self._moments()[torch.from_numpy(chosen).to(self.shares.device)], centres)

    def _moments(self) -> torch.Tensor:
        shares, x, y = self.hard, self._along[:, None], self._across[:, None]
        columns = [shares * weight for weight in (torch.ones_like(x), x, y, x * x, x * y, y * y)]
        sums = torch.zeros(len(self.seeds.near), 6, device=shares.device)
        return sums.index_add(0, self.rows.reshape(-1), torch.stack(columns, dim=-1).reshape(-1, 6))


def visible_grains(places: Places, labels: np.ndarray) -> float:
    """Return NG of Eq. (13): visible grains in windows over counted pixels."""
    return complete_grains(labels, places.counted, int(labels.max()) + 1)[1] / int(places.counted.sum())


def measured_features(places: Places, labels: np.ndarray) -> torch.Tensor:
    """Return log area, the two entries of the shape, and the distance of each whole grain in a window.

    The shape is (C_rr - C_tt, 2 C_rt) / (C_rr + C_tt), from the second moments along the radius r and across it. It
    determines elongation and angle to the radius.

    Parameters
    ----------
    places : Places
    labels : ndarray of int64, shape (b, n, n)
        Grains, each in one window only; 0 outside.

    Returns
    -------
    torch.Tensor of float32, shape (grains, 4)
    """
    grains = int(labels.max()) + 1
    middle = np.arange(places.size) - (places.size - 1) / 2
    x, y = (np.broadcast_to(a, labels.shape) for a in (middle[:, None], middle))
    columns = (np.bincount(labels.ravel(), w.ravel(), grains) for w in (x**0, x, y, x * x, x * y, y * y))
    centres = np.zeros((grains, 2))
    centres[labels] = places.centres[:, None, None]
    chosen = _whole_grains(labels, places.counted, grains)
    parts = (np.column_stack(list(columns))[chosen], centres[chosen])
    return _shape_features(*(torch.from_numpy(part.astype(np.float32)) for part in parts))


def _whole_grains(labels: np.ndarray, counted: np.ndarray, grains: int) -> np.ndarray:
    complete, _ = complete_grains(labels, counted, grains)
    return np.flatnonzero(complete & (np.bincount(labels.ravel(), minlength=grains) >= _LEAST_PIXELS))


def matrix_entries(diagonals: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Return the entries of M = Q^T diag(D) Q (Eq. 12), shape (n, 6)."""
    return torch.stack([(diagonals * frames[:, :, a] * frames[:, :, b]).sum(dim=1) for a, b in ENTRIES], dim=1)


def _pixels(size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    middle = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2
    return middle.repeat_interleave(size), middle.repeat(size)


def _shape_features(moments: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    area, square = moments[:, 0], 1 / 12  # pixels are squares in second moments
    x, y = moments[:, 1] / area, moments[:, 2] / area
    xx, xy, yy = (
        moments[:, 3] / area - x * x + square,
        moments[:, 4] / area - x * y,
        moments[:, 5] / area - y * y + square,
    )
    along, across = x + centres[:, 0], y + centres[:, 1]
    radius = torch.sqrt(along**2 + across**2 + 1e-6)
    cosine, sine = along / radius, across / radius
    rr = cosine**2 * xx + 2 * cosine * sine * xy + sine**2 * yy
    tt = sine**2 * xx - 2 * cosine * sine * xy + cosine**2 * yy
    rt = cosine * sine * (yy - xx) + (cosine**2 - sine**2) * xy
    both = rr + tt
    both = both + (both == 0)  # a grain at the centre has no direction; its shape is 0
    return torch.stack([torch.log(area), (rr - tt) / both, 2 * rt / both, radius], dim=1)
