"""Plans of campaigns: the point of an evaluation is chosen from earlier results when its task is about to start."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nmcdist.bundle import Bundle
from nmcdist.design.answers import Answer, answers, nearest
from nmcdist.design.emulator import FEWEST, Emulator
from nmcdist.design.fidelity import at_fine, corrections
from nmcdist.design.goal import Target, means
from nmcdist.errors import InputError
from nmcdist.products.campaigns.recipe import CampaignRecipe
from nmcdist.products.plan import History, Task
from nmcdist.products.points import changes_of
from nmcdist.products.volumes.additive import DERIVED_CHANGES
from nmcdist.products.volumes.plan import VolumePlan, VolumeTask

RESULTS = "results"  # of a receipt: the quantities of the goal


@dataclass(frozen=True, kw_only=True)
class CampaignPlan(VolumePlan):
    """A campaign.

    Attributes
    ----------
    bundle : Bundle
        Its parameters are those that the space does not hold.
    """

    recipe: CampaignRecipe
    bundle: Bundle

    def readied(self, tasks: Sequence[Task], history: History) -> Iterator[VolumeTask | None]:
        """Yield each task with the point that was chosen for it, and None while that hangs on results to come."""
        for task in tasks:  # a failure of an earlier run is not one of this: a proposal waits for the new result
            history.drop_receipt(task.name)
        chosen = _Chosen(self, history)
        for task in sorted(tasks, key=self._turn):
            assert isinstance(task, VolumeTask)
            while (place := chosen.place(self.recipe.item(task.sample).point)) is None:
                yield None
            point = self.recipe.space.space.point(place)
            changes = changes_of(self.bundle, point, DERIVED_CHANGES, "space.parameters")
            yield dataclasses.replace(task, changes=changes, point=point)

    def facts(self) -> dict[str, str]:
        """Return the summary's lines about volumes, by heading."""
        recipe = self.recipe
        again = "".join(f"{len(recipe.pairs(recipe.evaluations))} of them again with voxels of "
                        f"{fidelity.voxel_size_nm:g} nm, " for fidelity in recipe.fidelities)  # fmt: skip
        return {**super().facts(), "items": (
            f"{recipe.samples} = {recipe.evaluations} points of {', '.join(recipe.varied)} x {recipe.realisations} "
            f"realisations, {again}and {recipe.confirm.answers} answers x {recipe.confirm.realisations} realisations"
        )}  # fmt: skip

    def _turn(self, task: Task) -> tuple[int, int]:
        """Return the place of a task in the order: a volume is drawn again at once, as later proposals wait for it."""
        item = self.recipe.item(task.sample)
        return item.point, item.fidelity


class _Chosen:
    """The points that were chosen so far; each is recorded, and never chosen again."""

    def __init__(self, plan: CampaignPlan, history: History) -> None:
        self._plan, self._recipe, self._history = plan, plan.recipe, history
        self._proposer = plan.recipe.proposer_of_points
        self._places: dict[int, np.ndarray] = {}
        self._ended: dict[int, np.ndarray | None] = {}
        self._answers: list[Answer] = []
        self._is_checked = False

    def place(self, number: int) -> np.ndarray | None:
        """Return the place of a point in the unit cube; None while it hangs on results to come."""
        if number not in self._places:
            found = self._recorded(number)
            if found is None and (found := self._proposed(number)) is not None:
                self._history.keep_proposal(f"point-{number:06d}", {
                    "fingerprint": self._plan.fingerprint, "place": found.tolist()})  # fmt: skip
            if found is None:
                return None
            self._places[number] = found
        return self._places[number]

    def _recorded(self, number: int) -> np.ndarray | None:
        kept = self._history.proposal(f"point-{number:06d}")
        if kept is None or kept.get("fingerprint") != self._plan.fingerprint:
            return None
        place = np.array(kept.get("place"), dtype=float)
        is_sound = place.shape == (len(self._recipe.varied),) and bool(((place >= 0) & (place <= 1)).all())
        return place if is_sound else None

    def _proposed(self, number: int) -> np.ndarray | None:
        is_answer = number >= self._recipe.evaluations
        needed = self._recipe.evaluations if is_answer else self._proposer.needs(number)
        table = self._table(needed)
        if table is None:
            return None
        places, results = table
        if needed >= self._proposer.initial:
            self._check_reachable()
        if not is_answer:
            return self._proposer.propose(number, places, results)
        if not self._answers:
            emulator = self._emulator(places, results)
            space, goal, count = self._proposer.space, self._proposer.goal, self._recipe.confirm.answers
            self._answers = answers(space, goal, emulator, count, self._recipe.seed)
        return self._answers[number - self._recipe.evaluations].place

    def _table(self, needed: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return places and results of the first evaluations; None if one, or one drawn again, has not ended.

        Results depend on these evaluations and their pairs alone, whatever else has ended.
        """
        pairs, realisations = self._recipe.pairs(needed), self._recipe.realisations
        if not all(self._has_ended(int(sample)) for sample in (*range(needed * realisations), *pairs[:, 1])):
            return None
        if any(self.place(number) is None for number in range(needed)):
            return None
        lines = corrections(self._proposer.quantities, self._rows(pairs[:, 0]), self._rows(pairs[:, 1]))
        values = at_fine(lines, self._rows(np.arange(needed * realisations)))
        places = np.array([self._places[k] for k in range(needed)]).reshape(-1, len(self._recipe.varied))
        return places, np.array([self._mean(number, values) for number in range(needed)]).reshape(-1, len(lines))

    def _has_ended(self, sample: int) -> bool:
        """Return whether a volume was measured or given up; what it gave is kept."""
        if sample not in self._ended:
            name = self._plan.tasks[sample].name
            row = self._history.result(name, self._plan.fingerprint)
            if row is None and not self._history.has_failed(name):
                return False
            self._ended[sample] = None if row is None else row[RESULTS]
        return True

    def _rows(self, samples: np.ndarray) -> np.ndarray:
        """Return the quantities of volumes that have ended, shape (n, quantities); NaN where one failed."""
        width = len(self._recipe.goal.names)
        ended = [self._ended[sample] for sample in samples.tolist()]
        return np.array([np.full(width, np.nan) if row is None else row for row in ended]).reshape(-1, width)

    def _mean(self, number: int, values: np.ndarray) -> np.ndarray:
        """Return the mean of an evaluation over the realisations that did not fail; NaN if all did."""
        first = number * self._recipe.realisations
        known = [k for k in range(first, first + self._recipe.realisations) if self._ended[k] is not None]
        return means(self._proposer.quantities, values[known]) if known else np.full(values.shape[1], np.nan)

    def _emulator(self, places: np.ndarray, results: np.ndarray) -> Emulator:
        if np.isfinite(results).all(axis=1).sum() < FEWEST:
            raise InputError(f"campaign {self._recipe.name!r}: found fewer than {FEWEST} evaluations with a result")
        return Emulator.fit(self._proposer.quantities, places, results)

    def _check_reachable(self) -> None:
        """Refuse targets that the first design shows to be out of reach; with the nearest point.

        Raises
        ------
        InputError
        """
        targets = tuple(each for each in self._proposer.goal if isinstance(each, Target))
        if self._is_checked or not targets:
            return
        table = self._table(self._proposer.initial)
        assert table is not None  # more evaluations than these have ended
        emulator = self._emulator(*table)
        near = nearest(self._proposer.space, targets, emulator, self._recipe.seed)
        if not near.is_reachable:
            raise InputError(f"goal.targets: out of reach: {_nearest_text(self._recipe, targets, near.answer)}")
        self._is_checked = True


def _nearest_text(recipe: CampaignRecipe, targets: tuple[Target, ...], answer: Answer) -> str:
    found = []
    for target, mean, deviation in zip(targets, answer.mean, answer.deviation, strict=True):
        low, value, high = target.quantity.physical(np.array([mean - 2 * deviation, mean, mean + 2 * deviation]))
        found.append(f"{target.quantity.name} {value:.3g} ({low:.3g} to {high:.3g}) instead of {target.value:g}")
    point = ", ".join(f"{name} {value:.4g}" for name, value in recipe.space.space.point(answer.place).items())
    return (
        f"after {recipe.proposer.initial} evaluations the nearest point is {point}, with {'; '.join(found)}; expected "
        "targets within reach, or a wider space"
    )
