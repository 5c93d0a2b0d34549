"""The recipes that come with the package."""

from pathlib import Path

import pytest

from nmcdist.calibration.recipe import GrainRecipe, NetSettings, load_grain_recipe

FOLDER = Path(__file__).parents[2] / "catalogs" / "calibrations"


def test_the_recipe_of_the_energy_distance_is_the_default():
    recipe = load_grain_recipe(FOLDER / "grains-energy.yaml")
    assert recipe == GrainRecipe(title=recipe.title)


def test_the_recipe_for_several_sizes_differs_in_the_net_only():
    recipe = load_grain_recipe(FOLDER / "grains-sizes.yaml")
    net = NetSettings(own_noise=True, offset_range=(0.0, 300.0))
    assert recipe == GrainRecipe(name=recipe.name, title=recipe.title, net=net)


def test_the_adversarial_recipe_is_what_the_paper_prints():
    recipe = load_grain_recipe(FOLDER / "grains-adversarial.yaml")
    assert (recipe.epochs, recipe.steps, recipe.batch, recipe.window) == (200, 100, 64, 32)
    assert (recipe.learning_rate, recipe.gradient, recipe.schedule) == (1e-4, "normalise", "constant")
    assert not recipe.net.sees_distance
    game = recipe.adversarial
    assert (game.discriminator_batch, game.skip_below, game.augmentation) == (128, 0.09, 0.2)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_read(path):
    assert load_grain_recipe(path).name.startswith("nmc811-")
