"""Comparisons of generators: what is drawn, the same bytes however it runs, and a report that does not pretend."""

import csv
import shutil

import numpy as np
import pytest

from nmcdist.bundle import Bundle, NeuralParameters, load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration
from nmcdist.calibration.baseline_measures import measured_by_theory
from nmcdist.calibration.baselines import GENERATORS, fit_baseline
from nmcdist.datasets.integrity import manifest_hash, verify
from nmcdist.datasets.store import open_store
from nmcdist.descriptors import intrinsic_volumes
from nmcdist.descriptors.labelled import TWO_PHASES, describe
from nmcdist.errors import BundleError, InputError, RecipeError
from nmcdist.models import theory
from nmcdist.models.annealing import generate_annealed
from nmcdist.models.cba import generate_cba
from nmcdist.models.fibres import generate_fibres
from nmcdist.models.neural import draw_bytes, generate_neural
from nmcdist.models.patterns import generate_patterns
from nmcdist.products.baselines import matching
from nmcdist.products.baselines.comparison_recipe import ALL, NEURAL
from nmcdist.products.baselines.comparison_report import Group, compared_groups, difference
from nmcdist.products.baselines.kinds import Neural, check_net
from nmcdist.products.baselines.matching import DRAWN_AS
from nmcdist.products.registry import kinds, make_plan, parsed_recipe
from nmcdist.products.stores import build_report
from nmcdist.runs.public import run
from tests.models.test_neural import BUNDLE as NET

RECIPE = {
    "kind": "comparison", "name": "comparison-test", "version": "1.0.0", "title": "A comparison",
    "bundle": "cba-cathode-2025", "seed": 7, "volume": {"shape": [20, 20, 20], "voxel_size_nm": 160.0},
    "realisations": 3, "training": 40, "descriptors": {"axes": ["z"]},
}  # fmt: skip


def parsed(**changes):
    return parsed_recipe({**RECIPE, **changes}, "recipe")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run(parsed(), tmp_path_factory.mktemp("comparison"), workers=0).store


@pytest.fixture(scope="module")
def report(made, tmp_path_factory):
    return build_report(made, tmp_path_factory.mktemp("report"))


def test_items_are_fresh_realisations_of_the_reference_and_of_each_matched_generator(made):
    assert not verify(made)
    data = open_store(made).load()
    names = data["generator"].values.tolist()
    assert names == [name for name in ("reference", *ALL) for _ in range(3)]
    assert data["window_ratio"].values == pytest.approx(3200 / data_diameter())
    bundle = load_bundle("cba-cathode-2025")
    measured = measured_by_theory(bundle.cba(), 160.0, 40, 7)
    for item, drawn in (
        (1, generate_cba(bundle, (20, 20, 20), 160.0, 7, 1)),
        (5, generate_fibres(fit_baseline("fibres", measured), (20, 20, 20), 160.0, 7, 5)),
        (22, generate_patterns(fit_baseline("patterns", measured), (20, 20, 20), 160.0, 7, 22)),
    ):
        assert np.array_equal(data["volume"].values[item], drawn != 0)
    found = describe(TWO_PHASES, (data["volume"].values[1] != 0).astype(np.uint8), 160.0, axes=["z"])
    for name in found.data_vars:
        np.testing.assert_array_equal(data[name].values[1], found[name].values)


def data_diameter():
    """Twice the mean of the long half-axis of the graphite of the paper's model, in nm."""
    p = load_bundle("cba-cathode-2025").cba()
    return 2 * max(p.alpha_1, p.alpha_2) / p.gamma_per_nm


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_makes_the_same_bytes(made, tmp_path, workers):
    again = run(parsed(), tmp_path, workers=workers, memory="2GiB")
    assert manifest_hash(again.store) == manifest_hash(made)


def test_the_report_states_each_difference_in_units_of_the_spread_of_the_reference(made, report):
    assert report.name == "comparison.md"
    page, data = report.read_text(), open_store(made).load()
    own = data["m_factor_mean"].sel(conduction="pore").values.reshape(8, 3)
    sd = own[0].std(ddof=1)
    apart = (own[2].mean() - own[0].mean()) / sd
    error = np.sqrt(own[2].var(ddof=1) / 3 + sd**2 / 3) / sd
    (row,) = [line for line in page.splitlines() if line.startswith("| M, pore ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"{own[0].mean():.4g} ± {sd:.2g}"
    assert cells[3] == f"{apart:+.1f} ± {error:.1f}"
    (row,) = [line for line in page.splitlines() if line.startswith("| V, solid ")]
    assert row.count("**") == 2 * len(ALL)  # all are matched on it
    with (report.parent / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    (found,) = [r for r in rows if r["quantity"] == "M, pore" and r["generator"] == "boolean-spheres"]
    assert float(found["difference_in_sd_of_the_reference"]) == pytest.approx(apart, rel=1e-5)
    assert float(found["standard_error_of_the_difference"]) == pytest.approx(error, rel=1e-5)
    assert (found["matched"], found["volumes"]) == ("no", "3")


def test_the_report_says_how_each_was_matched_where_it_lives_and_what_is_narrow_or_coarse(report):
    page = report.read_text()
    assert "| fibres | endless: any window can be drawn | Matched on the volume fraction, 0.3314, and the" in page
    assert "| annealed | periodic: one box | Matched on the two-point coverage of 15 lags of 160 nm" in page
    assert "**Narrow windows.** The window is 0.8 times as wide" in page
    assert "**Coarse voxels.** Radii in voxels: fibres 0.38, boolean-spheres 0.56, hard-spheres 0.69" in page
    for name in ("slices.png", "curves.png", "samples.csv"):
        assert (report.parent / name).stat().st_size > 1000


def test_the_two_point_error_is_that_of_the_curve_averaged_as_it_is_measured(made):
    data, parameters = open_store(made).load(), load_bundle("cba-cathode-2025").cba()
    found = compared_groups(data, parsed(), parameters)["two_point_error"]["annealed"]
    axis = np.arange(-11, 12)
    length = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).ravel()
    exact = theory.two_point_coverage(parameters, np.unique(length) * 160.0)["solid"]
    at = dict(zip(np.unique(length).tolist(), exact.tolist(), strict=True))
    curve = [np.mean([at[r] for r in length[np.rint(length) == k].tolist()]) for k in range(11)]
    own = data["two_point_coverage"].sel(phase="solid").values[18:21]
    assert found.mean == pytest.approx(np.sqrt(((own - curve) ** 2).mean(axis=1)).mean())
    assert found.mean < 0.02  # of a box of 20 voxels, in which pairs are counted without its periodic copies


def test_annealing_is_described_as_matched_where_its_volume_fraction_is_that_of_theory(made):
    values = open_store(made)["volume_fraction"].sel(phase="solid").values.reshape(8, 3)
    wanted = theory.volume_fractions(load_bundle("cba-cathode-2025").cba())["solid"]
    assert values[6] == pytest.approx(wanted, abs=1e-4)


def test_two_volumes_give_no_spread(tmp_path):
    store = run(parsed(realisations=2, generators=["fibres"]), tmp_path, workers=0).store
    page = build_report(store).read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| M, pore ")]
    assert "±" not in row
    assert "(" in row


def test_a_difference_needs_three_volumes_each_and_a_spread():
    three, two = Group.of(np.array([1.0, 2.0, 3.0])), Group.of(np.array([1.0, 2.0, np.nan]))
    equal = Group.of(np.ones(3))
    assert difference(three, three) == pytest.approx((0.0, np.sqrt(2 / 3)))
    assert difference(two, three) is None
    assert difference(three, two) is None
    assert difference(three, equal) is None
    assert two.count == 2
    assert np.isnan(Group.of(np.array([np.nan])).mean)


def test_a_generator_that_cannot_be_matched_is_refused_before_work(tmp_path):
    """A medium with two thirds of solid, in which hard balls do not fit."""
    dense = load_bundle("cba-cathode-2025").with_parameters(mu=-0.9)
    assert theory.volume_fractions(dense.cba())["solid"] > 0.6
    save_bundle(dense, tmp_path / "dense")
    recipe = parsed(bundle=str(tmp_path / "dense"), generators=["fibres", "hard-spheres"])
    with pytest.raises(RecipeError) as caught:
        make_plan(recipe, dense, tmp_path)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).startswith("generators.hard-spheres: spheres-packed: found hard bodies with a volume")
    assert "expected at most 0.6" in str(caught.value)


def test_a_training_image_shorter_than_its_chords_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"generators.patterns: .* found a chord of label \d over all 8 voxels"):
        make_plan(parsed(training=8), load_bundle("cba-cathode-2025"), tmp_path)


@pytest.mark.parametrize("change, said", [
    ({"generators": []}, "generators"),
    ({"generators": ["fibres", "fibres"]}, "twice"),
    ({"generators": ["fibers"]}, "generators[0]: found 'fibers'"),
    ({"sweep": {"mu": [1.0]}}, "sweep: found one, expected none"),
    ({"descriptors": "none"}, "descriptors: found none"),
    ({"training": 4}, "training"),
])  # fmt: skip
def test_impossible_comparisons_are_refused(change, said):
    with pytest.raises(RecipeError) as caught:
        parsed(**change)
    assert said in str(caught.value)


def test_recipes_and_kinds_know_every_generator():
    assert tuple(GENERATORS) == ALL
    assert (*ALL, NEURAL) == tuple(DRAWN_AS)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A net with random weights, as if it had been trained on voxels of the recipe."""
    bundle = Bundle.of(
        "net", "A net", NeuralParameters(voxel_size_nm=160.0), licence="CC0-1.0", arrays=NET.arrays,
        calibration=Calibration(data="none", method="Drawn by chance. Cannot meet: anything.", date=""),
    )  # fmt: skip
    return save_bundle(bundle, tmp_path_factory.mktemp("net") / "net")


@pytest.fixture(scope="module")
def with_net(net, tmp_path_factory):
    recipe = parsed(generators=["neural", "boolean-spheres"], neural=str(net))
    return run(recipe, tmp_path_factory.mktemp("with-net"), workers=0).store


def test_a_trained_net_stands_beside_the_others(net, with_net):
    data = open_store(with_net).load()
    assert data["generator"].values.tolist() == ["reference"] * 3 + ["neural"] * 3 + ["boolean-spheres"] * 3
    drawn = generate_neural(str(net), (20, 20, 20), 160.0, 7, 4)
    assert np.array_equal(data["volume"].values[4], drawn != 0)
    page = build_report(with_net).read_text()
    assert "| neural | endless: any window can be drawn | Drawn by chance. Cannot meet: anything. |" in page
    (row,) = [line for line in page.splitlines() if line.startswith("| S / ")]
    assert row.count("**") == 4  # both are matched on it


def test_of_longer_voxels_a_net_gives_those_at_every_other_place(net):
    recipe, bundle = parsed(volume={"shape": [9, 10, 11], "voxel_size_nm": 320.0}), load_bundle(net)
    fine = generate_neural(bundle, (8, 6, 10), 160.0, 7, 4, (4, 2, -2))
    found = Neural().draw(bundle, recipe, 4, ((2, 6), (1, 4), (-1, 4)))
    assert np.array_equal(found, fine[::2, ::2, ::2])
    assert Neural().draw_bytes(recipe, bundle, (4, 3, 5), 1) > draw_bytes(
        {name: array.shape for name, array in bundle.arrays.items()}, (8, 6, 10), 1
    )
    check_net(bundle, 320.0, 3, longer=True)
    for fault in ({}, {"longer": True}):
        with pytest.raises(BundleError, match="was trained on voxels of 160 nm, found volumes of 400 nm"):
            check_net(bundle, 400.0, 3, **fault)


def test_a_net_that_was_trained_again_makes_another_store(net, with_net, tmp_path):
    """Its path in the recipe is the same."""
    recipe, bundle = parsed(generators=["neural"], neural=str(net)), load_bundle("cba-cathode-2025")
    before = make_plan(recipe, bundle, tmp_path)
    assert before.layout.attrs["fingerprint"] == before.fingerprint
    again = load_bundle(net)
    other = Bundle.of(
        "net", "A net", again.parameters, licence="CC0-1.0", arrays={**again.arrays, "bias_out": np.ones(3, "f4")}
    )
    shutil.rmtree(net)
    save_bundle(other, net)
    matching._trained.cache_clear()
    assert make_plan(recipe, bundle, tmp_path).fingerprint != before.fingerprint


@pytest.mark.parametrize("change, said", [
    ({"generators": ["neural"]}, "neural: found none, expected the bundle of the generator of this name"),
    ({"neural": "cba-cathode-2025"}, "neural: found a bundle, expected 'neural' among the generators"),
])  # fmt: skip
def test_a_net_and_its_name_belong_together(change, said):
    with pytest.raises(RecipeError) as caught:
        parsed(**change)
    assert said in str(caught.value)


def test_a_bundle_that_is_no_net_of_these_voxels_is_refused(net, tmp_path):
    with pytest.raises(BundleError, match="found model 'cba', expected 'neural'"):
        make_plan(parsed(generators=["neural"], neural="cba-cathode-2025"), load_bundle("cba-cathode-2025"), tmp_path)
    coarse = parsed(generators=["neural"], neural=str(net), volume={"shape": [20, 20, 20], "voxel_size_nm": 80.0})
    with pytest.raises(BundleError, match="was trained on voxels of 160 nm, found volumes of 80 nm, expected a whole"):
        make_plan(coarse, load_bundle("cba-cathode-2025"), tmp_path)


def test_a_comparison_is_never_virtual():
    with pytest.raises(InputError, match="kind 'comparison': has no virtual stores"):
        kinds()["comparison"].freeze(parsed(), load_bundle("cba-cathode-2025"))


@pytest.mark.slow
def test_annealing_meets_the_two_point_coverage_and_misses_the_euler_number():
    """8 windows of 8 µm of the additive, 3 annealed volumes of 5.12 µm, voxels of 80 nm."""
    bundle = load_bundle("cba-cathode-2025")
    annealed = fit_baseline("annealed", measured_by_theory(bundle.cba(), 80.0, 64, 7))
    volumes = [generate_annealed(annealed, (64, 64, 64), 80.0, 7, index) == 1 for index in range(3)]
    lags = np.arange(16) * 80.0
    wanted = theory.two_point_coverage(bundle.cba(), lags)["solid"]
    for volume in volumes:
        found = [(volume & np.roll(volume, k, axis=0)).mean() for k in range(16)]
        assert np.sqrt(np.mean((found - wanted) ** 2)) < 1e-4

    def euler(values):
        found = np.array([intrinsic_volumes(value, 80.0).euler_number_26 for value in values])
        return found.mean(), found.var(ddof=1) / len(found)

    windows = (generate_cba(bundle, (100, 100, 100), 80.0, 7, index) > 0 for index in range(8))
    (own, own_variance), (reference, variance) = euler(volumes), euler(windows)
    assert own - reference > 5 * np.sqrt(own_variance + variance)
