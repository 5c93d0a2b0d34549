"""Where compiled kernels are kept: also in a read-only installation without a home, and never where others write."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import nmcdist
from nmcdist import kernels

PACKAGE = Path(nmcdist.__file__).parent
NOBODY = 65534
KERNEL = "from nmcdist.geometry.union_find import root; import numpy as np; assert root(np.arange(3), 2) == 2\n"
TELL = "import os; folder = os.environ['NUMBA_CACHE_DIR']; print(folder, oct(os.stat(folder).st_mode)[-3:])\n"


@pytest.fixture
def read_only():
    """A copy of the package that another user can read and nobody but root can write."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to become a user without rights")
    # Not in pytest's own folder, which every session of pytest closes to others when it starts.
    with tempfile.TemporaryDirectory(prefix="nmcdist-test-") as folder:
        Path(folder).chmod(0o755)
        site = Path(folder, "site")
        shutil.copytree(PACKAGE, site / "nmcdist", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (site, *site.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield site
        for path in (site, *site.rglob("*")):
            path.chmod(0o755)


def as_nobody(site, code, *, cwd="/", **environment):
    become = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return subprocess.run(
        [*become, sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=300, check=False, cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site), **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    "environment", [{}, {"HOME": "/nonexistent"}, {"HOME": "/proc/1", "NUMBA_CACHE_DIR": "/proc/x"}]
)
def test_without_a_place_of_its_own_a_private_folder_takes_the_kernels_until_the_end(read_only, environment):
    done = as_nobody(read_only, KERNEL + TELL, **environment)
    assert done.returncode == 0, done.stderr
    folder, mode = done.stdout.split()
    assert Path(folder).name.startswith("nmcdist-kernels-")
    assert mode == "700"
    assert not Path(folder).exists()


def test_numba_that_was_imported_before_gets_the_folder_too(read_only):
    done = as_nobody(read_only, "import numba\n" + KERNEL + TELL)
    assert done.returncode == 0, done.stderr
    assert "nmcdist-kernels-" in done.stdout


def test_a_folder_that_the_user_names_is_taken(read_only):
    own = read_only.parent / "own"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    done = as_nobody(read_only, KERNEL + TELL, NUMBA_CACHE_DIR=str(own))
    assert done.stdout.split()[0] == str(own)
    assert list(own.rglob("*.nbi"))


def test_workers_use_the_drivers_folder_and_nothing_is_left(tmp_path):
    (tmp_path / "script.py").write_text(
        "import os\nfrom pathlib import Path\nfrom nmcdist import kernels\n"
        "from nmcdist.clusters.resources import Resources\nfrom nmcdist.clusters.connect import connected\n"
        "from nmcdist.clusters.deployment import Deployment\n"
        "if __name__ == '__main__':\n"
        "    kernels._is_beside_the_package, kernels._user_cache = lambda: False, lambda: Path('/dev/null/x')\n"
        "    kernels.ensure_cache()\n"
        "    with connected(Deployment(workers=1, dashboard=False), Resources(1, 1, 2**29, None)) as client:\n"
        "        used = client.submit(os.getenv, 'NUMBA_CACHE_DIR').result(timeout=60)\n"
        "    assert os.path.isdir(used)\n"  # its end removed nothing
        "    print(os.environ['NUMBA_CACHE_DIR'] == used, used)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same, folder = done.stdout.split()
    assert same == "True"
    assert not Path(folder).exists()


def test_a_folder_that_others_may_have_made_is_never_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(kernels, "_is_beside_the_package", lambda: False)
    monkeypatch.setattr(kernels, "_user_cache", lambda: Path("/dev/null/x"))
    monkeypatch.setattr(kernels.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "numba", type("numba", (), {"config": type("config", (), {})}))
    made = []
    for _ in range(2):
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
        kernels.ensure_cache()
        made.append(Path(os.environ["NUMBA_CACHE_DIR"]))
    assert made[0] != made[1]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o700}


@pytest.mark.parametrize("where", ["beside", "home", "own"])
def test_where_numba_finds_a_place_it_is_left_alone(monkeypatch, tmp_path, where):
    monkeypatch.setattr(kernels, "_is_beside_the_package", lambda: where == "beside")
    monkeypatch.setattr(kernels, "_user_cache", lambda: tmp_path / "a/b" if where == "home" else Path("/dev/null/x"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "c") if where == "own" else "")
    before = dict(os.environ)
    kernels.ensure_cache()
    assert dict(os.environ) == before


class Clock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(kernels.time, "monotonic", lambda: self.now)


def test_compilation_is_said_once_and_only_if_it_lasts(monkeypatch):
    clock, said = Clock(monkeypatch), []
    notice = kernels.CompileNotice(said.append)
    for seconds in (1.0, 0.9):
        notice.started()
        clock.now += seconds
        notice.ended()
        clock.now += 100.0  # other work
    assert said == []
    notice.started()
    notice.started()  # a kernel that the first one calls
    clock.now += 0.5
    notice.ended()
    assert len(said) == 1
    assert "compiling kernels for this machine" in said[0]
    clock.now += 10.0
    notice.ended()
    notice.started()
    assert len(said) == 1


def test_who_cannot_keep_kernels_is_told_how(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/tmp/nmcdist-kernels-x")
    assert "set NUMBA_CACHE_DIR to a folder of your own" in kernels._notice()
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/mine")
    assert kernels._notice().endswith("they are cached for the next run")


def test_numba_tells_the_notice_what_it_compiles(tmp_path):
    code = (
        "from nmcdist import kernels\nsaid = []\nkernels._SAID_AFTER_S = 0.0\nkernels.notice.say = said.append\n"
        + KERNEL + "assert len(said) == 1, said\n" + KERNEL
    )  # fmt: skip
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=300, check=False).returncode == 0
    warm = code.replace("len(said) == 1", "not said")
    assert subprocess.run([sys.executable, "-c", warm], env=environment, timeout=300, check=False).returncode == 0
