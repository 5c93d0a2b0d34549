"""Results of jobs on the shelf, from stores as a run leaves them; without a service."""

import shutil
from dataclasses import replace

import pytest

from nmcdist.datasets.integrity import manifest_hash
from nmcdist.releases.versions import is_version, precedence
from nmcdist.service.jobs.desk import Desk
from nmcdist.service.jobs.queue import DONE, FAILED, Queue
from nmcdist.service.jobs.results import item_of, version_of
from nmcdist.service.jobs.room import NoRoomError
from nmcdist.service.jobs.tokens import make_token
from nmcdist.service.settings import JobSettings
from nmcdist.service.shelf import Shelf
from tests.service.test_jobs import FAST, queue_at

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


@pytest.fixture
def desk_with(tmp_path):
    """Makes a desk whose jobs may take so many bytes together."""
    make_token(tmp_path, "page")
    desks = []

    def make(total_bytes):
        for desk in desks:
            desk.stop()
        desks[:] = [Desk(JobSettings(tmp_path, total_bytes=total_bytes), Shelf("", []))]
        return desks[0]

    yield make
    desks[0].stop()


def test_jobs_beyond_the_room_of_all_are_refused(desk_with, tmp_path):
    needed = desk_with(1 << 30).planned(FAST).plan.stored_bytes
    desk = desk_with(2 * needed)
    first, second = (desk.submit(FAST, "page").id for _ in range(2))
    with pytest.raises(NoRoomError, match=r"results: the store needs about .* expected at most .*; whoever runs"):
        desk.submit(FAST, "page")
    assert len(desk.queue.kept()) == len(list((tmp_path / "jobs").iterdir())) == 2
    assert desk.queue.claim().id == first
    with pytest.raises(NoRoomError):  # while it runs, too
        desk.planned(FAST)
    desk.cancel(second)
    assert desk.planned(FAST)


def test_an_ended_job_takes_the_room_of_its_folder_until_somebody_removes_it(desk_with, tmp_path):
    needed = desk_with(1 << 30).planned(FAST).plan.stored_bytes
    desk = desk_with(2 * needed)
    job = desk.submit(FAST, "page").id
    desk.queue.claim()
    store = tmp_path / "jobs" / job / "fast.zarr"
    store.mkdir()
    (store / "part").write_bytes(bytes(2 * needed))
    desk.queue.end(job, FAILED, 0.0)
    with pytest.raises(NoRoomError):
        desk.planned(FAST)
    shutil.rmtree(tmp_path / "jobs" / job)
    assert desk.planned(FAST)


def test_without_room_the_service_says_so(tmp_path):
    with queue_at(tmp_path, "--jobs-size", "1kB") as (_, client):
        for address in ("/api/jobs", "/api/jobs/plan"):
            answer = client.post(address, json=FAST)
            assert answer.status_code == 507
            assert answer.json()["detail"].startswith("results: the store needs about ")
        assert client.get("/api/jobs").json()["jobs"] == []
