"""Real clients read releases from a running service; refereed by the files on the disk."""

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from obstore.store import HTTPStore

import nmcdist
from nmcdist.datasets import read_particle
from nmcdist.datasets.integrity import read_manifest
from nmcdist.datasets.store import read_block
from tests.service.conftest import CHUNK, served

INDEX = (2**3) * 16 + 4  # bytes of a shard's index: place and length of each chunk, and a checksum
HERE = Path(__file__).parent
STRANGER = """
import json, sys, warnings
warnings.simplefilter("error")
import xarray
data = OPEN
assert not [name for name in sys.modules if name.startswith("nmcdist")]
print(json.dumps({"sum": int(data.volume.astype("i8").sum()), "fraction": data.volume_fraction.values.tolist(),
                  "units": data.x_nm.attrs["units"], "names": sorted(map(str, data.variables))}))
"""


def fsspec_store(url):
    return url


def obstore_store(url):
    return zarr.storage.ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)


STORES = pytest.mark.parametrize("store_of", [fsspec_store, obstore_store])


@pytest.fixture(scope="module")
def local(releases):
    return xr.open_zarr(releases / "blocks/2.0.0/blocks.zarr", chunks=None).load()


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ResourceWarning)  # fsspec closes its session when Python ends
        yield


def counted(service, work):
    """What some work asks of the service: its result, the number of requests and the bytes of the answers."""
    before = len(service.requests())
    result = work()
    time.sleep(0.3)  # the log is written once an answer is sent
    asked = service.requests()[before:]
    return result, asked, sum(size for *_, size in asked)


@STORES
@pytest.mark.parametrize(("version", "kind"), [("blocks/2.0.0", "volumes"), ("small/0.9.0-rc.1+b", "particles")])
def test_opening_takes_few_requests(service, store_of, version, kind):
    """One for the metadata of the whole store, and three that look for older formats of Zarr, unless told its format.

    The dataset has every descriptor that its kind has.
    """
    url = f"{service.url}/v/{version}"
    opened, asked, size = counted(service, lambda: xr.open_zarr(store_of(url), chunks=None))
    print(f"\n{kind} with {store_of.__name__}: {len(asked)} requests, {size} bytes")
    assert opened.attrs["kind"] == kind
    assert len(opened.variables) > 25
    assert len(asked) <= 6, asked
    assert size <= (64_000 if store_of is obstore_store else 16_000)  # fsspec takes compressed metadata
    _, asked, _ = counted(service, lambda: xr.open_zarr(store_of(url), chunks=None, zarr_format=3))
    assert len(asked) == 1


@STORES
def test_a_chunk_of_a_shard_takes_two_requests(service, store_of, releases, local):
    key, _ = next(
        (name, record) for name, record in read_manifest(releases / "blocks/2.0.0/blocks.zarr").items()
        if name.startswith("volume/c/")
    )  # fmt: skip
    index = (releases / "blocks/2.0.0/blocks.zarr" / key).read_bytes()[-INDEX:-4]
    lengths = np.frombuffer(index, "<u8").reshape(-1, 2)[:, 1]
    data = xr.open_zarr(store_of(f"{service.url}/v/blocks/2.0.0"), chunks=None)
    box = {"z": slice(CHUNK, None), "y": slice(None, CHUNK), "x": slice(CHUNK, None)}
    found, asked, size = counted(service, lambda: data.volume.isel(sample=0, **box).values)
    print(f"\n{store_of.__name__}: {len(asked)} requests, {size} bytes, chunk {lengths[0b101]} and index {INDEX}")
    np.testing.assert_array_equal(found, local.volume.isel(sample=0, **box))
    assert len(asked) <= 2, asked
    assert size <= int(lengths[0b101]) + INDEX + 1000


@STORES
@pytest.mark.parametrize("version", ["2.0.0", "latest"])
def test_all_values_arrive(service, store_of, version, local):
    data = xr.open_zarr(store_of(f"{service.url}/v/blocks/{version}"))
    xr.testing.assert_identical(data.load(), local)


@STORES
def test_particles_are_read_and_plotted(service, store_of, releases):
    local = xr.open_zarr(releases / "small/0.9.0-rc.1+b/small.zarr", chunks=None).load()
    data = xr.open_zarr(store_of(f"{service.url}/v/small/0.9.0-rc.1+b"))
    shells = [name for name in local if name.startswith("shell_")]
    xr.testing.assert_identical(data[shells].load(), local[shells])
    figure = data.plot.scatter(x="shell_d_max_nm", y="shell_sphericity").figure
    np.testing.assert_array_equal(
        figure.axes[0].collections[0].get_offsets(),
        np.stack([local.shell_d_max_nm, local.shell_sphericity], axis=1),
    )
    assert figure.axes[0].get_xlabel() == "largest diameter [nm]"


def test_a_missing_chunk_is_an_error_and_no_fill_value(tmp_path, own_releases):
    store = own_releases / "tiny/1.0.0/tiny.zarr"
    chunk = next(name for name in read_manifest(store) if name.startswith("volume/c/2/"))
    os.unlink(store / chunk)  # noqa: PTH108
    with served(own_releases, tmp_path / "log") as service:
        for store_of in (fsspec_store, obstore_store):
            data = xr.open_zarr(store_of(f"{service.url}/v/tiny/1.0.0"), chunks=None)
            assert data.volume.isel(sample=1).values.size
            with pytest.raises(Exception, match=r"500|Internal"):
                _ = data.volume.isel(sample=2).values


@STORES
def test_the_accessor_reads_items_from_a_distance(service, store_of, releases):
    store = releases / "small/0.9.0-rc.1+b/small.zarr"
    data = xr.open_zarr(store_of(f"{service.url}/v/small/0.9.0-rc.1+b"), chunks=None)
    middle = float(np.median(nmcdist.query(store, columns="d_max_nm").shell_d_max_nm))
    selected = data.nmc.query(f"d_max_nm > {middle!r}")
    assert selected.nmc.items.tolist() == nmcdist.query(store, f"d_max_nm > {middle!r}").sample.values.tolist()
    last = int(selected.nmc.items[-1])
    expected = read_particle(store, last).voxelize(120.0)
    found, asked, size = counted(service, lambda: selected.nmc.particle(last))
    print(f"\n{store_of.__name__}: a particle takes {len(asked)} requests, {size} bytes")
    assert len(asked) <= 3 * 16  # a range and the index of a shard for each variable of its record
    np.testing.assert_array_equal(found.voxelize(120.0), expected)
    volumes = xr.open_zarr(store_of(f"{service.url}/v/blocks/2.0.0"), chunks=None)
    np.testing.assert_array_equal(volumes.nmc.volume(0), read_block(releases / "blocks/2.0.0/blocks.zarr", 0))


def test_a_stranger_without_this_package_needs_the_line_of_the_api_only(service, local):
    line = json.loads(_curl(f"{service.url}/api/datasets/blocks/2.0.0"))["open"]
    assert line == f'xarray.open_zarr("{service.url}/v/blocks/2.0.0")'
    said = _stranger(sys.executable, line)
    assert said["sum"] == int(local.volume.astype("i8").sum())
    assert said["fraction"] == local.volume_fraction.values.tolist()
    assert said["units"] == "nm"
    assert said["names"] == sorted(map(str, local.variables))


@pytest.mark.slow  # pip installs xarray, zarr, and fsspec with aiohttp, by which zarr reads http
def test_a_bare_environment_opens_a_release(service, local, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "bare"], check=True)
    python = str(tmp_path / "bare/bin/python")
    lock = Path(__file__).parents[2] / "requirements.lock"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(lock)]
    subprocess.run([*install, "xarray", "zarr", "fsspec", "aiohttp"], check=True)
    said = _stranger(python, f'xarray.open_zarr("{service.url}/v/blocks/2.0.0")')
    assert said["sum"] == int(local.volume.astype("i8").sum())


def test_intake_of_version_2_with_the_reader_of_this_package(service, releases):
    import intake

    catalog = intake.open_catalog(f"{service.url}/catalog.yaml")
    assert {"tiny", "tiny-1.0.0", "tiny-1.10.0", "blocks", "small"} <= set(catalog)
    data = catalog["blocks"].to_dask()
    assert data.volume.chunks is not None
    xr.testing.assert_equal(data.load(), nmcdist.open_store(releases / "blocks/2.0.0/blocks.zarr").load())
    assert catalog["tiny"].to_dask().sizes["sample"] == 4


def test_intake_of_version_1_with_intake_xarray(service, local):
    import intake

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalog = intake.open_catalog(f"{service.url}/catalog-v1.yaml")
        data = catalog["blocks-2.0.0"].to_dask()
    np.testing.assert_array_equal(data.volume.values, local.volume)
    assert {"tiny", "tiny-1.0.0", "tiny-1.10.0"} <= set(catalog)


def test_the_catalog_of_one_release_finds_its_store(service, local):
    import intake

    catalog = intake.open_catalog(f"{service.url}/files/blocks/2.0.0/intake.yaml")
    np.testing.assert_array_equal(catalog["blocks"].to_dask().volume.values, local.volume)


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """A folder with zarrita installed for node, as package-lock.json pins it."""
    required = os.environ.get("NMCDIST_REQUIRE_NODE")
    folder = tmp_path_factory.mktemp("node")
    if not (shutil.which("node") and shutil.which("npm")):
        assert not required, "node and npm are not installed"
        pytest.skip("node and npm are not installed")
    for name in ("package.json", "package-lock.json", "read.mjs"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        assert not required, done.stderr
        pytest.skip(f"npm cannot install zarrita: {done.stderr[-200:]}")
    return folder


def test_zarrita_in_javascript(service, local, node):
    command = ["node", "read.mjs", f"{service.url}/v/blocks/2.0.0", str(CHUNK)]
    said = json.loads(subprocess.run(command, cwd=node, capture_output=True, text=True, check=True).stdout)
    box = local.volume.isel(sample=0, z=slice(CHUNK, None), y=slice(0, 1), x=slice(CHUNK, None))
    assert said["shape"] == list(local.volume.shape)
    assert said["units"] == "nm"
    assert said["sum"] == int(box.astype("i8").sum())
    assert said["first"] == box.values.ravel()[:20].tolist()
    assert said["fraction"] == local.volume_fraction.values.ravel().tolist()


def _stranger(python, line):
    code = STRANGER.replace("OPEN", line)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd="/", env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _curl(url):
    return subprocess.run(["curl", "-fsS", url], capture_output=True, check=True).stdout
