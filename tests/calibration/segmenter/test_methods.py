"""The methods that the benchmark compares, on images that are easy, and its rows, which are kept."""

import argparse
import json

import numpy as np
import pytest

pytest.importorskip("skimage")

from benchmarks import segmenter_judged
from benchmarks.segmenter_judged import case_of, make_rows, print_tables, row_of, rows_of, spreads_of
from benchmarks.segmenter_methods import Case, fixed, net, otsu, thresholded, watershed
from nmcdist.calibration.fibsem.ramp import Ramp
from nmcdist.calibration.fibsem.stack import CorrectedStack
from nmcdist.calibration.microscope.sections import FibSemPhantom
from nmcdist.calibration.segmenter.bundles import load_segmenter
from nmcdist.calibration.segmenter.draws import held
from nmcdist.calibration.segmenter.normal import Levels, NormalStack


@pytest.fixture(scope="module")
def case():
    """Blocks of 10 x 10 pixels, dark or bright, with a little noise."""
    rng = np.random.default_rng(2)
    truth = rng.choice(3, (14, 6, 8), p=(0.5, 0.3, 0.2)).repeat(10, 1).repeat(10, 2).astype(np.uint8)
    grey = np.where(truth > 0, 1.0, -1.0) + 0.05 * rng.normal(size=truth.shape)
    image = held(grey.astype(np.float32), (20.0, 10.0, 10.0))
    return Case(NormalStack(CorrectedStack(image, Ramp(0.0)), Levels(-1.0, 1.0)), truth, 1)


@pytest.mark.parametrize(("method", "count", "least"), [(otsu, 3, 0.98), (fixed, 5, 0.98), (watershed, 14, 0.98)])
def test_pore_and_solid_of_clear_images(case, method, count, least):
    """Corners of a block are rounded by the smoothing: four pixels of a hundred at most, of blocks that stand alone."""
    found = list(method(case))
    assert len({text for text, _, _ in found}) == count
    labels = found[0][1]
    assert labels.dtype == np.uint8
    assert ((labels > 0) == (case.truth > 0)).mean() > least
    assert [shares for _, _, shares in found] == [None] * count


def test_scribbles_are_blobs_of_the_truth_over_a_fifth_of_two_slices(case):
    found = case.scribbles()
    assert sorted(found) == [4, 12]
    for z, labels in found.items():
        assert (labels > 0).mean() == pytest.approx(0.2, abs=0.001)
        assert (labels[labels > 0] == case.truth[z][labels > 0] + 1).all()
    assert (case.scribbles(1)[4] != found[4]).any()


def test_the_fixed_threshold_is_that_of_the_grey_values(case):
    shares = {text: (labels == 0).mean() for text, labels, _ in fixed(case)}
    values = [shares[f"above {each}"] for each in ("-0.3", "-0.15", "0", "0.15", "0.3")]
    assert values == sorted(values)


def test_solid_from_a_probability():
    shares = np.array([[180, 100, 102, 100], [50, 100, 53, 60], [25, 55, 100, 95]], np.uint8)[:, None, None]
    assert thresholded(shares, 0.6).ravel().tolist() == [0, 1, 2, 2]
    assert thresholded(shares, 0.61).ravel().tolist() == [0, 0, 0, 0]
    assert thresholded(shares, 0.2).ravel().tolist() == [1, 1, 2, 2]


def test_a_row_has_every_setting_of_a_net(case, saved):
    row = row_of(net(load_segmenter(saved)), "unet", case)
    assert [each["free"] for each in row["found"]] == [
        "likeliest class", "solid from 0.4", "solid from 0.6", "levels of slices smoothed by 1 px",
        "levels of slices smoothed by 4 px",
    ]  # fmt: skip
    assert row["true"]["porosity"] == pytest.approx((case.truth == 0).mean())
    porosities = [each["values"]["porosity"] for each in row["found"]]
    assert spreads_of(row)[0] == pytest.approx((max(porosities) - min(porosities)) / row["true"]["porosity"])
    assert np.sum(row["found"][0]["confusion"]) == case.truth.size
    json.dumps(row)


def test_a_slow_net_has_no_settings_that_need_the_whole_image(case, saved):
    part = Case(segmenter_judged._Plain(case.values), case.truth, case.seed)
    found = [text for text, _, _ in segmenter_judged._likeliest(load_segmenter(saved))(part)]
    assert found == ["likeliest class", "solid from 0.4", "solid from 0.6"]


def test_rows_that_are_there_are_kept(case, tmp_path, monkeypatch, capsys):
    phantom = FibSemPhantom(case.values, case.truth, np.zeros((14, 2)))
    calls = []
    monkeypatch.setattr(segmenter_judged, "drawn", lambda *args: calls.append(args) or phantom)
    how = argparse.Namespace(unet="none", lenet=None, count=2, setting=["easy"], method=["otsu"])
    rows = tmp_path / "rows.jsonl"
    make_rows(rows, how)
    first = rows.read_bytes()
    assert [(row["method"], row["seed"]) for row in rows_of(rows)] == [("otsu", 9001), ("otsu", 9002)]
    assert (
        rows_of(rows)[0]["found"][0]["confusion"]
        == (row_of(otsu, "otsu", case_of(phantom, 9001))["found"][0]["confusion"])
    )
    how.method, calls[:] = ["otsu", "fixed"], []
    make_rows(rows, how)
    assert rows.read_bytes().startswith(first)
    assert len(rows_of(rows)) == 4
    assert len(calls) == 2
    print_tables(rows_of(rows))
    printed = capsys.readouterr().out
    assert "| otsu | 2 |" in printed
    assert "| easy | fixed | 5 |" in printed
