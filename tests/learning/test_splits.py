import numpy as np
import pytest

from nmcdist.errors import InputError, RecipeError
from nmcdist.faults import load_checked
from nmcdist.learning.recipe import SurrogateRecipe
from nmcdist.learning.splits import group_folds, random_folds, region_folds

GROUPS = np.repeat(np.arange(12), 3)


def test_random_folds_test_each_group_once_and_never_train_on_it():
    folds = random_folds(GROUPS, 5, seed=1)
    np.testing.assert_array_equal(sum(fold.test.astype(int) for fold in folds), 1)
    for fold in folds:
        assert not set(GROUPS[fold.train]) & set(GROUPS[fold.test])
        np.testing.assert_array_equal(fold.train, ~fold.test)


def test_a_region_is_tested_apart():
    mu = GROUPS / 10.0
    (fold,) = region_folds(GROUPS, {"mu": mu, "eta": -mu}, {"mu": ">0.6", "eta": ">=-1"})
    np.testing.assert_array_equal(fold.test, (mu > 0.6) & (mu <= 1.0))


def test_each_value_of_a_label_is_tested():
    folds = group_folds({"bundle": GROUPS % 2}, "bundle")
    assert [np.unique(GROUPS[fold.test] % 2).tolist() for fold in folds] == [[0], [1]]


def test_impossible_splits_are_refused():
    with pytest.raises(InputError, match="found 12 parameter points, expected at least 20"):
        random_folds(GROUPS, 20, 1)
    with pytest.raises(InputError, match="unknown parameter, expected one of mu"):
        region_folds(GROUPS, {"mu": GROUPS}, {"mv": ">1"})
    with pytest.raises(InputError, match="found 0 points within"):
        region_folds(GROUPS, {"mu": GROUPS}, {"mu": ">99"})
    with pytest.raises(InputError, match="found one value"):
        group_folds({"bundle": np.zeros(36)}, "bundle")


CONTENT = "name: pore\nstores: [a.zarr]\ntargets: [m_factor_pore]\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("split: {region: {mu: high}}", "split.region: found 'high', expected <"),
        ("model: cnn", "expected 'volume' for cnn alone"),
        ("targets: [porosity]", "targets"),
        ("modle: gp", "did you mean model"),
        ("stores: [a.zarr, a.zarr]", "expected each once"),
    ],
)
def test_bad_recipes_are_refused_in_one_line_per_fault(tmp_path, line, complaint):
    path = tmp_path / "recipe.yaml"
    key = line.partition(":")[0]
    path.write_text("".join(own for own in CONTENT.splitlines(True) if not own.startswith(f"{key}:")) + line + "\n")
    with pytest.raises(RecipeError, match=complaint):
        load_checked(path, SurrogateRecipe)


def test_a_recipe_says_its_split_in_a_word_or_a_mapping(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(CONTENT + "split: random\n")
    expected = SurrogateRecipe(name="pore", stores=("a.zarr",), targets=("m_factor_pore",))
    assert load_checked(path, SurrogateRecipe) == expected
    path.write_text(CONTENT + 'split: {region: {mu: ">0.9"}, by: bundle}\n')
    assert load_checked(path, SurrogateRecipe).split.by == "bundle"
