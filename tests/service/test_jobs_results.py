"""Results of jobs on the shelf, from stores as a run leaves them; without a service."""

import shutil
from dataclasses import replace

import pytest

from nmcdist.datasets.integrity import manifest_hash
from nmcdist.releases.versions import is_version, precedence
from nmcdist.service.jobs.desk import Desk
from nmcdist.service.jobs.queue import DONE, Queue
from nmcdist.service.jobs.results import item_of, version_of
from nmcdist.service.jobs.tokens import make_token
from nmcdist.service.settings import JobSettings
from nmcdist.service.shelf import Shelf

JOBS = ("gone", "bad", "other", "whole")


@pytest.fixture
def folder(tmp_path, made_once):
    """The folder of a queue with finished jobs, whose store is the same."""
    make_token(tmp_path, "page")
    queue = Queue(tmp_path / "queue.sqlite")
    for job in JOBS:
        shutil.copytree(made_once, tmp_path / "jobs" / job)
        queue.add(job, "page", {"name": "tiny", "version": "1.0.0"}, {"cores": 1}, waiting=9)
        queue.claim()
        queue.end(job, DONE, 1.0, manifest_sha256=manifest_hash(tmp_path / "jobs" / job / "tiny.zarr"))
    queue.close()
    return tmp_path


def shown(folder, **settings):
    """What a service that starts now puts on its shelf, by job."""
    shelf = Shelf("", [])
    Desk(JobSettings(folder, **settings), shelf).stop()
    return {item.job: item for item in shelf.items_in_order()}


def test_a_result_that_is_gone_or_damaged_or_another_is_left_out_with_a_reason(folder, caplog):
    assert list(shown(folder)) == list(reversed(JOBS))  # the newest first
    shutil.rmtree(folder / "jobs/gone")
    (folder / "jobs/bad/tiny.zarr/zarr.json").write_text("{")
    manifest = folder / "jobs/other/tiny.zarr/manifest.json"
    manifest.write_text(manifest.read_text().replace(" ", "  ", 1))
    assert list(shown(folder)) == ["whole"]
    for job in ("gone", "bad", "other"):
        assert f"job {job}: its result is not served" in caplog.text


def test_a_result_says_what_its_store_says_and_no_more(folder):
    release = shown(folder)["whole"].release
    assert (release.name, release.version, release.sizes.items) == ("tiny", "1.0.0-job.whole", 4)
    assert (release.license, [creator.name for creator in release.creators]) == ("not stated", ["not stated"])
    assert "not published" in release.citation
    assert (release.provenance.hosts, release.doi, release.publisher) == ((), None, None)
    assert release.provenance.versions.zarr is not None
    assert "page" not in release.model_dump_json()  # whose token it was
    assert shown(folder, licence="cc0-1.0")["whole"].release.license == "CC0-1.0"


@pytest.mark.parametrize(("said", "version"), [
    ("1.0.0", "1.0.0-job.x"), ("1.0.0-rc.1", "1.0.0-rc.1.job.x"), ("1.0.0+build.7", "1.0.0-job.x"),
    ("1.0.0-rc+b", "1.0.0-rc.job.x"), ("01.0.0", "0.0.0-job.x"), ("1.0.0-a..b", "0.0.0-job.x"),
    ("1.0.0-" + "a" * 94, "0.0.0-job.x"), ("9" * 30 + ".0.0", "0.0.0-job.x"),
])  # fmt: skip
def test_every_version_of_a_recipe_gives_a_pre_release(folder, said, version):
    queue = Queue(folder / "queue.sqlite")
    job = replace(queue.get("whole"), id="x", recipe={"name": "tiny", "version": said})
    queue.close()
    assert version_of(job) == version and is_version(version)
    assert precedence(version) < precedence(version.partition("-")[0])
    assert item_of(job, folder / "jobs/whole/tiny.zarr", None).path == f"tiny/{version}"
