"""Segmenters as bundles: they come back as they were, and faults get one line."""

import json

import numpy as np
import pytest

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.bundle.schema import ArrayRecord, validated
from nmcdist.calibration.segmenter.bundles import load_segmenter
from nmcdist.errors import BundleError
from tests.calibration.segmenter.conftest import random_bundle


@pytest.mark.parametrize("widths", [(4, 6, 8), ()])
def test_a_segmenter_comes_back(tmp_path, widths):
    bundle = random_bundle(widths)
    save_bundle(bundle, tmp_path / "b")
    found, wanted = load_segmenter(tmp_path / "b"), load_segmenter(bundle)
    assert found.net.widths == widths
    assert found.classes == ("pore", "carbon_binder", "graphite")
    assert all((found.net.weights[name] == each).all() for name, each in wanted.net.weights.items())
    assert found.digest == bundle.content_hash


def changed(bundle, arrays=(), **texts):
    """Return a bundle with other arrays and texts, whose digests fit."""
    content = bundle.model_dump(by_alias=True)
    every = {**bundle.arrays, **dict(arrays)}
    content["arrays"] = {name: ArrayRecord.of(each, "1", "fitted").model_dump() for name, each in every.items()}
    content["texts"] = {**content["texts"], **texts}
    return validated(content, "bundle 'random'").with_arrays(every)


def test_a_net_that_gives_other_values_here_is_refused(bundle):
    weight = bundle.arrays["out.weight"] * np.float32(1.5)
    with pytest.raises(BundleError, match="gives other probabilities for its probe here") as caught:
        load_segmenter(changed(bundle, {"out.weight": weight}))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"instrument": ("light",)}, "found the instrument light, expected fib-sem or nano-ct"),
        ({"instrument": ("nano-ct",)}, "found the classes"),
        ({"classes": ("pore", "graphite", "carbon_binder")}, "found the classes"),
        ({"statistics": ("noise",)}, "found the statistics"),
        ({"probe": ()}, "gives other probabilities for its probe"),
    ],
)
def test_texts_that_do_not_belong_together(bundle, texts, message):
    with pytest.raises(BundleError, match=message):
        load_segmenter(changed(bundle, **texts))


def test_arrays_that_do_not_belong_together(bundle):
    for name, array, message in (
        ("merge0.weight", np.zeros((4, 4, 5, 5), "f4"), r"arrays.merge0.weight: found shape \(4, 4, 5, 5\), expected"),
        ("probe", np.zeros((2, 20, 20), "f4"), r"arrays.probe: found shape \(2, 20, 20\)"),
        ("statistics.whitening", np.zeros((3, 4)), "arrays.statistics.whitening: found shape"),
        ("more", np.zeros(3, "f4"), "arrays: found"),
    ):
        with pytest.raises(BundleError, match=message):
            changed(bundle, {name: array})


def test_another_bundle_is_no_segmenter():
    with pytest.raises(BundleError, match="found model 'cba', expected 'segmenter'"):
        load_segmenter("cba-cathode-2025")


def test_the_command_verifies_the_probe_and_shows(saved, tmp_path, bundle, run):
    code, said = run("bundle", "verify", saved)
    assert (code, said.out) == (0, f"{saved}: whole, model segmenter, sha256 {bundle.content_hash}\n")
    wrong = save_bundle(changed(bundle, probe=("0" * 64,)), tmp_path / "wrong")
    code, said = run("bundle", "verify", wrong)
    assert code == 2
    assert "for its probe here" in said.err
    code, said = run("bundle", "show", saved)
    assert json.loads(said.out)["texts"]["instrument"] == ["fib-sem"]
    assert load_bundle(saved) == bundle
