"""The losses of the training: distances between laws of grains, and the least squares of the adversarial game."""

from nmcdist.pytorch import torch


def energy_distance(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return an unbiased estimate of 2 E|X - Y| - E|X - X'| - E|Y - Y'|; for equal laws, its mean is 0.

    Parameters
    ----------
    found, truth : torch.Tensor, shapes (n, d) and (m, d)
        At least two rows each.

    Notes
    -----
    Szekely and Rizzo, Energy statistics, Journal of Statistical Planning and Inference 143 (2013).
    """
    return 2 * _mean_distance(found, truth) - _own_distance(found) - _own_distance(truth)


class Mismatch:
    """Energy distance of grains from those of a truth: of whole rows, plus half of that of each fitted column.

    Parameters
    ----------
    truth : torch.Tensor, shape (m, 4)
        Features of all grains of the truth: log area, shape, shape, distance, as returned by
        :meth:`nmcdist.calibration.grains.soft.SoftWindows.features`.
    """

    def __init__(self, truth: torch.Tensor) -> None:
        self.scale = truth.std(dim=0)
        # Distances are given, not fitted. With a short unit, grains are compared with those at about the same
        # distance.
        self.scale[3] *= 0.35

    def __call__(self, found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Return the mismatch of generated grains (n, 4) from grains of the truth (m, 4) at the same places."""
        parts = zip(self._columns(found), self._columns(truth), strict=True)
        terms = [energy_distance(x, y) for x, y in parts]
        return terms[0] + 0.5 * torch.stack(terms[1:]).sum()

    def _columns(self, rows: torch.Tensor) -> list[torch.Tensor]:
        rows = rows / self.scale
        return [rows, rows[:, 0:1], rows[:, 1:2], rows[:, 2:3]]


def discriminator_loss(measured: torch.Tensor, generated: torch.Tensor) -> torch.Tensor:
    """Return the least-squares loss that separates measured windows (1) from generated ones (0), Eq. (10)."""
    return ((measured - 1) ** 2).mean() + (generated**2).mean()


def generator_loss(generated: torch.Tensor, kind: str) -> torch.Tensor:
    """Return the generator's loss: squared distance of the verdicts from 1 or, as printed, minus their squares."""
    return ((generated - 1) ** 2).mean() if kind == "least-squares" else -(generated**2).mean()


def _mean_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return _distances(a, b).mean()


def _own_distance(a: torch.Tensor) -> torch.Tensor:
    return _distances(a, a).sum() / (len(a) * (len(a) - 1))


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    # From differences, because products are inexact for similar rows.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
