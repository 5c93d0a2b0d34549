"""Recipes: what is wrong is named by its place, all of it at once, before anything starts."""

from pathlib import Path

import pytest

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.errors import BundleError, RecipeError
from nmcdist.models.particle import ParticleModel
from nmcdist.products.particles.recipe import ParticleRecipe
from nmcdist.products.registry import load_recipe, parsed_recipe, recipe_bundle
from nmcdist.products.volumes.additive import Additive
from tests.conftest import BUNDLE, TINY, recipe_with


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "Tiny Sweep"}, "name: found 'Tiny Sweep', expected small letters, digits and hyphens"),
        ({"name": "ümlaut"}, "name: found 'ümlaut', expected small letters, digits and hyphens"),
        ({"name": "tiny\n"}, r"name: found 'tiny\\n', expected small letters, digits and hyphens"),
        ({"version": 1.0}, "version: found 1.0, expected text"),
        ({"version": "1.0"}, "version: found '1.0', expected three numbers"),
        ({"version": "1.0.\u0663"}, "version: found .*, expected three numbers"),
        ({"title": ""}, "title: found ''"),
        ({"seed": -1}, "seed: found -1, expected greater than or equal to 0"),
        ({"seed": 2**64}, "seed: found 18446744073709551616, expected less than 18446744073709551616"),
        ({"seed": "7"}, "seed: found '7', expected an integer"),
        ({"seed": True}, "seed: found True, expected an integer"),
        ({"volume": {"shape": [24, 0, 24], "voxel_size_nm": 80.0}}, r"volume.shape\[1\]: found 0"),
        ({"volume": {"shape": [24, 24], "voxel_size_nm": 80.0}}, r"volume.shape\[2\]: missing"),
        ({"volume": {"shape": 24, "voxel_size_nm": 80.0}}, "volume.shape: found 24, expected a list"),
        ({"volume": {"shape": [24, 24, 24], "voxel_size_nm": -80}}, "volume.voxel_size_nm: found -80"),
        ({"volume": {"shape": [24, 24, 24]}}, "volume.voxel_size_nm: missing"),
        ({"volume": {"shape": [24, 24, 24], "voxel_size_nm": float("nan")}}, "volume.voxel_size_nm: found nan"),
        ({"sweep": {"graphite_fraction": [0.1, 1.5]}}, r"sweep.graphite_fraction: found \[1.5\], expected numbers"),
        ({"sweep": {"mu": [0.1], "eta_per_nm": [0.01]}}, r"sweep: found \['eta_per_nm', 'mu'\], expected one"),
        ({"sweep": {"mu": []}}, r"sweep.mu: found \[\]"),
        ({"realisations": 0}, "realisations: found 0, expected greater than or equal to 1"),
        ({"descriptors": {"axes": ["z", "w"]}}, r"descriptors.axes\[1\]: found 'w', expected 'z', 'y' or 'x'"),
        ({"descriptors": {"axes": ["z", "z"]}}, "descriptors.axes: found"),
        ({"descriptors": {"lags": 3}}, "descriptors.lags: unknown field"),
        ({"storage": {"chunk": 64, "shard": 32}}, "storage.shard: found 32, expected at least chunk = 64"),
        ({"storage": {"volumes": False}, "descriptors": None}, "storage.volumes: found false"),
        ({"colour": "red"}, "colour: unknown field, expected one of kind, name, version, .*, interventions$"),
        ({"graphite_fracton": [0.1]}, "graphite_fracton: unknown field; did you mean sweep.graphite_fraction"),
        ({"voxel_size_nm": 80.0}, "voxel_size_nm: unknown field; did you mean volume.voxel_size_nm"),
        ({"realizations": 2}, "realizations: unknown field; did you mean realisations"),
        ({"descriptors": {"max_lags_nm": 3.0}}, "descriptors.max_lags_nm: unknown field; did you mean max_lag_nm"),
        ({"descriptors": {"Transport": True}}, "descriptors.Transport: unknown field; did you mean transport"),
        ({"name": "a" * 101}, "name: found 'aaa.*, expected at most 100 characters"),
        ({"title": "two\nlines"}, "title: found 'two.*, expected a line of printable text"),
        ({"title": "red \x1b[31m"}, "title: found .*, expected a line of printable text"),
        ({"title": " \t "}, "title: found"),
        ({"realisations": True}, "realisations: found True, expected an integer"),
        ({"realisations": 10**18}, "realisations: found 1000000000000000000, expected less than or equal to"),
        ({"sweep": {"mu": [0.1] * 5001}, "realisations": 2000}, "sweep.mu: found a list, expected at most 1000 items"),
        ({"sweep": {"mu": [0.1, 0.2, 0.1]}}, "sweep.mu: found 0.1 twice, expected each value once"),
        ({"sweep": {"mu": [True]}}, r"sweep.mu\[0\]: found True, expected a number"),
        ({"sweep": {"mu": ["0.1"]}}, r"sweep.mu\[0\]: found '0.1', expected a number"),
        ({"sweep": {"mu": [float("inf")]}}, r"sweep.mu\[0\]: found inf, expected a finite number"),
        ({"volume": {"shape": [24, 24, 24], "voxel_size_nm": 1e-300}}, "volume.voxel_size_nm: found 1e-300"),
    ],
)
def test_an_impossible_field_is_named_with_what_was_found(changes, complaint):
    with pytest.raises(RecipeError, match=f"^tiny.yaml: {complaint}"):
        recipe_with(**changes)


def test_the_kind_is_known_where_the_field_that_decides_is_misspelt():
    with pytest.raises(RecipeError, match="particle: unknown field; did you mean particles"):
        parsed_recipe({**{k: v for k, v in TINY.items() if k != "volume"}, "particle": {"count": 3}}, "r.yaml")


def test_a_recipe_of_a_training_names_its_command():
    with pytest.raises(RecipeError, match=r"r.yaml: kind: found 'surrogate', .*; nmcdist train surrogate takes it$"):
        parsed_recipe({"kind": "surrogate", "name": "s"}, "r.yaml")


def test_many_faults_are_counted_not_listed():
    with pytest.raises(RecipeError) as caught:
        recipe_with(**{f"key{k}": k for k in range(30_000)})
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "tiny.yaml: and 29980 more faults"


def test_all_faults_are_told_at_once_each_on_its_line():
    with pytest.raises(RecipeError) as caught:
        recipe_with(seed=-1, colour="red", realisations=0, sweep={"graphite_fraction": [2]})
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["seed", "sweep.graphite_fraction", "realisations", "colour"]


def test_items_are_numbered_level_by_level():
    recipe = recipe_with(sweep={"mu": [0.1, 0.2, 0.3]}, realisations=4)
    assert (recipe.samples, recipe.points, recipe.swept) == (12, 3, "mu")
    assert [recipe.item(4 * k)[:2] for k in range(3)] == [(0, 0), (1, 0), (2, 0)]


def test_a_recipe_without_a_sweep_takes_the_bundle_as_it_is():
    recipe = recipe_with(sweep={}, realisations=3)
    assert recipe.samples == 3
    assert Additive().changes(recipe, load_bundle(BUNDLE)) == [{}]


def test_a_sweep_over_an_unknown_parameter_names_those_there_are():
    with pytest.raises(RecipeError, match=r"sweep\.nu: unknown parameter, expected one of graphite_fraction, .*mu"):
        Additive().changes(recipe_with(sweep={"nu": [1.0]}), load_bundle(BUNDLE))


def test_a_swept_parameter_that_is_misspelt_gets_the_name():
    for typo, name in (("graphite_fracton", "graphite_fraction"), ("lambda_x_per_nm3", "lambda_X_per_nm3")):
        with pytest.raises(RecipeError, match=f"^sweep.{typo}: unknown parameter; did you mean {name}"):
            Additive().changes(recipe_with(sweep={typo: [0.1]}), load_bundle(BUNDLE))


def test_a_sweep_over_an_impossible_value_is_refused():
    with pytest.raises(RecipeError, match=r"sweep.eta_per_nm: .*greater than 0"):
        Additive().changes(recipe_with(sweep={"eta_per_nm": [-1.0]}), load_bundle(BUNDLE))


def test_numbers_with_an_exponent_are_numbers_and_none_means_no_descriptors(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "{name: a, version: '1.0.0', title: A, bundle: cba-cathode-2025, seed: 1, descriptors: none,\n"
        " volume: {shape: [8, 8, 8], voxel_size_nm: 2e1}, sweep: {lambda_X_per_nm3: [2.21e-11, 1e-10]}}"
    )
    recipe = load_recipe(path)
    assert recipe.sweep["lambda_X_per_nm3"] == (2.21e-11, 1e-10)
    assert recipe.volume.voxel_size_nm == 20.0
    assert recipe.descriptors is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("a: [", "not valid YAML"), ("- 1", "expected a mapping"), ("", "expected a mapping"),
     ("{name: a, name: b}", "name is given twice"), ("a: !!python/object:os.system x", "line 1: found the tag")],
)  # fmt: skip
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path, text, complaint):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=complaint) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"no.yaml: no such file"):
        load_recipe(tmp_path / "no.yaml")


def test_a_bundle_path_is_taken_from_the_folder_of_the_recipe(tmp_path):
    save_bundle(load_bundle(BUNDLE).with_parameters(mu=0.3), tmp_path / "mine")
    assert recipe_bundle(recipe_with(bundle="mine"), tmp_path).parameters.mu == 0.3
    assert recipe_bundle(recipe_with(), tmp_path).name == BUNDLE


def test_an_unknown_bundle_is_named_with_those_there_are(tmp_path):
    with pytest.raises(BundleError, match=r"'ghost'.*cba-cathode-2025"):
        recipe_bundle(recipe_with(bundle="ghost"), tmp_path)


def test_the_recipes_of_the_repository_are_valid():
    paths = sorted((Path(__file__).parents[2] / "catalogs" / "recipes").glob("*.yaml"))
    assert "graphite-sweep-small.yaml" in [path.name for path in paths]
    for path in paths:
        recipe = load_recipe(path)
        assert recipe.name == path.stem
        bundle = recipe_bundle(recipe, path.parent)
        if isinstance(recipe, ParticleRecipe):
            assert ParticleModel.from_bundle(bundle).bundle_hash == bundle.content_hash
        else:
            assert len(Additive().changes(recipe, bundle)) == recipe.points
