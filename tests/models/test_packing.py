"""Packed balls, refereed by the distances of all pairs and of all voxels."""

import time
import tracemalloc

import numpy as np
import pytest

from nmcdist.bundle import Bundle, PackingParameters
from nmcdist.descriptors import intrinsic_volumes
from nmcdist.errors import BundleError, InputError
from nmcdist.models import packing
from nmcdist.models.body_theory import packing_for
from nmcdist.models.relaxation import near_pairs


def bundle_of(parameters):
    return Bundle.of("test", "Test", parameters, licence="CC0-1.0")


def law(fraction, spread=0.0, overlap=0.0):
    return PackingParameters(radius_mean_nm=100.0, radius_spread=spread, ball_fraction=fraction, overlap=overlap)


def edges_for(parameters, count):
    """Edges of a box for so many balls of one radius, not a cube."""
    side = (count * 4 / 3 * np.pi * 100.0**3 / parameters.ball_fraction) ** (1 / 3)
    return side * np.array([0.8, 1.0, 1.25])


def distances(centres, edges):
    """Distances between all pairs of balls in the periodic box."""
    way = centres[:, None] - centres[None]
    return np.linalg.norm(way - edges * np.round(way / edges), axis=-1)


@pytest.mark.parametrize(("fraction", "spread"), [(0.37, 0.0), (0.5, 0.4), (0.6, 0.0)])
def test_hard_balls_overlap_by_less_than_a_thousandth_of_a_radius(fraction, spread):
    parameters = law(fraction, spread)
    edges = edges_for(parameters, 800)
    packed = packing.pack_balls(parameters, edges, 41, 0)
    r = packed.radius_nm
    assert (4 / 3 * np.pi * r**3).sum() == pytest.approx(fraction * np.prod(edges), rel=1e-12)
    assert ((packed.centre_nm >= 0) & (packed.centre_nm < edges)).all()
    overlap = (r[:, None] + r - distances(packed.centre_nm, edges)) / np.minimum(r[:, None], r)
    np.fill_diagonal(overlap, 0)
    assert overlap.max() <= 1e-3
    assert overlap.max() == pytest.approx(packed.overlap)
    assert r.mean() == pytest.approx(100.0, abs=4 * 100 * spread / np.sqrt(len(r)) + 0.1)


def test_soft_balls_overlap_by_the_stated_share():
    parameters = law(0.75, overlap=0.2)
    edges = edges_for(parameters, 600)
    packed = packing.pack_balls(parameters, edges, 42, 0)
    share = distances(packed.centre_nm, edges) / (2 * packed.radius_nm[0])
    np.fill_diagonal(share, 1)
    assert 0.8 * (1 - 1e-3) < share.min() < 0.82


def test_a_thousand_balls_take_a_tenth_of_a_second():
    """CPU seconds, with room for a busy machine."""
    parameters = law(0.37)
    edges = edges_for(parameters, 1000)
    packing.pack_balls(parameters, edges, 43, 0)
    start = time.process_time()
    assert len(packing.pack_balls(parameters, edges, 43, 1).radius_nm) == 1000
    assert time.process_time() - start < 0.1


def test_voxels_are_those_near_a_centre_or_its_periodic_copy():
    shape, voxel = (24, 30, 36), 25.0
    edges = np.array(shape) * voxel
    parameters = law(0.5)
    labels = packing.generate_packing(bundle_of(parameters), shape, voxel, 44, 2)
    packed = packing.pack_balls(parameters, edges, 44, 2)
    points = np.stack(np.meshgrid(*((np.arange(n) + 0.5) * voxel for n in shape), indexing="ij"), axis=-1)
    expected = np.zeros(shape, bool)
    for centre, radius in zip(packed.centre_nm, packed.radius_nm, strict=True):
        way = points - centre
        expected |= np.linalg.norm(way - edges * np.round(way / edges), axis=-1) <= radius
    assert np.array_equal(labels == packing.BALL, expected)


def test_voxels_of_another_size_show_the_same_packing():
    bundle = bundle_of(law(0.45, 0.3))
    fine = packing.generate_packing(bundle, (90, 90, 90), 12.0, 45)
    coarse = packing.generate_packing(bundle, (30, 30, 30), 36.0, 45)
    assert np.array_equal(coarse, fine[1::3, 1::3, 1::3])
    assert fine.mean() == pytest.approx(0.45, abs=2e-3)
    assert not np.array_equal(coarse, packing.generate_packing(bundle, (30, 30, 30), 36.0, 45, 1))


def test_parameters_for_a_fraction_and_a_surface():
    """Radius 3 V / S; radii of 5 and 10 voxels, and the surface extrapolated to voxels of no size.

    Crofton's formula on voxels misses short chords, where balls nearly touch: a share that falls with the voxel.
    """
    parameters = packing_for(0.37, 7.2e-3)
    assert parameters.radius_mean_nm == pytest.approx(3 * 0.37 / 7.2e-3)
    found = []
    for size in (100, 200):
        voxel = parameters.radius_mean_nm * 20 / size
        phase = packing.generate_packing(bundle_of(parameters), (size, size, size), voxel, 46) == packing.BALL
        found.append(intrinsic_volumes(phase, voxel))
    assert found[1].volume_fraction == pytest.approx(0.37, rel=0.005)
    assert 2 * found[1].surface_area - found[0].surface_area == pytest.approx(7.2e-3, rel=0.01)


@pytest.mark.parametrize("edges", [(250.0, 260.0, 300.0), (500.0, 700.0, 3000.0), (1500.0, 1600.0, 1700.0)])
def test_pairs_are_all_that_are_near(edges):
    random, edges = np.random.default_rng(1), np.array(edges)
    centres, radii = random.uniform(0, 1, (120, 3)) * edges, random.uniform(20, 110, 120)
    pairs = near_pairs(centres, radii, edges, 15.0)
    near = np.triu(distances(centres, edges) <= radii[:, None] + radii + 15.0, 1)
    assert sorted(map(tuple, pairs)) == sorted(zip(*np.nonzero(near), strict=True))


def test_too_dense_balls_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(packing, "relax", lambda *_: pytest.fail("worked"))
    for parameters, found in ((law(0.61), "0.61"), (law(0.9, overlap=0.1), "0.6561")):
        with pytest.raises(InputError, match=f"fraction of {found} by ball_fraction, expected at most 0.6"):
            packing.generate_packing(bundle_of(parameters), (64, 64, 64), 20.0, 1)


def test_a_packing_that_does_not_relax_is_drawn_again(monkeypatch):
    relax, seen = packing.relax, []

    def fails_at_first(centres, radii, edges):
        seen.append(centres.copy())
        return relax(centres, radii, edges) if len(seen) == 3 else 0.1

    monkeypatch.setattr(packing, "relax", fails_at_first)
    packed = packing.pack_balls(law(0.4), np.full(3, 1000.0), 47, 0)
    assert packed.trial == 2
    assert not np.array_equal(seen[0], seen[1])


def test_a_packing_that_never_relaxes_is_an_error(monkeypatch):
    relax = packing.relax
    monkeypatch.setattr(packing, "relax", lambda *args: relax(*args, sweeps=1))
    with pytest.raises(
        InputError,
        match="larger overlaps after 4000 sweeps in each of 5 trials, expected at most 0",
    ):
        packing.pack_balls(law(0.6), np.full(3, 1500.0), 48, 0)


def test_memory_is_as_planned():
    parameters = law(0.5)
    tracemalloc.start()
    packing.generate_packing(bundle_of(parameters), (60, 60, 60), 50.0, 49)
    peak = tracemalloc.get_traced_memory()[1] - 60**3
    tracemalloc.stop()
    assert peak < packing.draw_bytes(parameters, (60, 60, 60), 50.0)


def test_bad_values_are_refused():
    with pytest.raises(BundleError, match="found model 'cba', expected 'spheres-packed'"):
        packing.generate_packing("cba-cathode-2025", (4, 4, 4), 20.0, 1)
    with pytest.raises(InputError, match=r"box with an edge of 100 nm, expected at least .* nm, the extent of"):
        packing.generate_packing(bundle_of(law(0.4)), (5, 50, 50), 20.0, 1)
    with pytest.raises(
        InputError, match=r"found a box for 2.75e.08 balls, expected at most 10000000: take a smaller box"
    ):
        packing.pack_balls(law(0.4), np.full(3, 142_300.0), 1, 0)
