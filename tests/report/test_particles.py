"""The report of a small collection of particles: every figure and table is there, and says what the particles say."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from scipy.spatial.distance import pdist

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets.particles import read_grains, read_particle
from nmcdist.descriptors.grains import describe_grains
from nmcdist.descriptors.sections import describe_section
from nmcdist.descriptors.summaries import Histogram, linear_edges, log_edges
from nmcdist.errors import InputError, StoreError
from nmcdist.geometry.sphere import icosphere
from nmcdist.products.registry import parsed_recipe, recipe_of_store
from nmcdist.products.stores import build_report
from nmcdist.report import collection, frames, gallery, pole_figure
from nmcdist.report import particle_figures as figures
from nmcdist.report.distributions import Quantum, density, joined, on_values, range_of
from nmcdist.report.frames import study_frames
from nmcdist.report.intervals import Estimate
from nmcdist.report.raycast import TOWARDS, draw_view, view_particle
from nmcdist.report.survey import items_of_sizes, survey
from nmcdist.runs.run import run_recipe

COUNT = 3
PLANE_NM = 50.0
RECIPE = {
    "name": "few",
    "version": "1.0.0",
    "title": "A few particles",
    "seed": 7,
    "particles": {"count": COUNT, "batch": 2},
}
MEASURED = {"descriptors": {"voxel_size_nm": 100.0, "pixel_size_nm": PLANE_NM, "cut_heights": [0.0, 0.5]}}
EVERYWHERE = {"gallery", "shells", "sizes", "grains"}


def make(folder, shell_scale_nm=8500.0, **changes):
    bundle = load_bundle("nmc811-radial").with_parameters(shell_scale_nm=shell_scale_nm, shell_sigma=0.15)
    path = save_bundle(bundle, folder / "bundle")
    recipe = parsed_recipe({**RECIPE, "bundle": str(path), **changes}, "recipe")
    return run_recipe(recipe, bundle, folder / "out", Deployment(workers=0)).store


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "_WIDTH", 300.0)
        patch.setattr(pole_figure, "_PIXELS", 100)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make(tmp_path_factory.mktemp("measured"), orientations={"concentration": -5.0}, **MEASURED)


@pytest.fixture(scope="module")
def report(store):
    return build_report(store)


@pytest.fixture(scope="module")
def analytic(tmp_path_factory):
    return build_report(make(tmp_path_factory.mktemp("analytic")))


@pytest.fixture(scope="module")
def particles(store):
    return [read_particle(store, item) for item in range(COUNT)]


@pytest.fixture(scope="module")
def studies():
    return study_frames()


def collection_of(store):
    recipe = recipe_of_store(store)
    return collection.Collection.of(store, recipe.name, recipe.descriptors)


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shown(page):
    """The pictures of a page, each with something drawn in it."""
    text = page.read_text(encoding="utf-8")
    pictures = sorted(page.parent.glob("*.png"))
    for picture in pictures:
        assert f"]({picture.name})" in text
        assert np.asarray(Image.open(picture).convert("L")).std() > 5
    return {picture.stem for picture in pictures}


def statistics_of(page, table, column, cut_height=""):
    found = [
        r
        for r in rows(page.parent / "statistics.csv")
        if (r["table"], r["column"], r["cut_height"]) == (table, column, cut_height)
    ]
    assert len(found) == 1
    return found[0]


def assert_summarised(row, values):
    known = values[np.isfinite(values)]
    assert (int(row["count"]), int(row["missing"])) == (len(known), len(values) - len(known))
    expected = [known.min(), known.max(), known.mean(), known.std(ddof=1)]
    assert [float(row[k]) for k in ("minimum", "maximum", "mean", "sd")] == pytest.approx(expected, rel=1e-6)
    median = np.quantile(known, 0.5, method="inverted_cdf")
    assert float(row["median_from"]) <= median * (1 + 1e-6)
    assert median <= float(row["median_to"]) * (1 + 1e-6)


def run_table(page):
    lines = [
        line.strip("| ").split(" | ") for line in page.read_text(encoding="utf-8").splitlines() if line[:2] == "| "
    ]
    return {line[0]: line[1:] for line in lines}


def means_table(page):
    """Cells of the means over grains: quantity, unit, mean, interval, sd."""
    text = page.read_text(encoding="utf-8").split("## Means over grains")[1].split("##")[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:2] == "| "]
    return [line[1:] for line in lines[2:]]


def drawn(monkeypatch, draw, store, folder):
    """Return the panels of a figure of the shells instead of writing it."""
    kept, collected = [], collection_of(store)
    monkeypatch.setattr(figures, "save", lambda drawing, path: kept.append(drawing))
    draw(collected, survey(collected, folder / "particles.csv"), None)
    return kept[0].axes


def test_page_shows_every_figure_and_each_is_a_picture(report):
    assert shown(report) == EVERYWHERE | {"sections", "cut-heights", "orientations"}
    assert "inverse pole figure" in report.read_text()


def test_store_that_is_not_measured_has_the_figures_that_need_no_voxels(analytic):
    assert shown(analytic) == EVERYWHERE
    assert "Grains were not measured" in analytic.read_text(encoding="utf-8")


def test_particle_table_holds_what_the_shells_say(report, particles):
    table = rows(report.parent / "particles.csv")
    assert [int(r["item"]) for r in table] == list(range(COUNT))
    directions = icosphere(3)[0]
    for row, particle in zip(table, particles, strict=True):
        points = directions * particle.shell.radius(directions)[:, None]
        assert float(row["shell_d_max_nm"]) == pytest.approx(pdist(points).max(), rel=1e-12)
        assert float(row["mean_diameter_nm"]) == pytest.approx(2 * particle.shell.radius(directions).mean(), rel=1e-2)
        volume, area = (float(row[f"shell_{k}"]) for k in ("volume_nm3", "area_nm2"))
        assert float(row["shell_sphericity"]) == pytest.approx(np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area)
        assert int(row["kept_grains"]) == particle.kept.sum()
        assert int(row["shell_rejections"]) == particle.rejections


def test_statistics_of_grains_are_those_of_the_grains_themselves(store, report):
    tables = [read_grains(store, item) for item in range(COUNT)]
    for column in ("volume_nm3", "elongation", "angle_to_radius", "neighbours", "surface_area_nm2"):
        values = np.concatenate([t[column].values.astype(float) for t in tables])
        assert_summarised(statistics_of(report, "grain", column), values)


def test_statistics_of_central_sections_are_those_of_the_sections_themselves(report, particles):
    tables = [describe_section(particle.section(PLANE_NM), PLANE_NM) for particle in particles]
    for column in ("area_nm2", "elongation", "angle_to_radius"):
        values = np.concatenate([t[column].values for t in tables])
        assert_summarised(statistics_of(report, "section", column, "0"), values)


def test_statistics_of_grains_that_are_not_measured_come_from_the_records(analytic, particles):
    volume = np.concatenate([p.volumes_nm3[p.kept] for p in particles]).astype(float)
    assert_summarised(statistics_of(analytic, "grain", "volume_nm3"), volume)
    assert_summarised(statistics_of(analytic, "grain", "equivalent_diameter_nm"), np.cbrt(6 * volume / np.pi))


def test_profiles_are_means_over_the_grains_at_a_distance(store, report):
    tables = [read_grains(store, item) for item in range(COUNT)]
    radius, values = (np.concatenate([t[k].values for t in tables]) for k in ("radius_nm", "elongation"))
    found = [r for r in rows(report.parent / "profiles.csv") if (r["table"], r["column"]) == ("grain", "elongation")]
    assert len(found) >= 4
    for row in found:
        here = np.abs(radius - float(row["radius_nm"])) <= 125.0  # bins of 250 nm
        assert int(row["count"]) == here.sum()
        assert float(row["mean"]) == pytest.approx(values[here].mean(), rel=1e-5)


def test_page_sums_up_the_run_and_sets_the_paper_beside(store, report, particles):
    table, csv_rows = run_table(report), rows(report.parent / "particles.csv")
    assert int(table["particles"][1]) == COUNT
    assert int(table["grains kept"][1]) == sum(int(p.kept.sum()) for p in particles)
    assert int(table["shells drawn and rejected"][1]) == sum(p.rejections for p in particles)
    assert int(table["pieces given to a neighbour"][1]) == sum(int(r["pieces_merged"]) for r in csv_rows)
    forms = [float(r["shell_sphericity"]) for r in csv_rows]
    assert float(table["median sphericity"][1]) == pytest.approx(np.median(forms), abs=1e-4)
    assert float(table["lowest sphericity"][1]) == pytest.approx(min(forms), abs=1e-4)
    assert "0.6" in table["lowest sphericity"][3]
    diameters = [float(r["shell_d_max_nm"]) for r in csv_rows]
    median = table["median largest diameter d_max"]
    assert (median[0], median[2]) == ("µm", "–")  # three particles give no interval
    assert float(median[1]) == pytest.approx(np.median(diameters) / 1000, rel=6e-3)


def test_page_says_what_the_bundle_is_and_what_it_was_calibrated_on(store, report):
    import zarr

    attributes = zarr.open_group(store, mode="r").attrs
    assert f"The bundle: {attributes['bundle_title']}. Calibrated on: {attributes['bundle_calibrated_on']}." in (
        report.read_text(encoding="utf-8")
    )
    assert attributes["bundle_title"] == json.loads(attributes["bundle"])["title"]


def test_page_names_what_is_assumed(report):
    text = report.read_text(encoding="utf-8")
    assumed = text.split("assumed: ")[1].split(";")[0]
    assert "`shell_scale_nm`" in assumed
    assert "`shell_location_nm`" not in assumed
    assert "are a choice, not a result of the paper" in text


def test_pieces_are_told_as_they_were_before_grains_were_measured(report):
    text, table = report.read_text(encoding="utf-8"), run_table(report)
    split, grains = (int(table[k][1]) for k in
                     ("grains in several pieces, before pieces were given to neighbours",
                      "grains with at least one voxel"))  # fmt: skip
    assert (
        f"{split} of {grains} grains ({100 * split / grains:.1f} %) fell into several pieces; before measuring" in text
    )
    assert "so that each measured grain is one piece" in text
    assert float(statistics_of(report, "grain", "pieces")["maximum"]) == 1


def test_sums_by_batch_are_those_of_the_grains_of_each_batch(store):
    """Batches are particles 0 and 1, and particle 2."""
    found = collection_of(store).by_batch["grain", "elongation"]
    values = [read_grains(store, item)["elongation"].values for item in range(COUNT)]
    batches = [np.concatenate(values[:2]), values[2]]
    assert found[:, 0].tolist() == [len(b) for b in batches]
    assert found[:, 1] == pytest.approx([b.sum(dtype=float) for b in batches], rel=1e-6)


def test_means_over_grains_have_intervals_by_batch_and_none_below_three(store, report):
    assert {cells[3] for cells in means_table(report)} == {"–"}
    two = collection_of(store)
    counts, sums = np.array([[40.0, 60, 50], [20, 33, 24]])
    total = {"grain_moments": two.statistics["grain_moments"].copy(deep=True)}
    total["grain_moments"].loc[{"grain_column": "elongation", "statistic": "count"}] = counts.sum()
    three = replace(two, statistics=two.statistics.assign(total), by_batch={
        ("grain", "elongation"): np.stack([counts, sums], axis=1)})  # fmt: skip
    left_out = np.array([(sums.sum() - s) / (counts.sum() - c) for s, c in zip(sums, counts, strict=True)])
    error = np.sqrt(2 / 3 * ((left_out - left_out.mean()) ** 2).sum())
    assert three.mean("grain", "elongation").margin == pytest.approx(stats.t.ppf(0.975, 2) * error)
    assert replace(three, statistics=two.statistics).mean("grain", "elongation").margin is None  # of another run


def test_quantiles_lie_within_what_occurs(report):
    """Every measured grain is one piece, so every quantile of the share of the largest is 1."""
    share = statistics_of(report, "grain", "largest_piece_share")
    assert {share[f"{k}_{end}"] for k in ("quantile_10", "median", "quantile_90") for end in ("from", "to")} == {"1"}


def test_pages_have_the_micro_sign_and_no_standard_errors(report, analytic):
    for page in (report, analytic):
        text = page.read_text(encoding="utf-8")
        assert " um" not in text
        assert "±" not in text


def test_marks_of_particles_stay_clear_of_the_numbers_below_the_axis(store, monkeypatch, tmp_path):
    panels = drawn(monkeypatch, figures.shells, store, tmp_path)
    for panel in panels:
        (rug,) = panel.collections
        heights = np.array([segment[:, 1] for segment in rug.get_segments()])
        assert len(heights) == COUNT
        assert (heights.min(), heights.max() < 0.2) == (0, True)
        assert rug.get_clip_on()
    assert " µm" in panels[0].get_legend().texts[0].get_text()
    assert panels[0].get_xlabel().endswith("µm")


def test_means_in_pictures_have_their_unit(store, monkeypatch, tmp_path):
    collected = collection_of(store)
    kept = []
    monkeypatch.setattr(figures, "save", lambda drawing, path: kept.append(drawing))
    figures.sections(collected, None)
    first = [panel.get_legend().texts[0].get_text() for panel in kept[0].axes]
    assert [text.split()[2:] for text in first] == [["µm²"], [], ["rad"], ["µm"]]
    left = kept[0].axes[0].get_xlim()[0]
    assert left == pytest.approx(7.5 * PLANE_NM**2 / 1e6)


def test_lines_that_the_legend_of_grains_names_are_inside(store, monkeypatch):
    kept = []
    monkeypatch.setattr(figures, "save", lambda drawing, path: kept.append(drawing))
    monkeypatch.setattr(figures, "_NEIGHBOURS", 90.0)
    figures.grains(collection_of(store), None)
    *_, sine, angle, number, profile = kept[0].axes
    assert number.get_xlim()[1] > 90
    assert profile.get_ylim()[1] > 90
    assert sine.get_ylim()[1] > 1
    assert angle.get_ylim()[1] > 1


def test_spikes_of_grains_of_few_voxels_are_explained_with_their_share(store, report, analytic):
    volumes = np.concatenate([read_grains(store, item)["volume_nm3"].values for item in range(COUNT)])
    share = 100 * np.mean(volumes < 3.5 * MEASURED["descriptors"]["voxel_size_nm"] ** 3)
    text = report.read_text(encoding="utf-8")
    said = f"(b) The {share:.2g} % of the grains with three voxels or fewer can show as spikes"
    assert (said in text) == (share > 0)
    assert "of the grains with three voxels" not in analytic.read_text(encoding="utf-8")
    for page in (report, analytic):
        assert "(a) Bins are even on a logarithmic scale" in page.read_text(encoding="utf-8")


def test_spikes_of_grains_of_few_voxels_are_where_the_caption_says():
    shapes = {0.0: [(0, 0)], 0.5: [(0, 0), (0, 1)], 0.67: [(0, 0), (0, 1), (0, 2)], 0.32: [(0, 0), (0, 1), (1, 0)]}
    for elongation, cells in shapes.items():
        labels = np.zeros((5, 5, 5), dtype=np.int32)
        for y, x in cells:
            labels[2, 1 + y, 1 + x] = 1
        # 0.32: second moments 7/36 and 5/12 of a voxel, whose ratio is 7/15.
        assert float(describe_grains(labels, 100.0)["elongation"][0]) == pytest.approx(elongation, abs=0.005)


def test_error_bars_of_cut_heights_are_seen_and_only_where_they_are_known(store, monkeypatch):
    two = collection_of(store)
    kept = []
    monkeypatch.setattr(figures, "save", lambda drawing, path: kept.append(drawing))
    figures.cut_heights(two, None)
    assert not kept[0].axes[1].containers
    monkeypatch.setattr(collection.Collection, "mean", lambda *args: Estimate(0.5, 0.1, 4, 4))
    figures.cut_heights(two, None)
    bars = [c for c in kept[1].axes[1].containers if len(c[0].get_xdata()) or c.has_yerr]
    caps = bars[0][1][0].get_markersize() if bars[0][1] else 0
    assert caps > max(line.get_markersize() for line in kept[1].axes[1].lines if line.get_marker() in "os^D") * 0.9


def test_tables_do_not_depend_on_how_many_particles_are_read_at_a_time(store, report, tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "BLOCK", 1)
    found = survey(collection_of(store), tmp_path / "particles.csv")
    assert (tmp_path / "particles.csv").read_bytes() == (report.parent / "particles.csv").read_bytes()
    assert {h.total for h in found.histograms.values()} == {COUNT}
    table = rows(tmp_path / "particles.csv")
    assert found.volume.sum() == pytest.approx(sum(float(r["shell_volume_nm3"]) for r in table))
    assert found.totals["grains"] == sum(float(r["grains"]) for r in table)


def test_particles_of_hardly_a_grain_have_a_report_too(tmp_path):
    page = build_report(make(tmp_path, shell_scale_nm=4600.0, descriptors={"voxel_size_nm": 100.0}))
    assert {"shells", "sizes", "sections", "cut-heights", "grains"} <= shown(page)


def test_one_particle_has_a_report_without_intervals(tmp_path):
    page = build_report(make(tmp_path, particles={"count": 1, "batch": 1}, **MEASURED))
    text = page.read_text(encoding="utf-8")
    assert shown(page) == EVERYWHERE | {"sections", "cut-heights"}
    assert "nan" not in text
    assert "No intervals: grains of one particle are not independent, and the dataset has 1 batch of particles" in text
    assert "one particle alone holds 100 % of all grains" in text
    assert {cells[3] for cells in means_table(page)} == {"–"}


def test_damaged_statistics_are_refused(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "few.zarr")
    chunk = next(p for p in (copy / "grain_histogram").rglob("*") if p.is_file() and p.name != "zarr.json")
    chunk.write_bytes(b"damaged" + chunk.read_bytes()[7:])
    with pytest.raises(StoreError, match="statistics are damaged"):
        build_report(copy, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_missing_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        build_report(tmp_path / "none.zarr")


def test_report_into_a_file_is_refused(store, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="is a file, expected a folder"):
        build_report(store, tmp_path / "taken")


def test_gallery_passes_over_particles_without_grains():
    sizes = np.array([1000.0, 2000.0, 2100.0, 5000.0])
    blocks = [
        (np.array([0, 1]), {"shell_d_max_nm": sizes[:2], "kept_grains": np.array([4, 0])}),
        (np.array([2, 3]), {"shell_d_max_nm": sizes[2:], "kept_grains": np.array([9, 40])}),
    ]
    several = SimpleNamespace(blocks=lambda names: blocks)
    histogram = Histogram.of(sizes, log_edges(10, 1e6, 1000))
    assert items_of_sizes(several, (0.25, 0.5, 0.75, 1.0), histogram) == [0, 2, 3]
    none = SimpleNamespace(blocks=lambda names: [(np.arange(2), {k: np.zeros(2) for k in names})])
    assert items_of_sizes(none, (0.5,), histogram) == []


@pytest.mark.parametrize("quantum", [Quantum.multiples(50.0), Quantum.diameters(1e6)], ids=["lengths", "diameters"])
def test_each_possible_value_once_is_a_flat_density_of_counts(quantum):
    values = quantum.value(np.arange(1, 400) * 1.0)
    edges, counts = on_values(Histogram.of(values, log_edges(10, 1e5, 20)), quantum)
    assert counts.sum() == len(values)
    assert (np.diff(edges) > 0).all()
    whole = edges[1:] <= values[-1]  # the last bin holds values that were not drawn
    assert np.diff(quantum.count(edges))[whole] == pytest.approx(counts[whole], abs=1e-6)


def test_joining_bins_keeps_every_value():
    counts = np.array([3, 0, 5, 1, 0, 0, 2])
    edges, fewer = joined(linear_edges(0, 7, 7), counts)
    assert fewer.sum() == counts.sum()
    assert (edges[0], edges[-1], len(edges)) == (0, 7, len(fewer) + 1)
    many = np.full(7, 1000)
    assert joined(linear_edges(0, 7, 7), many)[1].tolist() == many.tolist()


def test_densities_integrate_to_the_share_in_the_bins():
    edges, counts = log_edges(10, 1e4, 5), np.arange(15)
    assert (density(edges, counts, 210) * np.diff(edges)).sum() == pytest.approx(0.5)
    assert (density(edges, counts, 210, a_decade=True) * 0.2).sum() == pytest.approx(0.5)
    assert not density(edges, counts, 0).any()


def test_range_holds_all_but_the_share():
    counts = np.array([0, 1, 998, 1, 0])
    assert range_of(np.arange(6.0), counts, 0.0) == (1, 4)
    assert range_of(np.arange(6.0), counts, 2e-3) == (2, 3)


def test_constant_frames_follow_affine_theory(studies):
    numbers = np.array([s.constant for s in studies])
    expected = np.array([s.expected for s in studies])
    assert expected / expected[1] == pytest.approx([3 ** (1 / 6), 1, 3 ** (-1 / 6)])
    for pair in ((0, 1), (2, 1)):
        ratios = numbers[pair[0]] / numbers[pair[1]]
        error = ratios.std(ddof=1) / np.sqrt(len(ratios))
        assert abs(ratios.mean() - expected[pair[0]] / expected[pair[1]]) < 4 * error + 0.01  # edges of the window


def test_planes_with_radial_frames_are_those_of_brute_force(studies):
    seeds = frames._seeds(0)
    unit = seeds / np.linalg.norm(seeds, axis=1)[:, None]
    middles = np.arange(0.5 - 128, 128)[::16]
    points = np.stack([np.zeros((16, 16)), *np.meshgrid(middles, middles, indexing="ij")], axis=-1).reshape(-1, 1, 3)
    away = points - seeds
    along = (away * unit).sum(-1) ** 2
    for study, radial, across in zip(studies, (3, 1, 1), (1, 1, 3), strict=True):
        cost = radial * along + across * ((away**2).sum(-1) - along)
        assert (study.picture[::16, ::16].ravel() == cost.argmin(axis=1)).all()


def test_frames_stand_beside_the_numbers_of_the_paper_in_the_docs_and_in_no_report(report, studies):
    lines = frames.frames_table(studies).splitlines()
    table = {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in lines)}
    assert {d: int(table[d][-1]) for d in ("(3, 1, 1)", "(1, 1, 1)", "(1, 3, 3)")} == {
        "(3, 1, 1)": 366, "(1, 1, 1)": 252, "(1, 3, 3)": 212,
    }  # fmt: skip
    assert float(table["(1, 1, 1)"][-2]) == pytest.approx(1.458 * 20**2, abs=0.5)
    counts = np.array(studies[0].radial, dtype=float)
    low, high = stats.t.interval(0.95, 3, counts.mean(), stats.sem(counts))
    assert table["(3, 1, 1)"][1] == f"{low:.0f} to {high:.0f}"
    page = (Path(__file__).parents[2] / "docs/particle-model.md").read_text(encoding="utf-8")
    assert set(lines) <= set(page.splitlines())
    assert "Figure 6" not in report.read_text(encoding="utf-8")


def test_rays_stop_at_the_first_grain_outside_the_octant_that_is_taken_out(particles):
    particle = particles[0]
    pixel, fine = 16.0, 8.0
    view = view_particle(particle, pixel)
    towards = np.array(TOWARDS) / np.linalg.norm(TOWARDS)
    up = np.array([1.0, 0, 0]) - towards[0] * towards
    up /= np.linalg.norm(up)
    right = np.cross(towards, up)  # points are z, y, x
    half = len(view.labels) // 2
    picked = np.random.default_rng(1).integers(0, 2 * half, (40, 2))
    seeds, matrices, offsets = particle.seeds_nm.astype(float), particle.matrices(), particle.offsets_nm2
    depths = np.arange(particle.reach_nm, -particle.reach_nm, -fine)
    agree = 0
    for row, column in picked:
        foot = (half - 0.5 - row) * pixel * up + (column + 0.5 - half) * pixel * right
        ray = foot + depths[:, None] * towards
        away = ray[:, None] - seeds
        winner = (np.einsum("pna,nab,pnb->pn", away, matrices, away, optimize=True) - offsets).argmin(axis=1)
        within = np.linalg.norm(ray, axis=1) <= particle.reach_nm
        filled = particle.kept[winner] & within & ~(ray * np.sign(TOWARDS) > 0).all(axis=1)
        agree += view.labels[row, column] == (winner[filled.argmax()] + 1 if filled.any() else 0)
    assert agree >= 38  # the others meet corners of grains that are thinner than the steps of a ray


def test_cut_faces_are_lit_evenly_and_lines_part_the_grains(particles):
    view = view_particle(particles[0], 20.0)
    half = len(view.labels) // 2
    # Just below the centre of the picture lies the face normal to z, lit alike all over.
    below = view.light[half + 4 : half + 9, half - 4 : half + 5]
    assert np.ptp(below) < 1e-12
    picture = draw_view(view, np.ones((len(particles[0].kept) + 1, 3)), oversampling=1)
    assert (picture[view.labels == 0, 3] == 0).all()
    inner = view.labels > 0
    parted = np.zeros_like(inner)
    parted[:, :-1] = inner[:, :-1] & (view.labels[:, :-1] != view.labels[:, 1:])
    assert picture[parted, :3].max() < 0.5 <= picture[inner, :3].max()
