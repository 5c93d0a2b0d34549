"""The report of a small sweep: every figure and table is there, and says what the store says."""

import csv

import numpy as np
import pytest
from PIL import Image

import nmcdist
from nmcdist.clusters.deployment import Deployment
from nmcdist.datasets import open_store
from nmcdist.errors import StoreError
from nmcdist.products.registry import parsed_recipe
from nmcdist.products.stores import build_report
from nmcdist.report.resolution import resolve
from nmcdist.runs.run import run_recipe

BUNDLE = nmcdist.load_bundle("cba-cathode-2025")
RECIPE = {
    "name": "tiny",
    "version": "1.0.0",
    "title": "A tiny sweep",
    "bundle": "cba-cathode-2025",
    "seed": 5,
    "volume": {"shape": [32, 28, 30], "voxel_size_nm": 80.0},
    "sweep": {"lambda_X_per_nm3": [3.55e-11, 6.36e-11, 1.09e-10]},
    "realisations": 2,
}


def make(folder, **changes):
    recipe = parsed_recipe({**RECIPE, **changes}, "recipe")
    return run_recipe(recipe, BUNDLE, folder, Deployment(workers=0)).store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def report(store):
    return build_report(store, voxel_sizes_nm=(80.0, 40.0))


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_page_shows_every_figure_and_each_is_a_picture(report):
    text = report.read_text(encoding="utf-8")
    pictures = sorted(report.parent.glob("*.png"))
    assert {p.stem for p in pictures} == {
        "structure-property", "size-distributions", "coverage", "slices", "volume", "resolution",
    }  # fmt: skip
    for picture in pictures:
        assert f"]({picture.name})" in text
        shades = np.asarray(Image.open(picture).convert("L"))
        assert shades.std() > 5  # something is drawn
        assert picture.with_suffix(".svg").exists()


def test_sample_table_holds_the_values_of_the_store(store, report):
    data = open_store(store)
    table = rows(report.parent / "samples.csv")
    assert len(table) == data.sizes["sample"]
    for row, m in zip(table, data["m_factor_mean"].sel(conduction="pore").values, strict=True):
        assert float(row["m_factor_mean_pore"]) == m
    assert float(table[3]["lambda_X_per_nm3"]) == 6.36e-11


def test_level_table_gives_mean_minimum_and_maximum(store, report):
    values = open_store(store)["volume_fraction"].sel(phase="solid").values[2:4]
    found = [
        r for r in rows(report.parent / "levels.csv") if (r["descriptor"], r["phase"]) == ("volume_fraction", "solid")
    ]
    stats = [float(found[1][k]) for k in ("mean", "minimum", "maximum")]
    assert stats == pytest.approx([values.mean(), values.min(), values.max()], rel=1e-7)


def test_comparison_sets_theory_run_and_paper_side_by_side(report):
    table = {r["quantity"]: r for r in rows(report.parent / "comparison.csv")}
    row = table["V1 (graphite) at lambda_X = 6.36e-11 nm⁻³"]
    assert float(row["theory"]) == pytest.approx(0.1055, abs=1e-4)
    assert row["paper"] == "0.1057 (Table 3)"
    slope = table["M pore against V1, Eq. (29): slope"]
    assert slope["paper"] == "-1.874"
    assert float(slope["interval_low"]) < float(slope["this run"]) < float(slope["interval_high"])


def test_resolution_study_at_the_stores_own_voxel_size_is_the_store(store, report):
    data = open_store(store)
    found = [r for r in rows(report.parent / "resolution.csv") if float(r["voxel_size_nm"]) == 80.0]
    expected = data["m_factor"].sel(conduction="pore").mean("axis").values[[2, 3]]
    assert [float(r["m_factor_pore"]) for r in found] == pytest.approx(expected, rel=1e-5)


def test_picture_of_a_volume_is_labelled_in_micrometres_and_fills_its_frame(report):
    svg = (report.parent / "volume.svg").read_text(encoding="utf-8")
    assert "<!-- z / µm -->" in svg
    assert "<!-- 2.56 -->" in svg  # 32 voxels of 80 nm along z
    shades = np.asarray(Image.open(report.parent / "volume.png").convert("L"))
    drawn = shades < 250
    assert drawn.any(axis=1).mean() > 0.85
    assert drawn.any(axis=0).mean() > 0.85


def test_resolved_realisations_keep_their_box():
    study = resolve(BUNDLE, 0.1055, np.array([800.0, 800.0, 800.0]), 40.0, seed=5, item=0, stream=0)
    assert study.voxel_size_nm == 40.0
    assert 0 < study.m_factor["pore"] < 1


def test_sweep_of_another_parameter_has_a_report_too(tmp_path):
    store = make(tmp_path, sweep={"eta_per_nm": [0.01, 0.02]}, realisations=1)
    page = build_report(store, tmp_path / "report", voxel_sizes_nm=())
    assert "## Theory and this run" in page.read_text(encoding="utf-8")


def test_store_without_sweep_or_transport_has_a_report_too(tmp_path):
    store = make(tmp_path, sweep={}, descriptors={"transport": False}, realisations=1)
    page = build_report(store, tmp_path / "report")
    assert {p.stem for p in page.parent.glob("*.png")} == {
        "structure-property", "size-distributions", "coverage", "slices", "volume",
    }  # fmt: skip


def test_store_of_one_volume_without_its_voxels_has_a_report_too(tmp_path):
    store = make(tmp_path, sweep={}, realisations=1, storage={"volumes": False})
    text = build_report(store, tmp_path / "report").read_text(encoding="utf-8")
    assert "1 volume of" in text
    assert "volume.png" not in text


def test_store_without_descriptors_is_refused_with_the_way_out(tmp_path):
    store = make(tmp_path, sweep={}, descriptors="none", realisations=1)
    with pytest.raises(StoreError, match="holds no descriptors; `nmcdist describe"):
        build_report(store)


def test_report_into_a_file_is_refused(store, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(nmcdist.errors.InputError, match="is a file, expected a folder"):
        build_report(store, tmp_path / "taken")
