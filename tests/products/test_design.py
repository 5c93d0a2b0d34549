"""Designs over several parameters, shared realisations, and volumes drawn again at other voxel sizes."""

import itertools

import numpy as np
import pytest
from scipy.stats import qmc

from nmcdist.bundle import load_bundle
from nmcdist.datasets.store import open_store
from nmcdist.descriptors.cba import describe_cba
from nmcdist.design.space import unit_points
from nmcdist.errors import RecipeError
from nmcdist.models import theory
from nmcdist.models.cba import generate_cba
from nmcdist.products.design import DesignSpec
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.volumes.additive import Additive
from nmcdist.report.fidelity import control_variate
from nmcdist.runs.public import run

RANGES = {"graphite_fraction": [0.02, 0.2], "mu": [0.0, 1.2], "theta_per_nm": [0.0056, 0.0167]}
RECIPE = {
    "name": "design-test", "version": "1.0.0", "title": "A design", "bundle": "cba-cathode-2025", "seed": 7,
    "volume": {"shape": [16, 16, 16], "voxel_size_nm": 80.0},
    "design": {"kind": "sobol", "count": 8, "parameters": RANGES},
}  # fmt: skip


def parsed(**changes):
    return parsed_recipe({**RECIPE, **changes}, "recipe")


def test_a_point_of_a_sobol_design_depends_on_seed_and_number_only():
    eight, five = unit_points(3, 8, 7), unit_points(3, 5, 7)
    assert np.array_equal(eight[:5], five)
    assert not np.array_equal(eight, unit_points(3, 8, 8))
    assert np.array_equal(eight * 2**30, np.floor(eight * 2**30))


def test_sobol_points_fill_the_cube_more_evenly_than_random_ones():
    random = [qmc.discrepancy(np.random.default_rng(k).uniform(size=(256, 4))) for k in range(20)]
    assert qmc.discrepancy(unit_points(4, 256, 1)) < min(random) / 3
    # Each half of each range holds half of the points: the sequence is balanced.
    assert ((unit_points(4, 256, 1) < 0.5).sum(axis=0) == 128).all()


def test_ranges_lists_and_grids():
    spec = DesignSpec(kind="sobol", count=64, parameters={"a": [2.0, 3.0], "b": [1.0, 1e4]}, logarithmic=["b"])
    points = spec.values(3)
    assert all(2 <= p["a"] < 3 and 1 <= p["b"] < 1e4 for p in points)
    assert sum(p["b"] < 100 for p in points) == 32
    grid = DesignSpec(kind="grid", parameters={"a": [1.0, 2.0], "b": [3.0, 4.0, 5.0]})
    assert [tuple(p.values()) for p in grid.values(0)] == list(itertools.product([1.0, 2.0], [3.0, 4.0, 5.0]))
    listed = DesignSpec(kind="list", parameters={"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert listed.values(0) == [{"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 4.0}]


def test_derived_parameters_are_resolved_by_theory():
    changes = Additive().changes(
        parsed(design={"kind": "list", "parameters": {
            "graphite_fraction": [0.1], "large_pore_fraction": [0.3], "theta_per_nm": [0.01], "alpha_2": [80.0]}}),
        load_bundle("cba-cathode-2025"),
    )  # fmt: skip
    p = load_bundle("cba-cathode-2025").with_parameters(**changes[0]).cba()
    assert (p.theta_per_nm, p.alpha_2) == (0.01, 80.0)
    assert theory.graphite_fraction(p) == pytest.approx(0.1, rel=1e-12)
    assert theory.large_pore_fraction(p) == pytest.approx(0.3, rel=1e-12)


@pytest.mark.parametrize("change, said", [
    ({"design": {"kind": "sobol", "parameters": RANGES}}, "design.count: found none"),
    ({"design": {"kind": "grid", "count": 3, "parameters": RANGES}}, "count: found a value, expected none"),
    ({"design": {"kind": "sobol", "count": 4, "parameters": {"mu": [1.0, 0.0]}}}, "expected [lowest, highest]"),
    ({"design": {"kind": "list", "parameters": {"mu": [1.0], "theta_per_nm": [0.01, 0.02]}}}, "equal lengths"),
    ({"design": {"kind": "sobol", "count": 4, "parameters": {"graphite_fraction": [0.0, 0.5]}}}, "numbers in (0, 1)"),
    ({"design": {"kind": "sobol", "count": 4, "parameters": {"mu": [-1.0, 1.0]}, "logarithmic": ["mu"]}}, "above 0"),
    ({"sweep": {"mu": [1.0]}}, "found one beside a sweep"),
    ({"fidelities": [{"voxel_size_nm": 40.0}]}, "storage.volumes: found true, expected false"),
    ({"fidelities": [{"voxel_size_nm": 30.0}], "storage": {"volumes": False}}, "expected a divisor of the edges"),
    ({"fidelities": [{"voxel_size_nm": 80.0}], "storage": {"volumes": False}}, "found 80 twice"),
])  # fmt: skip
def test_impossible_designs_are_refused(change, said):
    with pytest.raises(RecipeError) as caught:
        parsed(**change)
    assert said in str(caught.value)


def test_unknown_parameters_are_refused():
    with pytest.raises(RecipeError, match=r"design.parameters.nu: unknown parameter"):
        Additive().changes(
            parsed(design={"kind": "list", "parameters": {"nu": [1.0]}}), load_bundle("cba-cathode-2025")
        )


def test_levels_share_their_realisation_and_graphite_grows_with_its_intensity():
    bundle, before = load_bundle("cba-cathode-2025"), None
    for fraction in (0.03, 0.08, 0.15, 0.3):
        changed = bundle.with_parameters(
            lambda_X_per_nm3=theory.intensity_for_graphite_fraction(bundle.cba(), fraction)
        )
        labels = generate_cba(changed, (48, 48, 48), 160.0, seed=3)
        if before is not None:
            assert not (before & (labels != 2)).any()
            assert (labels == 2).sum() > before.sum()
        before = labels == 2
    recipe = parsed(design=None, sweep={"graphite_fraction": [0.05, 0.1]}, realisations=2)
    assert [recipe.stream_of(item) for item in range(4)] == [0, 1, 0, 1]
    assert [parsed().stream_of(item) for item in range(8)] == list(range(8))


def test_volumes_are_drawn_again_from_the_same_realisation(tmp_path):
    recipe = parsed(
        fidelities=[{"voxel_size_nm": 40.0, "every": 4}], storage={"volumes": False}, descriptors={"axes": ["z"]}
    )
    run(recipe, tmp_path, workers=0)
    data = open_store(tmp_path / "design-test.zarr").load()
    assert data["fidelity"].values.tolist() == [0] * 8 + [1] * 2
    assert "two_point_coverage" not in data
    assert "two_point_coverage" in data.attrs["descriptors_left_out"]
    for sample in (8, 9):
        partner = int(data["partner"][sample])
        assert partner // 4 == sample - 8
        point = {name: float(data[name][partner]) for name in ("lambda_X_per_nm3", "mu", "theta_per_nm")}
        bundle = load_bundle("cba-cathode-2025").with_parameters(**point)
        for item, shape, size in ((partner, (16, 16, 16), 80.0), (sample, (32, 32, 32), 40.0)):
            labels = generate_cba(bundle, shape, size, seed=7, index=partner)
            expected = describe_cba(labels, size, axes=["z"])
            for name in ("m_factor", "volume_fraction", "geodesic_tortuosity"):
                np.testing.assert_array_equal(data[name][item].values, expected[name].values)
    assert data["window_ratio"].values[0] == pytest.approx(16 * 80 / (2 * 1970), rel=0.05)


def test_a_control_variate_is_unbiased_and_its_error_is_that_of_the_law():
    # y = 1 + 0.9 x + e with x ~ N(2, 1), e ~ N(0, 0.3^2): the mean of y is 2.8.
    rng, found = np.random.default_rng(5), []
    for _ in range(400):
        coarse = rng.normal(2.0, 1.0, 64)
        partner = np.arange(0, 64, 8)
        fine = 1 + 0.9 * coarse[partner] + rng.normal(0, 0.3, 8)
        found.append(control_variate(coarse, partner, fine)[2:])
    means, errors = np.array(found).T
    assert abs(means.mean() - 2.8) < 4 * means.std() / np.sqrt(400)
    # Its variance: residuals over 8 pairs, and 0.9^2 over 64 coarse values.
    exact = np.sqrt(0.3**2 / 8 + 0.81 / 64)
    assert means.std() == pytest.approx(exact, rel=0.2)  # the slope of 8 pairs scatters, too
    assert np.sqrt((errors**2).mean()) == pytest.approx(means.std(), rel=0.15)


def test_too_few_pairs_give_no_correction():
    assert np.isnan(control_variate(np.arange(9.0), np.array([0, 4, 8]), np.array([0.0, 4.0, 8.0]))).all()
