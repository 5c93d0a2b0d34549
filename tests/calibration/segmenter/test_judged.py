"""The command judges a segmentation by a reference or by labels that are held out, and writes a page."""

import json

import numpy as np
import pytest
import tifffile
import zarr

from nmcdist.calibration.segmenter.judging import UNKNOWN
from nmcdist.descriptors import intrinsic_volumes
from nmcdist.errors import StoreError
from nmcdist.report.segmented import report_segmented

CLASSES = ("pore", "carbon_binder", "graphite")


def labels_in(folder):
    return np.asarray(zarr.open_array(folder / "labels.zarr", mode="r")[:])


def counted(found, truth):
    return [[int(((truth == a) & (found == b)).sum()) for b in range(3)] for a in range(3)]


def results_in(folder):
    return json.loads((folder / "results.json").read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.fixture(scope="module")
def judged(tmp_path_factory, phantom, saved):
    """A segmentation with its truth, whose drift is known."""
    from click.testing import CliRunner

    from nmcdist.cli.entry import cli

    out = tmp_path_factory.mktemp("judged") / "out"
    done = CliRunner().invoke(cli, [
        "segment", str(phantom / "image.tif"), "--with", str(saved), "--out", str(out), "--reference",
        str(phantom / "truth.tif"), "--drift", str(phantom / "phantom.json"), "--workers", "0",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    return out


def test_a_reference_is_counted_pixel_by_pixel(judged, phantom):
    truth, found = tifffile.imread(phantom / "truth.tif"), labels_in(judged)
    about = results_in(judged)["judged"]
    assert about["confusion"] == counted(found, truth)
    assert about["accuracy"] == pytest.approx((found == truth).mean())
    assert "corrected" not in about
    assert about["blocks"] == 3 * 3 * 3


def test_properties_are_those_of_the_box(judged, phantom):
    """The share of pores of both, from voxels of 20 nm that are at least half pore; surfaces by the descriptor."""
    about = results_in(judged)["judged"]["properties"]
    for kind, labels in (("found", labels_in(judged)), ("true", tifffile.imread(phantom / "truth.tif"))):
        pore = (labels == 0).reshape(20, 75, 2, 85, 2).sum(axis=(2, 4)) >= 2
        assert about["share of pore"][kind] == pytest.approx(pore.mean())
        surface = intrinsic_volumes(pore, 20.0).surface_area * 1000
        assert about["surface of pore"][kind] == pytest.approx(surface)
        assert 0 <= about["M-factor of pore"][kind] <= pore.mean()
    assert about["share of pore"]["error"] == pytest.approx(
        about["share of pore"]["found"] / about["share of pore"]["true"] - 1
    )


def test_the_page_shows_slices_scores_and_the_doubt(judged):
    page = (judged / "report" / "report.md").read_text()
    for part in ("**Warning: the image is unlike those of the training", "| share of pore |", "| Dice |", "Reliability",
                 "permeability of pore (nm^2)"):  # fmt: skip
        assert part in page
    for z in (3, 10, 16):
        assert (judged / "report" / f"slice-{z}.png").exists()
        assert f"![slice-{z}](slice-{z}.png)" in page
    before = page
    report_segmented(judged)
    assert (judged / "report" / "report.md").read_text() == before


@pytest.fixture
def held_out(phantom, judged, tmp_path):
    """Labels of two slices as they were scanned: those found, a fifth of them changed; and the same without drift."""
    drift = np.rint(json.loads((phantom / "phantom.json").read_text())["drift_px"]).astype(int)
    rng, folder = np.random.default_rng(12), tmp_path / "labels"
    folder.mkdir()
    found = labels_in(judged)
    changed = np.where(rng.random(found.shape) < 0.2, rng.integers(0, 3, found.shape), found)
    known = np.full(found.shape, UNKNOWN)
    for z in (4, 13):
        (y, x), plane = drift[z], np.zeros(found.shape[1:], np.uint8)
        part = (z, slice(10 + y, 120 + y), slice(20 + x, 160 + x))
        known[part] = changed[part]
        plane[10:120, 20:160] = changed[part] + 1
        tifffile.imwrite(folder / f"slice_{z}.tif", plane)
    return folder, known


def test_labels_that_are_held_out_correct_the_shares(phantom, saved, held_out, tmp_path, run):
    folder, known = held_out
    code, _ = run("segment", phantom / "image.tif", "--with", saved, "--out", tmp_path / "out", "--held-out", folder,
                  "--drift", phantom / "phantom.json", "--workers", 0)  # fmt: skip
    assert code == 0
    found, about = labels_in(tmp_path / "out"), results_in(tmp_path / "out")["judged"]
    table = np.array(counted(found, known))
    assert about["confusion"] == table.tolist()
    seen = np.bincount(found.ravel(), minlength=3) / found.size
    shares = [about["corrected"][name]["share"] for name in CLASSES]
    assert (table / table.sum(axis=1, keepdims=True)).T @ shares == pytest.approx(seen, abs=1e-5)
    for each in about["corrected"].values():
        assert each["low"] < each["share"] < each["high"]
    assert about["properties"] is None
    page = (tmp_path / "out" / "report" / "report.md").read_text()
    assert "corrected by the confusion" in page
    assert f"from {about['blocks']} blocks of 8 x 64 x 64 voxels" in page
    assert sorted(path.name for path in (tmp_path / "out" / "report").glob("slice-*.png")) == [
        "slice-13.png", "slice-4.png"
    ]  # fmt: skip


def test_shares_are_not_corrected_from_too_few_labels(phantom, saved, tmp_path, run):
    plane = np.zeros((150, 170), np.uint8)
    plane[10:20, 10:20], plane[10:20, 20:30] = 1, 2
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "slice_7.tif", plane)
    code, _ = run("segment", phantom / "image.tif", "--with", saved, "--out", tmp_path / "out", "--held-out",
                  tmp_path / "labels", "--workers", 0)  # fmt: skip
    assert code == 0
    about = results_in(tmp_path / "out")["judged"]
    assert about["corrected"] is None
    assert about["not_corrected"] == "labelled pixels: found them in 1 block(s), expected at least 3"
    assert "The shares are not corrected" in (tmp_path / "out" / "report" / "report.md").read_text()


def test_without_a_reference_the_page_shows_shares(phantom, saved, tmp_path, run):
    code, said = run("segment", phantom / "image.tif", "--with", saved, "--out", tmp_path / "out", "--workers", 0)
    assert code == 0
    page = (tmp_path / "out" / "report" / "report.md").read_text()
    assert "| class | share found |" in page
    assert "**Warning: the image is unlike" in page
    assert "Agreement" not in page
    assert said.out.splitlines()[1] == str(tmp_path / "out" / "report" / "report.md")
    (tmp_path / "out" / "pictures" / "00000.npz").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="holds no pictures of a segmentation"):
        report_segmented(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda truth: truth[:-1], "found shape (19, 150, 170), expected (20, 150, 170) as of"),
        (
            lambda truth: truth + 7,
            "found the label 7, expected 0 (pore), 1 (carbon_binder), 2 (graphite), and 255",
        ),
        (lambda truth: np.full_like(truth, UNKNOWN), "found 255 (not known) everywhere, expected some of 0 (pore)"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(phantom, saved, tmp_path, run, change, message):
    truth = change(tifffile.imread(phantom / "truth.tif"))
    np.save(tmp_path / "truth.npy", truth)
    code, said = run("segment", phantom / "image.tif", "--with", saved, "--out", tmp_path / "out", "--reference",
                     tmp_path / "truth.npy", "--workers", 0)  # fmt: skip
    assert code == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_both_kinds_of_truth_are_refused(phantom, saved, held_out, tmp_path, run):
    code, said = run("segment", phantom / "image.tif", "--with", saved, "--out", tmp_path / "out", "--held-out",
                     held_out[0], "--reference", phantom / "truth.tif", "--workers", 0)  # fmt: skip
    assert code == 2
    assert "held-out: found beside a reference, expected one of them" in said.err
