"""The neural generator in PyTorch: thin slabs normal to each axis, whose middle plane is a section.

The same layers as :class:`nmcdist.models.neural.Net`. A slab normal to an axis has that axis first: its weights are
turned instead, because convolutions of long rows are several times as fast.
"""

from collections.abc import Mapping

import numpy as np

from nmcdist.bundle.nets import LAYERS
from nmcdist.calibration.neural.turned import TurnedConv3d, TurnedScores
from nmcdist.models.neural import Place, coarser, widened
from nmcdist.pytorch import nn, torch

ORDERS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # axes of a slab normal to z, y, x


class Generator(nn.Module):
    """The layers of a neural generator.

    Parameters
    ----------
    noises : tuple of int
        Channels of noise per level, the finest level first.
    channels : tuple of (int, int)
        Channels after the layers of each level.
    phases : int
    isotropic : bool
        Whether the axes are alike; channels are then multiples of three.
    """

    def __init__(
        self, noises: tuple[int, ...], channels: tuple[tuple[int, int], ...], phases: int, *, isotropic: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        self.noises = noises
        above = [*(last for _, last in channels[1:]), 0]
        layer = TurnedConv3d if isotropic else _convolution
        self.levels = [
            [layer(n, more, first, 3), layer(0, first, last, 3)]
            for n, more, (first, last) in zip(noises, above, channels, strict=True)
        ]
        self.layers = nn.ModuleList(layer for level in self.levels for layer in level)  # only so are weights known
        before = channels[0][1]
        self.out = TurnedScores(before, phases) if isotropic else nn.Conv3d(before, phases, 1)

    def forward(self, noise: list[torch.Tensor], low: Place, shape: Place, axis: int = 0) -> torch.Tensor:
        """Return the scores of the phases in a window.

        Parameters
        ----------
        noise : list of Tensor
            By level, shape (batch, noises, ...): of the sites that :func:`sites` gives.
        low, shape : tuple of int
            First voxel and shape of the window, along the axes of `ORDERS[axis]`.
        axis : int
            Normal of the slab.

        Returns
        -------
        Tensor, shape (batch, phases, *shape)
        """
        found = self._channels(0, noise, low, shape, (0, 1, *(2 + k for k in ORDERS[axis])))
        return nn.functional.conv3d(found, self.out.weight, self.out.bias)

    def _channels(
        self, level: int, noise: list[torch.Tensor], low: Place, shape: Place, order: tuple[int, ...]
    ) -> torch.Tensor:  # fmt: skip
        first, size = widened(low, shape)
        image = noise[level]
        if level + 1 < len(self.levels):
            start, count = coarser(first, size)
            above = self._channels(level + 1, noise, start, count, order)
            for dim, (a, b, n) in enumerate(zip(first, start, size, strict=True), 2):
                above = above.repeat_interleave(2, dim).narrow(dim, a - 2 * b, n)
            image = torch.cat([image, above.to(image.dtype)], dim=1)
        image = image.contiguous(memory_format=torch.channels_last_3d)
        for layer in self.levels[level]:
            image = nn.functional.relu(nn.functional.conv3d(image, layer.weight.permute(order), layer.bias))
        return image

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights as the arrays of a bundle."""
        layers = {f"{level}_{k}": self.levels[level][k] for level in range(len(self.levels)) for k in range(LAYERS)}
        return {
            f"{kind}_{name}": getattr(layer, kind).detach().float().numpy().copy()
            for name, layer in (*layers.items(), ("out", self.out)) for kind in ("weight", "bias")
        }  # fmt: skip

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take weights from the arrays of a bundle; not for a net whose axes are alike."""
        with torch.no_grad():
            for name, array in arrays.items():
                kind, *place = name.split("_")
                layer = self.out if place == ["out"] else self.levels[int(place[0])][int(place[1])]
                getattr(layer, kind).copy_(torch.from_numpy(np.array(array)))


def _convolution(scalars: int, before: int, after: int, edge: int) -> nn.Conv3d:
    layer = nn.Conv3d(scalars + before, after, edge)
    for name, values in layer.named_parameters():
        if name == "weight":
            nn.init.kaiming_normal_(values)
        else:
            nn.init.zeros_(values)
    return layer


def sites(levels: int, low: Place, shape: Place) -> list[tuple[Place, Place]]:
    """Return first site and number of sites of the noise that each level needs for a window."""
    found = []
    for _ in range(levels):
        low, shape = widened(low, shape)
        found.append((low, shape))
        low, shape = coarser(low, shape)
    return found
