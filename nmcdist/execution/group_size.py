"""Groups of tasks that go to the scheduler together, to keep the overhead of tiny tasks small."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

GROUP_SECONDS = 2.0  # long against a scheduler's overhead of milliseconds, and little work if a group is lost
GROUP_MOST = 500
_WEIGHT = 0.3  # of a new group in the running mean

T = TypeVar("T")


class GroupSize:
    """The number of tasks per group, learnt from the duration of tasks; the first groups are single tasks.

    Attributes
    ----------
    seconds : float or None
        Running mean of the seconds of a task.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None

    @property
    def now(self) -> int:
        """Number of tasks in the next group."""
        if self.seconds is None:
            return 1
        return max(1, min(GROUP_MOST, int(GROUP_SECONDS / max(self.seconds, 1e-9))))

    def learn(self, seconds: Iterable[float]) -> None:
        """Record how long the tasks of a group took."""
        values = list(seconds)
        if not values:
            return
        mean = sum(values) / len(values)
        self.seconds = mean if self.seconds is None else (1 - _WEIGHT) * self.seconds + _WEIGHT * mean


def next_group(again: list[T], tasks: Iterator[T | None], size: int) -> list[T]:
    """Return the next group: retries come first; empty when no task is left, or the next one must wait (None)."""
    group = [again.pop() for _ in range(min(size, len(again)))]
    while len(group) < size and (task := next(tasks, None)) is not None:
        group.append(task)
    return group
