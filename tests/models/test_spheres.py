"""A Boolean model of balls, refereed by Miles' formulas."""

import tracemalloc

import numpy as np
import pytest

from nmcdist.bundle import Bundle, SphereParameters
from nmcdist.descriptors import intrinsic_volumes
from nmcdist.errors import BundleError, InputError
from nmcdist.models import spheres
from nmcdist.models.body_theory import sphere_densities, spheres_for
from nmcdist.models.radii import draw_radii, largest_radius, radius_moments
from nmcdist.models.streams import draws
from nmcdist.models.theory import miles


def bundle_of(parameters):
    return Bundle.of("test", "Test", parameters, licence="CC0-1.0")


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_volume_and_surface_agree_with_theory(spread):
    """Radii of 5 voxels, 160 windows of 26 radii, whose mean has a standard error of 0.3 %.

    Crofton's formula on voxels misses short chords, at the edges where balls meet: a share that falls with the voxel,
    extrapolated to voxels of no size from a part of each window at half of it.
    """
    parameters = spheres_for(0.3, 6e-3, spread)
    bundle, voxel, found = bundle_of(parameters), parameters.radius_mean_nm / 5, []
    for index in range(160):
        coarse = spheres.generate_spheres(bundle, (128,) * 3, voxel, 31, index) == 1
        fine = spheres.generate_spheres(bundle, (160,) * 3, voxel / 2, 31, index) == 1
        parts = (coarse, voxel), (coarse[:80, :80, :80], voxel), (fine, voxel / 2)
        whole, part, finer = (intrinsic_volumes(mask, edge).surface_area for mask, edge in parts)
        found.append((coarse.mean(), whole + 2 * (finer - part)))
    expected = sphere_densities(parameters)
    for values, value in zip(np.array(found).T, (expected.volume_fraction, expected.surface_area), strict=True):
        assert values.mean() == pytest.approx(value, abs=4 * values.std(ddof=1) / np.sqrt(len(values)))
        assert values.mean() == pytest.approx(value, rel=0.01)


def test_windows_of_one_realisation_agree():
    bundle = bundle_of(SphereParameters(radius_mean_nm=90.0, radius_spread=0.5, intensity_per_nm3=6e-8))
    whole = spheres.generate_spheres(bundle, (70, 60, 50), 30.0, 32, 3, (-20, 5, 40))
    assert 0.1 < whole.mean() < 0.5
    part = spheres.generate_spheres(bundle, (20, 30, 11), 30.0, 32, 3, (10, 20, 60))
    assert np.array_equal(part, whole[30:50, 15:45, 20:31])
    # The centre of each third voxel of 30 nm is that of a voxel of 90 nm.
    coarse = spheres.generate_spheres(bundle, (5, 5, 5), 90.0, 32, 3, (0, 2, 14))
    assert np.array_equal(coarse, whole[21:36:3, 2:17:3, 3:18:3])


def test_radii_follow_their_law():
    law = SphereParameters(radius_mean_nm=80.0, radius_spread=0.4, intensity_per_nm3=1.0)
    radii = draw_radii(law, draws(1, 1, 1), 100_000)
    assert radii.max() < largest_radius(law)
    for more in (0.0, 30.0):
        for power, expected in zip((1, 2, 3), radius_moments(law, more), strict=True):
            values = (radii + more) ** power
            assert values.mean() == pytest.approx(expected, abs=4 * values.std() / np.sqrt(len(radii)))
    one = law.model_copy(update={"radius_spread": 0.0})
    assert set(draw_radii(one, draws(1, 1, 1), 5)) == {80.0} == {largest_radius(one)}


def test_parameters_for_a_fraction_and_a_surface():
    """Radius 3 (1 - V) (-ln(1 - V)) / S, and the published densities of balls of one radius."""
    parameters = spheres_for(0.4, 5e-3)
    r, lam = parameters.radius_mean_nm, parameters.intensity_per_nm3
    assert r == pytest.approx(3 * 0.6 * -np.log(0.6) / 5e-3)
    assert sphere_densities(parameters) == miles(lam, *sphere_grain(r))
    for spread in (0.0, 0.5):
        densities = sphere_densities(spheres_for(0.4, 5e-3, spread))
        assert (densities.volume_fraction, densities.surface_area) == pytest.approx((0.4, 5e-3))


def sphere_grain(r):
    return 4 / 3 * np.pi * r**3, 4 * np.pi * r**2, 4 * np.pi * r


def test_memory_is_as_planned():
    parameters = spheres_for(0.37, 7.2e-3, 0.2)
    spheres.generate_spheres(bundle_of(parameters), (4, 4, 4), 40.0, 33)
    tracemalloc.start()
    spheres.generate_spheres(bundle_of(parameters), (100, 100, 100), 100.0, 33)
    peak = tracemalloc.get_traced_memory()[1] - 100**3
    tracemalloc.stop()
    assert peak < spheres.draw_bytes(parameters, (100, 100, 100), 100.0) < 10 * peak


def test_bad_values_are_refused():
    with pytest.raises(BundleError, match="found model 'cba', expected 'spheres-boolean'"):
        spheres.generate_spheres("cba-cathode-2025", (4, 4, 4), 20.0, 1)
    with pytest.raises(InputError, match="surface_per_nm: found 0, expected one number from"):
        spheres_for(0.3, 0)
    with pytest.raises(InputError, match="radius_spread: found 2, expected one number from 0 to 1"):
        spheres_for(0.3, 1e-3, 2)
