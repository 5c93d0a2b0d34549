"""Tiny datasets that many tests start from: made once, copied for each test."""

import hashlib
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmcdist.bundle import ArrayRecord, Bundle, ParticleParameters, load_bundle, save_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.volumes import kind as volume_kind
from nmcdist.products.volumes.additive_recipe import AdditiveRecipe
from nmcdist.runs.progress import Silent
from nmcdist.runs.run import run_recipe

BUNDLE = "cba-cathode-2025"
TINY = {
    "name": "tiny",
    "version": "1.0.0",
    "title": "Tiny sweep",
    "bundle": BUNDLE,
    "seed": 2025,
    "volume": {"shape": [24, 20, 28], "voxel_size_nm": 80.0},
    "sweep": {"graphite_fraction": [0.05, 0.15]},
    "realisations": 2,
    "descriptors": {"max_lag_nm": 400.0, "max_radius_nm": 400.0, "transport": True},
    "storage": {"chunk": 16},
}
SMALL = {
    "name": "small",
    "version": "1.0.0",
    "title": "Small particles",
    "bundle": "small-radial",
    "seed": 811,
    "particles": {"count": 5, "batch": 2},
    "descriptors": {"voxel_size_nm": 100.0, "cut_heights": [0.0, 0.5]},
    "labels": {"voxel_sizes_nm": [200.0, 100.0], "chunk": 16},
    "orientations": {"concentration": -5.0},
}
NET_VALUES = {
    "length_unit_nm": (50.0, "nm"),
    "diagonal_low": (1.0, "1"),
    "diagonal_high": (10.0, "1"),
    "offset_low": (0.0, "length_unit^2"),
    "offset_high": (50.0, "length_unit^2"),
}
HERE = Deployment(workers=0, threads_per_worker=1)


class StopsAfter(Silent):
    """Plays Ctrl-C after some tasks."""

    def __init__(self, tasks):
        self.tasks = tasks

    def advance(self, done):
        if done == self.tasks:
            raise KeyboardInterrupt


@pytest.fixture
def tasks_made(monkeypatch):
    """Items of the tasks that make volumes, in order; the last one is under way."""
    items, make_volume = [], volume_kind.make_volume

    def recording(model, job, bundle, task, seconds):
        items.append(task.sample)
        return make_volume(model, job, bundle, task, seconds)

    monkeypatch.setattr(volume_kind, "make_volume", recording)
    return items


def recipe_with(**changes) -> AdditiveRecipe:
    recipe = parsed_recipe({**TINY, **changes}, "tiny.yaml")
    assert isinstance(recipe, AdditiveRecipe)
    return recipe


def make(out: Path, deployment: Deployment = HERE, recipe: AdditiveRecipe | None = None, **options):
    return run_recipe(recipe or recipe_with(), load_bundle(BUNDLE), out, deployment, **options)


def particle_recipe_with(**changes) -> ParticleRecipe:
    recipe = parsed_recipe({**SMALL, **changes}, "small.yaml")
    assert isinstance(recipe, ParticleRecipe)
    return recipe


def make_particles(out: Path, bundle: Bundle, deployment: Deployment = HERE, recipe=None, **options):
    return run_recipe(recipe or particle_recipe_with(), bundle, out, deployment, **options)


def store_sha256(store: Path) -> str:
    """One SHA-256 over the names and bytes of every file of a store."""
    digest = hashlib.sha256()
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        digest.update(path.relative_to(store).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def explains_itself(store: Path) -> None:
    """Check that plain xarray shows units and a meaning of everything in a store."""
    with xr.open_zarr(store) as data:
        assert data.variables
        for name, variable in data.variables.items():
            for attribute in ("units", "long_name"):
                assert isinstance(variable.attrs.get(attribute), str), f"{name} has no {attribute}"
                assert variable.attrs[attribute].strip(), f"{name} has an empty {attribute}"
        for attribute in ("title", "summary", "Conventions", "source", "how_to_read"):
            assert data.attrs[attribute].strip()


def flip_a_byte(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 0x40
    path.write_bytes(bytes(content))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    out = tmp_path_factory.mktemp("made-once")
    make(out)
    return out


@pytest.fixture
def out(made_once, tmp_path):
    """A folder with the tiny dataset, its journal and its catalog; the test may harm it."""
    return Path(shutil.copytree(made_once, tmp_path / "out"))


@pytest.fixture
def store(out):
    return out / "tiny.zarr"


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory):
    """Particles of about 1 um: a few dozen grains."""
    small = load_bundle("nmc811-radial").with_parameters(shell_scale_nm=5600.0, shell_sigma=0.1)
    return load_bundle(save_bundle(small, tmp_path_factory.mktemp("bundles") / "small-radial"))


@pytest.fixture(scope="session")
def made_particles(tmp_path_factory, small_bundle):
    out = tmp_path_factory.mktemp("made-particles")
    make_particles(out, small_bundle)
    return out


def net_arrays(widths, seed=3):
    rng = np.random.default_rng(seed)
    arrays = {}
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        # Displacements are about 10 units of length: the first layer brings them to about 1.
        scale = (0.1 if k == 0 else 1.0) / np.sqrt(inputs)
        arrays[f"weight_{k}"] = (scale * rng.standard_normal((outputs, inputs))).astype(np.float32)
        arrays[f"bias_{k}"] = (0.1 * rng.standard_normal(outputs)).astype(np.float32)
    return arrays


@pytest.fixture(scope="session")
def net_bundle():
    """A bundle with a marker net of random weights: what a trained one looks like, without its training."""
    content = load_bundle("nmc811-radial").model_dump(by_alias=True)
    shared = {n: value for n, value in content["parameters"].items() if n in ParticleParameters.model_fields}
    own = {n: {"value": v, "unit": unit, "provenance": "assumed"} for n, (v, unit) in NET_VALUES.items()}
    arrays = net_arrays((60, 64, 64, 4))
    records = {name: ArrayRecord.of(array, "1", "assumed") for name, array in arrays.items()}
    changes = {"name": "net", "model": "particle-net", "parameters": {**shared, **own}, "arrays": records}
    return Bundle.model_validate({**content, **changes}).with_arrays(arrays)
