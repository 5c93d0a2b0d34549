"""The report of a small collection of particles: every figure and table is there, and says what the particles say."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import pdist

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.datasets.particles import read_grains, read_particle
from nmcdist.descriptors.sections import describe_section
from nmcdist.descriptors.summaries import Histogram, linear_edges, log_edges
from nmcdist.errors import InputError, StoreError
from nmcdist.geometry.sphere import icosphere
from nmcdist.report import build_report, collection, frames, gallery
from nmcdist.report.distributions import Quantum, density, joined, on_values, range_of
from nmcdist.report.frames import study_frames
from nmcdist.report.raycast import TOWARDS, draw_view, view_particle
from nmcdist.report.survey import items_of_sizes, survey
from nmcdist.runs.deployment import Deployment
from nmcdist.runs.recipe import parsed_recipe
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
EVERYWHERE = {"gallery", "shells", "sizes", "grains", "frames"}


def make(folder, shell_scale_nm=8500.0, **changes):
    bundle = load_bundle("nmc811-radial").with_parameters(shell_scale_nm=shell_scale_nm, shell_sigma=0.15)
    path = save_bundle(bundle, folder / "bundle")
    recipe = parsed_recipe({**RECIPE, "bundle": str(path), **changes}, "recipe")
    return run_recipe(recipe, bundle, folder / "out", Deployment(workers=0)).store


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "_WIDTH", 300.0)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make(tmp_path_factory.mktemp("measured"), **MEASURED)


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


def test_page_shows_every_figure_and_each_is_a_picture(report):
    assert shown(report) == EVERYWHERE | {"sections", "cut-heights"}


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
    assert int(table["particles"][0]) == COUNT
    assert int(table["grains kept"][0]) == sum(int(p.kept.sum()) for p in particles)
    assert int(table["shells drawn and rejected"][0]) == sum(p.rejections for p in particles)
    assert int(table["pieces given to a neighbour"][0]) == sum(int(r["pieces_merged"]) for r in csv_rows)
    forms = [float(r["shell_sphericity"]) for r in csv_rows]
    assert float(table["median sphericity"][0]) == pytest.approx(np.median(forms), abs=1e-4)
    assert float(table["lowest sphericity"][0]) == pytest.approx(min(forms), abs=1e-4)
    assert "0.6" in table["lowest sphericity"][1]
    diameters = [float(r["shell_d_max_nm"]) for r in csv_rows]
    assert float(table["median d_max / um"][0]) == pytest.approx(np.median(diameters) / 1000, rel=6e-3)


def test_page_says_what_the_bundle_is_and_what_it_was_calibrated_on(store, report):
    import zarr

    attributes = zarr.open_group(store, mode="r").attrs
    assert f"The bundle: {attributes['bundle_title']}. Calibrated on: {attributes['bundle_calibrated_on']}." in (
        report.read_text(encoding="utf-8")
    )
    assert attributes["bundle_title"] == json.loads(attributes["bundle"])["title"]


def test_page_names_what_is_assumed(report):
    text = report.read_text(encoding="utf-8")
    assumed = text.split("Assumed, not the paper's: ")[1].splitlines()[0]
    assert "`shell_scale_nm`" in assumed
    assert "`shell_location_nm`" not in assumed


def test_tables_do_not_depend_on_how_many_particles_are_read_at_a_time(store, report, tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "BLOCK", 1)
    found = survey(collection.Collection.of(store), tmp_path / "particles.csv")
    assert (tmp_path / "particles.csv").read_bytes() == (report.parent / "particles.csv").read_bytes()
    assert {h.total for h in found.histograms.values()} == {COUNT}
    table = rows(tmp_path / "particles.csv")
    assert found.volume.sum() == pytest.approx(sum(float(r["shell_volume_nm3"]) for r in table))
    assert found.totals["grains"] == sum(float(r["grains"]) for r in table)


def test_particles_of_hardly_a_grain_have_a_report_too(tmp_path):
    page = build_report(make(tmp_path, shell_scale_nm=4600.0, descriptors={"voxel_size_nm": 100.0}))
    assert {"shells", "sizes", "sections", "cut-heights", "grains", "frames"} <= shown(page)


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
    with pytest.raises(InputError, match="expected a folder for the report"):
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


def test_frames_stand_beside_the_numbers_of_the_paper(report):
    table = {r["D"]: r for r in rows(report.parent / "frames.csv")}
    assert {d: int(r["paper, Figure 6"]) for d, r in table.items()} == {"3 1 1": 366, "1 1 1": 252, "1 3 3": 212}
    assert float(table["1 1 1"]["theory, constant frame"]) == pytest.approx(1.458 * 20**2, rel=1e-3)


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
