"""A map over Dask workers: results in order, errors of pieces, workers that die."""

import os
import signal
import time
from pathlib import Path

import pytest

from nmcdist.clusters.deployment import load_deployment
from nmcdist.errors import ImageError, PlanError, StoreError
from nmcdist.execution.spread import spread_on


def doubled(item):
    time.sleep(0.02 * (5 - item % 5))  # later pieces end first
    return 2 * item


def refused(item):
    if item == 3:
        raise ImageError(f"plane {item}: damaged")
    return item


class Dies:
    """Ends its worker the first time that a piece is asked for, or every time."""

    def __init__(self, folder, always):
        self.folder, self.always = folder, always

    def __call__(self, item):
        mark = Path(self.folder) / str(item)
        if item == 2 and (self.always or not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item


@pytest.fixture(scope="module")
def spread():
    deployment = load_deployment(workers=2, memory_per_worker="1GiB", dashboard=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])  # where workers find this module
        with spread_on(deployment, 10_000_000, 100) as spread:
            yield spread


def test_results_come_in_order(spread):
    assert list(spread(doubled, iter(range(23)))) == [2 * n for n in range(23)]


def test_nothing_gives_nothing(spread):
    assert list(spread(doubled, [])) == []


def test_an_error_of_a_piece_is_raised_as_it_is(spread):
    found = spread(refused, range(9))
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ImageError, match="plane 3: damaged"):
        next(found)
    assert list(spread(doubled, [1])) == [2]  # the workers go on


def test_a_piece_whose_worker_dies_is_done_by_another(spread, tmp_path):
    assert list(spread(Dies(tmp_path, always=False), range(6))) == list(range(6))


def test_a_piece_that_ends_its_workers_is_given_up(spread, tmp_path):
    with pytest.raises(StoreError, match=r"workers died 3 times on one piece, .*a worker has 1\.0 GiB"):
        list(spread(Dies(tmp_path, always=True), range(4)))


def test_without_workers_it_is_the_builtin_map():
    with spread_on(load_deployment(workers=0), 10, 3) as spread:
        assert spread is map


def test_a_piece_that_no_worker_can_hold_is_refused_before_the_start():
    small = spread_on(load_deployment(workers=1, memory_per_worker="1GiB"), 2 << 30, 3)
    with pytest.raises(PlanError, match=r"a piece needs about 2\.0 GiB, a worker has 1\.0 GiB"), small:
        pass
