"""The paper's route: Eq. (17) does not identify alpha_1, and the whole route gives a bundle beside the fit."""

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.calibration.cba import paper
from nmcdist.calibration.cba.calibrate import calibrate_cba
from nmcdist.calibration.cba.counts import PHASE_LABELS, count_labels
from nmcdist.calibration.cba.intrinsic_fit import fit_intrinsic
from nmcdist.calibration.cba.lags import lattice_lags
from nmcdist.calibration.cba.results import PaperStart
from nmcdist.errors import InputError
from nmcdist.images import open_image
from nmcdist.models import theory
from nmcdist.models.cba import generate_cba

TRUTH = load_bundle("cba-cathode-2025").cba()
START = PaperStart(start=10, alpha_1=10.25, lambda_X=6.355e-11, mean_a=104.0, mean_c=2001.0, objective=0.0)


def test_eq_17_is_met_with_any_alpha_1():
    """From the exact densities, searches end with half-axes within 3 % of the truth, and with alpha_1 far apart."""
    d = theory.graphite_densities(TRUTH)
    found = fit_intrinsic((d.volume_fraction, d.surface_area, d.mean_curvature, d.euler_number), 20.0)
    assert [each.objective for each in found] == sorted(each.objective for each in found)
    for each in found:
        assert each.objective < 1e-10  # of terms of 1e-2: densities met to five digits
        assert each.mean_a == pytest.approx(TRUTH.alpha_1 / TRUTH.gamma_per_nm, rel=0.05)
    ends = [each.alpha_1 for each in found]
    assert max(ends) > 4 * min(ends)


def test_intensity_by_eq_25_meets_the_volume_fraction():
    free = 1 - theory.large_pore_fraction(TRUTH)
    excursion = paper._Excursion(0.3089, TRUTH.mu, TRUTH.eta_per_nm, None)
    found = paper._parameters(START, excursion, TRUTH.theta_per_nm, free)
    assert found.lambda_Y_per_nm3 == pytest.approx(TRUTH.lambda_Y_per_nm3, rel=1e-9)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.npy"
    np.save(path, generate_cba("cba-cathode-2025", (160,) * 3, 20.0, 71))
    return path


def test_route_gives_a_bundle_beside_the_fit_and_a_report(labels, tmp_path, monkeypatch):
    from nmcdist.calibration.cba import cutout
    from nmcdist.report.cba_calibration import report_cba_calibration

    monkeypatch.setattr(paper, "THETAS", (1 / 80, 1 / 110))
    monkeypatch.setattr(paper, "fit_intrinsic", lambda measured, voxel_size_nm: [START])
    monkeypatch.setattr(cutout, "EDGES_NM", (1400.0, 700.0, 600.0))  # small enough to be freer than the image
    results = calibrate_cba([open_image(labels, 20.0, "zyx")], tmp_path / "out", replicates=0, method="paper")
    found = results.paper
    assert found.parameters is not None, found.note
    bundle = load_bundle(tmp_path / "out" / "bundle-paper")
    assert bundle.cba().model_dump() == found.parameters
    assert found.parameters["theta_per_nm"] == min(found.grid, key=lambda each: each.distance_nm).theta
    page = report_cba_calibration(tmp_path / "out", tmp_path / "report").read_text()
    assert "The route of the paper" in page and "pores-by-theta.png" in page and "slice.png" in page


def test_a_cutout_with_less_binder_than_the_image_gives_no_parameters(labels, monkeypatch):
    monkeypatch.setattr(paper, "_binder_outside_graphite", lambda counts: 0.9)
    monkeypatch.setattr(paper, "fit_intrinsic", lambda measured, voxel_size_nm: [START])
    image = open_image(labels, 20.0, "zyx")
    counts = count_labels(np.load(labels), 20.0, lattice_lags((20.0,) * 3, (160,) * 3))
    found, _ = paper.fit_as_paper(image, counts, PHASE_LABELS, 1 / 95, np.arange(0.0, 400.0, 20.0), 1)
    assert found.parameters is None and "Eq. (25) leaves no large pores" in found.note
    assert found.grid == []


def test_impossible_methods_get_one_line(labels, tmp_path):
    with pytest.raises(InputError, match="method"):
        calibrate_cba([open_image(labels, 20.0, "zyx")], tmp_path / "out", method="ours")
    with pytest.raises(InputError, match="method paper: found voxels of"):
        calibrate_cba([open_image(labels, (20.0, 20.0, 40.0), "zyx")], tmp_path / "out", replicates=0, method="paper")
