"""Stores made as other machines would make them hold the same bytes, manifest included.

A setting plays another CPU model or another C library by environment variables: the kernels that OpenBLAS chooses,
the instructions that NumPy and numba use, and a mathematical library whose results are all off by their last digit.
"""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1]
RECIPES = ("particles", "additive")
AT_ONCE = 2
RUN = ("-m", "nmcdist.cli", "run")
NO_WORKERS = ("--workers", "0", "--threads", "1")


@dataclass(frozen=True)
class Setting:
    """Another machine.

    Attributes
    ----------
    variables : dict of str
        Environment of a process that plays it.
    needs : set of str
        Instructions that this CPU must have for it.
    """

    variables: dict[str, str]
    needs: frozenset[str] = frozenset()


def _numpy_features() -> str:
    """Return the instructions beyond AVX2 that this NumPy would use where the CPU has them."""
    return " ".join(f for f in np._core._multiarray_umath.__cpu_dispatch__ if f.startswith(("AVX512", "X86_V4")))


AVX2 = frozenset({"avx2", "fma", "bmi1", "bmi2", "popcnt"})
HASWELL = "+avx2,+fma,+avx,+sse4.2,+popcnt,+bmi,+bmi2,+lzcnt"
OPENBLAS = {"OPENBLAS_CORETYPE": "Haswell"}
NUMPY = {"NPY_DISABLE_CPU_FEATURES": _numpy_features()}
SETTINGS = {
    "here": Setting({}),
    "openblas-haswell": Setting(OPENBLAS, AVX2),
    "openblas-prescott": Setting({"OPENBLAS_CORETYPE": "Prescott"}, frozenset({"pni"})),
    "numpy-avx2": Setting(NUMPY),
    "numba-generic": Setting({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}),
    "laptop": Setting({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": HASWELL, **OPENBLAS, **NUMPY}, AVX2),
    "other-libm": Setting({"LD_PRELOAD": "other_libm.so"}),
}
RARE = {"openblas-prescott", "openblas-haswell", "numpy-avx2"}  # the laptop has the last two together
OTHERS = [
    pytest.param(name, marks=pytest.mark.slow if name in RARE else ()) for name in SETTINGS if name != "here"
]  # fmt: skip


def _instructions() -> set[str]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    return set()


class Machines:
    """Makes the stores and the values of each machine, one after another, in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pool = ThreadPoolExecutor(AT_ONCE)
        self.begun: dict[str, Future[str]] = {}

    def environment(self, name: str) -> dict[str, str]:
        """Return the variables that play a machine, or skip the test where this one cannot."""
        setting = SETTINGS[name]
        if missing := setting.needs - _instructions():
            pytest.skip(f"this CPU has no {', '.join(sorted(missing))}")
        variables = {**setting.variables, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
        if "LD_PRELOAD" in variables:
            variables["LD_PRELOAD"] = str(self._library())
        # Kernels for another CPU would be found again only by the same setting.
        if "NUMBA_CPU_NAME" in variables:
            variables["NUMBA_CACHE_DIR"] = str(self.folder / f"kernels-{name}")
        return {**os.environ, **variables}

    def _library(self) -> Path:
        library = self.folder / "other_libm.so"
        if not library.exists():
            if platform.system() != "Linux" or shutil.which("gcc") is None:
                assert not os.environ.get("NMCDIST_REQUIRE_GCC"), "gcc is not installed"
                pytest.skip("needs gcc on Linux")
            command = ["gcc", "-O2", "-shared", "-fPIC", "-fno-builtin", "-o", library, HERE / "other_libm.c"]
            subprocess.run([*command, "-ldl", "-lm"], check=True)
        return library

    def begin(self, name: str) -> Future[str]:
        """Begin the stores of a machine, whose result is what it prints of its values."""
        if name not in self.begun:
            self.begun[name] = self.pool.submit(self._make, self.folder / name, self.environment(name))
        return self.begun[name]

    @staticmethod
    def _make(out: Path, environment: dict[str, str]) -> str:
        for recipe in RECIPES:
            run([*RUN, HERE / f"{recipe}.yaml", "--out", out, *NO_WORKERS], environment)
        return run([HERE / "values.py"], environment)

    def store(self, name: str, recipe: str) -> Path:
        """Return a store as a machine makes it."""
        self.begin(name).result()
        return self.folder / name / f"{recipe}.zarr"


def run(arguments: list[object], environment: dict[str, str]) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def machines(tmp_path_factory, request):
    """Begin everything that the chosen tests compare, so that two processes are always busy."""
    made = Machines(tmp_path_factory.mktemp("same-bytes"))
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    for name in ("here", *sorted(SETTINGS.keys() & asked)):
        with contextlib.suppress(pytest.skip.Exception):
            made.begin(name)
    yield made
    made.pool.shutdown(cancel_futures=True)


def differing(store: Path, other: Path) -> list[str]:
    """Return the files that two stores do not have in common."""
    files = {p.relative_to(folder).as_posix() for folder in (store, other) for p in folder.rglob("*") if p.is_file()}
    assert "manifest.json" in files

    def content(path: Path) -> bytes | None:
        return path.read_bytes() if path.is_file() else None

    return sorted(name for name in files if content(store / name) != content(other / name))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_stores_are_the_same_on_another_machine(machines, name, recipe):
    machines.environment(name)
    assert differing(machines.store("here", recipe), machines.store(name, recipe)) == []


@pytest.mark.parametrize("name", OTHERS)
def test_many_values_of_every_kind_are_the_same_on_another_machine(machines, name):
    machines.environment(name)
    here, there = (machines.begin(machine).result().splitlines() for machine in ("here", name))
    assert len(here) > 50
    assert [line.rpartition(" ")[0] for line in here if line not in there] == []


@pytest.mark.parametrize("name", ["laptop"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_that_two_machines_share_is_the_same(machines, name, recipe):
    whole, out = machines.store("here", recipe), machines.folder / "shared"
    arguments = [*RUN, HERE / f"{recipe}.yaml", "--out", out, *NO_WORKERS]
    machines.store(name, recipe)  # by now its kernels are compiled
    run([*arguments, "--partition", "1/2"], machines.environment(name))
    run([*arguments, "--partition", "2/2"], machines.environment("here"))
    run(["-m", "nmcdist.cli", "finalise", out / f"{recipe}.zarr"], machines.environment("here"))
    assert differing(whole, out / f"{recipe}.zarr") == []


@pytest.mark.parametrize("name", ["other-libm"])
def test_the_other_library_is_another(machines, name):
    """What the settings do must show where nothing guards against it."""
    program = "import math; print(math.exp(1.0), math.atan2(1.0, 2.0), 10.0 ** 0.3)"
    assert run(["-c", program], machines.environment(name)) != run(["-c", program], machines.environment("here"))
