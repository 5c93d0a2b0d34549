"""Parts of a run that any queue starts in any order, what seals them, and how a run stands."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from nmcdist.bundle import load_bundle
from nmcdist.datasets.catalog import list_entries
from nmcdist.errors import PlanError, StoreError
from nmcdist.execution.journal import Journal
from nmcdist.products.volumes.additive import Additive
from nmcdist.runs.locks import locked
from nmcdist.runs.partition import finalise_store, retry_failed, run_part
from nmcdist.runs.redescribe import describe_store
from nmcdist.runs.status import status_of
from tests.conftest import (
    BUNDLE,
    HERE,
    TINY,
    flip_a_byte,
    make,
    make_particles,
    particle_recipe_with,
    recipe_with,
    store_sha256,
)


def make_part(out, k, n, recipe=None, **options):
    return run_part(recipe or recipe_with(), load_bundle(BUNDLE), out, (k, n), HERE, **options)


@pytest.fixture
def failing(monkeypatch, tasks_made):
    """Items whose description fails."""
    items, describe = set(), Additive.describe

    def fails(*args):
        if tasks_made[-1] in items:
            raise ZeroDivisionError("no such phase")
        return describe(*args)

    monkeypatch.setattr(Additive, "describe", fails)
    return items


class TestFinishedStore:
    """What a part does where the store is finished already."""

    def test_whole_one_is_left_and_called_so(self, out):
        before = store_sha256(out / "tiny.zarr")
        result = make_part(out, 1, 2)
        assert (result.made, result.kept, len(result.manifest_sha256)) == (0, 4, 64)
        assert store_sha256(out / "tiny.zarr") == before

    def test_damaged_one_is_not_called_whole(self, out):
        flip_a_byte(out / "tiny.zarr/volume/c/2/0/0/0")
        with pytest.raises(
            StoreError,
            match=rf"tiny\.zarr: is finished but damaged; repair it with: nmcdist run RECIPE --out {out} --resume",
        ):
            make_part(out, 1, 2)

    def test_one_that_a_driver_left_half_swapped_is_put_back(self, out):
        before = store_sha256(out / "tiny.zarr")
        Journal(out / "tiny.run").begin_swap(out / "tiny.zarr")
        (out / "tiny.zarr").rename(out / "tiny.zarr.old")
        assert make_part(out, 2, 2).kept == 4
        assert store_sha256(out / "tiny.zarr") == before
        assert not (out / "tiny.zarr.old").exists()


class TestParts:
    def test_in_any_order_they_give_the_bytes_of_a_whole_run(self, made_once, tmp_path):
        for k in (3, 1, 2):
            result = make_part(tmp_path, k, 3)
            assert (result.manifest_sha256, result.failed) == ("", {})
        assert not (tmp_path / "tiny.zarr").exists()
        assert finalise_store(tmp_path / "tiny.zarr").kept == 4
        assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")
        assert list(list_entries(tmp_path / "catalog.yaml")) == ["tiny"]

    def test_of_particles_too(self, made_particles, small_bundle, tmp_path):
        for k in (2, 1):
            run_part(particle_recipe_with(), small_bundle, tmp_path, (k, 2), HERE)
        finalise_store(tmp_path / "small.zarr")
        assert store_sha256(tmp_path / "small.zarr") == store_sha256(made_particles / "small.zarr")

    def test_at_the_same_time_in_processes_of_their_own(self, made_once, tmp_path):
        recipe = tmp_path / "tiny.yaml"
        recipe.write_text(yaml.safe_dump(TINY))
        command = [sys.executable, "-m", "nmcdist.cli", "run", recipe, "--out", tmp_path / "out", "--workers", "0"]
        both = [subprocess.Popen([*command, "--partition", f"{k}/2"], stderr=subprocess.DEVNULL) for k in (1, 2)]
        assert [driver.wait(timeout=120) for driver in both] == [0, 0]
        finalise_store(tmp_path / "out/tiny.zarr")
        assert store_sha256(tmp_path / "out/tiny.zarr") == store_sha256(made_once / "tiny.zarr")

    def test_what_is_done_is_kept(self, tmp_path):
        make_part(tmp_path, 1, 2)
        result = make_part(tmp_path, 1, 2)
        assert (result.made, result.kept) == (0, 2)

    def test_a_whole_run_takes_over_what_parts_have_made(self, made_once, tmp_path):
        make_part(tmp_path, 2, 2)
        assert (make(tmp_path, resume=True).made) == 2
        assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")
        result = make_part(tmp_path, 1, 2)
        assert (result.made, bool(result.manifest_sha256)) == (0, True)

    def test_sealing_names_what_is_missing_and_publishes_nothing(self, tmp_path):
        make_part(tmp_path, 2, 3)
        with pytest.raises(StoreError, match="tasks not done, by their first items: 0, 2, 3"):
            finalise_store(tmp_path / "tiny.zarr")
        assert not (tmp_path / "tiny.zarr").exists()
        assert not (tmp_path / "catalog.yaml").exists()

    @pytest.mark.parametrize("part", [(0, 2), (3, 2), (-1, 2)])
    def test_a_part_that_is_none_is_refused(self, tmp_path, part):
        with pytest.raises(PlanError, match=r"partition: found .* expected k/n with 1 <= k <= n"):
            make_part(tmp_path, *part)

    def test_the_same_items_are_never_given_to_two(self, tmp_path):
        make_part(tmp_path, 1, 3)
        run = tmp_path / "tiny.run"
        with locked(run, (2, 3)):
            with pytest.raises(StoreError, match=r"part 2/3 .* is working on this dataset"):
                make_part(tmp_path, 2, 3)
            with pytest.raises(StoreError, match=r"a run in 3 parts, not 2, is working on this dataset"):
                make_part(tmp_path, 1, 2)
            with pytest.raises(StoreError, match=r"another run is working on this dataset"):
                make(tmp_path, resume=True)
            with pytest.raises(StoreError, match=r"another run is working on this dataset"):
                finalise_store(tmp_path / "tiny.zarr")
            assert make_part(tmp_path, 3, 3).made == 1
        with locked(run), pytest.raises(StoreError, match=r"a run of all items .* is working"):
            make_part(tmp_path, 1, 3)

    def test_another_recipe_is_refused(self, tmp_path):
        make_part(tmp_path, 1, 2)
        with pytest.raises(StoreError, match="an unfinished run of another recipe"):
            make_part(tmp_path, 2, 2, recipe=recipe_with(seed=7))
        make_part(tmp_path, 2, 2)
        finalise_store(tmp_path / "tiny.zarr")
        with pytest.raises(StoreError, match="made from another recipe or bundle"):
            make_part(tmp_path, 2, 2, recipe=recipe_with(seed=7))

    def test_sealing_twice_changes_nothing(self, out, store):
        before = store_sha256(store)
        assert finalise_store(store).kept == 4
        assert store_sha256(store) == before

    def test_sealing_lists_a_published_store_that_the_catalog_lacks(self, out, store):
        (out / "catalog.yaml").unlink()
        finalise_store(store)
        assert list(list_entries(out / "catalog.yaml")) == ["tiny"]

    def test_a_store_that_was_described_anew_is_whole_too(self, store):
        describe_store(store, HERE, changes={"transport": False})
        assert finalise_store(store).kept == 4
        assert retry_failed(store, HERE).kept == 4

    def test_damage_is_found_before_sealing(self, tmp_path):
        make_part(tmp_path, 1, 1)
        shard = tmp_path / "tiny.zarr.wip/volume/c/1/0/0/0"
        flip_a_byte(shard)
        with pytest.raises(StoreError, match=f"{shard}: is damaged; run again with --resume"):
            finalise_store(tmp_path / "tiny.zarr")
        assert not (tmp_path / "tiny.zarr").exists()

    def test_a_published_store_that_lacks_a_shard_is_not_called_whole(self, store):
        (store / "volume/c/1/0/0/0").unlink()
        with pytest.raises(
            StoreError,
            match=f"is finished but damaged; repair it with: nmcdist run RECIPE --out {store.parent} --resume",
        ):
            finalise_store(store)

    def test_a_record_of_the_run_that_is_damaged_or_gone_costs_no_item(self, made_once, tmp_path):
        make_part(tmp_path, 1, 2)
        record = tmp_path / "tiny.run/run.json"
        record.write_text("{")
        for part in ((1, 2), (2, 2)):
            with pytest.raises(StoreError, match=r"run\.json: damaged, expected JSON"):
                make_part(tmp_path, *part)
        record.unlink()
        assert make_part(tmp_path, 1, 2).kept == 2
        make_part(tmp_path, 2, 2)
        finalise_store(tmp_path / "tiny.zarr")
        assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")

    def test_a_store_in_the_making_that_is_of_nobody_is_refused(self, tmp_path):
        (tmp_path / "tiny.zarr.wip").mkdir()
        (tmp_path / "tiny.zarr.wip/mine").write_text("precious")
        with pytest.raises(StoreError, match="an unfinished run of another recipe"):
            make_part(tmp_path, 1, 2)
        assert (tmp_path / "tiny.zarr.wip/mine").read_text() == "precious"

    def test_parts_that_start_together_after_another_division_are_all_let_in(self, tmp_path):
        with locked(tmp_path, (1, 2)):
            pass

        def enter(k):
            for _ in range(10):
                with locked(tmp_path, (k, 8)):
                    pass

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(enter, range(1, 9)))

    def test_what_is_no_run_is_refused(self, tmp_path):
        for function in (finalise_store, retry_failed, status_of):
            with pytest.raises(StoreError, match="no run is recorded beside it"):
                function(tmp_path / "gone.zarr")
        assert list(tmp_path.iterdir()) == []


class TestFailures:
    def test_failed_items_are_tried_again_alone(self, made_once, tmp_path, failing):
        failing |= {1, 3}
        assert sorted(make(tmp_path, retries=0).failed) == [1, 3]
        failing.remove(3)
        result = retry_failed(tmp_path / "tiny.zarr", HERE)
        assert (result.made, sorted(result.failed)) == (1, [1])
        failing.clear()
        assert retry_failed(tmp_path / "tiny.zarr", HERE).manifest_sha256
        assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")

    def test_what_never_failed_is_not_touched(self, tmp_path, failing):
        failing |= {2}
        run_part(recipe_with(), load_bundle(BUNDLE), tmp_path, (1, 2), HERE, retries=0)
        failing.clear()
        with pytest.raises(StoreError, match="tasks not done, by their first items: 1, 3"):
            retry_failed(tmp_path / "tiny.zarr", HERE)

    def test_after_too_many_failures_no_more_tasks_begin(self, tmp_path, failing):
        failing |= {0, 1, 2, 3}
        result = make(tmp_path, retries=0, max_failures=1)
        assert (sorted(result.failed), result.made) == ([0, 1], 0)

    def test_trying_again_with_too_little_memory_is_refused(self, tmp_path, failing):
        failing |= {1}
        make(tmp_path, retries=0)
        with pytest.raises(PlanError, match="memory"):
            retry_failed(tmp_path / "tiny.zarr", HERE.model_copy(update={"memory_per_worker": 10 * 2**20}))

    def test_what_passes_by_itself_is_no_failure(self, made_once, tmp_path, monkeypatch):
        describe, calls = Additive.describe, []

        def stalls_once(*args):
            calls.append(1)
            if len(calls) == 2:
                raise TimeoutError("the file system stalls")
            return describe(*args)

        monkeypatch.setattr(Additive, "describe", stalls_once)
        assert make(tmp_path).failed == {}
        assert store_sha256(tmp_path / "tiny.zarr") == store_sha256(made_once / "tiny.zarr")


class TestStatus:
    def test_of_a_finished_run(self, store):
        status = status_of(store)
        assert (status.published, status.total, status.done) == (True, 4, 4)
        assert status.failed == {} == status.started
        assert status.peak_bytes > 0
        assert "published, 4 of 4 tasks done, 0 failed" in status.lines()[0]

    def test_of_a_run_with_failures(self, tmp_path, failing):
        failing |= {2}
        make(tmp_path, retries=0)
        status = status_of(tmp_path / "tiny.zarr")
        assert (status.published, status.done) == (False, 3)
        assert status.failed == {"item-000002": "ZeroDivisionError: no such phase"}
        assert status.rate > 0
        assert (status.state, status.seconds_left) == ("interrupted", None)

    def test_tasks_that_began_and_did_not_end_are_named(self, tmp_path):
        make_part(tmp_path, 1, 2)
        Journal(tmp_path / "tiny.run").write_start("item-000001", "node7:123")
        (tmp_path / "tiny.run/started/item-000003.json").write_text('{"worker": "no')
        ((task, (worker, seconds)),) = status_of(tmp_path / "tiny.zarr").started.items()
        assert (task, worker) == ("item-000001", "node7:123")
        assert 0 <= seconds < 60
        assert any("started: item-000001 on node7:123" in x for x in status_of(tmp_path / "tiny.zarr").lines())


def test_a_run_of_particles_is_sealed_only_whole(small_bundle, tmp_path):
    run_part(particle_recipe_with(), small_bundle, tmp_path, (1, 2), HERE)
    with pytest.raises(StoreError, match="tasks not done, by their first items: 2"):
        finalise_store(tmp_path / "small.zarr")
    assert make_particles(tmp_path, small_bundle, resume=True).made == 1
