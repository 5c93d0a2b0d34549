"""Electrodes of packed shells, refereed by the radius functions and by every voxel."""

import math

import numpy as np
import pytest

from nmcdist.bundle import Bundle, ElectrodeParameters, load_bundle
from nmcdist.errors import BundleError, InputError
from nmcdist.geometry.sphere import icosphere, star_volumes
from nmcdist.models import electrode
from nmcdist.models.cba import generate_cba
from nmcdist.models.electrode import pack_particles, paint_particles
from nmcdist.models.shell import Shell, ShellModel
from nmcdist.models.star_packing import rotations, turned
from nmcdist.models.streams import draws

SMALLER = 0.17  # of the particles, so that the box and its additive are small
SHAPE, VOXEL = (72, 72, 72), 100.0
EDGES = np.array(SHAPE) * VOXEL


def parameters_of(fraction):
    """Particles seen by computed tomography, at a sixth of their size, and the additive of the CBA paper."""
    law = load_bundle("nmc-ct-2018").particle()
    lengths = {name: getattr(law, name) * SMALLER for name in ("shell_location_nm", "shell_scale_nm")}
    return ElectrodeParameters(
        **load_bundle("cba-cathode-2025").parameters.model_dump(), **lengths,
        shell_sigma=law.shell_sigma, shell_nu=law.shell_nu,
        shell_harmonic_scale_nm=tuple(SMALLER * scale for scale in law.shell_harmonic_scale_nm),
        shell_minimum_volume_nm3=law.shell_minimum_volume_nm3 * SMALLER**3, nmc_fraction=fraction,
    )  # fmt: skip


def bundle_of(parameters):
    return Bundle.of("test", "Test", parameters, licence="CC0-1.0")


@pytest.mark.parametrize("fraction", [0.4, 0.5, 0.55])
def test_particles_fill_the_fraction_and_hardly_overlap(fraction):
    """Counted for each voxel and each particle in the periodic box: overlaps are below 1e-3 of the NMC."""
    parameters = parameters_of(fraction)
    particles = pack_particles(parameters, EDGES, 51, 0)
    rows = particles.coefficients_nm
    assert len(rows) >= 50
    assert star_volumes(rows).sum() == pytest.approx(fraction * np.prod(EDGES), rel=1e-12)
    assert particles.scale == pytest.approx(1, abs=0.02)
    times = np.zeros(SHAPE, int)
    points = np.stack(np.meshgrid(*((np.arange(n) + 0.5) * VOXEL for n in SHAPE), indexing="ij"), axis=-1)
    for row, centre in zip(rows, particles.centre_nm, strict=True):
        way = points - centre
        way -= EDGES * np.round(way / EDGES)
        near = np.linalg.norm(way, axis=-1) <= Shell(row).largest_radius_nm
        times[near] += Shell(row).contains(way[near])
    labels = np.zeros(SHAPE, np.uint8)
    again = paint_particles(labels, particles, VOXEL)
    assert np.array_equal(labels == electrode.NMC, times > 0)
    assert (times > 0).mean() == pytest.approx(fraction, abs=0.005)
    assert again == (times - 1).clip(0).sum() < 1e-3 * (times > 0).sum()


def test_the_additive_fills_the_rest():
    bundle = bundle_of(parameters_of(0.5))
    labels = electrode.generate_electrode(bundle, SHAPE, VOXEL, 52, 3)
    nmc = labels == electrode.LABELS["nmc"]
    assert nmc.mean() == pytest.approx(0.5, abs=0.02)
    additive = generate_cba("cba-cathode-2025", SHAPE, VOXEL, 52, 3)
    assert np.array_equal(labels[~nmc], additive[~nmc])
    assert set(np.unique(labels)) == {0, 1, 2, 3}


def test_the_packing_does_not_depend_on_the_voxels():
    particles = pack_particles(parameters_of(0.5), EDGES, 53, 0)
    fine, coarse = np.zeros((54, 54, 54), np.uint8), np.zeros((18, 18, 18), np.uint8)
    paint_particles(fine, particles, 7200 / 54)
    paint_particles(coarse, particles, 400.0)
    assert np.array_equal(coarse, fine[1::3, 1::3, 1::3])
    again, other = (pack_particles(parameters_of(0.5), EDGES, 53, index) for index in (0, 1))
    assert np.array_equal(again.centre_nm, particles.centre_nm)
    assert np.array_equal(again.coefficients_nm, particles.coefficients_nm)
    assert not np.array_equal(other.coefficients_nm[0], particles.coefficients_nm[0])


def test_turned_shells_are_the_same_shells_in_turned_directions():
    rows, _ = ShellModel.of(parameters_of(0.5)).draw_many(54, range(6))
    matrices = rotations(draws(54, 1, 1).normal(6, 4))
    directions = icosphere(2)[0]
    for row, matrix, new in zip(rows, matrices, turned(rows, matrices), strict=True):
        assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-14)
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert Shell(new).radius(directions @ matrix.T) == pytest.approx(Shell(row).radius(directions), rel=1e-10)


def test_rotations_are_uniform():
    """A uniform rotation has entries of mean 0 and mean square 1/3, whose variance is 4/45; 20,000 rotations."""
    found = rotations(draws(55, 1, 1).normal(20_000, 4))
    assert found.mean(axis=0) == pytest.approx(np.zeros((3, 3)), abs=4 * math.sqrt(1 / 3 / 20_000))
    assert (found**2).mean(axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=4 * math.sqrt(4 / 45 / 20_000))


def test_a_packing_that_does_not_relax_is_drawn_again_and_then_an_error(monkeypatch):
    relax, calls = electrode.relax_stars, []

    def fails_at_first(*args):
        calls.append(args[0])
        return relax(*args) if len(calls) == 2 else 0.3

    monkeypatch.setattr(electrode, "relax_stars", fails_at_first)
    assert pack_particles(parameters_of(0.4), EDGES, 56, 0).trial == 1
    assert not np.array_equal(calls[0][0], calls[1][0])
    with pytest.raises(InputError, match="shells deeper in each other in each of 5 trials, expected at most 0"):
        pack_particles(parameters_of(0.4), EDGES, 56, 0)


def test_bad_values_are_refused(monkeypatch):
    with pytest.raises(BundleError, match="found model 'cba', expected 'electrode-packed'"):
        electrode.generate_electrode("cba-cathode-2025", (4, 4, 4), 20.0, 1)
    with pytest.raises(InputError, match=r"a box with an edge of 1000 nm, expected at least .* nm, the extent of the"):
        pack_particles(parameters_of(0.5), np.array([1000.0, 9000.0, 9000.0]), 1, 0)
    with pytest.raises(InputError, match=r"volume fraction of 0\.65 by nmc_fraction, expected at most 0\.6"):
        pack_particles(parameters_of(0.65), EDGES, 1, 0)
    monkeypatch.setattr(electrode, "MOST_PARTICLES", 100)
    with pytest.raises(InputError, match="a box for more than 100 particles, expected a smaller box"):
        pack_particles(parameters_of(0.5), 10 * EDGES, 1, 0)


def test_memory_counts_the_additive_the_box_and_the_particles():
    parameters = parameters_of(0.5)
    small, large = (electrode.draw_bytes(parameters, (n, n, n), VOXEL, 1) for n in (40, 80))
    assert 0 < small < large < 2**30
