"""Nets of segmenters in kernels: three neighbouring slices to the probability of each class.

Convolutions are valid, so a value depends on what lies within the halo alone. Coarse pixels of a U-Net are blocks of
the grid of the whole image: a window begins on a multiple of `step`, less the halo, and then windows agree bit for bit
where they overlap.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle.segmenter import LENET_PATCH
from nmcdist.geometry.convolution import convolved, pooled, repeated, softmax

_HALF = (1, 2, 2)
_STRIDE = 4  # of the pooled pixels of a LeNet


@dataclass(frozen=True, eq=False)
class Net:
    """A trained net.

    Attributes
    ----------
    widths : tuple of int
        Channels of a U-Net at each resolution; none of a LeNet-5.
    weights : mapping of str to ndarray of float32
        See :func:`nmcdist.bundle.segmenter.layer_shapes`.
    """

    widths: tuple[int, ...]
    weights: Mapping[str, np.ndarray]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.weights["out.bias"])

    @property
    def step(self) -> int:
        """Windows without their halo begin and end on multiples of this."""
        return int(2 ** (len(self.widths) - 1)) if self.widths else _STRIDE

    @property
    def halo(self) -> int:
        """Pixels that a window needs beyond each side."""
        return halo_of(self.widths)

    def scores(self, window: np.ndarray) -> np.ndarray:
        """Return the scores of a window without its halo.

        Parameters
        ----------
        window : ndarray of float32, shape (3, ny, nx)
            Normalised grey values of three neighbouring slices; ny and nx are multiples of `step` plus two halos.

        Returns
        -------
        ndarray of float32, shape (c, ny - 2 halo, nx - 2 halo)
            Of the middle slice.
        """
        image = np.ascontiguousarray(window, np.float32)[:, None]
        return (_unet(self, image) if self.widths else _lenet(self, image))[:, 0]

    def probabilities(self, window: np.ndarray) -> np.ndarray:
        """Return the probability of each class, as float32; see :meth:`scores`."""
        return softmax(self.scores(window))

    def layer(self, name: str, image: np.ndarray, *, rectified: bool = True) -> np.ndarray:
        """Return what a layer makes of an image of shape (ci, 1, ny, nx)."""
        weight = self.weights[f"{name}.weight"][:, :, None]
        return convolved(image, weight, self.weights[f"{name}.bias"], rectified=rectified)


def halo_of(widths: tuple[int, ...]) -> int:
    """Return how many pixels a net of these widths needs beyond each side of a window."""
    if not widths:
        return LENET_PATCH // 2
    step = int(2 ** (len(widths) - 1))
    return -(-lost_of(widths) // step) * step


def lost_of(widths: tuple[int, ...]) -> int:
    """Return how many pixels a U-Net loses at each side of a window that begins on a multiple of its step."""
    lost = 0
    for _ in widths[1:]:
        lost = (lost + 3) // 2  # two convolutions, and one pixel more where pooling would not meet the grid
    lost += 2
    for _ in widths[1:]:
        lost = 2 * lost + 1
    return lost


def _unet(net: Net, image: np.ndarray) -> np.ndarray:
    depth, lost, seen = len(net.widths) - 1, 0, []
    for k in range(depth):
        image = net.layer(f"down{k}b", net.layer(f"down{k}a", image))
        lost += 2
        seen.append((image, lost))
        image = pooled(_cropped(image, lost % 2), _HALF)
        lost = (lost + 1) // 2
    image = net.layer(f"down{depth}b", net.layer(f"down{depth}a", image))
    lost += 2
    for k in reversed(range(depth)):
        image, lost = repeated(net.layer(f"up{k}", image, rectified=False), _HALF), 2 * lost
        fine, before = seen[k]
        image = net.layer(f"merge{k}", image + _cropped(fine, lost - before))
        lost += 1
    return net.layer("out", _cropped(image, net.halo - lost), rectified=False)


def _lenet(net: Net, image: np.ndarray) -> np.ndarray:
    """Return scores of all pixels: of each fourth one at a time, which share the pixels that are pooled."""
    ny, nx = (n - 2 * net.halo for n in image.shape[2:])
    out = np.empty((net.classes, 1, ny, nx), np.float32)
    reach = LENET_PATCH - _STRIDE
    for y in range(_STRIDE):
        for x in range(_STRIDE):
            part = image[:, :, y : y + ny + reach, x : x + nx + reach]
            for name in ("first", "second"):
                part = pooled(net.layer(name, part), _HALF)
            part = net.layer("dense1", net.layer("dense0", part))
            out[:, :, y::_STRIDE, x::_STRIDE] = net.layer("out", part, rectified=False)
    return out


def _cropped(image: np.ndarray, rim: int) -> np.ndarray:
    return image[:, :, rim : image.shape[2] - rim, rim : image.shape[3] - rim] if rim else image
