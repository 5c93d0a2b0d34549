"""Releases of tiny stores, and a service that runs in a process of its own."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from nmcdist import extras
from nmcdist.releases import publish
from tests.conftest import make, recipe_with

ROOT = Path(__file__).parents[2]
CHUNK = 64
TITLE = "Tiny <sweep> & \"more\" </title><script>alert('1')</script>"


@dataclass(frozen=True)
class Served:
    """A running service: its address, its process, and the file with its log."""

    url: str
    process: subprocess.Popen
    log: Path

    def requests(self):
        """What the service has answered: method, target, status and bytes."""
        found = re.findall(r"INFO: (GET|HEAD) (\S+) (\d+) (\d+) bytes", self.log.read_text())
        return [(method, target, int(status), int(size)) for method, target, status, size in found]


@contextlib.contextmanager
def served(catalog, log, *options, settings=""):
    """Run `nmcdist serve`, or the service with other settings; the block runs once it listens."""
    if settings:
        start = (
            "from nmcdist.log import log_to_stderr; from nmcdist.service.serve import serve\n"
            "from nmcdist.service.settings import Settings\nimport sys\nlog_to_stderr(1)\n"
            "def note(line): print(line, file=sys.stderr, flush=True)\n"
            f"serve({str(catalog)!r}, Settings(port=0, {settings}), note)"
        )
        command = [sys.executable, "-c", start]
    else:
        command = [sys.executable, "-m", "nmcdist.cli", "-v", "serve", str(catalog), "--port", "0", *options]
    # A cache of its own: what an earlier program drew would hide what this one draws.
    environment = {"NMCDIST_CACHE": str(log.with_name(f"{log.name}-cache")), **os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("w") as stream:
        process = subprocess.Popen(command, stderr=stream, stdout=stream, env=environment)
    try:
        yield Served(_address(process, log), process, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process, log):
    for _ in range(1200):
        found = re.search(r"serving \d+ releases at (http://\S+)", log.read_text())
        if found:
            return found[1]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session", autouse=True)
def _packages():
    extras.need("serve", "the tests of the service")


@pytest.fixture(scope="session")
def blocks(tmp_path_factory):
    """The store of one volume of 128^3 voxels in chunks of 64^3, all in one shard."""
    out = tmp_path_factory.mktemp("blocks")
    recipe = recipe_with(
        name="blocks", volume={"shape": [2 * CHUNK] * 3, "voxel_size_nm": 20.0},
        sweep={"graphite_fraction": [0.1]}, realisations=1, storage={"chunk": CHUNK},
        descriptors={"max_lag_nm": 100.0, "max_radius_nm": 100.0, "transport": False},
    )  # fmt: skip
    make(out, recipe=recipe)
    return out / "blocks.zarr"


@pytest.fixture(scope="session")
def releases(tmp_path_factory, made_once, made_particles, blocks):
    """A folder with releases of three datasets, one of them in two versions; read-only."""
    root = tmp_path_factory.mktemp("releases")
    release(made_once / "tiny.zarr", root, "tiny", "1.0.0")
    release(made_once / "tiny.zarr", root, "tiny", "1.10.0", title=TITLE, papers=["10.1000/a(b)"])
    release(made_particles / "small.zarr", root, "small", "0.9.0-rc.1+b")
    release(blocks, root, "blocks", "2.0.0")
    return root


@pytest.fixture(scope="session")
def one_release(tmp_path_factory, made_once):
    root = tmp_path_factory.mktemp("one") / "releases"
    release(made_once / "tiny.zarr", root, "tiny", "1.0.0")
    return root


@pytest.fixture
def own_releases(one_release, tmp_path):
    """A folder with one release, which the test may harm."""
    return Path(shutil.copytree(one_release, tmp_path / "own"))


@pytest.fixture(scope="session")
def service(releases, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "log.txt"
    with served(releases, log, "--allow-host", "data.example.org") as running:
        yield running


@pytest.fixture(scope="module")
def client(service):
    """A client of the service that all tests share."""
    with httpx.Client(base_url=service.url, timeout=60) as client:  # its renderers warm up first
        yield client


def release(store, root, name, version, **metadata):
    """Publish a copy of a store, since files of releases become read-only."""
    copied = root.with_name(f"{root.name}-sources") / f"{name}-{version}" / store.name
    shutil.copytree(store, copied)
    written = {"license": "CC-BY-4.0", "creators": [{"name": "Doe, J", "affiliation": "<b>Lab</b>"}], **metadata}
    publish(copied, name, version, written, out=root)


def virtual_release(content, root, name, version):
    """Publish a recipe as a release whose chunks are computed when they are read."""
    recipe = root.with_name(f"{root.name}-sources") / f"{name}.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(yaml.safe_dump(content))
    publish(recipe, name, version, {"license": "CC-BY-4.0", "creators": [{"name": "Doe, J"}]}, out=root, virtual=True)
