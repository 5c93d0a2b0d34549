"""The files of a store over HTTP: ranges, conditions and failures, as any client sees them."""

import hashlib
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from nmcdist.datasets.integrity import read_manifest
from nmcdist.service import sources
from nmcdist.service.settings import Settings
from nmcdist.service.shelf import open_shelf
from tests.conftest import flip_a_byte
from tests.service.conftest import release, served

STORE = "tiny/1.0.0"
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def shard(releases):
    """Key and bytes of the largest file of a store."""
    store = releases / "blocks/2.0.0/blocks.zarr"
    key = max(read_manifest(store).items(), key=lambda entry: entry[1].size)[0]
    return f"/v/blocks/2.0.0/{key}", (store / key).read_bytes()


def test_every_file_of_the_manifest_arrives_as_it_is(client, releases):
    for name, record in read_manifest(releases / "tiny/1.0.0/tiny.zarr").items():
        answer = client.get(f"/v/{STORE}/{name}", headers={"Accept-Encoding": "identity"})
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == record.sha256
        assert answer.headers["ETag"] == f'"{record.sha256}"'
        assert answer.headers["Cache-Control"] == IMMUTABLE
        assert answer.headers["Accept-Ranges"] == "bytes"


def test_the_manifest_itself_is_the_one_that_the_release_names(client):
    answer = client.get(f"/v/{STORE}/manifest.json")
    release = client.get("/api/datasets/tiny/1.0.0").json()["release"]
    assert hashlib.sha256(answer.content).hexdigest() == release["manifest_sha256"]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (5, 99), (0, None), (None, 1028), (150_000, None), (100, 150_500)])
def test_ranges(client, shard, first, last):
    key, data = shard
    answer = client.get(
        key, headers={"Range": f"bytes={'' if first is None else first}-{'' if last is None else last}"}
    )
    expected = data[-last:] if first is None else data[first : None if last is None else last + 1]
    start = len(data) - last if first is None else first
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(data)}"
    assert answer.headers["Content-Length"] == str(len(expected))


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=99999999-", "bytes=-0", "bytes=9-3", "bytes=x"])
def test_several_or_impossible_ranges_get_416(client, shard, asked):
    answer = client.get(shard[0], headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(shard[1])}"
    assert answer.json()["detail"].startswith("range: ")


def test_conditions(client, shard):
    key, data = shard
    etag = client.head(key).headers["ETag"]
    unchanged = client.get(key, headers={"If-None-Match": f'"x", W/{etag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == etag
    assert client.get(key, headers={"If-None-Match": '"x"'}).content == data
    assert client.get(key, headers={"If-None-Match": etag, "Range": "bytes=0-1"}).status_code == 304
    assert client.get(key, headers={"If-Range": etag, "Range": "bytes=0-1"}).content == data[:2]
    assert client.get(key, headers={"If-Range": '"x"', "Range": "bytes=0-1"}).content == data
    assert client.get(key, headers={"If-Match": '"x"'}).status_code == 412
    assert client.get(key, headers={"If-Match": etag}).content == data


def test_metadata_is_compressed_for_those_who_can_read_it(client, releases):
    plain = (releases / "tiny/1.0.0/tiny.zarr/zarr.json").read_bytes()
    answer = client.get(f"/v/{STORE}/zarr.json", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) < len(plain) / 4
    assert answer.content == plain
    other = client.get(f"/v/{STORE}/zarr.json", headers={"Accept-Encoding": "identity"})
    assert answer.headers["ETag"] != other.headers["ETag"]
    assert answer.headers["Vary"] == other.headers["Vary"] == "Accept-Encoding"
    for tag in (answer.headers["ETag"], other.headers["ETag"]):
        assert client.get(f"/v/{STORE}/zarr.json", headers={"If-None-Match": tag}).status_code == 304
    part = client.get(f"/v/{STORE}/zarr.json", headers={"Accept-Encoding": "gzip", "Range": "bytes=3-9"})
    assert (part.status_code, part.content, "Content-Encoding" in part.headers) == (206, plain[3:10], False)


def test_head_gives_the_headers_alone(client, shard):
    answer = client.head(shard[0], headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(shard[1]))


def test_latest_is_redirected_to_the_highest_version(client):
    answer = client.get("/v/tiny/latest/zarr.json")
    assert answer.status_code == 307
    assert answer.headers["Location"] == "/v/tiny/1.10.0/zarr.json"
    assert answer.headers["Cache-Control"] == "no-cache"
    items = client.get("/api/datasets/tiny/latest/items?where=sample%20%3C%202")
    assert items.headers["Location"] == "/api/datasets/tiny/1.10.0/items?where=sample%20%3C%202"
    assert client.get("/d/tiny/latest", follow_redirects=True).status_code == 200
    assert client.get("/v/small/latest/zarr.json", follow_redirects=True).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/v/tiny/1.0.0/no", "/v/tiny/1.0.0/phase", "/v/tiny/1.0.0/volume/c/9/0/0/0", "/v/tiny/1.0.0/zarr.json/",
     "/v/tiny/1.0.0//zarr.json", "/v/tiny/1.0.0/./zarr.json", "/v/tiny/1.0.0/phase/../zarr.json", "/v/tiny/1.0.0",
     "/v/tiny/1.0.0/.zgroup", "/v/tiny/9.9.9/zarr.json", "/v/no/latest/zarr.json", "/v/tiny", "/no",
     "/files/tiny/1.0.0/tiny.zarr", "/files/tiny/1.0.0/../tiny.zarr/zarr.json"],
)  # fmt: skip
def test_what_the_release_has_not_is_404(service, path):
    answer = _raw(service, path)
    assert answer.startswith(b"HTTP/1.1 404 "), answer[:200]
    assert b"no-store" in answer


def test_documents(client, releases):
    answer = client.get("/files/tiny/1.0.0/README.md")
    assert answer.content == (releases / "tiny/1.0.0/README.md").read_bytes()
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert client.get("/files/tiny/1.0.0/release.json").json()["name"] == "tiny"


@pytest.fixture(scope="module")
def harmed(made_once, tmp_path_factory):
    """A service of two releases that tests may harm, a client, and the folder of the releases."""
    root = tmp_path_factory.mktemp("harmed") / "releases"
    for name in ("tiny", "other"):
        release(made_once / "tiny.zarr", root, name, "1.0.0")
    with (
        served(root, root.parent / "log") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        yield service, client, root


def test_a_file_that_is_gone_short_or_replaced_is_500_and_never_404(harmed, tmp_path):
    service, client, root = harmed
    store = root / STORE / "tiny.zarr"
    gone, short, link, folder, whole = [f"volume/c/{k}/0/0/0" for k in range(4)] + ["seed/c/0"]
    for name in (gone, short, link, folder):
        os.chmod((store / name).parent, 0o755)  # noqa: PTH101
    os.unlink(store / gone)  # noqa: PTH108
    content = (store / short).read_bytes()
    os.unlink(store / short)  # noqa: PTH108
    (store / short).write_bytes(content[:-1])
    (store / link).rename(tmp_path / "moved")
    (store / link).symlink_to(tmp_path / "moved")
    (store / folder).unlink()
    (store / folder).mkdir()
    for name in (gone, short, link, folder):
        for answer in (client.get(f"/v/{STORE}/{name}"), client.head(f"/v/{STORE}/{name}")):
            assert answer.status_code == 500, name
            assert answer.headers["Cache-Control"] == "no-store"
            assert str(root) not in answer.text
    assert client.get(f"/v/{STORE}/{whole}").status_code == 200
    assert f"has {len(content) - 1} bytes, expected {len(content)}" in service.log.read_text()


def test_a_damaged_file_of_the_right_size_is_never_sent(harmed):
    _, client, root = harmed
    store = root / "other/1.0.0/other.zarr"
    damaged, whole, later = [f"volume/c/{k}/0/0/0" for k in range(3)]
    for name in (damaged, later):
        os.chmod(store / name, 0o644)  # noqa: PTH101
    flip_a_byte(store / damaged)
    for headers in ({}, {"Range": "bytes=0-9"}):
        assert client.get(f"/v/other/1.0.0/{damaged}", headers=headers).status_code == 500
        assert client.get(f"/files/other/1.0.0/other.zarr/{damaged}", headers=headers).status_code == 500
    assert client.get(f"/v/other/1.0.0/{whole}").status_code == 200
    assert client.get(f"/v/other/1.0.0/{later}").status_code == 200
    flip_a_byte(store / later)
    assert client.get(f"/v/other/1.0.0/{later}").status_code == 500


def test_a_file_is_hashed_once(own_releases, monkeypatch):
    hashed = []
    real = sources.record_of_handle
    monkeypatch.setattr(sources, "record_of_handle", lambda handle: hashed.append(handle) or real(handle))
    source = open_shelf(own_releases, Settings())["tiny"]["1.0.0"].source
    assert not source.is_checked("seed/c/0")
    with ThreadPoolExecutor(8) as pool:
        for content in pool.map(source.open, ["seed/c/0"] * 40):
            content.close()
    assert len(hashed) == 1
    assert source.is_checked("seed/c/0")


def test_curl_reads_ranges_and_resumes(service, shard, tmp_path):
    key, data = shard
    url, part = service.url + key, tmp_path / "part"
    ranged = subprocess.run(["curl", "-fsS", "-r", "10-29", url], capture_output=True, check=True)
    assert ranged.stdout == data[10:30]
    part.write_bytes(data[:1000])
    subprocess.run(["curl", "-fsS", "-C", "-", "-o", str(part), url], check=True)
    assert part.read_bytes() == data
    etags = tmp_path / "etags"
    status = ["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", url]
    assert subprocess.run([*status, "--etag-save", str(etags)], capture_output=True, check=True).stdout == b"200"
    assert subprocess.run([*status, "--etag-compare", str(etags)], capture_output=True, check=True).stdout == b"304"


def test_readers_follow_only_what_is_public(client):
    answer = client.get(f"/v/{STORE}/zarr.json", headers={"Origin": "https://example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    asked = client.options(
        f"/v/{STORE}/zarr.json",
        headers={"Origin": "https://example.org", "Access-Control-Request-Method": "GET",
                 "Access-Control-Request-Headers": "range"},
    )  # fmt: skip
    assert asked.status_code == 204
    assert "Range" in asked.headers["Access-Control-Allow-Headers"]
    refused = client.get("/api/datasets", headers={"Origin": "https://example.org"})
    assert (refused.status_code, "Access-Control-Allow-Origin" in refused.headers) == (403, False)
    assert client.get("/api/datasets", headers={"Origin": str(client.base_url).rstrip("/")}).status_code == 200


def _raw(service, path):
    import socket

    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def test_the_log_counts_what_was_sent(service, client):
    client.get(f"/v/{STORE}/zarr.json", headers={"Range": "bytes=0-9"})
    assert ("GET", f"/v/{STORE}/zarr.json", 206, 10) in service.requests()
    assert json.loads(client.get(f"/v/{STORE}/zarr.json").content)["zarr_format"] == 3
