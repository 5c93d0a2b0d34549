"""Plans: what a run takes is known, and refused with both numbers, before it starts."""

import os
import subprocess
import sys

import pytest

from nmcdist.bundle import load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.clusters.resources import Machine
from nmcdist.datasets.files import readable_bytes
from nmcdist.errors import PlanError, StoreError
from nmcdist.models import theory
from nmcdist.products.registry import make_plan
from nmcdist.products.volumes.additive import Additive
from nmcdist.products.volumes.additive_recipe import GRAPHITE_FRACTION
from nmcdist.products.volumes.memory import task_need
from tests.conftest import BUNDLE, HERE, recipe_with

GIB = 2**30
MACHINE = Machine(cores=8, memory=64 * GIB)


def plan_of(recipe, out, machine=MACHINE, **deployment):
    return make_plan(recipe, load_bundle(BUNDLE), out, Deployment(**deployment), machine=machine)


def large(edge=1200, **changes):
    return recipe_with(volume={"shape": [edge] * 3, "voxel_size_nm": 20.0}, storage={"shard": 256}, **changes)


def test_volumes_that_fit_are_made_whole_one_task_each(tmp_path):
    plan = plan_of(recipe_with(), tmp_path)
    assert [task.name for task in plan.tasks] == [f"item-{n:06d}" for n in range(4)]
    assert not plan.by_blocks
    assert plan.left_out == ()
    plan.validate()


def test_every_file_of_the_variables_is_owned_by_exactly_one_task(tmp_path):
    plan = plan_of(recipe_with(), tmp_path)
    owned = [name for task in plan.tasks for name in task.files]
    assert sorted(owned) == sorted(name for v in plan.layout.variables for name in v.files())


def test_volumes_that_fit_no_worker_are_made_in_blocks_of_whole_shards(tmp_path):
    plan = plan_of(large(), tmp_path, workers=2, memory_per_worker="32GiB")
    plan.validate()
    assert plan.by_blocks
    shard = plan.layout.variable("volume").file_shape[1:]
    for task in plan.tasks:
        for (start, stop), s in zip(task.box, shard, strict=True):
            assert start % s == 0
            assert stop % s == 0 or stop == 1200
    owned = [name for task in plan.tasks for name in task.files]
    assert sorted(owned) == sorted(plan.layout.variable("volume").files())


def test_the_plan_names_the_descriptors_that_blocks_leave_out(tmp_path):
    plan = plan_of(large(), tmp_path, workers=2, memory_per_worker="32GiB")
    assert "r_max_nm" in plan.left_out
    assert "volume_fraction" not in plan.left_out
    assert "r_max_nm" in plan.summary().split("left out")[1]
    assert plan.layout.attrs["descriptors_left_out"] == list(plan.left_out)
    assert "r_max_nm" not in {v.name for v in plan.layout.variables}


def test_memory_that_cannot_fit_is_refused_with_both_numbers(tmp_path):
    plan = plan_of(large(), tmp_path, workers=1, memory_per_worker="500MiB")
    needed, usable = readable_bytes(plan.task_bytes), readable_bytes(0.9 * 500 * 2**20)
    with pytest.raises(PlanError, match=f"needs {needed} even block by block, a worker has {usable}"):
        plan.validate()


def test_more_workers_than_the_machine_holds_are_refused_with_both_numbers(tmp_path):
    plan = plan_of(recipe_with(), tmp_path, workers=8, memory_per_worker="10GiB")
    with pytest.raises(PlanError, match=r"8 workers of 10.0 GiB need 80.0 GiB, this machine has 64.0 GiB"):
        plan.validate()


def test_a_disk_that_is_too_full_is_refused_with_both_numbers(tmp_path, monkeypatch):
    plan = plan_of(recipe_with(realisations=1000), tmp_path)
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2048}))
    assert usage.f_bavail > 0
    with pytest.raises(PlanError, match=rf"needs about {readable_bytes(plan.stored_bytes)}, 2.0 KiB are free"):
        plan.validate()
    plan.validate(present_bytes=plan.stored_bytes)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file, expected a folder"):
        plan_of(recipe_with(), tmp_path / "file" / "out").validate()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(StoreError, match="cannot be written"):
        plan_of(recipe_with(), tmp_path).validate()


def test_the_fingerprint_follows_what_decides_the_data_and_nothing_else(tmp_path):
    base = plan_of(recipe_with(), tmp_path).fingerprint
    for changes in ({"title": "Other"}, {"version": "2.0.0"}, {"name": "other"}):
        assert plan_of(recipe_with(**changes), tmp_path).fingerprint == base
    assert plan_of(recipe_with(), tmp_path, workers=3, threads_per_worker=2).fingerprint == base
    for changes in ({"seed": 1}, {"realisations": 3}, {"storage": {"chunk": 8}}, {"descriptors": None}):
        assert plan_of(recipe_with(**changes), tmp_path).fingerprint != base
    other = load_bundle(BUNDLE).with_parameters(mu=0.3)
    assert make_plan(recipe_with(), other, tmp_path, machine=MACHINE).fingerprint != base


def test_the_layout_of_a_store_does_not_depend_on_the_cluster(tmp_path):
    one = plan_of(large(edge=600), tmp_path, workers=1)
    many = plan_of(large(edge=600), tmp_path, workers=8, memory_per_worker="4GiB")
    assert many.by_blocks
    assert many.layout.variable("volume") == one.layout.variable("volume")


def test_transport_takes_the_most_memory_and_no_descriptors_the_least():
    def need(**changes):
        described = Additive().describe_bytes(recipe_with(**changes), by_blocks=False)
        return task_need((400,) * 3, (400,) * 3, described=described, drawn=0)

    assert need(descriptors={}) > need(descriptors={"transport": False}) > need(descriptors=None) > 0


def test_the_peak_of_memory_sees_what_was_allocated():
    # In a process of its own: in one that has just let go of much, the allocation may fit below the peak.
    code = """
from nmcdist.products import memory
memory.reset_peak_memory()
before = memory.peak_memory_bytes()
held = bytearray(64 * 2**20)
print(memory.peak_memory_bytes() - before)
"""
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert 0.9 * 64 * 2**20 < int(seen.stdout) < 1.5 * 64 * 2**20


def test_a_plan_writes_nothing(tmp_path):
    plan_of(recipe_with(), tmp_path / "out").validate()
    assert not (tmp_path / "out").exists()


def test_levels_that_differ_in_graphite_alone_share_the_mean_grain(tmp_path, monkeypatch):
    solved = []
    eigen_symmetric = theory.eigen_symmetric
    monkeypatch.setattr(theory, "eigen_symmetric", lambda matrices: solved.append(1) or eigen_symmetric(matrices))
    theory._mean_grain.cache_clear()
    sweep = {GRAPHITE_FRACTION: [0.01 + 0.0005 * level for level in range(1000)]}
    plan = make_plan(recipe_with(sweep=sweep), load_bundle(BUNDLE), tmp_path, HERE)
    assert plan.recipe.samples == 2000
    assert len(solved) == 2  # the gamma laws of the two half-axes
