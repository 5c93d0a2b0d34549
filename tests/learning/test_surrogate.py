import json
from dataclasses import replace

import numpy as np
import pytest

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration
from nmcdist.errors import BundleError, InputError
from nmcdist.learning.bundles import bundle_of, load_surrogate, surrogate_of
from nmcdist.learning.recipe import SurrogateRecipe
from nmcdist.learning.rows import rows_of
from nmcdist.learning.surrogate import Surrogate
from nmcdist.learning.training import evaluated, folds_of, importance, learning_curve

BOTH = ("m_factor_pore", "conductivity_solid")
NONE = Calibration(data="none", method="none", date="")


def recipe(**changes):
    content = {"name": "pore", "stores": ("a",), "targets": BOTH, "features": "cheap", "model": "ridge"}
    return SurrogateRecipe.model_validate(content | changes)


def results_of(settings, rows):
    folds = folds_of(settings, rows)["random"]
    fitted = [Surrogate.fit(rows.part(f.train), settings.targets, settings.model, settings.by_axis, 1) for f in folds]
    return evaluated(settings, rows, folds, fitted), folds, fitted


@pytest.fixture(scope="module")
def rows(volumes):
    return rows_of([volumes], BOTH, "cheap", by_axis=False)


@pytest.fixture(scope="module")
def surrogate(rows):
    return Surrogate.fit(rows, BOTH, "ridge", False, seed=1)


class TestRows:
    def test_realisations_of_a_point_are_one_group(self, volumes, rows):
        assert len(np.unique(rows.groups)) == 40
        np.testing.assert_array_equal(rows.groups[::2], rows.groups[1::2])
        along = rows_of([volumes], BOTH, "cheap", by_axis=True)
        assert len(along) == 3 * len(rows)
        np.testing.assert_array_equal(along.groups, np.repeat(rows.groups, 3))
        np.testing.assert_allclose(along.y.reshape(-1, 3, 2).mean(axis=1), rows.y)

    def test_several_stores_are_joined_and_those_without_parameters_have_a_group_per_volume(self, volumes):
        bare = volumes.drop_vars(["mu", "graphite_fraction"])
        joined = rows_of([bare, bare], BOTH, "cheap", by_axis=True)
        assert len(np.unique(joined.groups)) == 160
        assert np.unique(joined.labels["store"]).tolist() == [0, 1]
        assert np.unique(joined.labels["bundle"]).tolist() == [0]

    def test_missing_features_and_volumes_are_named(self, volumes):
        with pytest.raises(InputError, match="found none of the set 'parameters'"):
            rows_of([volumes.drop_vars(["mu", "graphite_fraction"])], BOTH, "parameters", by_axis=False)
        with pytest.raises(InputError, match="found no volumes"):
            rows_of([volumes], BOTH, "volume", by_axis=True)


class TestPredictions:
    def test_points_never_seen_are_predicted_and_their_intervals_hold(self, rows):
        found, _, _ = results_of(recipe(model="gp", targets=("m_factor_pore",), split={"folds": 2}), rows)
        scores = found["m_factor_pore"]["scores"]
        assert scores["r2"] > 0.97
        assert scores["median_relative_error"] < 0.05
        assert scores["coverage"] == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / len(rows)))

    def test_shuffled_labels_teach_nothing(self, rows):
        order = np.random.default_rng(3).permutation(len(rows))
        found, _, _ = results_of(recipe(), replace(rows, y=rows.y[order]))
        assert all(found[name]["scores"]["r2"] <= 0 for name in BOTH)

    def test_volumes_that_do_not_conduct_count_for_the_probability_alone(self, rows, surrogate):
        zero = rows.y[:, 1] == 0
        found = surrogate.predict_rows(rows.x)
        assert 0 < zero.sum() < len(zero)
        assert (found.value[:, 1] > 0).all()
        assert found.positive[zero, 1].mean() < 0.4 < 0.8 < found.positive[~zero, 1].mean()
        assert (found.positive[:, 0] == 1).all()

    def test_more_points_help_and_permuted_features_harm(self, rows):
        settings = recipe(targets=("m_factor_pore",))
        _, folds, fitted = results_of(settings, rows)
        curve = [step["r2"]["m_factor_pore"] for step in learning_curve(settings, rows, folds[0])]
        assert curve[-1] > 0.95 and curve[-1] >= curve[0]
        falls = importance(settings, rows, folds, fitted)["m_factor_pore"]
        assert max(falls.values()) > 0.1 and min(falls.values()) > -0.05

    def test_the_noise_floor_is_the_spread_at_a_point(self, make_volumes):
        noisy = make_volumes(points=300, realisations=2, noise=0.1)
        floor = Surrogate.fit(rows_of([noisy], BOTH[:1], "cheap", by_axis=False), BOTH[:1], "ridge", False, 1)
        values = noisy["m_factor"].sel(conduction="pore").mean("axis").values.reshape(300, 2)
        expected = np.sqrt(np.mean((values[:, 0] - values[:, 1]) ** 2) / 2)
        assert floor.noise_floor == pytest.approx((expected,))

    def test_a_dataset_gets_predictions_with_units_and_flags(self, volumes, surrogate):
        found = surrogate.predict(volumes)
        assert found["m_factor_pore_predicted"].dims == ("sample",)
        assert {f"conductivity_solid_{part}" for part in ("predicted", "low", "high", "positive")} <= set(found)
        assert (found["m_factor_pore_low"] <= found["m_factor_pore_predicted"]).all()
        assert all(variable.attrs["units"] == "1" for variable in found.data_vars.values())
        assert not found["out_of_design"].any()
        strange = volumes.assign(volume_fraction=1 - volumes["volume_fraction"])
        assert surrogate.predict(strange)["out_of_design"].all()
        fine = volumes.assign_attrs(recipe='{"volume": {"voxel_size_nm": 20.0}}')
        assert surrogate.predict(fine)["out_of_design"].all()

    def test_one_volume_needs_no_dimension_of_items(self, volumes, surrogate):
        alone = volumes.isel(sample=3, drop=True)
        expected = surrogate.predict(volumes)["m_factor_pore_predicted"][3]
        assert float(surrogate.predict(alone)["m_factor_pore_predicted"]) == pytest.approx(float(expected))


class TestBundle:
    @pytest.mark.parametrize("model", ["gp", "ridge"])
    def test_a_surrogate_comes_back_from_its_bundle(self, volumes, rows, model, tmp_path):
        part = rows.part(np.arange(40))
        ours = Surrogate.fit(replace(part, stores=("0" * 64,)), BOTH, model, False, seed=1)
        save_bundle(bundle_of(ours, "pore", "Pores", NONE), tmp_path / "bundle")
        again = load_surrogate(tmp_path / "bundle")
        assert again.stores == ("0" * 64,) and again.voxel_sizes_nm == (80.0,)
        assert again.predict(volumes).identical(ours.predict(volumes))
        assert {file.suffix for file in (tmp_path / "bundle").iterdir()} == {".json", ".safetensors"}

    def test_texts_are_part_of_the_hash_and_other_bundles_have_none(self, surrogate):
        ours = bundle_of(surrogate, "pore", "Pores", NONE)
        content = ours.model_dump(by_alias=True)
        content["texts"] = {**content["texts"], "features": content["texts"]["features"][::-1]}
        assert type(ours).model_validate(content).content_hash != ours.content_hash
        assert "texts" not in load_bundle("cba-cathode-2025").model_dump()

    def test_incomplete_and_foreign_bundles_are_refused(self, surrogate, tmp_path):
        with pytest.raises(BundleError, match="found model 'cba', expected 'surrogate'"):
            load_surrogate("cba-cathode-2025")
        ours = bundle_of(surrogate, "pore", "Pores", NONE)
        for name, value, complaint in (
            ("targets", ["porosity"], "expected known targets"),
            ("model", ["svm"], "expected one of gp"),
        ):
            content = json.loads(ours.model_dump_json(by_alias=True))
            content["texts"][name] = value
            with pytest.raises(BundleError, match=complaint):
                surrogate_of(type(ours).model_validate(content).with_arrays(ours.arrays))
        content = json.loads(ours.model_dump_json(by_alias=True))
        del content["arrays"]["hull.points"]
        arrays = {name: array for name, array in ours.arrays.items() if name != "hull.points"}
        with pytest.raises(BundleError, match="found no 'points'"):
            surrogate_of(type(ours).model_validate(content).with_arrays(arrays))
