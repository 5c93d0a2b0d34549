"""The scripts of the page: built from web/ to the same bytes, small, and sent by name."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nmcdist.service.pages.static import FOLDER, TYPES

WEB = Path(__file__).parents[2] / "web"
MOST = 250_000  # bytes of all scripts, compressed


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of web/ with the packages that its lock names."""
    required = os.environ.get("NMCDIST_REQUIRE_NODE")
    if not (shutil.which("node") and shutil.which("npm")):
        assert not required, "node and npm are not installed"
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("web") / "web"
    shutil.copytree(WEB, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        assert not required, done.stderr
        pytest.skip(f"npm cannot install what builds the page: {done.stderr[-200:]}")
    return folder


def test_the_scripts_are_those_of_the_sources(sources, tmp_path):
    subprocess.run(["npm", "run", "--silent", "build", "--", tmp_path], cwd=sources, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(TYPES)
    for name in TYPES:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"{name}: run make page"


def test_the_types_of_the_sources_agree(sources):
    done = subprocess.run(["npm", "run", "--silent", "check"], cwd=sources, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_scripts_are_small_and_say_whose_work_they_hold():
    scripts = [path.read_bytes() for path in FOLDER.glob("*.js")]
    assert len(scripts) == 3
    assert sum(len(gzip.compress(script)) for script in scripts) <= MOST
    assert "three" in (FOLDER / "THIRD_PARTY.txt").read_text()
    assert "MIT License" in (FOLDER / "THIRD_PARTY.txt").read_text()


@pytest.mark.parametrize("name", TYPES)
def test_a_script_is_sent_compressed_and_only_once(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["Content-Type"].startswith(TYPES[name])
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = client.get(f"/static/{name}", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == answer.content
    assert plain.headers["ETag"] != answer.headers["ETag"]
    assert "Content-Encoding" not in client.get(f"/static/{name}", headers={"Accept-Encoding": "gzip;q=0"}).headers


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fpages%2Fstatic.py", "%2Fetc%2Fpasswd", ""])
def test_no_other_file_is_sent(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 404
    assert "detail" in answer.json()
