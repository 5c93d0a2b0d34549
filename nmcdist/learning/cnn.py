"""A convolutional net from coarse phase fractions to several properties at once.

Layers share what they learn from all properties (hard parameter sharing). The mean over each slab across the axis
comes before the ends along the axis are compared, because slabs conduct in series.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nmcdist.arguments import finite_array
from nmcdist.errors import InputError
from nmcdist.pytorch import nn, reproducible, torch

_CHANNELS = (16, 32, 32)
_HIDDEN = 32
_EPOCHS, _BATCH, _RATE, _DECAY = 40, 16, 3e-3, 1e-4
_HELD_OUT = 6  # one group in so many is left out to estimate the errors


class _Net(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.near = nn.Conv3d(inputs, first, 3, stride=2, padding=1)
        self.middle = nn.Conv3d(first, second, 3, stride=2, padding=1)
        self.far = nn.Conv3d(second, third, 3, padding=1)
        self.hidden = nn.Linear(3 * third + inputs, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, outputs)

    def forward(self, fractions: torch.Tensor) -> torch.Tensor:
        act = nn.functional.silu
        seen = act(self.far(act(self.middle(act(self.near(fractions))))))
        slabs = seen.mean(dim=(3, 4))
        pooled = [slabs.mean(dim=2), slabs.amin(dim=2), slabs.amax(dim=2), fractions.mean(dim=(2, 3, 4))]
        found: torch.Tensor = self.out(act(self.hidden(torch.cat(pooled, dim=1))))
        return found


@dataclass(frozen=True)
class Net:
    """A trained net.

    Attributes
    ----------
    weights : mapping of str to ndarray of float32
        By name of the layer.
    centre, spread : ndarray of float64, shape (t,)
        Of the properties in the training.
    residuals : ndarray of float64, shape (n, t)
        Of items from the predictions of a net that was trained without them; NaN elsewhere.
    """

    weights: Mapping[str, np.ndarray]
    centre: np.ndarray
    spread: np.ndarray
    residuals: np.ndarray

    @classmethod
    def fit(cls, fractions: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int, epochs: int = _EPOCHS) -> "Net":
        """Return a net trained on all items, with the errors of one that was trained without some groups.

        Parameters
        ----------
        fractions : ndarray of float32, shape (n, 2, m, m, m)
            See :func:`nmcdist.learning.volumes.along_axes`.
        y : ndarray, shape (n, t)
            NaN where unknown.
        groups : ndarray of int, shape (n,)
            Items of one group are left out together.
        seed : int
        epochs : int
        """
        known = np.isfinite(y)
        if not known.sum(axis=0).min() >= 2 or len(np.unique(groups)) < 2:
            raise InputError("y: found too few values to train a net, expected two groups and two values of each")
        centre, spread = np.nanmean(y, axis=0), np.nanstd(y, axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        scaled = (y - centre) / spread
        order = np.random.Generator(np.random.Philox(seed)).permutation(np.unique(groups))
        held = np.isin(groups, order[: max(1, len(order) // _HELD_OUT)])
        residuals = np.full(y.shape, np.nan)
        with reproducible(seed):
            trial = cls(_trained(fractions[~held], scaled[~held], seed, epochs), centre, spread, residuals)
        residuals[held] = y[held] - trial._mean(fractions[held])
        with reproducible(seed):
            return cls(_trained(fractions, scaled, seed, epochs), centre, spread, residuals)

    def predict(self, fractions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the predictions, and the mean square of the residuals as variance, each of shape (m, t)."""
        mean = self._mean(fractions)
        return mean, np.broadcast_to(np.nanmean(self.residuals**2, axis=0), mean.shape)

    @cached_property
    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Residuals of the items left out, NaN for the others, and their variance."""
        return self.residuals, np.broadcast_to(np.nanmean(self.residuals**2, axis=0), self.residuals.shape)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the net as plain arrays, with the residuals that are known."""
        kept = self.residuals[np.isfinite(self.residuals).all(axis=1)]
        return {**self.weights, "centre": self.centre, "spread": self.spread, "residuals": kept}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Net":
        """Return the net of :meth:`arrays`; InputError if they do not belong together."""
        centre = finite_array("centre", arrays["centre"], ("t",))
        spread = finite_array("spread", arrays["spread"], centre.shape)
        residuals = finite_array("residuals", arrays["residuals"], ("n", len(centre)))
        expected = _Net(2, len(centre)).state_dict()
        weights = {name: np.asarray(arrays[name], dtype=np.float32) for name in expected if name in arrays}
        wrong = [n for n, w in expected.items() if n not in weights or weights[n].shape != tuple(w.shape)]
        if wrong:
            raise InputError(f"array {wrong[0]!r}: found none of shape {tuple(expected[wrong[0]].shape)}")
        return cls(weights, centre, spread, residuals)

    def _mean(self, fractions: np.ndarray) -> np.ndarray:
        with torch.random.fork_rng(devices=[]):  # drawing the first weights would change the caller's stream
            net = _Net(fractions.shape[1], len(self.centre))
        net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in self.weights.items()})
        with torch.no_grad():
            found = [net(torch.from_numpy(part)) for part in _parts(fractions)]
        return np.asarray(self.centre + self.spread * torch.cat(found).numpy().astype(float))


def _parts(fractions: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(fractions[k : k + 64]) for k in range(0, len(fractions), 64)]


def _trained(fractions: np.ndarray, y: np.ndarray, seed: int, epochs: int) -> dict[str, np.ndarray]:
    """Return the weights of a net; items are mirrored and turned about the axis at random."""
    random = np.random.Generator(np.random.Philox(seed))
    known = torch.from_numpy(np.isfinite(y).astype(np.float32))
    values = torch.from_numpy(np.nan_to_num(y).astype(np.float32))
    items = torch.from_numpy(np.ascontiguousarray(fractions))
    batches = -(-len(y) // _BATCH)
    net = _Net(fractions.shape[1], y.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=epochs * batches)
    for _ in range(epochs):
        for batch in np.array_split(random.permutation(len(y)), batches):
            mirrored = [axis for axis in (2, 3, 4) if random.integers(2)]
            seen = torch.flip(items[batch], mirrored)
            seen = seen.transpose(3, 4) if random.integers(2) else seen
            error = (net(seen) - values[batch]) ** 2 * known[batch]
            loss = error.sum() / known[batch].sum().clamp(min=1.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return {name: weight.detach().numpy().copy() for name, weight in net.state_dict().items()}
