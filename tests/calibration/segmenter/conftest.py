"""Segmenters with random weights, which are quick to make and give all classes, and a small phantom."""

import sys

import numpy as np
import pytest

from nmcdist import cli
from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration
from nmcdist.bundle.segmenter import layer_shapes
from nmcdist.calibration.microscope.write import write_fib_sem
from nmcdist.calibration.segmenter.bundles import Segmenter, bundle_of
from nmcdist.calibration.segmenter.net import Net
from nmcdist.calibration.segmenter.outside import Reference
from nmcdist.calibration.segmenter.recipe import CLASSES
from nmcdist.calibration.segmenter.statistics import NAMES


def random_net(widths, classes=3, seed=10, planes=3):
    rng, weights = np.random.default_rng(seed), {}
    for name, shape in layer_shapes(widths, classes, planes).items():
        spread = 0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:]))
        weights[name] = (spread * rng.normal(size=shape)).astype(np.float32)
    return Net(widths, weights)


def random_bundle(widths=(4, 6, 8), instrument="fib-sem", name="random"):
    rng, classes = np.random.default_rng(6), CLASSES[instrument]
    pixel_nm, slice_nm = (10.0, 20.0) if instrument == "fib-sem" else (128.0, 128.0)
    segmenter = Segmenter(
        random_net(widths, len(classes)), instrument, classes, pixel_nm, slice_nm,
        Reference.of(rng.normal(size=(60, len(NAMES)))), ("none",), rng.normal(size=(3, 20, 24)).astype(np.float32),
    )  # fmt: skip
    about = Calibration(data="none", method="random weights", date="2026-01-01")
    return bundle_of(segmenter, name, "Random weights", "MIT", about)


@pytest.fixture(scope="session")
def bundle():
    return random_bundle()


@pytest.fixture(scope="session")
def saved(tmp_path_factory, bundle):
    return save_bundle(bundle, tmp_path_factory.mktemp("segmenter") / "random")


@pytest.fixture(scope="session")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    write_fib_sem(load_bundle("cba-cathode-2025"), folder, "paper-like", (20, 150, 170), 10.0, 3)
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the command line in this process; returns exit status, and standard output and error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nmcdist", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr()

    return call
