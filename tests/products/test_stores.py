"""What is asked of a finished store goes by its kind, also of stores that do not name theirs."""

import json
import shutil

import numpy as np
import pytest

import nmcdist
from nmcdist.datasets.store import read_block
from nmcdist.errors import InputError, StoreError
from nmcdist.products.registry import kind_of_store, recipe_of_store


@pytest.fixture
def particles_out(made_particles, tmp_path):
    return shutil.copytree(made_particles, tmp_path / "particles")


def without_kind(store):
    """Make a store as versions before 0.2 left it."""
    path = store / "zarr.json"
    group = json.loads(path.read_text())
    recipe = json.loads(group["attributes"]["recipe"])
    del group["attributes"]["kind"], recipe["kind"]
    group["attributes"]["recipe"] = json.dumps(recipe)
    path.write_text(json.dumps(group))


@pytest.mark.parametrize(
    ("fixture", "name", "kind"), [("out", "tiny", "volumes"), ("particles_out", "small", "particles")]
)
def test_kind_is_known_by_the_recipe_where_the_store_does_not_say(request, fixture, name, kind):
    store = request.getfixturevalue(fixture) / f"{name}.zarr"
    assert kind_of_store(store).name == kind
    before = recipe_of_store(store)
    without_kind(store)
    assert kind_of_store(store).name == kind
    assert recipe_of_store(store) == before


def test_old_store_is_exported(out, tmp_path):
    without_kind(out / "tiny.zarr")
    path = nmcdist.export_item(out / "tiny.zarr", 1, "npy", tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(path), read_block(out / "tiny.zarr", 1))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"item": "1"}, "item: found '1', expected a whole number from 0"),
        ({"item": None}, "item: found None, expected a whole number"),
        ({"file_format": ["npy"]}, r"format: found \['npy'\], expected one of tiff, vtk"),
        ({"unit": ["nm"], "file_format": "vtk"}, r"unit: found \['nm'\], expected one of nm, um, m"),
    ],
)
def test_arguments_of_other_types_are_named(out, tmp_path, changed, complaint):
    given = {"item": 1, "file_format": "npy", **changed}
    with pytest.raises(InputError, match=complaint):
        nmcdist.export_item(out / "tiny.zarr", target=tmp_path / "a", **given)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (["volumes"], r"attribute 'kind': found \['volumes'\], expected text"),
        ({}, r"attribute 'kind': found \{\}, expected text"),
        (7, "attribute 'kind': found 7, expected text"),
        (None, "attribute 'kind': found None, expected text"),
        ("", "is of kind '', expected one of"),
        ("particles", "attribute recipe: recipe: particles: missing"),
    ],
)
def test_kind_that_is_none_or_another_than_the_recipes_is_refused(out, kind, complaint):
    path = out / "tiny.zarr/zarr.json"
    group = json.loads(path.read_text())
    group["attributes"]["kind"] = kind
    path.write_text(json.dumps(group))
    with pytest.raises(StoreError, match=complaint):
        recipe_of_store(out / "tiny.zarr")


def test_recipe_that_this_version_does_not_read_is_refused(out):
    path = out / "tiny.zarr/zarr.json"
    group = json.loads(path.read_text())
    recipe = json.loads(group["attributes"]["recipe"]) | {"colour": "red"}
    group["attributes"]["recipe"] = json.dumps(recipe)
    path.write_text(json.dumps(group))
    with pytest.raises(StoreError, match="attribute recipe: recipe: colour: unknown field"):
        recipe_of_store(out / "tiny.zarr")


def test_study_of_resolution_is_refused_for_particles(particles_out):
    with pytest.raises(InputError, match="holds particles, expected volumes"):
        nmcdist.build_report(particles_out / "small.zarr", voxel_sizes_nm=(80.0,))
