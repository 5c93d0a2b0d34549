"""The commands on a real store, from the recipe to the page and the predictions."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from nmcdist.bundle import load_bundle
from nmcdist.clusters.deployment import Deployment
from nmcdist.products.registry import parsed_recipe
from nmcdist.runs.progress import Silent
from nmcdist.runs.run import run_recipe

STORE = {
    "name": "eight", "version": "1.0.0", "title": "Eight points", "bundle": "cba-cathode-2025", "seed": 3,
    "volume": {"shape": [16, 16, 16], "voxel_size_nm": 80.0},
    "sweep": {"graphite_fraction": [0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17]},
    "realisations": 2,
    "interventions": ["without_graphite", "graphite_alone"],
    "descriptors": {"max_lag_nm": 640.0, "max_radius_nm": 400.0, "transport": True},
    "storage": {"chunk": 16},
}  # fmt: skip
RECIPE = """\
kind: surrogate
name: pore-of-eight
stores: [data/eight.zarr]
targets: [m_factor_pore]
features: cheap
model: ridge
split: {region: {graphite_fraction: ">0.14"}}
"""


def nmcdist(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "nmcdist.cli", *arguments], cwd=cwd, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surrogate")
    recipe, here = parsed_recipe(STORE, "eight"), Deployment(workers=0, threads_per_worker=1)
    run_recipe(recipe, load_bundle(recipe.bundle), folder / "data", here, progress=Silent())
    (folder / "recipe.yaml").write_text(RECIPE)
    done = nmcdist("train", "surrogate", "recipe.yaml", "--out", "trained", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "points never seen: m_factor_pore: R2" in done.stdout
    return folder


def test_the_report_shows_splits_rules_and_the_noise_floor(trained):
    page = (trained / "trained/report/report.md").read_text()
    for word in ("| random | surrogate |", "| region | surrogate |", "power law, published", "Bruggeman",
                 "Noise floor", "Learning curve", "Importance", "ceiling of R2", "product rule, of interventions",
                 "## What each part does to the pores: data/eight.zarr", "Product rule, M without"):  # fmt: skip
        assert word in page, word
    for picture in ("parity", "learning-curve", "importance"):
        assert (trained / f"trained/report/{picture}.png").stat().st_size > 5000


def test_predictions_are_written_as_a_table_and_as_a_store(trained):
    for suffix in ("csv", "zarr"):
        done = nmcdist("predict", "data/eight.zarr", "--with", "trained/bundle", "--out", f"p.{suffix}", cwd=trained)
        assert done.returncode == 0, done.stderr
    rows = np.genfromtxt(trained / "p.csv", delimiter=",", names=True)
    stored = xr.open_zarr(trained / "p.zarr", consolidated=False)
    np.testing.assert_allclose(rows["m_factor_pore_predicted"], stored["m_factor_pore_predicted"])
    assert {"m_factor_pore_low", "m_factor_pore_high", "out_of_design", "graphite_fraction"} <= set(rows.dtype.names)


def test_the_product_model_is_trained_and_predicts_by_commands(trained):
    product = RECIPE.replace("cheap", "parameters").replace("ridge", "product")
    (trained / "product.yaml").write_text(product)
    done = nmcdist("train", "surrogate", "product.yaml", "--out", "product", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert "Model `product` on features `parameters` (8)" in (trained / "product/report/report.md").read_text()
    done = nmcdist("predict", "data/eight.zarr", "--with", "product/bundle", "--out", "product.csv", cwd=trained)
    assert done.returncode == 0, done.stderr
    rows = np.genfromtxt(trained / "product.csv", delimiter=",", names=True)
    assert np.corrcoef(rows["m_factor_pore_predicted"], rows["graphite_fraction"])[0, 1] < -0.9  # graphite blocks pores
    assert not rows["out_of_design"].any()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("predict", "data/eight.zarr", "--with", "trained/bundle", "--out", "p.txt"), "expected .csv or .zarr"),
        (("predict", "data/none.zarr", "--with", "trained/bundle", "--out", "q.csv"), "no such"),
        (("train", "surrogate", "recipe.yaml", "--out", "trained"), "expected a new or an empty folder"),
        (
            ("predict", "data/eight.zarr", "--with", "trained/bundle", "--out", "data/eight.zarr/p.csv"),
            "is in the store",
        ),
        (("predict", "data/eight.zarr", "--with", "trained/bundle", "--out", "recipe.yaml/p.csv"), "is a file"),
        (("train", "surrogate", "missing.yaml", "--out", "other"), "no such file"),
    ],
)
def test_bad_input_is_refused_in_one_line(trained, arguments, complaint):
    done = nmcdist(*arguments, cwd=trained)
    assert done.returncode == 2
    assert complaint in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_damaged_chunk_is_one_line(trained):
    shutil.copytree(trained / "data", trained / "broken")
    chunk = next(p for p in sorted((trained / "broken/eight.zarr/volume_fraction/c").rglob("*")) if p.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0xFF
    chunk.write_bytes(content)
    (trained / "broken.yaml").write_text(RECIPE.replace("data/eight", "broken/eight"))
    for arguments in (
        ("train", "surrogate", "broken.yaml", "--out", "other"),
        ("predict", "broken/eight.zarr", "--with", "trained/bundle", "--out", "r.csv"),
    ):
        done = nmcdist(*arguments, cwd=trained)
        assert done.returncode == 2
        assert "eight.zarr: a chunk cannot be decoded" in done.stderr and len(done.stderr.strip().splitlines()) == 1
