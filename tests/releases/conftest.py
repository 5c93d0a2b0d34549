"""Releases of the tiny datasets: published once, copied for each test."""

import shutil
from pathlib import Path

import pytest

from nmcdist.releases import publish

METADATA = {
    "license": "CC-BY-4.0",
    "creators": [
        {"name": "Carberry, Josiah", "orcid": "0000-0002-1825-0097", "affiliation": "Brown University"},
        {"name": "The nmcdist developers"},
    ],
}


def writable(path: Path) -> Path:
    """Make a file of a frozen release writable, as someone who edits it in spite of its mode would."""
    path.parent.chmod(0o755)
    path.chmod(0o644)
    return path


@pytest.fixture(scope="session")
def published_once(made_once, tmp_path_factory):
    out = Path(shutil.copytree(made_once, tmp_path_factory.mktemp("published") / "out"))
    publish(out / "tiny.zarr", "tiny", "1.0.0", METADATA)
    return out / "releases"


@pytest.fixture
def root(published_once, tmp_path):
    """A folder of releases with one version; the test may harm it."""
    return Path(shutil.copytree(published_once, tmp_path / "releases"))


@pytest.fixture
def release(root):
    return root / "tiny" / "1.0.0"


@pytest.fixture(scope="session")
def particle_release(made_particles, tmp_path_factory):
    out = Path(shutil.copytree(made_particles, tmp_path_factory.mktemp("published-particles") / "out"))
    return publish(out / "small.zarr", "particles", "2.1.0", METADATA)
