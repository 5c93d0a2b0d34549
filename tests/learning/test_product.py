"""The factorised surrogate on stores whose two factors are known laws, and what interventions do."""

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration
from nmcdist.errors import InputError
from nmcdist.learning.bundles import bundle_of, load_surrogate
from nmcdist.learning.effects import effects, product_rule
from nmcdist.learning.parameters import parameter_values
from nmcdist.learning.product import blocked_of, experiments_of, product_rows
from nmcdist.learning.recipe import SurrogateRecipe
from nmcdist.learning.rows import rows_of
from nmcdist.learning.surrogate import Surrogate
from nmcdist.learning.training import evaluated, folds_of
from nmcdist.models import theory

TARGETS = ("m_factor_pore",)
BOTH = ("without_graphite", "graphite_alone")
BUNDLE = "cba-cathode-2025"


def laws(mu, large_pores, graphite):
    """Return M without graphite and M of graphite alone: the second is (1 - V1)^5.2."""
    return 0.4 + 0.25 * mu + 0.3 * large_pores**2, (1 - graphite) ** 5.2


def store(count, names=BOTH, seed=1, scatter=0.0, known=("mu", "large_pore_fraction", "graphite_fraction")):
    """Return a dataset whose M is the product of its factors, which scatter independently between realisations."""
    random = np.random.default_rng(seed)
    low, high = {"mu": 0, "large_pore_fraction": 0.01, "graphite_fraction": 0.02}, {"mu": 1.2, "graphite_fraction": 0.2}
    point = {name: random.uniform(low[name], high.get(name, 0.35), count) for name in low}
    found = np.array(laws(*point.values())) * np.exp(scatter * random.standard_normal((2, count)))
    m = (found[0] * found[1])[:, None, None] * np.ones((2, 3))
    data = xr.Dataset(
        {"m_factor": (("sample", "conduction", "axis"), m),
         "volume_fraction": (("sample", "phase"), np.tile([0.5, 0.3, 0.2], (count, 1)))},
        {"conduction": ["pore", "solid"], "phase": ["pore", "carbon_binder", "graphite"],
         **{name: ("sample", point[name]) for name in known}},
        {"recipe": '{"volume": {"voxel_size_nm": 80.0}}', "bundle_hash": "f00"},
    )  # fmt: skip
    if names:
        own = found[[BOTH.index(name) for name in names]].T[:, :, None] * np.ones(3)
        data["m_factor_pore_intervened"] = ("sample", "intervention", "axis"), own
        data = data.assign_coords(intervention=list(names))
    return data


def recipe(**changes):
    content = {"name": "pore", "stores": ("a",), "targets": TARGETS, "features": "parameters", "model": "product"}
    return SurrogateRecipe.model_validate(content | changes)


def rows(*datasets):
    return product_rows(datasets, TARGETS, "parameters", by_axis=False)


def fitted(own):
    return Surrogate.fit(own, TARGETS, "product", False, seed=1)


def results_of(own, **changes):
    settings = recipe(**changes)
    folds = folds_of(settings, own)["random"]
    return evaluated(settings, own, folds, [fitted(own.part(fold.train)) for fold in folds])["m_factor_pore"]


class TestTraining:
    def test_the_product_of_two_laws_is_recovered_on_points_never_seen(self):
        found = results_of(rows(store(40)))
        assert found["scores"]["r2"] > 0.999
        assert found["scores"]["median_relative_error"] < 0.005
        assert found["rules"]["product rule, of interventions"]["r2"] == pytest.approx(1.0)

    def test_each_factor_comes_from_a_store_of_its_own(self):
        fine = store(30, BOTH[:1], seed=2, known=("mu", "large_pore_fraction"))
        wide = store(20, BOTH[1:], seed=3, known=("graphite_fraction",))
        own = rows(store(15, ()), fine, wide)
        assert len(own) == 15  # the stores of one factor are not tested on
        assert [len(each.learnable.m) for each in experiments_of(own)] == [30, 20]
        assert results_of(own, split={"folds": 3})["scores"]["r2"] > 0.999

    def test_intervals_hold_the_scatter_between_realisations(self):
        own = rows(store(100, scatter=0.1))
        found = results_of(own, split={"folds": 2})["scores"]
        assert found["coverage"] == pytest.approx(0.9, abs=4 * np.sqrt(0.9 * 0.1 / 100))
        prediction = fitted(own).predict_rows(own.x)
        # Each factor scatters by 10 %: an interval of 90 % is 1.64 times 14.1 % to either side.
        half = np.median((prediction.high - prediction.value) / prediction.value)
        assert half == pytest.approx(1.64 * np.sqrt(0.02), rel=0.25)

    def test_blocked_volumes_are_left_out_and_counted(self):
        data = store(30)
        data["m_factor_pore_intervened"][:4, 1] = 0.0
        data["m_factor"][:4] = 0.0
        own = rows(data)
        assert blocked_of(own) == {"without_graphite": 0, "graphite_alone": 4}
        assert np.isfinite(fitted(own).predict_rows(own.x).value).all()
        assert blocked_of(rows_of([data], TARGETS, "parameters", by_axis=False)) == {}

    def test_the_product_rule_stands_beside_other_models(self):
        data = store(40)
        own = rows_of([data], TARGETS, "parameters", by_axis=False)
        settings = recipe(model="ridge")
        folds = folds_of(settings, own)["random"]
        ridge = [Surrogate.fit(own.part(fold.train), TARGETS, "ridge", False, seed=1) for fold in folds]
        rules = evaluated(settings, own, folds, ridge)["m_factor_pore"]["rules"]
        assert rules["product rule, of interventions"]["median_relative_error"] < 1e-12


class TestBundle:
    def test_a_surrogate_comes_back_from_its_bundle(self, tmp_path):
        data = store(30)
        ours = fitted(rows(data))
        calibration = Calibration(data="none", method="none", date="")
        save_bundle(bundle_of(ours, "pore", "Pores", calibration), tmp_path / "bundle")
        again = load_surrogate(tmp_path / "bundle")
        assert again.model == "product"
        assert again.predict(data).identical(ours.predict(data))
        assert {file.suffix for file in (tmp_path / "bundle").iterdir()} == {".json", ".safetensors"}

    def test_other_parameters_and_voxels_are_out_of_the_design(self):
        data = store(30)
        ours = fitted(rows(data))
        assert not ours.predict(data)["out_of_design"].any()
        assert ours.predict(data.assign_coords(mu=data["mu"] + 3))["out_of_design"].all()
        fine = data.assign_attrs(recipe='{"volume": {"voxel_size_nm": 20.0}}')
        assert ours.predict(fine)["out_of_design"].all()


class TestParameters:
    def test_what_a_store_does_not_vary_is_that_of_its_bundle(self):
        bundle = load_bundle(BUNDLE)
        data = xr.Dataset(coords={"theta_per_nm": ("sample", [0.006, 0.012])})
        data.attrs["bundle"] = bundle.model_dump_json(by_alias=True)
        assert parameter_values(data, "mu").tolist() == [bundle.cba().mu] * 2
        assert parameter_values(data, "theta_per_nm").tolist() == [0.006, 0.012]
        expected = [theory.large_pore_fraction(bundle.with_parameters(theta_per_nm=each).cba())
                    for each in (0.006, 0.012)]  # fmt: skip
        assert parameter_values(data, "large_pore_fraction").tolist() == expected
        assert parameter_values(data.assign_attrs(bundle="?"), "mu") is None


class TestRefusals:
    @pytest.mark.parametrize("change, said", [
        ({"features": "cheap"}, "features: found 'cheap' with model: product, expected 'parameters'"),
        ({"targets": ("m_factor_pore", "m_factor_solid")}, "expected m_factor_pore alone"),
    ])  # fmt: skip
    def test_recipes(self, change, said):
        with pytest.raises(ValidationError) as caught:
            recipe(**change)
        assert said in str(caught.value)

    def test_stores(self):
        with pytest.raises(InputError, match="found experiments of one factor alone, expected a store to test on"):
            rows(store(9, BOTH[:1]), store(9, BOTH[1:]))
        with pytest.raises(
            InputError, match="intervention 'graphite_alone': found 0 volumes to learn from, expected 5"
        ):
            fitted(rows(store(9, ()), store(9, BOTH[:1])))
        with pytest.raises(InputError, match="feature 'mu': found no such variable"):
            rows(store(9), store(9, BOTH[:1], known=("large_pore_fraction",)))
        with pytest.raises(InputError, match="features: found none of mu, eta_per_nm"):
            rows(store(9, known=("graphite_fraction",)))


class TestEffects:
    def test_numbers_of_a_sweep_are_over_its_realisations(self):
        """Two levels share three realisations: M is 1, 2, 3 and 3, 4, 5; the intervention adds 1."""
        full = np.array([1.0, 2.0, 3.0, 3.0, 4.0, 5.0])
        data = store(6, BOTH[:1]).assign_coords(stream=("sample", [0, 1, 2, 0, 1, 2]))
        data["m_factor"][:] = full[:, None, None]
        data["m_factor_pore_intervened"][:] = full[:, None, None] + 1
        (found,) = effects(data)
        assert (found.name, found.realisations, found.mean) == ("without_graphite", 3, 4.0)
        assert found.error == pytest.approx(1 / np.sqrt(3))  # of 3, 4 and 5
        assert found.ratio == pytest.approx(np.mean((full + 1) / full))
        assert found.correlation == pytest.approx(1.0)
        few = effects(data.isel(sample=[0, 1, 3, 4]))[0]
        assert few.realisations == 2 and np.isnan(few.error) and np.isnan(few.correlation)
        assert product_rule(data) is None and effects(store(6, ())) == []

    def test_the_product_rule_is_scored_where_something_conducts(self):
        data = store(5)
        data["m_factor"][:] = np.array([0.1, 0.2, 0.3, 0.4, 0.0])[:, None, None]
        data["m_factor_pore_intervened"][:] = np.sqrt([0.11, 0.2, 0.3, 0.4, 0.0])[:, None, None]
        rule = product_rule(data)
        # The mean of M is 0.2 and the sum of squares about it is 0.1; one value is 0.01 off, by 10 %.
        assert rule.volumes == 5 and rule.r2 == pytest.approx(1 - 0.01**2 / 0.1)
        assert rule.median_error == pytest.approx(0.0, abs=1e-12)
