"""Jobs: a recipe is submitted, watched, cancelled, and continues after the service was killed; its store is read."""

import contextlib
import hashlib
import html
import json
import re
import signal
import stat
import time

import httpx
import psutil
import pytest
import xarray as xr
import yaml

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.service.jobs.tokens import make_token
from tests.conftest import BUNDLE, TINY, recipe_with
from tests.service.conftest import served

FAST = {**TINY, "name": "fast", "descriptors": {"max_lag_nm": 400.0, "max_radius_nm": 400.0, "transport": False}}
LONG = {**TINY, "name": "long", "volume": {"shape": [64, 64, 64], "voxel_size_nm": 20.0}, "realisations": 300}
KILLED = {**FAST, "name": "killed", "volume": {"shape": [32, 32, 32], "voxel_size_nm": 80.0}, "realisations": 16}
SOON_S = 180  # far longer than anything below takes, for loaded machines


@contextlib.contextmanager
def queue_at(folder, *options, workers=0, releases=None, where=""):
    """A service with a queue in a folder, whose jobs compute in their own process, and a client with a token."""
    catalog, cluster = folder / "catalog.yaml", folder / "here.yaml"
    catalog.write_text("version: 2\naliases: {}\ndata: {}\nentries: {}\n")
    memory = "memory_per_worker: 1GiB\n" if workers else ""
    cluster.write_text(where or f"kind: local\nworkers: {workers}\nthreads_per_worker: 1\n{memory}")
    kept = folder / "token"
    if not kept.exists():
        kept.write_text(make_token(folder / "queue", "page"))
    arguments = ["--jobs", folder / "queue", "--cluster", cluster, *options]
    with served(releases or catalog, folder / f"log-{time.monotonic_ns()}", *map(str, arguments)) as running:
        headers = {"Authorization": f"Bearer {kept.read_text()}"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
            yield running, client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    own = load_bundle(BUNDLE).model_copy(update={"name": "own"})
    save_bundle(own, folder / "queue/bundles/own")
    return folder


@pytest.fixture(scope="module")
def queue(folder):
    with queue_at(folder, "--job-size", "1GiB", "--job-core-hours", "10") as (running, client):
        yield running, client


@pytest.fixture
def client(queue):
    return queue[1]


def submitted(client, recipe):
    answer = client.post("/api/jobs", json=recipe)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    return answer.json()["id"]


def when(client, job, holds):
    """The job, once something holds of it."""
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        found = client.get(f"/api/jobs/{job}").json()
        if holds(found):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def ended(client, job):
    return when(client, job, lambda found: found["state"] in ("done", "failed", "cancelled"))


def events_of(client, job, after=0):
    return client.get(f"/api/jobs/{job}/events", params={"after": after}).json()["events"]


def streamed(client, job, **headers):
    with client.stream("GET", f"/api/jobs/{job}/events", headers={"Accept": "text/event-stream", **headers}) as answer:
        assert answer.headers.get("content-type", "").startswith("text/event-stream") or answer.status_code == 204
        text = "".join(answer.iter_text())
    return [
        (int(number), name, json.loads(data))
        for number, name, data in re.findall(r"id: (\d+)\nevent: (.+)\ndata: (.+)\n\n", text)
    ]


def processes_with(text):
    """Processes with a text in their command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(text in word for word in process.cmdline()):
                found.append(process)
    return found


def drivers(job):
    """Processes that run a job."""
    return processes_with(f"/{job}/recipe.yaml")


def test_a_recipe_becomes_a_store_that_plain_xarray_reads(queue, folder):
    service, client = queue
    planned = client.post("/api/jobs/plan", json=FAST).json()
    assert (planned["items"], planned["tasks"], planned["limits"]["core_hours"]) == (4, 4, 10.0)
    assert 4 * 24 * 20 * 28 < planned["bytes"] < 10**6
    assert str(folder) not in json.dumps(planned)

    job = submitted(client, {**FAST, "bundle": "own"})
    watched = streamed(client, job)  # from the start to the end of the job
    assert [number for number, _, _ in watched] == list(range(1, len(watched) + 1))
    assert [event["state"] for _, name, event in watched if name == "state"] == ["queued", "running", "done"]
    steps = [event["done"] for _, name, event in watched if name == "progress"]
    assert steps == sorted(steps) and steps[-1] == 4
    assert str(folder) not in json.dumps(watched)

    found = ended(client, job)
    assert (found["state"], found["done"], found["total"], found["owner"]) == ("done", 4, 4, "page")
    assert found["recipe"]["bundle"] == "own"
    assert events_of(client, job) == [{"number": number, **event} for number, _, event in watched]
    assert streamed(client, job, **{"Last-Event-ID": "2"}) == watched[2:]
    assert streamed(client, job, **{"Last-Event-ID": str(watched[-1][0])}) == []
    (listed,) = [one for one in client.get("/api/jobs").json()["jobs"] if one["id"] == job]
    assert listed["store"] == f"{service.url}/v/fast/{TINY['version']}-job.{job}"

    with xr.open_zarr(found["store"]) as data:  # without a token
        assert data.volume.shape == (4, 24, 20, 28)
        fractions = (data.volume.values == 0).mean(axis=(1, 2, 3))
        stored = data.set_xindex("phase").volume_fraction.sel(phase="pore").values
        assert abs(fractions - stored).max() < 1e-6
    assert data.attrs["title"] == found["plan"]["title"]
    manifest = httpx.get(f"{found['store']}/manifest.json")
    assert hashlib.sha256(manifest.content).hexdigest() == found["manifest_sha256"]
    assert manifest.headers["access-control-allow-origin"] == "*"
    assert httpx.get(f"{found['store']}/..%2frecipe.yaml").status_code == 404
    assert client.delete(f"/api/jobs/{job}").json()["state"] == "done"  # too late to cancel: it stays


def test_a_recipe_in_yaml_becomes_a_dataset_on_the_shelf_also_after_a_restart(tmp_path):
    title = "<script>alert(1)</script> & </title>"
    recipe = {**FAST, "name": "shelved", "title": title, "version": "2.0.0", "realisations": 1}
    with queue_at(tmp_path, "--jobs-licence", "cc-by-4.0") as (service, client):
        answer = client.post("/api/jobs", content=yaml.safe_dump(recipe), headers={"Content-Type": "application/yaml"})
        assert (answer.status_code, answer.json()["page"]) == (201, None), answer.text
        job = ended(client, answer.json()["id"])
        first = _of_dataset(service, job, title)
    with queue_at(tmp_path) as (service, client):
        again = client.get(f"/api/jobs/{job['id']}").json()
        assert again["page"] == job["page"]
        second = _of_dataset(service, again, title)
    assert [release.pop("license") for release in (first, second)] == ["CC-BY-4.0", "not stated"]
    assert first == second


def _of_dataset(service, job, title):
    """What the service says of a job's dataset, once all its addresses have been asked."""
    name, version = "shelved", f"2.0.0-job.{job['id']}"
    assert job["page"] == f"/d/{name}/{version}"
    with httpx.Client(base_url=service.url) as client:  # without a token
        (listed,) = client.get("/api/datasets").json()["datasets"]
        assert (listed["job"], listed["version"], listed["items"]) == (job["id"], version, 2)
        page = client.get(job["page"])
        assert page.status_code == 200 and "<script>alert" not in page.text
        assert html.escape(title) in page.text and "not published" in page.text
        assert html.escape(job["open"]) in page.text
        assert client.get(f"/d/{name}/latest").headers["location"] == job["page"]
        assert f'href="{job["page"]}"' in client.get("/").text
        items = client.get(f"/api/datasets/{name}/{version}/items", params={"where": "volume_fraction.pore > 0"})
        assert items.json()["count"] == 2
        histograms = client.get(f"/api/datasets/{name}/{version}/histograms").json()["histograms"]
        assert all(sum(found["counts"]) + found["missing"] == 2 for found in histograms)
        for path in ("/catalog.yaml", "/catalog-v1.yaml", "/catalog.json"):
            assert f"v/{name}/{version}" in client.get(path).text
        assert version in client.get("/openapi.json").text
        details = client.get(f"/api/datasets/{name}/{version}").json()
    namespace = {"xarray": xr}
    exec(f"data = {job['open']}", namespace)  # the code line, as shown
    assert namespace["data"].volume.shape == (2, 24, 20, 28)
    assert details["manifest_sha256"] == job["manifest_sha256"]
    assert details["release"]["provenance"]["hosts"] == []
    return details["release"]


def test_recipes_to_start_from_are_recipes_that_a_job_may_have(client):
    answer = client.get("/api/jobs/templates").json()
    assert {"own", "cba-cathode-2025", "nmc811-stereological"} <= set(answer["bundles"])
    assert {"graphite-sweep-tiny", "nmc811-particles-small"} <= {found["name"] for found in answer["templates"]}
    for found in answer["templates"]:
        recipe = yaml.safe_load(found["yaml"])
        assert (recipe["name"], recipe["title"]) == (found["name"], found["title"])
        assert recipe["bundle"] in answer["bundles"]
    tiny = next(found["yaml"] for found in answer["templates"] if found["name"] == "graphite-sweep-tiny")
    planned = client.post("/api/jobs/plan", content=tiny, headers={"Content-Type": "application/yaml"})
    assert (planned.status_code, planned.json()["items"]) == (200, 2)


def test_queued_and_running_jobs_are_cancelled(client, folder):
    first, second = submitted(client, LONG), submitted(client, FAST)
    waiting = client.get(f"/api/jobs/{second}").json()
    assert (waiting["state"], waiting["store"]) == ("queued", None)
    assert client.delete(f"/api/jobs/{second}").json()["state"] == "cancelled"
    when(client, first, lambda found: found["done"] > 0)
    assert client.get(f"/api/jobs/{first}").json()["page"] is None
    answer = client.delete(f"/api/jobs/{first}").json()
    assert answer["state"] in ("running", "cancelled")
    assert ended(client, first)["state"] == "cancelled"
    assert not drivers(first) and not drivers(second)
    assert not {path.name for path in (folder / "queue/jobs").iterdir()} & {first, second}
    assert [event.get("state") for event in events_of(client, second)] == ["queued", "cancelled"]


def test_a_service_that_was_killed_continues_its_jobs(tmp_path):
    with queue_at(tmp_path) as (service, client):
        jobs = [submitted(client, recipe) for recipe in (KILLED, {**FAST, "name": "next"})]
        before = when(client, jobs[0], lambda found: found["done"] >= 1)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    assert before["state"] == "running" and drivers(jobs[0])
    with queue_at(tmp_path) as (_, client):
        first, second = (ended(client, job) for job in jobs)
        assert (first["state"], second["state"]) == ("done", "done")
        assert (first["attempts"], second["attempts"]) == (2, 1)
        events = events_of(client, jobs[0])
        states = [event["state"] for event in events if event["event"] == "state"]
        assert states == ["queued", "running", "queued", "running", "done"]
        starts = [event["done"] for event in events if event["event"] == "start"]
        assert starts[0] == 0 and (len(starts) == 1 or starts[-1] >= 1)  # the orphan may have finished all
        with xr.open_zarr(first["store"]) as data:
            items = data.volume.values.reshape(32, -1)
        assert items.max() <= 2  # fill values of chunks that were not made are 255
        assert len({item.tobytes() for item in items}) == 32
    assert not [process for job in jobs for process in drivers(job)]


def test_a_child_that_dies_is_started_again_and_a_stopped_service_leaves_no_process(tmp_path):
    with queue_at(tmp_path) as (service, client):
        job = submitted(client, LONG)
        when(client, job, lambda found: found["done"] > 0)
        (driver,) = drivers(job)
        driver.kill()
        found = when(client, job, lambda found: found["state"] == "queued" or found["attempts"] == 2)
        assert found["message"] or found["attempts"] == 2
        assert when(client, job, lambda found: found["attempts"] == 2)["state"] == "running"
        service.process.terminate()
        service.process.wait(60)
        assert not drivers(job)
    tokens = tmp_path / "queue/tokens"
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    secret = (tmp_path / "token").read_text()
    for path in tmp_path.rglob("*"):  # neither in logs nor in the queue
        if path.is_file() and path.name != "token":
            assert secret.encode() not in path.read_bytes(), path


def test_the_queue_keeps_the_recipe_as_it_ran(client, folder):
    job = submitted(client, FAST)
    written = yaml.safe_load((folder / f"queue/jobs/{job}/recipe.yaml").read_text())
    assert recipe_with(**{**FAST, "name": "fast"}).content == written
    client.delete(f"/api/jobs/{job}")
    ended(client, job)
