"""Packings of particles, their virtual CT, and both kinds of phantom in files."""

import json
import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from nmcdist.bundle import load_bundle
from nmcdist.calibration.microscope import FIB_SEM, NANO_CT, fib_sem, nano_ct, pack
from nmcdist.calibration.microscope.sections import needed_shape
from nmcdist.calibration.microscope.write import write_fib_sem, write_nano_ct
from nmcdist.errors import InputError
from nmcdist.images import open_image
from nmcdist.models.cba import generate_cba
from nmcdist.models.shell import ShellModel

PARTICLES, CBA = load_bundle("nmc811-radial"), load_bundle("cba-cathode-2025")
SHAPE = (70, 80, 90)


@pytest.fixture(scope="module")
def packing():
    return pack(PARTICLES, SHAPE, 400.0, seed=3, share=0.3)


def test_each_particle_is_its_shell_at_its_centre(packing):
    model = ShellModel.from_bundle(PARTICLES)
    assert len(packing.items) > 10
    assert sorted(np.unique(packing.labels)) == list(range(len(packing.items) + 1))
    grid = np.indices(SHAPE).reshape(3, -1).T
    for label, (item, centre) in enumerate(zip(packing.items, packing.centres_px, strict=True), start=1):
        inside = model.draw(3, item).contains((grid - centre) * 400.0).reshape(SHAPE)
        assert np.array_equal(inside, packing.labels == label)  # so none overlaps another


def test_most_particles_touch(packing):
    touching = set()
    for axis in range(3):
        a, b = packing.labels.take(range(SHAPE[axis] - 1), axis), packing.labels.take(range(1, SHAPE[axis]), axis)
        meet = (a > 0) & (b > 0) & (a != b)
        touching |= set(a[meet]) | set(b[meet])
    assert len(touching) > 0.5 * len(packing.items)


@pytest.mark.parametrize("gap", [1.0, 3.5])
def test_particles_are_further_apart_than_the_gap(gap):
    """Distance of every particle's voxels to the others by a distance transform of scipy."""
    labels = pack(PARTICLES, SHAPE, 400.0, seed=3, share=0.15, gap=gap).labels
    assert labels.max() > 5
    nearest = []
    for label in range(1, labels.max() + 1):
        others = distance_transform_edt((labels == 0) | (labels == label))
        nearest.append(others[labels == label].min())
    assert gap < min(nearest) < gap + 3  # moved close to each other


def test_an_impossible_gap_is_refused():
    with pytest.raises(InputError, match=r"gap: found -1"):
        pack(PARTICLES, SHAPE, 400.0, 1, gap=-1)


def test_an_impossible_share_is_refused():
    with pytest.raises(InputError, match=r"share: found 0\.9"):
        pack(PARTICLES, SHAPE, 400.0, 1, share=0.9)


def test_what_does_not_fit_into_memory_is_refused_with_its_size(monkeypatch, tmp_path, run):
    """On a machine of 8 GiB; a particle is drawn in a cube of its diameter and a voxel on each side."""
    monkeypatch.setattr("nmcdist.calibration.microscope.packing.machine_memory", lambda: 8 << 30)
    edge = 2 * (math.ceil(ShellModel.from_bundle(PARTICLES).draw(1, 0).largest_radius_nm) + 1) + 1
    size = (edge**3 + 5 * 64**3) / 2**30
    shape = ["--shape", 64, 64, 64]
    code, said = run("phantom", "nano-ct", "--out", tmp_path / "out", "--voxel-size-nm", 1, *shape)
    assert (code, said.err) == (
        2,
        f"nmcdist: error: voxel-size-nm: found 1, at which the largest particle is drawn in {edge} x {edge} x {edge} "
        f"voxels and needs {size:.1f} GiB of memory, expected at most the 8.0 GiB of this machine: a larger "
        "--voxel-size-nm\n",
    )
    code, said = run("phantom", "nano-ct", "--out", tmp_path / "out", "--shape", 1024, 1024, 1024)
    assert (code, said.err.splitlines()[-1]) == (
        2,
        "nmcdist: error: shape: found 1024 x 1024 x 1024 voxels, which need 25.0 GiB of memory, expected at most the "
        "8.0 GiB of this machine: a smaller --shape",
    )
    assert not (tmp_path / "out").exists()


def test_grey_values_far_from_edges_are_those_of_the_phases():
    """Inside of either half: mean over 20 x 60 x 60 voxels, noise correlated over about 4 pi^1.5 sigma^3 voxels."""
    labels = np.zeros((60, 60, 60), int)
    labels[30:] = 1
    settings = NANO_CT["hard"]
    grey = nano_ct(labels, settings, 1) / 65535
    error = settings.noise * np.sqrt(8 * np.pi**1.5 * settings.noise_px**3 / (20 * 60 * 60))
    assert grey[:20].mean() == pytest.approx(settings.background, abs=4 * error + 1e-3)  # clipped at 0
    assert grey[40:].mean() == pytest.approx(settings.background + settings.contrast, abs=4 * error)
    assert np.array_equal(nano_ct(labels, settings, 1)[:2], nano_ct(labels, settings, 1)[:2])


def test_a_stack_in_files_is_that_of_memory(tmp_path):
    shape = (20, 48, 40)
    write_fib_sem(CBA, tmp_path, "hard", shape, 10.0, 6)
    labels = generate_cba(CBA, needed_shape(shape, FIB_SEM["hard"]), 10.0, 6, origin=(0, -8, -8))
    expected = fib_sem(labels, FIB_SEM["hard"], 6)
    image = open_image(tmp_path / "image.tif")
    assert image.voxel_size_nm == pytest.approx((20, 10, 10))
    assert np.array_equal(image.read(), expected.grey)
    assert np.array_equal(open_image(tmp_path / "truth.tif").read(), expected.labels)
    about = json.loads((tmp_path / "phantom.json").read_text())
    assert about["drift_px"] == pytest.approx(expected.drift_px, abs=1e-6)
    assert about["settings"]["shine"] == 0.5
    assert about["bundle"]["sha256"] == CBA.content_hash


def test_a_packing_in_files(tmp_path):
    write_nano_ct(PARTICLES, tmp_path, "easy", (40, 40, 40), 500.0, 2, 0.3)
    packing = pack(PARTICLES, (40, 40, 40), 500.0, 2, 0.3)
    assert np.array_equal(open_image(tmp_path / "truth.tif").read(), packing.labels)
    about = json.loads((tmp_path / "phantom.json").read_text())
    assert [each["item"] for each in about["particles"]] == packing.items
