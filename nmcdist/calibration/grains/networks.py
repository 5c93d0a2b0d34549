"""The two networks of the calibration: the generator of markers, and the discriminator of windows."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from nmcdist.bundle.schema import NET_INPUTS, NET_NEIGHBOURS, NET_OUTPUTS
from nmcdist.calibration.grains.soft import CHANNELS
from nmcdist.pytorch import nn, torch

# Scale of a grain's own two noises, which would otherwise hardly matter at first beside its neighbours' 24.
_OWN_WEIGHT = 3.0
# Scale of the weights of r if a grain's own noise is an input: with a smaller one, some trainings end with one size.
_OFFSET_SPREAD = 5.0


class MarkerGenerator(nn.Module):
    """G_net of Algorithm 1: maps the inputs of a seed to D and r, within ranges.

    Inputs are scaled to unit size first; :meth:`arrays` folds the scaling into the first layer.

    Parameters
    ----------
    spacing : float
        Mean spacing of the seeds in pixels, the unit of displacements.
    sees_distance : bool
        Whether the distance of the seed from the centre is an input.
    own_noise : bool
        Whether the grain's own noises are inputs.
    widths : sequence of int
        Widths of the hidden layers.
    diagonal_range, offset_range : tuple of float
        Ranges of the entries of D, and of r in squared pixels.
    """

    seen: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def __init__(
        self, spacing: float, *, sees_distance: bool, own_noise: bool = False, widths: Sequence[int],
        diagonal_range: tuple[float, float], offset_range: tuple[float, float],
    ) -> None:  # fmt: skip
        super().__init__()
        seen = [*range(NET_INPUTS)] + [NET_INPUTS] * sees_distance + [NET_INPUTS + 1, NET_INPUTS + 2] * own_noise
        sizes = [len(seen), *widths, NET_OUTPUTS]
        self.layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        for k, layer in enumerate(self.layers):
            self.add_module(f"layer_{k}", layer)
        unit, middle = math.sqrt(12), -math.sqrt(3)  # scale uniform noise to variance 1 and mean 0
        own, own_middle = _OWN_WEIGHT * unit, _OWN_WEIGHT * middle
        scale = torch.tensor(([1 / spacing] * 3 + [unit, unit]) * NET_NEIGHBOURS + [0.4 / spacing, own, own])[seen]
        shift = torch.tensor(([0.0] * 3 + [middle, middle]) * NET_NEIGHBOURS + [-2.7, own_middle, own_middle])[seen]
        low = torch.tensor([diagonal_range[0]] * 3 + [offset_range[0]])
        high = torch.tensor([diagonal_range[1]] * 3 + [offset_range[1]])
        buffers = {"seen": torch.tensor(seen), "scale": scale, "shift": shift, "low": low, "high": high}
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)
        # Initial grains are nearly round and in the middle of the ranges, but not all alike: where noise has no
        # effect, the gradient with respect to it is 0 by symmetry.
        with torch.no_grad():
            self.layers[-1].weight *= 0.3
            if own_noise:
                self.layers[-1].weight[3] *= _OFFSET_SPREAD
            self.layers[-1].bias[:] = torch.tensor([-0.45, -0.45, -0.45, -0.65])

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return D (n, 3) and r (n,) from inputs (n, 63), of which the net uses a subset."""
        x = inputs[:, self.seen] * self.scale + self.shift
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        out = self.low + (self.high - self.low) * torch.sigmoid(self.layers[-1](x))
        return out[:, :3], out[:, 3]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights and biases in the form of a bundle, float32."""
        found = {}
        for k, layer in enumerate(self.layers):
            weight, bias = (p.detach().cpu().double().numpy() for p in (layer.weight, layer.bias))
            if k == 0:
                bias = bias + weight @ self.shift.cpu().double().numpy()
                weight = weight * self.scale.cpu().double().numpy()
            found[f"weight_{k}"], found[f"bias_{k}"] = weight.astype(np.float32), bias.astype(np.float32)
        return found


class Discriminator(nn.Module):
    """The paper's D: convolutions with batch normalisation, ReLU and max pooling, then dense layers to one number.

    Parameters
    ----------
    size : int
        Pixels along an edge of a window.
    channels : sequence of int
        Channels of the convolutions, each followed by pooling by 2.
    dense : int
        Width of the hidden dense layer.
    """

    def __init__(self, size: int, channels: Sequence[int], dense: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = CHANNELS
        for width in channels:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        features = before * (size // 2 ** len(channels)) ** 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, dense), nn.ReLU(), nn.Linear(dense, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return, for images (b, 12, n, n), numbers near 1 for windows classified as measured and near 0 for others."""
        verdicts: torch.Tensor = self.layers(images)
        return verdicts[:, 0]
