"""Answers of a campaign: the points that meet its goal, how far they are fixed, or why there are none."""

from dataclasses import dataclass

import numpy as np

from nmcdist.design.emulator import Emulator
from nmcdist.design.goal import Goal, Target, distance, front
from nmcdist.design.space import DIGITS, Space
from nmcdist.models import streams

POSTERIOR = 1000  # rows of the sample
_CANDIDATES = 2**13
_FREE = 0.8  # interquartile range over that of the whole range, from which a parameter is not fixed
_SURE = 3.0  # standard deviations of the emulator, from which a target is out of reach
_WORSE = 1.5  # distance from the targets, over that of the best place, up to which another one is as good
_ROUNDS = 12
_TRIED = 512  # places of a round of refinement
_TRADED = 1e-3  # share of the range of an aim that may be lost where another gains more


@dataclass(frozen=True)
class Answer:
    """A point that meets the goal, by the emulator.

    Attributes
    ----------
    place : ndarray, shape (d,)
        In the unit cube.
    mean, deviation : ndarray, shape (quantities,)
        Predicted quantities, learned, and their standard deviations.
    """

    place: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Nearest:
    """How near to its targets a space comes.

    Attributes
    ----------
    answer : Answer
    is_reachable : bool
        Whether each target lies within its tolerance and three standard deviations of the emulator.
    """

    answer: Answer
    is_reachable: bool


def nearest(space: Space, targets: tuple[Target, ...], emulator: Emulator, seed: int) -> Nearest:
    """Return the reachable point that is nearest to the targets."""
    best = _refined(space, targets, emulator, seed)
    mean, variance = emulator.predict(best[None])
    aims, widths = np.array([t.learned for t in targets]), np.array([t.width for t in targets])
    off = np.abs(mean[0] - aims) - widths - _SURE * np.sqrt(variance[0])
    return Nearest(_answer(emulator, best), bool((off <= 0).all()))


def answers(space: Space, goal: Goal, emulator: Emulator, count: int, seed: int) -> list[Answer]:
    """Return the best point and others that meet the targets as well but lie apart; or points along a Pareto front.

    Parameters
    ----------
    space : Space
    goal : tuple of Target or of Aim
    emulator : Emulator
    count : int
    seed : int
    """
    targets = tuple(each for each in goal if isinstance(each, Target))
    if targets:
        best = _refined(space, targets, emulator, seed)
        chosen = _apart(
            best, _as_good(best, posterior(space, targets, emulator, seed), targets, emulator, count), count
        )
    else:
        signs = np.array([each.sign for each in goal if not isinstance(each, Target)])
        chosen = _along_front(space, signs, emulator, count, seed)
    return [_answer(emulator, np.round(place, DIGITS)) for place in chosen]


def posterior(space: Space, targets: tuple[Target, ...], emulator: Emulator, seed: int) -> np.ndarray:
    """Return places of the unit cube, as likely as they meet the targets, shape (1000, d).

    Each candidate has the normal likelihood of the targets, with the tolerance and the emulator's standard deviation as
    spread; candidates are resampled by it.
    """
    cube = space.sobol(_CANDIDATES, seed)
    mean, variance = emulator.predict(cube)
    aims, widths = np.array([t.learned for t in targets]), np.array([t.width for t in targets])
    spread = widths**2 + variance
    logs = -0.5 * ((mean - aims) ** 2 / spread + np.log(spread)).sum(axis=1)
    shares = np.cumsum(np.exp(logs - logs.max()))
    offset = float(streams.draws(seed, streams.PROPOSALS, 2**32 - 1).uniform(1)[0])
    wanted = (np.arange(POSTERIOR) + offset) / POSTERIOR * shares[-1]
    return np.asarray(cube[np.searchsorted(shares, wanted, side="right").clip(max=len(cube) - 1)])


def free_parameters(space: Space, sample: np.ndarray) -> list[str]:
    """Return the names of the parameters that the targets do not fix: nearly their whole range is as likely."""
    low, high = np.quantile(sample, [0.25, 0.75], axis=0)
    return [name for name, width in zip(space.names, (high - low).tolist(), strict=True) if width > _FREE * 0.5]


def _along_front(space: Space, signs: np.ndarray, emulator: Emulator, count: int, seed: int) -> np.ndarray:
    """Return places along the Pareto front, in the order of the first aim; each is improved in all aims at once."""
    cube, draws = space.sobol(_CANDIDATES, seed), streams.draws(seed, streams.PROPOSALS, 2**32 - 3)
    values = emulator.predict(cube)[0] * signs
    scale = np.maximum(np.ptp(values, axis=0), 1e-12)
    on = np.flatnonzero(front(values))
    on = on[np.argsort(values[on, 0], kind="stable")]
    chosen = cube[on[np.unique(np.linspace(0, len(on) - 1, count).round().astype(int))]]
    for width in 0.3 * 0.7 ** np.arange(_ROUNDS):
        for row, place in enumerate(chosen):
            near = np.clip(place + width * draws.normal(_TRIED, space.dimensions), 0.0, 1.0)
            gain = (emulator.predict(near)[0] * signs - emulator.predict(place[None])[0] * signs) / scale
            total = np.where((gain >= -_TRADED).all(axis=1), gain.sum(axis=1), -np.inf)
            if total.max() > 0:
                chosen[row] = near[int(np.argmax(total))]
    return np.asarray(chosen)


def _refined(space: Space, targets: tuple[Target, ...], emulator: Emulator, seed: int) -> np.ndarray:
    """Return the place that is surely nearest to the targets: the best of the cube, then of ever narrower scatters."""
    cube, draws = space.sobol(_CANDIDATES, seed), streams.draws(seed, streams.PROPOSALS, 2**32 - 2)
    best = cube[int(np.argmin(distance(targets, *emulator.predict(cube))))]
    for width in 0.1 * 0.5 ** np.arange(_ROUNDS):
        near = np.clip(best + width * draws.normal(_TRIED, space.dimensions), 0.0, 1.0)
        near = np.concatenate([best[None], near])
        best = near[int(np.argmin(distance(targets, *emulator.predict(near))))]
    return np.asarray(np.round(best, DIGITS))


def _as_good(
    best: np.ndarray, sample: np.ndarray, targets: tuple[Target, ...], emulator: Emulator, count: int
) -> np.ndarray:  # fmt: skip
    """Return the places of a sample that meet the targets within their tolerances, or hardly worse than the best one.

    If these are fewer than `count`, that many of the best.
    """
    places = np.unique(sample, axis=0)
    cost = distance(targets, *emulator.predict(places))
    limit = max(1.0, _WORSE * float(distance(targets, *emulator.predict(best[None]))[0]))
    order = np.argsort(cost, kind="stable")
    return np.asarray(places[order[: max(count, int((cost <= limit).sum()))]])


def _apart(first: np.ndarray, sample: np.ndarray, count: int) -> np.ndarray:
    """Return the first place, and those of the sample that lie farthest from all chosen before."""
    chosen = [first]
    while len(chosen) < count:
        gaps = np.min([((sample - place) ** 2).sum(axis=1) for place in chosen], axis=0)
        chosen.append(sample[int(np.argmax(gaps))])
    return np.array(chosen)


def _answer(emulator: Emulator, place: np.ndarray) -> Answer:
    mean, variance = emulator.predict(place[None])
    return Answer(place, mean[0], np.sqrt(variance[0]))
