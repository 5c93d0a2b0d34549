"""Schemathesis reads the description of the service and asks what it can think of: no answer but the declared ones."""

import collections

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.service.test_jobs import FAST, ended, queue_at, submitted

FEW, MANY = 200, 2000
DATASETS = [("tiny", "1.0.0"), ("tiny", "1.10.0"), ("tiny", "latest"), ("small", "0.9.0-rc.1+b"), ("blocks", "2.0.0")]
SENSIBLE = {
    "key": ["zarr.json", "volume/c/0/0/0/0", "volume/zarr.json", "manifest.json", "sample/c/0"],
    "document": ["README.md", "release.json", "tiny.zarr/zarr.json", "SHA256SUMS"],
    "where": [
        "",
        "sample < 2",
        "volume_fraction.pore > 0.3 and not (sample == 1)",
        "1 / 0 > 0",
        "abs(sample - 2) <= 1",
    ],
    "columns": ["", "sample", "volume_fraction.pore, sample"],
    "limit": [1, 3, 10_000],
    "after": [0, 1, 10**9],
    "bins": [1, 7, 200],
    "number": [0, 1, 4],
    "at": [0, 0.25, 1],
    "size": [64, 100, 1024],
    "edge": [96, 160, 256],
    "file_format": ["npy", "stl", "csv"],
    "voxel_size_nm": [50, 100.5],
    "format": ["csv", "json", "shell-stl-zip"],
    "Range": ["bytes=0-9", "bytes=-20", "bytes=5-", "bytes=0-1,3-4", "bytes=999999999-"],
    "If-None-Match": ["*", '"x"'],
    "If-Match": ["*", '"x"'],
    "If-Range": ['"x"', "Wed, 21 Oct 2026 07:28:00 GMT"],
}


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=9), part, max_size=3),
    max_leaves=6,
)


def asked(service, most, below="/", **sensible):
    """Ask up to so many cases of all operations together; returns the statuses by operation."""
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [operation for operation in operations if operation.path.startswith(below)]
    varied = [operation for operation in operations if _varies(operation)]
    seen = {operation.label: collections.Counter() for operation in operations}
    with httpx.Client(base_url=service.url) as client:
        for operation in operations:
            each = -(-most // len(varied)) if operation in varied else 3
            _ask(operation, each, seen[operation.label], client, {**SENSIBLE, **sensible})
    return seen


def _varies(operation):
    return bool(list(operation.iter_parameters()) or operation.body)


def _ask(operation, most, statuses, client, sensible):
    modes = [schemathesis.GenerationMode.POSITIVE]
    if _varies(operation):
        modes.append(schemathesis.GenerationMode.NEGATIVE)
    declared = {int(status) for status in operation.definition.raw["responses"] if status.isdigit()}

    for mode in modes:

        @settings(
            max_examples=-(-most // len(modes)), deadline=None, database=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy(generation_mode=mode), st.data())
        def one(case, data):
            _make_sensible(case, operation, data, sensible)
            answer = case.call(base_url=str(client.base_url), headers=_token(data, sensible), timeout=60)
            statuses[answer.status_code] += 1
            expected = declared | {400, 404, 405, 413, 414, 431}  # by the guard, before any operation
            assert answer.status_code in expected, (case.as_curl_command(), answer.text)
            assert answer.status_code < 500 or answer.headers["Retry-After"]

        one()


def _token(data, sensible):
    """Mostly the token; sometimes what comes to schemathesis's mind, or nothing."""
    token = sensible.get("token")
    return {"Authorization": f"Bearer {token}"} if token and data.draw(st.integers(0, 5)) else {}


def _make_sensible(case, operation, data, sensible):
    """Replace some of the values by ones that reach the logic behind the checks."""
    if operation.body and "body" in sensible and data.draw(st.booleans()):
        recipe = dict(data.draw(st.sampled_from(sensible["body"])))
        if isinstance(case.body, dict) and data.draw(st.integers(0, 3)):
            recipe |= case.body | {data.draw(st.sampled_from(list(recipe))): data.draw(_ANYTHING)}
        case.body = recipe
    if "name" in (case.path_parameters or {}) and data.draw(st.booleans()):
        case.path_parameters["name"], case.path_parameters["version"] = data.draw(st.sampled_from(DATASETS))
    for parameter in operation.iter_parameters():
        name = parameter.name
        if name in sensible and data.draw(st.booleans()):
            place = {"path": "path_parameters", "query": "query", "header": "headers"}[str(parameter.location.value)]
            if getattr(case, place) is None or not isinstance(getattr(case, place), collections.abc.MutableMapping):
                continue
            getattr(case, place)[name] = data.draw(st.sampled_from(sensible[name]))


def _check(seen, least):
    count = sum(sum(statuses.values()) for statuses in seen.values())
    print(f"\n{count} cases")
    for path, statuses in seen.items():
        print(path, dict(sorted(statuses.items())))
        assert statuses[200], path
    assert count >= least
    assert not [path for path, statuses in seen.items() if any(s >= 500 and s != 503 for s in statuses)]
    for path in ("GET /v/{name}/{version}/{key}", "GET /files/{name}/{version}/{document}"):
        assert {200, 206, 404, 416} <= set(seen[path])
    for path in ("GET /api/datasets/{name}/{version}/items", "GET /api/datasets/{name}/{version}/histograms"):
        assert {200, 404, 422} <= set(seen[path])


def test_a_few_cases(service):
    seen = asked(service, FEW)
    print({path: dict(statuses) for path, statuses in seen.items()})
    assert sum(sum(statuses.values()) for statuses in seen.values()) >= FEW


@pytest.mark.slow  # minutes
def test_thousands_of_cases_reach_every_operation(service):
    seen = asked(service, MANY)
    for below in ("/v/", "/files/"):  # only with a file that there is does a range count
        seen |= asked(service, MANY // 2, below)
    _check(seen, MANY)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """A service with a finished job, and what helps to ask it."""
    options = "--jobs-waiting", "3", "--job-core-hours", "0.05"
    with queue_at(tmp_path_factory.mktemp("jobs"), *options) as (running, client):
        job = submitted(client, FAST)
        assert ended(client, job)["state"] == "done"
        token = client.headers["authorization"].split()[1]
        yield running, {"token": token, "body": [FAST], "job": [job], "before": [1, 2**40], "below": "/api/jobs"}


def test_a_few_cases_of_jobs(jobs):
    service, sensible = jobs
    seen = asked(service, 60, **sensible)
    print({path: dict(statuses) for path, statuses in seen.items()})
    assert all(statuses[401] + statuses[200] + statuses[201] for statuses in seen.values())
    assert not [path for path, statuses in seen.items() if any(s >= 500 and s != 503 for s in statuses)]


@pytest.mark.slow  # minutes
def test_many_cases_of_jobs_reach_every_operation(jobs):
    service, sensible = jobs
    seen = asked(service, 1000, **sensible)
    for path, statuses in seen.items():
        print(path, dict(sorted(statuses.items())))
        assert statuses[201 if path == "POST /api/jobs" else 200] and statuses[401], path
    assert not [path for path, statuses in seen.items() if any(s >= 500 and s != 503 for s in statuses)]
    assert {401, 404} <= set(seen["DELETE /api/jobs/{job}"])
    assert {200, 422} <= set(seen["POST /api/jobs/plan"])


def test_the_description_names_the_datasets(service):
    document = httpx.get(f"{service.url}/openapi.json").json()
    parameters = {p["name"]: p for p in document["paths"]["/v/{name}/{version}/{key}"]["get"]["parameters"]}
    assert parameters["name"]["schema"]["enum"] == ["blocks", "small", "tiny"]
    assert "1.10.0" in parameters["version"]["schema"]["enum"]
    assert "latest" in parameters["version"]["schema"]["enum"]
    assert set(document["paths"]) >= {"/catalog.json", "/api/datasets/{name}/{version}/items", "/readyz"}
    assert all(set(path) == {"get"} for path in document["paths"].values())
