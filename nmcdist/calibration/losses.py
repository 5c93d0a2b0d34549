"""What training makes small: distances between laws of grains, and the least squares of the adversarial game."""

import torch


def energy_distance(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'|, estimated without bias: 0 in the mean where the laws are equal.

    Parameters
    ----------
    found, truth : torch.Tensor, shapes (n, d) and (m, d)
        At least two rows each.

    Notes
    -----
    Szekely and Rizzo, Energy statistics, Journal of Statistical Planning and Inference 143 (2013).
    """
    return 2 * _mean_distance(found, truth) - _own_distance(found) - _own_distance(truth)


def mismatch(found: torch.Tensor, truth: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return the energy distance of whole rows, plus half of that of each of the first three columns alone.

    Parameters
    ----------
    found, truth : torch.Tensor, shapes (n, 4) and (m, 4)
        Log area, shape, shape, distance, as :meth:`nmcdist.calibration.soft.SoftWindows.features` gives them.
    scale : torch.Tensor, shape (4,)
        Unit of each column.
    """
    found, truth = found / scale, truth / scale
    total = energy_distance(found, truth)
    for k in range(3):
        total = total + 0.5 * energy_distance(found[:, k : k + 1], truth[:, k : k + 1])
    return total


def discriminator_loss(measured: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    """Return the least squares that tell measured windows (1) from generated ones (0), Eq. (10)."""
    return ((measured - 1) ** 2).mean() + (generated**2).mean()


def generator_loss(generated: torch.Tensor, kind: str) -> torch.Tensor:
    """Return what the generator makes small: distance of the verdicts from 1, or as printed, minus their squares."""
    return ((generated - 1) ** 2).mean() if kind == "least-squares" else -(generated**2).mean()


def _mean_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _distances(a, b).mean()


def _own_distance(a: torch.Tensor) -> torch.Tensor:
    n = len(a)
    distances = _distances(a, a)
    return (distances.sum() - distances.diagonal().sum()) / (n * (n - 1))


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    # The small number keeps the gradient of the root finite.
    return torch.sqrt(((a[:, None] - b[None]) ** 2).sum(dim=2) + 1e-8)
