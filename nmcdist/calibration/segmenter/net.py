"""Nets of segmenters in kernels: some neighbouring slices to the probability of each class.

Convolutions are valid, so a value depends on what lies within the halo alone. Coarse pixels of a U-Net are blocks of
the grid of the whole image: a window begins on a multiple of `step`, less the halo, and then windows agree bit for bit
where they overlap.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle.segmenter import LENET_PATCH
from nmcdist.geometry.convolution import added, convolved, convolved_shape, pooled, softmax

_HALF = (1, 2, 2)
_STRIDE = 4  # of the pooled pixels of a LeNet


class Memory:
    """Memory of the layers of a net, used by one window after the other: new pages take a fifth of the time."""

    def __init__(self) -> None:
        self._flat: dict[str, np.ndarray] = {}
        self._turn = 0

    def next(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of float32 that is valid until the next but one is asked for."""
        self._turn = 1 - self._turn
        return self.named(f"turn {self._turn}", shape)

    def named(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of float32 that is valid until one of the same name is asked for."""
        size = math.prod(shape)
        if name not in self._flat or self._flat[name].size < size:
            self._flat[name] = np.empty(size, np.float32)
        return self._flat[name][:size].reshape(shape)


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
    def planes(self) -> int:
        """Number of neighbouring slices that it sees."""
        return int(self.weights["down0a.weight" if self.widths else "first.weight"].shape[1])

    @property
    def step(self) -> int:
        """Windows without their halo begin and end on multiples of this."""
        return int(2 ** (len(self.widths) - 1)) if self.widths else _STRIDE

    @property
    def halo(self) -> int:
        """Pixels that a window needs beyond each side."""
        return halo_of(self.widths)

    def scores(self, window: np.ndarray, memory: Memory | None = None) -> np.ndarray:
        """Return the scores of a window without its halo.

        Parameters
        ----------
        window : ndarray of float32, shape (planes, ny, nx)
            Normalised grey values of neighbouring slices; ny and nx are multiples of `step` plus two halos.
        memory : Memory, optional
            Of earlier windows. The scores are valid until the next window uses it.

        Returns
        -------
        ndarray of float32, shape (c, ny - 2 halo, nx - 2 halo)
            Of the middle slice.
        """
        image = np.ascontiguousarray(window, np.float32)[:, None]
        return (_unet(self, image, memory or Memory()) if self.widths else _lenet(self, image))[:, 0]

    def probabilities(self, window: np.ndarray, memory: Memory | None = None) -> np.ndarray:
        """Return the probability of each class, as float32; see :meth:`scores`."""
        return softmax(self.scores(window, memory))

    def layer(
        self, name: str, image: np.ndarray, *, rectified: bool = True, out: np.ndarray | None = None
    ) -> np.ndarray:  # fmt: skip
        """Return what a layer makes of an image of shape (ci, 1, ny, nx)."""
        weight = self.weights[f"{name}.weight"][:, :, None]
        return convolved(image, weight, self.weights[f"{name}.bias"], rectified=rectified, out=out)

    def layer_shape(self, name: str, image: np.ndarray) -> tuple[int, ...]:
        """Return the shape of what a layer makes of an image of shape (ci, 1, ny, nx)."""
        return convolved_shape(image.shape, self.weights[f"{name}.weight"][:, :, None].shape)


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


def _unet(net: Net, image: np.ndarray, memory: Memory) -> np.ndarray:
    depth, lost, seen = len(net.widths) - 1, 0, []

    def next_layer(name: str, image: np.ndarray, *, rectified: bool = True) -> np.ndarray:
        return net.layer(name, image, rectified=rectified, out=memory.next(net.layer_shape(name, image)))

    for k in range(depth):
        image = next_layer(f"down{k}a", image)
        name = f"down{k}b"
        image = net.layer(name, image, out=memory.named(name, net.layer_shape(name, image)))
        lost += 2
        seen.append(image)
        rim = lost % 2
        half = (n // 2 - rim for n in image.shape[2:])
        image = pooled(image, _HALF, rim=rim, out=memory.next((len(image), 1, *half)))
        lost = (lost + 1) // 2
    image = next_layer(f"down{depth}b", next_layer(f"down{depth}a", image))
    lost += 2
    for k in reversed(range(depth)):
        image, lost = next_layer(f"up{k}", image, rectified=False), 2 * lost
        double = (2 * n for n in image.shape[2:])
        image = next_layer(f"merge{k}", added(seen[k], image, out=memory.next((len(image), 1, *double))))
        lost += 1
    return _cropped(next_layer("out", image, rectified=False), net.halo - lost)


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
