"""Virtual releases over HTTP: chunks that are computed when a client first reads them; refereed by the generators."""

import asyncio
import json
import random
import subprocess
import sys
import time
import warnings

import aiohttp
import httpx
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from obstore.store import HTTPStore

from nmcdist import generate_cba
from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.models.theory import intensity_for_graphite_fraction
from tests.service.conftest import CHUNK, served, virtual_release

BUNDLE = "cba-cathode-2025"
SIZE_NM = 20.0
FRACTIONS = (0.05, 0.15)
EACH = 500_000
WINDOWS = {
    "name": "windows", "version": "1.0.0", "title": "A million windows", "bundle": BUNDLE, "seed": 2025,
    "volume": {"shape": [2 * CHUNK, 2 * CHUNK, 150], "voxel_size_nm": SIZE_NM},
    "sweep": {"graphite_fraction": list(FRACTIONS)},
    "realisations": EACH, "descriptors": "none", "storage": {"chunk": CHUNK, "shard": "none"},
}  # fmt: skip
PARTICLES = {
    "name": "grains", "version": "1.0.0", "title": "Grains", "bundle": "small-radial", "seed": 811,
    "particles": {"count": 40, "batch": 8}, "labels": {"voxel_sizes_nm": [200.0], "chunk": 16, "shard": "none"},
}  # fmt: skip
OPENING = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import psutil, xarray, zarr, fsspec.implementations.http
import dask.array
memory, start = psutil.Process().memory_info().rss, time.perf_counter()
data = xarray.open_zarr(sys.argv[1], chunks=None)
took, grown = time.perf_counter() - start, psutil.Process().memory_info().rss - memory
print(json.dumps({"s": took, "bytes": grown, "items": data.sizes["sample"]}))
"""


@pytest.fixture(scope="module")
def virtual(tmp_path_factory, small_bundle):
    root = tmp_path_factory.mktemp("virtual") / "releases"
    virtual_release(WINDOWS, root, "windows", "1.0.0")
    bundle = save_bundle(small_bundle, root.with_name("bundles"))
    virtual_release({**PARTICLES, "bundle": str(bundle)}, root, "grains", "1.0.0")
    log = tmp_path_factory.mktemp("log") / "log"
    with served(root, log, "--cache", str(root.parent / "cache"), "--cache-limit", "200MB") as service:
        yield service


@pytest.fixture(scope="module")
def ready(virtual):
    """The service once it says that it is ready."""
    with httpx.Client(base_url=virtual.url) as client:
        assert client.get("/healthz").status_code == 200
        for _ in range(600):
            answer = client.get("/readyz")
            if answer.status_code == 200:
                return virtual
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
            time.sleep(0.5)
    raise AssertionError(answer.text)


def drawn(item, place):
    """A chunk by its item and its place in the grid, from the generator."""
    bundle = load_bundle(BUNDLE)
    fraction = FRACTIONS[item // EACH]
    bundle = bundle.with_parameters(lambda_X_per_nm3=intensity_for_graphite_fraction(bundle.cba(), fraction))
    origin = [k * CHUNK for k in place]
    shape = tuple(min(CHUNK, n - o) for n, o in zip((2 * CHUNK, 2 * CHUNK, 150), origin, strict=True))
    return generate_cba(bundle, shape, SIZE_NM, seed=2025, index=item % EACH, origin=tuple(origin))


def test_a_million_items_open_quickly(ready):
    done = subprocess.run(
        [sys.executable, "-c", OPENING, f"{ready.url}/v/windows/1.0.0"], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    print(f"\nopened {said['items']} items in {said['s']:.2f} s and {said['bytes'] / 1e6:.0f} MB")
    assert said["items"] == 2 * EACH
    assert said["s"] < 2.0
    assert said["bytes"] < 150e6


def test_strangers_read_what_the_generator_draws(ready):
    url = f"{ready.url}/v/windows/1.0.0"
    http = zarr.storage.ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)
    for store, item in ((url, 7), (http, 999_999)):
        data = xr.open_zarr(store, chunks=None)
        found = data.volume[item, CHUNK : 2 * CHUNK, :CHUNK, 2 * CHUNK :].values
        np.testing.assert_array_equal(found, drawn(item, (1, 0, 2)))


def test_a_chunk_has_a_tag_before_it_is_made(ready):
    path = "/v/windows/1.0.0/volume/c/123456/1/1/0"
    with httpx.Client(base_url=ready.url) as client:
        start = time.perf_counter()
        head = client.head(path)
        assert time.perf_counter() - start < 0.5
        assert head.status_code == 200
        assert client.get(path, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
        first = client.get(path)
        again = client.get(path)
        part = client.get(path, headers={"Range": "bytes=5-20"})
    assert first.headers["ETag"] == head.headers["ETag"]
    assert first.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert again.content == first.content
    assert (part.status_code, part.content) == (206, first.content[5:21])
    values = np.frombuffer(numcodecs.Zstd().decode(first.content), np.uint8).reshape([CHUNK] * 3)
    np.testing.assert_array_equal(values, drawn(123456, (1, 1, 0)))


@pytest.mark.parametrize(
    "key",
    ["volume/c/1000000/0/0/0", "volume/c/0/2/0/0", "volume/c/-1/0/0/0", "volume/c/0/0/0", "volume/c/0/0/0/0/0",
     "volume/c/00/0/0/0", "volume/c/1e3/0/0/0", "volume/c/0/0/0/0/", "volume/c/\u0661/0/0/0", "other/c/0",
     "../windows.zarr/zarr.json", f"volume/c/{'9' * 500}/0/0/0"],
)  # fmt: skip
def test_what_the_layout_has_not_is_404(ready, key):
    assert httpx.get(f"{ready.url}/v/windows/1.0.0/{key}").status_code == 404


def test_the_catalogs_open_it_without_dask(ready):
    import intake

    data = intake.open_catalog(f"{ready.url}/catalog.yaml")["windows"].to_dask()
    assert data.volume.chunks is None
    assert data.volume[3, :4, :4, :4].values.shape == (4, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = intake.open_catalog(f"{ready.url}/catalog-v1.yaml")["windows"].to_dask()
    assert data.volume.chunks is None
    assert data.volume[3, :4, :4, :4].values.shape == (4, 4, 4)
    line = httpx.get(f"{ready.url}/api/datasets/windows/1.0.0").json()["open"]
    assert line == f'xarray.open_zarr("{ready.url}/v/windows/1.0.0", chunks=None)'


def test_its_items_cannot_be_queried_and_that_is_said(ready):
    answer = httpx.get(f"{ready.url}/api/datasets/windows/1.0.0/items")
    assert answer.status_code == 404
    assert "computed when it is read" in answer.json()["detail"]


def test_particles(ready, small_bundle):
    from nmcdist import generate_particle

    data = xr.open_zarr(f"{ready.url}/v/grains/1.0.0", chunks=None)
    name = next(name for name in data if str(name).startswith("labels"))
    found = data[name][11].values
    expected = generate_particle(small_bundle, seed=811, index=11).voxelize(voxel_size_nm=200.0)
    np.testing.assert_array_equal(np.bincount(found.ravel())[1:], np.bincount(expected.ravel())[1:])
    np.testing.assert_array_equal(data.nmc.particle(11).voxelize(200.0), expected)


def test_many_chunks_at_once_are_right_or_declared_busy(ready):
    """40 clients read 5 random chunks each: every answer is the right chunk, or 503 with the time to wait."""

    async def read(client, rng):
        right = busy = 0
        for _ in range(5):
            item, place = rng.randrange(2 * EACH), [rng.randrange(2), rng.randrange(2), rng.randrange(3)]
            key = "/".join(map(str, (item, *place)))
            async with client.get(f"{ready.url}/v/windows/1.0.0/volume/c/{key}") as answer:
                body = await answer.read()
            if answer.status == 503:
                busy += bool(answer.headers["Retry-After"])
                continue
            assert answer.status == 200
            right += item % 5 != 0 or _is(body, drawn(item, place))
        return right, busy

    async def crowd():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=40)) as client:
            return await asyncio.gather(*(read(client, random.Random(k)) for k in range(40)))

    counts = np.array(asyncio.run(crowd()))
    print(f"\n{counts[:, 0].sum()} right, {counts[:, 1].sum()} busy")
    assert counts.sum() == 200
    assert counts[:, 0].sum() > 100


def test_what_takes_too_long_is_declared_busy(virtual, tmp_path):
    catalog = virtual.process.args[virtual.process.args.index("serve") + 1]
    with served(catalog, tmp_path / "log", settings="deadline_s=0.001") as hasty:
        answer = httpx.get(f"{hasty.url}/v/windows/1.0.0/volume/c/55/0/0/0")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["detail"].startswith("busy: no answer in time")
        assert "Traceback" not in hasty.log.read_text()


def _is(body, chunk):
    values = np.frombuffer(numcodecs.Zstd().decode(body), np.uint8).reshape([CHUNK] * 3)
    return bool((values[tuple(slice(0, n) for n in chunk.shape)] == chunk).all())
