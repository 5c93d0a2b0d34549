"""Requests to the queue that are refused, before anything is queued; and a service without a queue has no jobs."""

import hashlib
import itertools
import json
import os
import sqlite3
import time

import httpx
import pytest
from click.testing import CliRunner

from nmcdist.cli import cli
from nmcdist.errors import InputError, StoreError
from nmcdist.service.jobs.desk import Desk
from nmcdist.service.jobs.queue import CANCELLED, MOST_EVENTS, QUEUED, FullError, Queue
from nmcdist.service.jobs.tokens import TOKENS, check_tokens, make_token, owner_of
from nmcdist.service.settings import JobSettings
from nmcdist.service.shelf import Shelf
from tests.service.test_jobs import FAST, client, folder, queue  # noqa: F401  (fixtures)
from tests.service.test_serve import refused


@pytest.fixture(autouse=True)
def _nothing_is_queued(request):
    """Compare the number of jobs before and after each test that uses the service."""
    if "client" not in request.fixturenames:
        yield
        return
    asked = request.getfixturevalue("client")
    before = asked.get("/api/jobs").json()["jobs"]
    yield
    assert asked.get("/api/jobs").json()["jobs"] == before


def problem(answer, status):
    assert answer.status_code == status, answer.text
    (line,) = answer.json()["detail"].splitlines()
    return line


@pytest.mark.parametrize("header", [
    None, "", "Bearer", "Bearer wrong", "Basic cGFnZTpwYWdl", "bearer nmc_", "Bearer " + "x" * 20_000,
    "Bearer \u00e4", "Token {token}", "Bearer {token}x", "Bearer x{token}",
])  # fmt: skip
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/jobs"), ("POST", "/api/jobs")])
def test_wrong_tokens(client, header, method, path):  # noqa: F811
    token = client.headers["authorization"].split()[1]
    headers = {} if header is None else {"Authorization": header.replace("{token}", token).encode("latin-1")}
    answer = httpx.request(method, f"{client.base_url}{path}", headers=headers, json=FAST if method == "POST" else None)
    assert "token" in problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/api/jobs/x", "/api/jobs/x/events", "/api/jobs/../jobs"])
def test_every_address_needs_a_token(client, path):  # noqa: F811
    problem(httpx.get(f"{client.base_url}{path}"), 401)
    problem(httpx.get(f"{client.base_url}{path}?token={client.headers['authorization'].split()[1]}"), 401)


@pytest.mark.parametrize(("headers", "status"), [
    ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Host": "evil.example"}, 421),
    ({"Content-Type": "text/plain"}, 415), ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": "text/yaml"}, 415), ({"Content-Type": ""}, 415),
])  # fmt: skip
def test_pages_elsewhere_and_forms_cannot_submit(client, headers, status):  # noqa: F811
    answer = client.post("/api/jobs", content=json.dumps(FAST), headers={"Content-Type": "application/json", **headers})
    problem(answer, status)
    preflight = client.options("/api/jobs", headers={"Origin": "http://evil.example"})
    assert preflight.status_code == 405 and "access-control-allow-origin" not in preflight.headers


DEEP = "[" * 40 + "]" * 40
BOMB = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"


@pytest.mark.parametrize(("body", "status", "says"), [
    ("", 422, "not valid JSON"), ("{", 422, "not valid JSON"), ("[]", 422, "expected a JSON object"),
    ('"text"', 422, "expected a JSON object"), (BOMB, 422, "not valid JSON"), (b"\xff\xfe", 422, "UTF-8"),
    ('{"name": "a", "name": "b"}', 422, "given twice"), ('{"seed": NaN}', 422, "finite"),
    ('{"seed": 1' + "0" * 5000 + "}", 422, "64 bits"), (f'{{"sweep": {DEEP}}}', 422, "inside each other"),
    (f'{{"sweep": {"[" * 30_000}{"]" * 30_000}}}', 422, ""), (" " * (64 << 10) + "{}", 413, "at most 65536 bytes"),
])  # fmt: skip
def test_what_is_no_recipe(client, body, status, says):  # noqa: F811
    for path in ("/api/jobs", "/api/jobs/plan"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert says in problem(answer, status)


def test_a_kind_that_reads_files(client):  # noqa: F811
    """A plain name is a file in the folder where the service runs."""
    recipe = {"kind": "refined", "name": "a", "version": "1.0.0", "title": "A", "seed": 1,
              "bundle": "superres-cba-20nm", "volume": {"shape": [8, 8, 8], "voxel_size_nm": 20.0},
              "source": "secret.npy", "source_sha256": "0" * 64, "phases": {"pore": [0]}}  # fmt: skip
    for path in ("/api/jobs", "/api/jobs/plan"):
        answer = client.post(path, json=recipe)
        assert "kind: found 'refined', which reads files, expected a kind that draws" in problem(answer, 422)


def test_whoever_sends_too_much_is_told_so_even_while_sending(client):  # noqa: F811
    for size in (65 << 10, 900 << 10):
        for _ in range(5):
            answer = client.post("/api/jobs", content=b" " * size, headers={"Content-Type": "application/json"})
            problem(answer, 413)


WIDE_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in itertools.pairwise("abcdefghij")
)


@pytest.mark.parametrize(("body", "status", "says"), [
    ("", 422, "found nothing, expected a mapping"), ("- a", 422, "expected a mapping"), (b"\xff\xfe", 422, "UTF-8"),
    (BOMB, 422, "line 1: found &a, expected the value written out"), (WIDE_BOMB, 422, "no anchors"),
    ("a: *a", 422, "no anchors"), ("a: {<<: 1}", 422, "merge key"), ("name: a\nname: b", 422, "given twice"),
    (f"sweep: {DEEP}", 422, "inside each other"), ("sweep: " + "[" * 60_000, 422, "inside each other"),
    ("sweep:" + "".join(f"\n{' ' * k}a:" for k in range(1, 300)), 422, "inside each other"),
    ("? " * 30_000, 422, "inside each other"), ("a: !!python/object/apply:os.system [ls]", 422, "no tags"),
    ("a: {", 422, "not valid YAML"), ("a: 1\n---\nb: 2", 422, "second document"), ("a: \x00", 422, "control character"),
    ("seed: 1" + "0" * 5000, 422, "64 bits"), ("a: 0x10", 422, "not decimal"), ("bundle: /etc/passwd", 422, "no path"),
    ("#" * (64 << 10) + "\n", 413, "at most 65536 bytes"),
])  # fmt: skip
def test_what_is_no_recipe_in_yaml(client, body, status, says):  # noqa: F811
    start = time.monotonic()
    for path in ("/api/jobs", "/api/jobs/plan"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/yaml; charset=utf-8"})
        assert says in problem(answer, status)
    assert time.monotonic() - start < 30


def test_a_body_of_unknown_length(client):  # noqa: F811
    answer = client.post("/api/jobs", content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    problem(answer, 413)


@pytest.mark.parametrize(("changes", "says"), [
    ({"bundle": "/etc"}, "no path"), ({"bundle": "../own"}, "no path"), ({"bundle": "bundles/own"}, "no path"),
    ({"bundle": ".."}, "no path"), ({"bundle": "recipe.yaml"}, "not registered"), ({"bundle": "owm"}, "cal, own"),
    ({"bundle": ["own"]}, "not registered"), ({"bundle": None}, "not registered"), ({"bundle": ""}, "not registered"),
    ({"neural": "own"}, "expected a built-in bundle"),
    ({"bundle": "~"}, "not registered"), ({"bundle": "c:\\own"}, "no path"), ({"name": "../x"}, "no path"),
    ({"name": ".."}, "no path"), ({"name": "X y"}, "name"), ({"out": "/tmp/x"}, "no path"), ({"/tmp/x": 1}, "no path"),
    ({"out": "x"}, "unknown field"), ({"kind": "os:system"}, "kind"), ({"realisations": "2"}, "realisations"),
    ({"title": "two\nlines"}, "title"), ({"descriptors": {"source": "/etc/passwd"}}, "no path"),
])  # fmt: skip
def test_recipes_with_paths_and_faults(client, changes, says):  # noqa: F811
    line = problem(client.post("/api/jobs", json={**FAST, **changes}), 422)
    assert says in line


@pytest.mark.parametrize(("changes", "says"), [
    ({"volume": {"shape": [2000, 2000, 2000], "voxel_size_nm": 20.0}}, "expected at most 1.0 GiB"),
    ({"realisations": 90_000, "storage": {"volumes": False}}, "core hours, expected at most 10"),
])  # fmt: skip
def test_more_than_the_quotas(client, folder, changes, says):  # noqa: F811
    line = problem(client.post("/api/jobs", json={**FAST, **changes}), 422)
    assert says in line and str(folder) not in line


def test_unknown_jobs_and_parameters(client):  # noqa: F811
    for path in ("/api/jobs/0", "/api/jobs/0/events"):
        assert "no such job" in problem(client.get(path), 404)
    problem(client.delete("/api/jobs/0"), 404)
    problem(client.get("/api/jobs?limit=0"), 422)
    problem(client.get("/api/jobs?after=1"), 422)
    problem(client.put("/api/jobs"), 405)
    problem(client.post("/api/datasets"), 405)
    assert set(client.get("/openapi.json").json()["paths"]["/api/jobs"]) == {"get", "post"}


def test_without_a_queue_there_are_no_jobs(service):
    for path in ("/api/jobs", "/api/jobs/x", "/api/jobs/x/events", "/api/jobs/templates"):
        assert problem(httpx.get(f"{service.url}{path}"), 404) == "no such address"
    assert httpx.post(f"{service.url}/api/jobs", json=FAST).status_code in (405, 413)
    assert httpx.delete(f"{service.url}/api/jobs/x").status_code == 405
    assert not [path for path in httpx.get(f"{service.url}/openapi.json").json()["paths"] if "jobs" in path]


def test_tokens_are_kept_as_hashes_that_only_their_owner_reads(tmp_path):
    token = make_token(tmp_path / "new", "page")
    other = make_token(tmp_path / "new", "lab-2")
    lines = (tmp_path / "new" / TOKENS).read_text().splitlines()
    assert lines[0] == f"{hashlib.sha256(token.encode()).hexdigest()} page"
    assert [owner_of(tmp_path / "new", one) for one in (token, other, "", token[:-1])] == ["page", "lab-2", None, None]
    with pytest.raises(InputError, match="has a token of page"):
        make_token(tmp_path / "new", "page")
    for name in ("", "A", "a b", "a\n", "../a", "x" * 51):
        with pytest.raises(InputError, match="name: found"):
            make_token(tmp_path / "new", name)
    os.chmod(tmp_path / "new" / TOKENS, 0o640)  # noqa: PTH101
    with pytest.raises(InputError, match="expected mode 600"):
        check_tokens(tmp_path / "new")
    assert owner_of(tmp_path / "new", token) is None


def test_the_command_prints_a_token_once(tmp_path):
    done = CliRunner().invoke(cli, ["token", str(tmp_path), "page"])
    assert (done.exit_code, owner_of(tmp_path, done.stdout.strip())) == (0, "page")
    assert done.stdout.strip() not in (tmp_path / TOKENS).read_text()


def test_a_queue_that_cannot_be_used_is_refused(tmp_path, releases):
    folder = tmp_path / "jobs"  # noqa: F811
    assert "no such folder" in refused(releases, "--port", 0, "--jobs", folder)
    folder.mkdir()
    assert "has no tokens; make one with: nmcdist token" in refused(releases, "--port", 0, "--jobs", folder)
    assert "expected --jobs DIR" in refused(releases, "--port", 0, "--cluster", folder)
    make_token(folder, "page")
    assert "licence: found 'mine', expected the SPDX id" in refused(
        releases, "--port", 0, "--jobs", folder, "--jobs-licence", "mine"
    )
    desk = Desk(JobSettings(folder), Shelf("", []))
    with pytest.raises(InputError, match="another service uses this queue"):
        Desk(JobSettings(folder), Shelf("", []))
    desk.stop()
    Desk(JobSettings(folder), Shelf("", [])).stop()


def test_the_queue_is_bounded_in_order_and_survives(tmp_path):
    path = tmp_path / "queue.sqlite"
    queue = Queue(path)  # noqa: F811
    for name in ("a", "b"):
        queue.add(name, "page", {"name": name}, {"cores": 1}, waiting=2)
    with pytest.raises(FullError, match="2 jobs wait"):
        queue.add("c", "page", {"name": "c"}, {"cores": 1}, waiting=2)
    assert queue.ahead(queue.get("b")) == 1
    assert [job.id for job in queue.newest(10, 5)] == ["b", "a"]
    claimed = queue.claim()
    assert (claimed.id, claimed.attempts) == ("a", 1)
    for done in range(MOST_EVENTS + 10):
        queue.progress("a", {"event": "progress", "done": done, "total": 2000})
    kept = queue.events(claimed, 0)
    assert len(kept) == MOST_EVENTS and kept[-1][1]["done"] == MOST_EVENTS + 9
    again = Queue(path)  # as after a kill: the first one was never closed
    assert [job.id for job in again.running()] == ["a"]
    assert again.cancel("a").cancelling
    again.requeue("a", 1.5)
    assert (again.get("a").state, again.get("a").used_s) == (CANCELLED, 1.5)  # told to end before the restart
    assert again.get("b").state == QUEUED
    again.claim()
    again.requeue("b", 0.0, "lost", strikes=1, pause_s=60.0)
    assert again.claim() is None
    queue.close()
    again.close()
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="version 9"):
        Queue(path)
    (tmp_path / "other").write_text("no database, but some text" * 100)
    with pytest.raises(StoreError, match="cannot be opened as a queue"):
        Queue(tmp_path / "other")
