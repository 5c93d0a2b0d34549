"""Without the packages that only some uses need: one line that names the extra, before any work."""

import subprocess
import sys

import pytest
import yaml

from nmcdist import extras
from nmcdist.errors import MissingPackageError
from tests.conftest import TINY

BLOCKED = """\
import sys
class Missing:
    names = sys.argv.pop(1).split(",")
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
QUEUE = {"kind": "slurm", "workers": 1, "memory_per_worker": "1GiB", "walltime": "1:00:00"}
PODS = {
    "kind": "kubernetes", "workers": 1, "memory_per_worker": "1GiB", "image": "i", "volume_claim": "v",
    "mount_folder": "/m",
}  # fmt: skip


def without(packages, code, *arguments, cwd=None):
    command = [sys.executable, "-c", BLOCKED + code, packages, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def cli_without(packages, *arguments, cwd=None):
    code = "sys.argv[0] = 'nmcdist'\nfrom nmcdist.cli import main\nmain()\n"
    return without(packages, code, *arguments, cwd=cwd)


@pytest.mark.parametrize(
    ("packages", "arguments", "line"),
    [("matplotlib", ["report", "STORE", "--out", "r"], "a report needs matplotlib: pip install 'nmcdist[report]'"),
     ("pyvista", ["report", "STORE", "--out", "r"], "a report needs pyvista: pip install 'nmcdist[report]'"),
     ("matplotlib,pyvista", ["report", "STORE", "--out", "r"], "a report needs matplotlib and pyvista: pip install "
      "'nmcdist[report]'"),
     ("torch", ["calibrate", "grains", ".", "--out", "r"], "the calibration of grains needs torch: pip install "
      "'nmcdist[calibration]'"),
     ("matplotlib", ["calibrate", "grains", ".", "--out", "r"], "the report of a calibration needs matplotlib: pip "
      "install 'nmcdist[report]'"),
     ("dask_jobqueue", ["run", "RECIPE", "--cluster", "queue.yaml", "--out", "r"], "kind: slurm needs dask-jobqueue: "
      "pip install 'nmcdist[cluster]'"),
     ("dask_jobqueue", ["plan", "RECIPE", "--cluster", "queue.yaml"], "kind: slurm needs dask-jobqueue: pip install "
      "'nmcdist[cluster]'"),
     ("dask_kubernetes", ["run", "RECIPE", "--cluster", "pods.yaml", "--out", "r"], "kind: kubernetes needs "
      "dask-kubernetes: pip install 'nmcdist[kubernetes]'")],
)  # fmt: skip
def test_the_command_line_names_the_extra(store, tmp_path, packages, arguments, line):
    (tmp_path / "queue.yaml").write_text(yaml.safe_dump(QUEUE))
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump(PODS))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    words = {"STORE": store, "RECIPE": "recipe.yaml"}
    done = cli_without(packages, *(words.get(word, word) for word in arguments), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"nmcdist: error: {line}\n")
    assert not (tmp_path / "r").exists()


def test_vtu_without_meshio(made_particles, tmp_path):
    export = ["export", made_particles / "small.zarr", "--item", "0", "--format", "vtu", "--out", tmp_path / "a.vtu"]
    done = cli_without("meshio", *export)
    assert (done.returncode, done.stderr) == (
        2, "nmcdist: error: format vtu needs meshio: pip install 'nmcdist[export]'\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("package", "code", "extra"),
    [("matplotlib", "from nmcdist.products.stores import build_report\nbuild_report('x.zarr')", "report"),
     ("torch", "import nmcdist.calibration.grains.calibrate", "calibration"),
     ("torch", "from nmcdist.calibration.grains import networks", "calibration"),
     ("torch", "from nmcdist.calibration.grains import soft", "calibration")],
)  # fmt: skip
def test_python_names_the_extra(package, code, extra):
    done = without(package, code)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("nmcdist.errors.MissingPackageError: ")
    assert last.endswith(f"needs {package}: pip install 'nmcdist[{extra}]'")


def test_every_extra_is_one_of_the_package():
    import tomllib
    from pathlib import Path

    content = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    known = content["project"]["optional-dependencies"]
    for extra, packages in extras.EXTRAS.items():
        named = " ".join(known[extra])
        assert all(extras.package_of(package) in named for package in packages)


def test_the_error_is_what_a_caller_would_expect():
    with pytest.raises(ImportError):
        raise MissingPackageError("x")
    assert extras.of_import(ImportError("no", name="json.tool")) is None
