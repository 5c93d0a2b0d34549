"""Requests that mean harm: other paths, foreign names, floods of headers, clients that take their time, crowds."""

import asyncio
import contextlib
import hashlib
import random
import re
import socket
import statistics
import time

import aiohttp
import httpx
import psutil
import pytest

from nmcdist.datasets.integrity import read_manifest
from tests.service.conftest import served

READERS, READS = 200, 10
PATIENCE_S = 2.0


def _connect(service):
    host, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def _sent(service, data):
    """What the service answers to bytes, until it closes the connection."""
    with _connect(service) as connection:
        answer = b""
        with contextlib.suppress(ConnectionError):  # it may close before it has read all
            connection.sendall(data)
            while part := connection.recv(1 << 16):
                answer += part
    return answer


def _get(service, path, *headers, host="localhost", method="GET"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return _sent(service, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


@pytest.fixture(scope="module")
def secret(releases):
    """A file beside the releases, and links to it from inside."""
    path = releases.parent / "secret.txt"
    path.write_text("the secret")
    return path


@pytest.mark.parametrize("key", [
    "../../../../secret.txt", "../../../secret.txt", "%2e%2e/%2e%2e/%2e%2e/secret.txt", "..%2f..%2f..%2fsecret.txt",
    "..%252f..%252fsecret.txt", "..%5c..%5csecret.txt", "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd",
    "zarr.json%00", "%00", "zarr.json%00.png", "volume/%00/zarr.json", "zarr.json%0d%0aX-Injected:%20yes",
    "%c0%ae%c0%ae/secret.txt", "%ff%fe", ".", "..", "%2e", "volume/c/../zarr.json", "zarr.json?/../x/../..",
    "ZARR.JSON", "zarr.json.", "zarr.json%20", "con", "a" * 20_000,
])  # fmt: skip
@pytest.mark.parametrize("door", ["/v/tiny/1.0.0/", "/files/tiny/1.0.0/", "/v/", "/files/tiny/"])
def test_no_path_leads_out(service, secret, door, key):
    answer = _get(service, door + key)
    status = int(answer.split()[1])
    assert status in (404, 414) or (status == 200 and key.startswith("zarr.json?")), answer[:300]
    assert b"secret" not in answer.replace(b"secret.txt", b"") and b"root:" not in answer
    assert b"\nX-Injected" not in answer


def test_an_encoded_slash_is_the_same_key(service, releases):
    expected = (releases / "tiny/1.0.0/tiny.zarr/volume/zarr.json").read_bytes()
    assert _get(service, "/v/tiny/1.0.0/volume%2Fzarr.json").endswith(expected)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1", 200), ("127.0.0.1:99", 200), ("[::1]:80", 200), ("LOCALHOST:1", 200),
     ("example.org", 421), ("127.0.0.1.example.org", 421), ("localhost.example.org", 421), ("", 421),
     ("user@localhost", 421), ('localhost"><script>', 421), ("localhost:x", 421), ("[localhost]", 421),
     ("2130706433", 421), ("localhost, example.org", 421)],
)  # fmt: skip
def test_only_known_names_are_answered(service, host, status):
    for path in ("/", "/v/tiny/1.0.0/zarr.json", "/healthz"):
        assert int(_get(service, path, host=host).split()[1]) == status


def test_names_can_be_allowed(service):
    assert b" 200 " in _get(service, "/", host="data.example.org:8080")[:20]
    assert b" 421 " in _get(service, "/", host="other.example.org")[:20]


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [("POST / HTTP/1.1", [], 405), ("PUT /v/tiny/1.0.0/zarr.json HTTP/1.1", [], 405), ("DELETE / HTTP/1.1", [], 405),
     ("BREW / HTTP/1.1", [], 405), ("OPTIONS / HTTP/1.1", [], 405), ("GET / HTTP/1.1", ["Content-Length: 10"], 413),
     ("GET / HTTP/1.1", ["Transfer-Encoding: chunked"], 413), ("GET / HTTP/1.1", ["Host: localhost"], 400),
     (f"GET /?{'x' * 9000} HTTP/1.1", [], 414), ("nonsense", [], 400),
     ("GET / HTTP/1.1", ["X: " + "y" * 60_000], 431), (f"GET /{'x' * 60_000} HTTP/1.1", [], 404),
     ("GET / HTTP/1.1", [f"X-{k}: {'y' * 100}" for k in range(600)], 431),
     ("GET / HTTP/1.1", ["Content-Length: -1"], 400),
     ("GET / HTTP/1.1", ["Upgrade: websocket", "Connection: Upgrade"], 200)],
)  # fmt: skip
def test_what_is_no_plain_request_is_refused(service, request_line, headers, status):
    head = "\r\n".join([request_line, "Host: localhost", "Connection: close", *headers])
    answer = _sent(service, head.encode() + b"\r\n\r\n")
    # 400: it came in several pieces, and the first one was too long already.
    assert int(answer.split()[1]) in (status, 400 if len(head) > 50_000 else status), answer[:200]


def test_every_answer_is_guarded(service):
    for path in ("/", "/d/tiny/1.0.0", "/v/tiny/1.0.0/zarr.json", "/no", "/files/tiny/1.0.0/README.md"):
        with httpx.Client() as client:
            headers = client.get(service.url + path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "object-src 'none'; base-uri 'none'" in headers["Content-Security-Policy"]
        assert "server" not in headers


@pytest.fixture(scope="module")
def impatient(releases, tmp_path_factory):
    log = tmp_path_factory.mktemp("impatient") / "log"
    with served(releases, log, settings=f"patience_s={PATIENCE_S}, connections=80") as running:
        yield running


def test_slow_senders_are_cut_off_and_others_are_served(impatient):
    slow = [_connect(impatient) for _ in range(50)]
    start = time.monotonic()
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    with httpx.Client(base_url=impatient.url) as client:
        assert client.get("/healthz").status_code == 200
    closed = set()
    while len(closed) < len(slow) and time.monotonic() - start < 10 * PATIENCE_S:
        for k, connection in enumerate(slow):
            try:
                connection.sendall(b"y")
                connection.settimeout(0.01)
                if connection.recv(100) == b"":
                    closed.add(k)
            except TimeoutError:
                pass
            except OSError:
                closed.add(k)
    assert len(closed) == len(slow)
    for connection in slow:
        connection.close()


def test_slow_readers_are_cut_off(impatient, releases):
    """Nobody reads what they ask for: the service gives up, and holds neither handle nor connection."""
    store = releases / "blocks/2.0.0/blocks.zarr"
    key = max(read_manifest(store).items(), key=lambda entry: entry[1].size)[0]
    process = psutil.Process(impatient.process.pid)
    before = process.num_fds()
    slow = []
    for _ in range(20):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        host, port = impatient.url.removeprefix("http://").split(":")
        connection.connect((host, int(port)))
        request = f"GET /v/blocks/2.0.0/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        connection.sendall(request * 40)  # 40 times 165 kB: more than the kernel buffers
        slow.append(connection)
    deadline = time.monotonic() + 10 * PATIENCE_S
    time.sleep(PATIENCE_S / 2)
    assert process.num_fds() > before
    while process.num_fds() > before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert process.num_fds() <= before
    for connection in slow:
        connection.close()


def test_a_slow_reader_that_never_stops_gets_it_all(impatient, releases):
    """At a rate at which the system's own buffers would take longer than the patience to drain."""
    store = releases / "blocks/2.0.0/blocks.zarr"
    key, record = max(read_manifest(store).items(), key=lambda entry: entry[1].size)
    times = 40  # requests, whose answers together are more than the system holds
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        host, port = impatient.url.removeprefix("http://").split(":")
        connection.connect((host, int(port)))
        connection.sendall(f"GET /v/blocks/2.0.0/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * times)
        got, end = 0, time.monotonic() + 2 * PATIENCE_S
        while got < times * record.size:
            got += len(part := connection.recv(16 << 10))
            assert part, f"closed after {got} of {times * record.size} bytes"
            time.sleep(0.05 if time.monotonic() < end else 0.0)


def test_too_many_connections_get_503(impatient):
    idle = [_connect(impatient) for _ in range(90)]
    try:
        assert b" 503 " in _get(impatient, "/")[:20]
    finally:
        for connection in idle:
            connection.close()
    time.sleep(0.5)
    assert b" 200 " in _get(impatient, "/")[:20]


def test_clients_that_leave_in_the_middle_do_no_harm(service, releases):
    store = releases / "blocks/2.0.0/blocks.zarr"
    key = max(read_manifest(store).items(), key=lambda entry: entry[1].size)[0]
    process = psutil.Process(service.process.pid)
    before = process.num_fds()
    for _ in range(50):
        with _connect(service) as connection:
            connection.sendall(f"GET /v/blocks/2.0.0/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            connection.recv(100)
    deadline = time.monotonic() + 10
    while process.num_fds() > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.num_fds() <= before
    assert "Traceback" not in service.log.read_text()


def crowd_of_readers(service, store, dataset):
    """200 clients read 10 parts each at once: how many are wrong, the times, and the most memory of the service."""
    files = {name: (store / name).read_bytes() for name, r in read_manifest(store).items() if r.size > 100}
    process = psutil.Process(service.process.pid)

    async def read(client, rng, times):
        wrong = 0
        for _ in range(READS):
            name = rng.choice(sorted(files))
            start = rng.randrange(len(files[name]))
            stop = rng.randrange(start, len(files[name])) + 1
            began = time.perf_counter()
            headers = {"Range": f"bytes={start}-{stop - 1}"}
            async with client.get(f"{service.url}/v/{dataset}/{name}", headers=headers) as answer:
                wrong += answer.status != 206 or await answer.read() != files[name][start:stop]
            times.append(time.perf_counter() - began)
        return wrong

    async def crowd():
        times, most = [], []
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=READERS)) as client:
            reading = asyncio.gather(*(read(client, random.Random(k), times) for k in range(READERS)))
            while not reading.done():
                most.append(process.memory_info().rss)
                await asyncio.sleep(0.1)
            return sum(await reading), times, max(most)

    return asyncio.run(crowd())


def test_a_crowd_of_readers(service, releases):
    """No wrong byte, p99 under 3 s, the service under 400 MB."""
    wrong, times, memory = crowd_of_readers(service, releases / "blocks/2.0.0/blocks.zarr", "blocks/2.0.0")
    p99 = statistics.quantiles(times, n=100)[-1]
    print(f"\n{READERS} readers x {READS}: {wrong} wrong, p99 {p99:.2f} s, memory {memory / 1e6:.0f} MB")
    assert len(times) == READERS * READS
    assert wrong == 0
    assert p99 < 3.0
    assert memory < 400e6


def test_the_log_holds_no_control_characters(service):
    _get(service, "/%0a%0dGET%20/fake", "X: y")
    assert re.search(r"GET /%0a%0dGET%20/fake 404", service.log.read_text())
    assert hashlib.sha256(b"").hexdigest() not in service.log.read_text()
