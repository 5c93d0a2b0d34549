"""The recipes that come with the package."""

from pathlib import Path

import pytest

from nmcdist.calibration.grains.recipe import GrainRecipe, NetSettings
from nmcdist.errors import RecipeError
from nmcdist.faults import load_checked

FOLDER = Path(__file__).parents[3] / "catalogs" / "calibrations"


def test_the_recipe_of_the_energy_distance_is_the_default():
    recipe = load_checked(FOLDER / "grains-energy.yaml", GrainRecipe)
    assert recipe == GrainRecipe(title=recipe.title)


def test_the_recipe_for_several_sizes_differs_in_the_net_only():
    recipe = load_checked(FOLDER / "grains-sizes.yaml", GrainRecipe)
    net = NetSettings(own_noise=True, offset_range=(0.0, 300.0))
    assert recipe == GrainRecipe(name=recipe.name, title=recipe.title, net=net)


def test_the_adversarial_recipe_is_what_the_paper_prints():
    recipe = load_checked(FOLDER / "grains-adversarial.yaml", GrainRecipe)
    assert (recipe.epochs, recipe.steps, recipe.batch, recipe.window) == (200, 100, 64, 32)
    assert (recipe.learning_rate, recipe.gradient, recipe.schedule) == (1e-4, "normalise", "constant")
    assert not recipe.net.sees_distance
    game = recipe.adversarial
    assert (game.discriminator_batch, game.skip_below, game.augmentation) == (128, 0.09, 0.2)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_read(path):
    assert load_checked(path, GrainRecipe).name.startswith("nmc811-")


@pytest.mark.parametrize(
    "text",
    [
        "learning_rate: 1.0e+308", "learning_rate: 2", "temperature: 1.0e+308", "noise_weight: 1.0e+308",
        "batch: 999999",
        "pool: 999999", "adversarial: {skip_below: 1.0e+308}", "adversarial: {discriminator_batch: 999999}",
        "title: ''",
        "version: ''", 'title: "two\\nlines"', "epochs: .nan", "seed: -1", "net: {widths: []}", "net: {widths: 64}",
    ],
)  # fmt: skip
def test_a_number_with_which_no_training_can_work_is_refused_in_one_line_that_names_the_field(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text + "\n")
    with pytest.raises(RecipeError) as caught:
        load_checked(tmp_path / "c.yaml", GrainRecipe)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400
    names = [word.strip(" {") for word in text.split(":")[:-1]]
    assert all(name in str(caught.value) for name in names) or "line 1" in str(caught.value)
