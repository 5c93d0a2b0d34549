"""Many items: what the driver and the scheduler, which share a process here, hold and cost for each."""

import gc
import time

import psutil
import pytest

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Resources
from nmcdist.datasets.store import open_store
from nmcdist.execution import execute
from nmcdist.execution.group_size import GROUP_MOST, GROUP_SECONDS, GroupSize, next_group
from nmcdist.products.plan import Job, Task, Tasks
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.volumes.additive_recipe import AdditiveRecipe
from nmcdist.runs.progress import Silent
from nmcdist.runs.run import run_recipe
from tests.conftest import recipe_with

_NOTHING = """
def run_group(fingerprint, tasks):
    from nmcdist.execution.worker import Outcome
    return [Outcome(task.name, task.sample, seconds=1e-3) for task in tasks]
"""


def tasks_of(count):
    return Tasks(count, lambda k: Task(name=f"item-{k:06d}", sample=k, files=tuple(f"v{j}/c/{k}/0" for j in range(20))))


def job_of(tmp_path):
    recipe = recipe_with()
    assert isinstance(recipe, AdditiveRecipe)
    return Job(tmp_path, tmp_path, None, "", "no-such-run", None, recipe, (), 1)


def run_nothing(count, tmp_path, monkeypatch):
    """Run so many tasks that do nothing; return seconds, and the memory after a tenth and after all."""
    names = {"__name__": "__main__"}  # so that it is sent to the workers by value
    exec(_NOTHING, names)
    monkeypatch.setattr(execute, "run_group", names["run_group"])
    here, held, start = psutil.Process(), [], None
    resources = Resources(workers=2, threads=1, memory=2**30)
    run = execute.run_on_dask(job_of(tmp_path), tasks_of(count), resources, 2**20, Deployment(dashboard=False))
    for done, outcome in enumerate(run, 1):
        assert outcome.error == ""
        start = start or time.perf_counter()
        if done in (count // 10, count):
            gc.collect()
            held.append(here.memory_info().rss)
    assert done == count
    return time.perf_counter() - start, *held


def test_a_group_takes_about_two_seconds():
    size = GroupSize()
    assert size.now == 1
    size.learn([0.01])
    assert size.now == GROUP_SECONDS / 0.01
    for _ in range(50):
        size.learn([1e-6, 1e-6])
    assert size.now == GROUP_MOST
    for _ in range(50):
        size.learn([30.0])
    assert size.now == 1


def test_what_is_tried_again_goes_first():
    again, tasks = [7, 8], iter(range(3))
    assert next_group(again, tasks, 3) == [8, 7, 0]
    assert next_group(again, tasks, 9) == [1, 2]
    assert next_group(again, tasks, 9) == []


def test_tasks_are_worked_out_when_asked_for():
    made = []
    tasks = Tasks(10**12, lambda k: made.append(k) or k)
    assert (tasks[5], tasks[-1], tasks[2:4]) == (5, 10**12 - 1, [2, 3])
    assert made == [5, 10**12 - 1, 2, 3]
    with pytest.raises(IndexError):
        tasks[10**12]


def test_twenty_thousand_items_cost_under_two_milliseconds_each(tmp_path, monkeypatch):
    seconds, _, _ = run_nothing(20_000, tmp_path, monkeypatch)
    assert seconds / 20_000 < 2e-3


@pytest.mark.slow
def test_a_million_items_leave_the_memory_flat(tmp_path, monkeypatch):
    seconds, early, late = run_nothing(1_000_000, tmp_path, monkeypatch)
    print(f"\n10^6 items: {seconds:.1f} s, {early / 2**20:.0f} MiB after a tenth, {late / 2**20:.0f} MiB after all")
    assert seconds / 1_000_000 < 2e-3
    assert late - early < 50 * 2**20


class Memory(Silent):
    """Takes note of the memory of this process, which holds driver and scheduler, after a tenth and after all tasks."""

    def __init__(self) -> None:
        self.total, self.held = 0, []

    def start(self, total: int, done: int) -> None:
        self.total = total

    def advance(self, done: int) -> None:
        if done in (self.total // 10, self.total):
            gc.collect()
            self.held.append(psutil.Process().memory_info().rss)


@pytest.mark.slow
def test_a_hundred_thousand_particles_leave_the_memory_flat(tmp_path):
    """Particles of about 1 um, records only, on two workers: all that a run does, for items as small as they get."""
    small = load_bundle("nmc811-radial").with_parameters(shell_scale_nm=5600.0, shell_sigma=0.1)
    bundle, count, memory = load_bundle(save_bundle(small, tmp_path / "small")), 100_000, Memory()
    content = {
        "name": "tiny", "version": "1.0.0", "title": "Tiny particles", "bundle": "small", "seed": 1,
        "particles": {"count": count, "batch": 100},
    }  # fmt: skip
    deployment = Deployment(workers=2, threads_per_worker=1, memory_per_worker="2GiB", dashboard=False)
    start = time.perf_counter()
    result = run_recipe(parsed_recipe(content, "tiny"), bundle, tmp_path, deployment, progress=memory)
    seconds = time.perf_counter() - start
    early, late = memory.held
    print(f"\n{count} particles: {count / seconds:.0f} a second, {early >> 20} MiB after a tenth, {late >> 20} at last")
    assert (result.made, result.failed) == (count // 100, {})
    with open_store(result.store) as data:
        kept = data.kept_grains.values
    assert len(kept) == count
    assert kept.min() >= 0  # what is not written is the lowest integer
    assert late - early < 50 * 2**20
