"""Fit the weights of a net for super-resolution with PyTorch: cross-entropy of the fine labels, on new windows."""

from collections.abc import Callable

import numpy as np

from nmcdist.bundle.superres import FACTOR
from nmcdist.learning.refine.net import indicators
from nmcdist.pytorch import half_precision, nn, reproducible, torch

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]
_WARM_UP, _DECAY = 0.1, 1e-4


def module_of(phases: int, layers: int, channels: int) -> nn.Sequential:
    """Return the net as a PyTorch module with random weights."""
    parts: list[nn.Module] = []
    taken = phases
    for _ in range(layers):
        parts += [nn.Conv3d(taken, channels, 3), nn.ReLU()]
        taken = channels
    return nn.Sequential(*parts, nn.Conv3d(taken, phases * FACTOR**3, 1))


def scores_of(module: nn.Module, image: torch.Tensor, phases: int) -> torch.Tensor:
    """Return the scores of the phases in the eight parts of each voxel, shape (1, phases, 2 nz, 2 ny, 2 nx)."""
    channels = module(image)
    nz, ny, nx = channels.shape[2:]
    parts = channels.float().view(1, phases, FACTOR, FACTOR, FACTOR, nz, ny, nx).permute(0, 1, 5, 2, 6, 3, 7, 4)
    found: torch.Tensor = parts.reshape(1, phases, FACTOR * nz, FACTOR * ny, FACTOR * nx)
    return found


def fitted(
    windows: Callable[[int], tuple[np.ndarray, np.ndarray]], phases: int, layers: int, channels: int, steps: int,
    rate: float, seed: int, progress: Callable[[int, float], None] = lambda step, loss: None,
) -> Layers:  # fmt: skip
    """Return the weights and biases of each layer after a training on one thread.

    Convolutions are in bfloat16 on a CPU that has instructions for it; weights are in single precision.

    Parameters
    ----------
    windows : callable
        Returns the labels of the number of a step: coarse with their rim, and fine; uint8.
    phases, layers, channels : int
        Size of the net.
    steps : int
    rate : float
        Largest learning rate.
    seed : int
        Of the first weights.
    progress : callable
        Called after each step, with its number from 1 and its loss.
    """
    with reproducible(seed):
        module = module_of(phases, layers, channels)
        optimiser = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=_WARM_UP)
        for step in range(steps):
            coarse, fine = windows(step)
            torch.set_num_threads(1)  # numba shares OpenMP with PyTorch, and sets it to its own number of threads
            image = torch.from_numpy(indicators(coarse, phases)[None])
            with half_precision():
                scores = scores_of(module, image, phases)
            loss = nn.functional.cross_entropy(scores, torch.from_numpy(fine[None].astype(np.int64)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress(step + 1, loss.item())
    return layers_of(module)


def layers_of(module: nn.Module) -> Layers:
    """Return the weights and biases of the layers of a module as arrays of float32."""
    weights = [weight.detach().numpy().copy() for weight in module.parameters()]
    return tuple(zip(weights[::2], weights[1::2], strict=True))
