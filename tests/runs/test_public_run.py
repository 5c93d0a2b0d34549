"""nmcdist.run and nmcdist.plan: a file, its content or a recipe, where a deployment says, whole or in parts."""

import pytest
import yaml

import nmcdist
from nmcdist.clusters.deployment import Deployment
from nmcdist.errors import PlanError, RecipeError
from nmcdist.runs import finalise_store
from nmcdist.runs.progress import Silent
from tests.conftest import TINY, recipe_with, store_sha256

QUIET = {"workers": 0, "progress": Silent()}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.mark.parametrize("form", ["a file", "its content", "a recipe"])
def test_all_forms_of_a_recipe_make_the_same_store(form, path, tmp_path, made_once):
    recipe = {"a file": path, "its content": TINY, "a recipe": recipe_with()}[form]
    result = nmcdist.run(recipe, tmp_path / "out", **QUIET)
    assert (result.made, result.kept, result.failed) == (4, 0, {})
    assert result.store == tmp_path / "out/tiny.zarr"
    assert store_sha256(result.store) == store_sha256(made_once / "tiny.zarr")
    assert nmcdist.verify(result.store) == []
    assert nmcdist.run(recipe, tmp_path / "out", resume=True, **QUIET).made == 0


def test_plan_says_no_less_than_the_store_takes(path, tmp_path, made_once):
    taken = sum(file.stat().st_size for file in (made_once / "tiny.zarr").rglob("*") if file.is_file())
    assert taken <= nmcdist.plan(path, tmp_path, workers=0).stored_bytes


def test_parts_and_their_seal(path, tmp_path, made_once):
    for part in ("2/2", "1/2"):
        assert nmcdist.run(path, tmp_path / "out", partition=part, **QUIET).manifest_sha256 == ""
    assert store_sha256(finalise_store(tmp_path / "out/tiny.zarr").store) == store_sha256(made_once / "tiny.zarr")
    with pytest.raises(PlanError, match=r"partition: found '3/2', expected K/N"):
        nmcdist.run(path, tmp_path / "out", partition="3/2", **QUIET)


def test_plan_takes_a_deployment_and_what_is_given_in_its_place(path, tmp_path):
    deployment = Deployment(workers=2, threads_per_worker=3, memory_per_worker="2GiB")
    found = nmcdist.plan(path, tmp_path, cluster=deployment).resources
    assert (found.workers, found.threads, found.memory) == (2, 3, 2 * 2**30)
    found = nmcdist.plan(path, tmp_path, cluster=deployment, workers=1, memory="3GiB").resources
    assert (found.workers, found.threads, found.memory) == (1, 3, 3 * 2**30)
    assert list(tmp_path.iterdir()) == [path]


def test_faults_name_the_file_or_the_recipe(path):
    path.write_text(yaml.safe_dump({**TINY, "sweep": {"theta_per_nm": [-1.0]}}))
    with pytest.raises(RecipeError, match=rf"^{path}: sweep\.theta_per_nm: "):
        nmcdist.plan(path)
    with pytest.raises(RecipeError, match=r"^recipe: seed: found -1"):
        nmcdist.plan({**TINY, "seed": -1})
    with pytest.raises(RecipeError, match=r"^recipe: found int, expected a mapping of fields"):
        nmcdist.run(7)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": None}, "version: found None"),
        ({"name": "../evil"}, r"name: found '\.\./evil'"),
        ({"seed": -5}, "seed: found -5"),
    ],
)
def test_recipe_that_was_changed_past_its_checks_is_refused_and_nothing_is_lost(path, tmp_path, changes, complaint):
    out = tmp_path / "out"
    store = nmcdist.run(path, out, **QUIET).store
    before = store_sha256(store)
    with pytest.raises(RecipeError, match=f"^recipe: {complaint}"):
        nmcdist.run(recipe_with().model_copy(update=changes), out, resume=True, **QUIET)
    assert store_sha256(store) == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "tiny.yaml"]
