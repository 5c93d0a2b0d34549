"""What a run will cost: against the run itself."""

import re

import pytest

from nmcdist.bundle import load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.errors import PlanError
from nmcdist.products.registry import make_plan
from nmcdist.runs import estimate as trial
from tests.conftest import BUNDLE, HERE, make, recipe_with

LOCAL = Deployment(workers=2, threads_per_worker=1, memory_per_worker="2GiB")


def plan_of(tmp_path, deployment=LOCAL, **changes):
    recipe, bundle = recipe_with(**changes), load_bundle(BUNDLE)
    return make_plan(recipe, bundle, tmp_path, deployment), bundle


def test_bytes_and_files_are_those_of_the_run(tmp_path):
    plan, bundle = plan_of(tmp_path)
    cost = trial.measure(plan, bundle, LOCAL)
    assert list(tmp_path.iterdir()) == []
    make(tmp_path, HERE)
    store = tmp_path / "tiny.zarr"
    files = [path for path in store.rglob("*") if path.is_file()]
    assert plan.layout.file_count == len(files)
    chunks = sum(path.stat().st_size for path in files if "c" in path.relative_to(store).parts)
    coordinates = sum(
        path.stat().st_size
        for c in plan.layout.coordinates
        for path in store.glob(f"{c.name}/c/**/*")
        if path.is_file()
    )
    assert cost.tasks == 3
    assert cost.share == pytest.approx(3 / 4)
    assert cost.stored_bytes == pytest.approx(chunks - coordinates, rel=0.1)


def test_time_is_shared_by_the_workers_but_no_shorter_than_a_task(tmp_path, monkeypatch):
    plan, bundle = plan_of(tmp_path, realisations=50)
    monkeypatch.setattr(trial, "ENOUGH_S", 0.5)
    cost = trial.measure(plan, bundle, LOCAL)
    assert 1 <= cost.tasks < 100
    assert cost.wall_s == max(cost.work_s / 2, cost.task_s)
    assert cost.work_s * cost.share <= cost.tasks * cost.task_s
    measured, whole = cost.lines(plan)
    assert re.match(rf"measured here: {cost.tasks} of 100 tasks", measured)
    assert "on 2 workers" in whole


def test_a_task_that_outlives_its_worker_is_refused(tmp_path, monkeypatch):
    plan, bundle = plan_of(tmp_path)
    monkeypatch.setattr(trial, "lifetime", lambda walltime: (0, 0))
    with pytest.raises(PlanError, match=r"^walltime: a task of .* takes .* a worker leaves after 0 s; use a longer"):
        trial.measure(plan, bundle, Deployment(kind="slurm", walltime="0:02:00", memory_per_worker="2GiB", workers=1))


def test_a_task_that_fails_is_told(tmp_path, monkeypatch):
    from nmcdist.products.volumes.additive import Additive

    def fails(*args):
        raise ValueError("no such luck")

    monkeypatch.setattr(Additive, "draw", fails)
    plan, bundle = plan_of(tmp_path)
    with pytest.raises(PlanError, match="item 0: ValueError: no such luck"):
        trial.measure(plan, bundle, LOCAL)


@pytest.mark.parametrize(("seconds", "text"), [(0.25, "0.25 s"), (90, "90 s"), (600, "10.0 min"), (90_000, "25.0 h")])
def test_durations_read_well(seconds, text):
    assert trial.readable_seconds(seconds) == text


@pytest.mark.parametrize("count", [1, 2, 7, 64, 100])
def test_every_task_comes_once_and_the_first_ones_are_spread(count):
    numbers = list(trial._spread(count))
    assert sorted(numbers) == list(range(count))
    assert numbers[0] == 0
    if count >= 64:
        assert max(b - a for a, b in zip(sorted(numbers[:16]), sorted(numbers[:16])[1:], strict=False)) <= count / 8
