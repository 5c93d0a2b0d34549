"""What the report of a sweep claims, on stores whose numbers are made up: every sentence follows from them."""

import csv
import re
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from scipy import stats

from nmcdist.bundle import load_bundle
from nmcdist.descriptors.cba import PHASES, descriptor_layout
from nmcdist.errors import InputError
from nmcdist.models import theory
from nmcdist.products import stores
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.stores import build_report
from nmcdist.products.volumes import report as volumes
from nmcdist.products.volumes.additive import Additive
from nmcdist.report import figures
from nmcdist.report.sweep import level_texts

BUNDLE = load_bundle("cba-cathode-2025")
OTHER = BUNDLE.with_parameters(theta_per_nm=1.1 * BUNDLE.parameters.theta_per_nm)
NEAREST = min((0.1, 0.2, 0.3, 0.4, 0.9), key=lambda mu: abs(mu - BUNDLE.parameters.mu))
PAPER_ONLY = ("Table 3", "Table 1", "0.0357", "0.2429", "0.6686 measured", "-1.874", "2.1939", "paper's values")
RANGES = [(0.03, 0.17), (0.03, 0.1), (0.1, 0.107), (0.02, 0.035), (0.4, 0.57), (0.0301, 0.0309)]
SCATTER = np.array([-0.02, 0.013, 0.004, -0.011, 0.019])  # of volumes about the model, realisation by realisation


def made_up(swept="graphite_fraction", levels=(0.06, 0.1054, 0.17), count=5, voxel=40.0, bundle=BUNDLE, **layout):
    """Return a dataset as stores hold it: volumes near theory, K of graphite twice theory, M a law of morphology."""
    shape = (64, 64, 64)
    data = descriptor_layout(shape, voxel, max_lag_nm=400.0, max_radius_nm=400.0, **layout)
    changed = [change(bundle, swept, level) for level in levels or (None,)]
    parameters = [c.parameters for c in changed for _ in range(count)]
    samples = len(parameters)
    data = data.expand_dims(sample=np.arange(samples)).copy(deep=True)
    shift = np.resize(SCATTER, count)[:count]
    shift = np.tile(shift, samples // count)
    rng = np.random.default_rng(3)
    for i, p in enumerate(parameters):
        graphite, fractions = theory.graphite_densities(p), theory.volume_fractions(p)
        solid = fractions["solid"] + shift[i]
        values = {"graphite": graphite.volume_fraction + shift[i], "solid": solid, "pore": 1 - solid,
                  "carbon_binder": fractions["carbon_binder"]}  # fmt: skip
        for k, phase in enumerate(PHASES):
            data["volume_fraction"][i, k] = values[phase]
        data["surface_area"][i] = graphite.surface_area * (1 + shift[i])
        for n, factor in ((6, 3.0), (26, 2.0)):
            data[f"mean_curvature_{n}"][i] = factor * graphite.mean_curvature * (1 + shift[i])
            data[f"euler_number_{n}"][i] = factor * graphite.euler_number
        if "r_max_nm" in data:
            data["r_max_nm"][i], data["r_min_nm"][i] = 3 * voxel, 2 * voxel
            data["constrictivity"][i], data["constrictivity_mean"][i] = 4 / 9, 4 / 9 + shift[i]
            data["geodesic_tortuosity_mean"][i] = rng.uniform(1.05, 1.3, 4)
            data["percolates"][i] = 1
            data["pore_size_distribution"][i] = np.linspace(1, 0, data.sizes["radius_nm"]) ** 2
        data["two_point_coverage"][i] = np.linspace(0.3, 0.09, data.sizes["lag_nm"])
        if "m_factor_mean" in data:
            for k, phase in enumerate(("pore", "solid")):
                epsilon, tau = values[phase], float(data["geodesic_tortuosity_mean"].sel(phase=phase)[i])
                data["m_factor_mean"][i, k] = epsilon**2.2 / float(data["constrictivity_mean"][i, 0]) ** 0.4 / tau**5
                data["effective_conductivity"][i, k] = 0.01 + shift[i] / 10
    coords = {
        "graphite_fraction": ("sample", [theory.graphite_fraction(p) for p in parameters], {"units": "1"}),
        "lambda_X_per_nm3": ("sample", [p.lambda_X_per_nm3 for p in parameters], {"units": "nm^-3"}),
    }
    if swept not in coords and levels:
        about = {"units": "1", "long_name": "threshold of the Gaussian field"}
        coords[swept] = ("sample", np.repeat(levels, count), about)
    recipe = {
        "name": "made-up", "version": "1.0.0", "title": "Made up", "bundle": "cba-cathode-2025", "seed": 1,
        "volume": {"shape": list(shape), "voxel_size_nm": voxel}, "sweep": {swept: list(levels)} if levels else {},
        "realisations": count,
    }  # fmt: skip
    return data.assign_coords(coords), bundle, parsed_recipe(recipe, "made-up.yaml")


def change(bundle, swept, level):
    if level is None:
        return bundle
    if swept == "graphite_fraction":
        swept, level = "lambda_X_per_nm3", theory.intensity_for_graphite_fraction(bundle.parameters, level)
    return bundle.with_parameters(**{swept: level})


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A function that writes the report of a dataset, without its pictures unless asked, and returns the page."""

    def build(data, bundle, recipe, *, pictures=False):
        with monkeypatch.context() as patch:
            patch.setattr(volumes, "open_store", lambda store: data)
            patch.setattr(volumes, "bundle_of", lambda store: bundle)
            if not pictures:
                for name in ("structure_property", "size_distributions", "coverage"):
                    patch.setattr(figures, name, lambda *args: args[-1])
            page = volumes.report_volumes(tmp_path / "made-up.zarr", recipe, tmp_path / "report", (), lambda line: None)
        return page.read_text(encoding="utf-8")

    return build


def rows(folder, name="comparison.csv"):
    with (folder / "report" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sweep_of(data, bundle, recipe):
    return volumes._load(data, bundle, recipe)


def drawn(monkeypatch, draw, *args):
    """Return the axes of a figure instead of writing it."""
    kept = []
    monkeypatch.setattr(figures, "save", lambda drawing, path: kept.append(drawing))
    draw(*args, None)
    return kept[0].axes


def test_sweep_of_another_parameter_shows_no_value_of_the_papers_sweep(report, tmp_path):
    text = report(*made_up("mu", (0.3, 0.499, 0.7)))
    assert not [word for word in PAPER_ONLY if word in text]
    assert "| paper |" not in text
    assert "lambda_X" not in text
    assert all(r["paper"] == "" for r in rows(tmp_path))
    assert "at mu = 0.300" in text
    assert "No published values are shown" in text


def test_graphite_sweep_of_another_bundle_shows_no_value_of_the_paper(report):
    text = report(*made_up(bundle=BUNDLE.with_parameters(mu=0.6)))
    assert not [word for word in PAPER_ONLY if word in text]


def test_graphite_sweep_of_the_papers_bundle_stands_beside_the_paper(report, tmp_path):
    text = report(*made_up())
    assert [word for word in PAPER_ONLY if word in text] == list(PAPER_ONLY)
    table = {r["quantity"]: r for r in rows(tmp_path)}
    assert table["V1 (graphite) at V1 = 0.1054"]["paper"] == "0.1057 (Table 3)"
    assert table["V1 (graphite) at V1 = 0.1700"]["paper"] == ""


def test_levels_far_from_the_calibrated_one_have_no_single_values_of_the_paper(report):
    text = report(*made_up(levels=(0.02, 0.03)))
    assert not [word for word in PAPER_ONLY if word in text and word != "paper's values"]
    assert "no level is within 2 % of it" in text


@pytest.mark.parametrize(
    ("store", "name", "reference", "why"),
    [
        # |0.09 - 0.1057| < |0.13 - 0.1057|; 0.15 is the middle one.
        (("graphite_fraction", (0.09, 0.13, 0.15, 0.16, 0.17)), "V1", 0.09, "the nearest of 5 .* V1 = 0.1057"),
        (("mu", (0.1, 0.2, 0.3, 0.4, 0.9)), "mu", NEAREST, "the nearest of 5 .* `mu` = "),
        (("mu", (0.1, 0.2, 0.3, 0.4, 0.9), OTHER), "mu", 0.3, "the middle one of 5"),
        (("graphite_fraction", (0.09, 0.13, 0.15, 0.16, 0.17), OTHER), "V1", 0.15, "the middle one of 5"),
    ],
)
def test_the_level_of_what_is_shown_of_one_is_said_and_why(report, tmp_path, store, name, reference, why):
    swept, levels, *bundle = store
    text = report(*made_up(swept, levels, 3, **({"bundle": bundle[0]} if bundle else {})))
    shown = f"{name} = {level_texts(levels)[levels.index(reference)]}"
    assert re.search(rf"The table shows S, K and N .* and M-factors of one level, {shown}: {why}", text)
    table = [
        r["quantity"] for r in rows(tmp_path) if re.match("[SKNM] ", r["quantity"]) and " against " not in r["quantity"]
    ]
    assert len(table) == 9
    assert all(f" at {shown}" in quantity for quantity in table)
    assert all(f"[{file}]({file})" in text.partition("The table shows")[2].partition("\n")[0]
               for file in ("levels.csv", "samples.csv"))  # fmt: skip


def test_one_level_needs_no_reason(report):
    assert "for one level" not in report(*made_up(levels=(0.1054,)))


def test_interval_of_five_volumes_is_students(report, tmp_path):
    data, *rest = made_up()
    text = report(data, *rest)
    values = data["volume_fraction"].sel(phase="graphite").values[5:10]
    expected = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    row = next(r for r in rows(tmp_path) if r["quantity"] == "V1 (graphite) at V1 = 0.1054")
    assert [float(row[k]) for k in ("interval_low", "interval_high")] == pytest.approx(expected, rel=1e-6)
    assert row["n"] == "5"
    level = next(r for r in rows(tmp_path, "levels.csv") if (r["descriptor"], r["phase"], r["graphite_fraction"][:5])
                 == ("volume_fraction", "graphite", "0.105"))  # fmt: skip
    assert float(level["interval_low"]) == pytest.approx(expected[0], rel=1e-6)
    assert "95 %, Student's t" in text


@pytest.mark.parametrize("count", [1, 2])
def test_two_volumes_have_values_and_no_interval(count, report, tmp_path, monkeypatch):
    store = made_up(count=count)
    text = report(*store)
    means = [r for r in rows(tmp_path) if "Eq." not in r["quantity"]]
    assert means
    assert all(r["interval_low"] == "" and r["n"] == str(count) for r in means)
    assert "±" not in text
    assert "No intervals of means" in text
    sweep = sweep_of(*store)
    panels = drawn(monkeypatch, figures.structure_property, sweep, {}, None)
    assert not any(panel.containers for panel in panels)
    assert not any(panel.collections for panel in drawn(monkeypatch, figures.coverage, sweep))


def test_ratios_to_theory_are_those_of_the_numbers(report):
    text = report(*made_up(count=3))
    assert "lies below theory" not in text
    factor = 1 + SCATTER[:3].mean()
    assert f"measured as {3 * factor:.2f} times theory (6-adjacency) and {2 * factor:.2f} times theory" in text
    assert "radius of curvature of 5.4 nm, which voxels of 40 nm do not resolve" in text
    assert "not resolve" not in report(*made_up(count=3, voxel=5.0))


def test_store_with_one_kind_of_adjacency_has_a_report_that_says_which(report):
    data, *rest = made_up(count=3)
    old = data.rename(mean_curvature_26="mean_curvature", euler_number_26="euler_number")
    text = report(old.drop_vars(["mean_curvature_6", "euler_number_6"]), *rest)
    assert "K graphite (mean of 6- and 26-adjacency)" in text


def test_exponent_at_its_bound_is_said_to_be_there(report, tmp_path):
    """The M-factors are made with exponent b = -0.4, which the fit does not allow."""
    text = report(*made_up())
    row = next(r for r in rows(tmp_path) if r["quantity"] == "exponent b, Eq. (28)")
    assert (float(row["this run"]), row["note"], row["interval_low"]) == (0, "at its bound 0, no interval", "")
    assert "Exponent b is at its bound, 0" in text


def test_too_few_volumes_are_not_fitted_and_that_is_said(report):
    text = report(*made_up(levels=(), count=1))
    assert "not fitted" in text
    assert "No linear fit" in text
    assert "exponent a" not in text


def test_volumes_stand_at_the_graphite_that_they_hold(monkeypatch):
    store = made_up()
    sweep = sweep_of(*store)
    measured = store[0]["volume_fraction"].sel(phase="graphite").values
    panels = drawn(monkeypatch, figures.structure_property, sweep, {}, None)
    tortuosity = {line.get_label(): line for line in panels[2].lines}
    assert tortuosity["solid, one volume"].get_xdata() == pytest.approx(measured)
    by_level = measured.reshape(3, 5).mean(axis=1)
    assert tortuosity["solid, mean of a level"].get_xdata() == pytest.approx(by_level)
    assert "measured" in panels[0].get_xlabel()


def test_graphite_that_is_far_from_the_model_is_named(report):
    data, *rest = made_up(count=3)
    data["volume_fraction"][1, list(PHASES).index("graphite")] = 0.6 * 0.06
    assert "differs from the model's by up to 40 % (item 1: 0.0360 instead of 0.0600)" in report(data, *rest)


def test_constrictivity_is_not_joined_and_shows_its_steps(monkeypatch):
    sweep = sweep_of(*made_up())
    low, high = figures.constrictivity_steps(sweep, "solid")
    assert (low[0], high[0]) == (pytest.approx(4 / 10), pytest.approx(5 / 9))  # squared radii 4 and 9 voxels
    panel = drawn(monkeypatch, figures.structure_property, sweep, {}, None)[1]
    assert not panel.containers
    across = [line for line in panel.lines if np.ptp(line.get_xdata()) > 0]
    assert across
    assert all(line.get_linestyle() == "None" for line in across)


@pytest.mark.parametrize("swept", ["graphite_fraction", "mu"])
@pytest.mark.parametrize(
    "levels", [(0.1054,), (0.04, 0.06, 0.08, 0.1054, 0.13, 0.15, 0.17), (0.04, 0.06, 0.1, 0.106, 0.17)]
)
def test_pale_bars_of_the_phases_stand_side_by_side(monkeypatch, swept, levels):
    sweep = sweep_of(*made_up(swept, levels, count=3))
    panel = drawn(monkeypatch, figures.structure_property, sweep, {}, None)[1]
    panel.figure.canvas.draw()
    bars = [line for line in panel.lines if "left open" in line.get_label()]
    assert len(bars) == 2 * len(levels)
    assert {bar.get_alpha() for bar in bars} == {None}
    spans = []
    for bar in bars:
        (at, low), (_, high) = bar.get_transform().transform(bar.get_xydata())
        half = bar.get_linewidth() * panel.figure.dpi / 144
        spans.append((at - half, at + half))
        inside = panel.get_window_extent()
        assert inside.x0 < at - half < at + half < inside.x1
        assert inside.y0 < low < high < inside.y1
    spans.sort()
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize("levels", RANGES)
def test_numbers_below_the_axes_stand_apart(monkeypatch, levels):
    sweep = sweep_of(*made_up("mu", levels, count=3))
    panels = drawn(monkeypatch, figures.structure_property, sweep, {}, None)
    panels[0].figure.canvas.draw()
    for panel in panels:
        inside = panel.get_window_extent()
        boxes = [label.get_window_extent() for label in panel.get_xticklabels()]
        boxes = [box for box in boxes if box.width and inside.x0 - 1 <= (box.x0 + box.x1) / 2 <= inside.x1 + 1]
        assert len(boxes) >= 2
        assert min(b.x0 - a.x1 for a, b in pairwise(boxes)) > boxes[0].height


def test_axes_follow_the_swept_parameter(monkeypatch):
    data, *rest = made_up("eta_per_nm", (0.01, 0.02), count=3)
    data["eta_per_nm"].attrs.update(units="nm^-1", long_name="inverse correlation length")
    sweep = sweep_of(data, *rest)
    panels = drawn(monkeypatch, figures.structure_property, sweep, {}, None)
    assert {panel.get_xlabel() for panel in panels} == {r"inverse correlation length $\eta$ / nm⁻¹"}
    assert sweep.level_name(0.02) == "0.0200 nm⁻¹"


def test_curves_of_many_levels_are_three_that_can_be_told_apart(monkeypatch):
    store = made_up(levels=(0.04, 0.06, 0.08, 0.1054, 0.13, 0.15, 0.17), count=1)
    sweep = sweep_of(*store)
    for draw in (figures.size_distributions, figures.coverage):
        for panel in drawn(monkeypatch, draw, sweep):
            lines = [line for line in panel.lines if str(line.get_label()).startswith("$V_1$")]
            assert len(lines) == 3
            assert len({line.get_marker() for line in lines}) == 3
            luminance = [np.dot(to_rgb(line.get_color()), (0.2126, 0.7152, 0.0722)) for line in lines]
            assert max(luminance) < 0.6  # dark enough on white
            assert len({len(line.get_label()) for line in lines}) == 1


def test_every_level_is_in_the_table_of_curves(report, tmp_path):
    report(*made_up(levels=(0.04, 0.06, 0.08, 0.1054), count=3))
    table = rows(tmp_path, "curves.csv")
    assert len({r["graphite_fraction"] for r in table}) == 4
    assert {r["curve"] for r in table} == {"two_point_coverage", "pore_size_distribution"}


def test_values_that_are_missing_are_counted_and_named(report, tmp_path):
    data, *rest = made_up(count=3)
    data["geodesic_tortuosity_mean"].loc[{"sample": 1, "phase": "solid"}] = np.nan
    data["percolates"].loc[{"sample": 1, "phase": "solid"}] = 0
    data["r_max_nm"].loc[{"sample": 2, "phase": "pore"}] = np.inf
    text = report(data, *rest)
    assert "have no tortuosity: solid in 1 of 9" in text
    assert "nan" not in text
    found = next(r for r in rows(tmp_path, "levels.csv") if r["descriptor"] == "geodesic_tortuosity_mean"
                 and r["phase"] == "solid" and r["graphite_fraction"].startswith("0.06"))  # fmt: skip
    assert (found["n"], found["interval_low"]) == ("2", "")


@pytest.mark.parametrize("layout", [{"transport": False}, {"blockwise_only": True}, {"axes": ["x"]}])
def test_stores_with_fewer_descriptors_have_reports(layout, report, tmp_path):
    text = report(*made_up(count=3, **layout))
    assert "V1 (graphite)" in text
    assert ("M pore" in text) == ("axes" in layout)


def test_figures_are_written_as_svg_too_and_are_linked(report, tmp_path):
    text = report(*made_up(levels=(0.1054,), count=1), pictures=True)
    for picture in (tmp_path / "report").glob("*.png"):
        svg = picture.with_suffix(".svg")
        assert f"]({svg.name})" in text
        assert "<svg" in svg.read_text(encoding="utf-8")[:1000]


def test_labels_are_large_enough_and_have_units(monkeypatch):
    sweep = sweep_of(*made_up())
    for draw in (figures.size_distributions, figures.coverage):
        for panel in drawn(monkeypatch, draw, sweep):
            assert panel.xaxis.label.get_size() >= 12
            assert panel.get_xlabel().endswith("/ nm")
            assert min(t.get_size() for t in panel.get_xticklabels()) >= 12


@pytest.mark.parametrize(
    ("levels", "texts"),
    [
        ([0.038, 0.1055, 0.174], ["0.0380", "0.1055", "0.1740"]),
        ([6.36e-11, 1.09e-10], ["6.36e-11", "1.09e-10"]),
        ([0.1054, 0.10541], ["0.10540", "0.10541"]),
        ([2.0, 30.0], ["2.00", "30.00"]),
        ([0.0], ["0.00"]),
    ],
)
def test_levels_are_written_with_the_same_digits(levels, texts):
    assert level_texts(levels) == texts


def test_study_of_resolution_is_made_on_demand_and_says_what_it_solves(tmp_path, monkeypatch):
    data, bundle, recipe = made_up(count=3)
    solved, told = [], []

    def resolve(bundle, fraction, edges, size, seed, item, stream):
        assert stream == item % 3  # the levels of a sweep share their realisations
        solved.append((item, size))
        factors = {"pore": 0.3, "solid": 0.001 * size}
        return SimpleNamespace(item=item, voxel_size_nm=size, graphite_fraction=fraction, m_factor=factors,
                               effective_conductivity=factors)  # fmt: skip

    monkeypatch.setattr(volumes, "open_store", lambda store: data)
    monkeypatch.setattr(volumes, "bundle_of", lambda store: bundle)
    monkeypatch.setattr(volumes, "resolve", resolve)
    for name in ("structure_property", "size_distributions", "coverage"):
        monkeypatch.setattr(figures, name, lambda *args: args[-1])
    monkeypatch.setattr(stores, "kind_of_store", lambda store: Additive())
    monkeypatch.setattr(stores, "recipe_of_store", lambda store: recipe)
    page = build_report(tmp_path / "s.zarr", tmp_path / "without")
    assert solved == []
    assert "nmcdist report --resolution-study" in page.read_text(encoding="utf-8")
    page = build_report(tmp_path / "s.zarr", tmp_path / "with", (80.0, 40.0), told.append)
    assert sorted(solved) == [(3, 40.0), (3, 80.0), (4, 40.0), (4, 80.0)]
    assert told[0] == "resolution study 1 of 4: item 3, voxels of 80 nm"
    assert len(told) == 4
    assert "Item 3: at 80 nm M of the solid is 2 times" in page.read_text(encoding="utf-8")


def test_study_of_resolution_needs_m_factors(tmp_path, monkeypatch):
    data, bundle, recipe = made_up(count=1, transport=False)
    monkeypatch.setattr(volumes, "open_store", lambda store: data)
    monkeypatch.setattr(volumes, "bundle_of", lambda store: bundle)
    with pytest.raises(InputError, match="holds no M-factors"):
        volumes.report_volumes(tmp_path / "s.zarr", recipe, tmp_path / "report", (80.0,), lambda line: None)
