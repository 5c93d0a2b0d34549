"""The next point to evaluate, a function of the results that are far enough back, and of nothing else.

Proposal k depends on the results of evaluations 0 to k - 1 - lag. Whatever else has ended meanwhile does not count, so
a campaign proposes the same points on one worker or on many, and after any stop.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nmcdist.design.emulator import FEWEST, Emulator
from nmcdist.design.goal import Goal, Quantity, Target, distance
from nmcdist.design.space import DIGITS, Space
from nmcdist.models import streams
from nmcdist.models.draws import Stream

_CANDIDATES = 384  # of a Thompson draw: the work grows with their third power
_NEAR = 128  # further candidates around the best ones known
_SHRINK = (0.2, 0.05, 0.0125)  # widths of their scatter, in units of the ranges


@dataclass(frozen=True)
class Proposer:
    """How points are chosen.

    Attributes
    ----------
    space : Space
    goal : tuple of Target or of Aim
    kind : {"sobol", "thompson"}
        "sobol": one design. "thompson": after `initial` points of it, each point is the best of one draw of the
        emulator, with random weights of the aims of a Pareto front.
    initial, lag, seed : int
    """

    space: Space
    goal: Goal
    kind: Literal["sobol", "thompson"]
    initial: int
    lag: int
    seed: int

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Quantities of the goal."""
        return tuple(each.quantity for each in self.goal)

    def needs(self, number: int) -> int:
        """Return how many of the first evaluations must have ended before a point can be proposed."""
        if number < self.initial:
            return 0
        if self.kind == "sobol":  # so that a goal out of reach is seen after the first points
            return self.initial if number >= self.initial + self.lag else 0
        return max(0, number - self.lag)

    def propose(self, number: int, places: np.ndarray, results: np.ndarray) -> np.ndarray:
        """Return the place of an evaluation in the unit cube, shape (d,).

        Parameters
        ----------
        number : int
            Of the evaluation.
        places : ndarray, shape (n, d)
            Of the first `needs(number)` evaluations.
        results : ndarray, shape (n, quantities)
            NaN where an evaluation failed.
        """
        needed = self.needs(number) if self.kind == "thompson" else 0
        places, results = places[:needed], results[:needed]
        if np.isfinite(results).all(axis=1).sum() < FEWEST:
            return np.asarray(np.round(self.space.sobol(number + 1, self.seed)[number], DIGITS))
        emulator = Emulator.fit(self.quantities, places, results)
        draws = streams.draws(self.seed, streams.PROPOSALS, number)
        cube = self.space.sobol(_CANDIDATES, self.seed + 1 + number)
        cube = np.concatenate([cube, self._near(emulator, places, draws)])
        sample = emulator.sample(cube, draws.normal(len(self.goal), len(cube)))
        return np.asarray(np.round(cube[int(np.argmin(self._cost(sample, draws)))], DIGITS))

    def _near(self, emulator: Emulator, places: np.ndarray, draws: Stream) -> np.ndarray:
        """Return candidates around the places that the emulator holds for the best."""
        mean, _ = emulator.predict(places)
        best = places[np.argsort(self._cost(mean, draws), kind="stable")[:4]]
        around = best[np.arange(_NEAR) % len(best)]
        width = np.array(_SHRINK)[np.arange(_NEAR) // len(best) % len(_SHRINK)][:, None]
        return np.asarray(np.clip(around + width * draws.normal(*around.shape), 0.0, 1.0))

    def _cost(self, learned: np.ndarray, draws: Stream) -> np.ndarray:
        targets = tuple(each for each in self.goal if isinstance(each, Target))
        if targets:
            return distance(targets, learned)
        values = learned * np.array([each.sign for each in self.goal if not isinstance(each, Target)])
        scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)
        weights = draws.exponential(len(self.goal))
        # The Chebyshev distance reaches every point of a front, dents too.
        return np.asarray(((scaled.max(axis=0) - scaled) * weights).max(axis=1))
