"""Outer shells, refereed by the laws they are drawn from, closed forms and brute force."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nmcdist.bundle import load_bundle
from nmcdist.errors import BundleError, InputError
from nmcdist.geometry.sphere import icosphere, real_spherical_harmonics, star_moments
from nmcdist.models.shell import MAXIMUM_REJECTIONS, Shell, ShellModel

NU = (4.0, 4.0, 4.0, 4.0, 5.0, 5.0, 6.0, 6.0, 6.0)
SCALES = (180.0, 150.0, 90.0, 50.0, 20.0, 12.0, 8.0, 5.0, 3.0)
MODEL = ShellModel(-3818.24, 12800.0, 0.4, NU, SCALES, 10 * 128.0**3)
DEGREES = np.repeat(np.arange(10), 2 * np.arange(10) + 1)


def ball(radius):
    return Shell(np.array([radius * math.sqrt(4 * math.pi)]))


@pytest.fixture(scope="module")
def unrejected():
    """Coefficients of a law so narrow in form that nothing is rejected, and their cumulative probabilities."""
    model = ShellModel(2000.0, 12800.0, 0.4, NU, tuple(s / 50 for s in SCALES), 0.0)
    coefficients, rejections = model.draw_many(11, range(4000))
    assert not rejections.any()
    z00 = np.log((coefficients[:, 0] - 2000.0) / 12800.0) / 0.4
    forms = [
        stats.t.cdf(coefficients[:, degree == DEGREES] / (scale / 50), nu)
        for degree, (nu, scale) in enumerate(zip(NU, SCALES, strict=True), 1)
    ]
    return np.column_stack([stats.norm.cdf(z00), *forms])


# Laws


def test_coefficients_follow_their_laws(unrejected):
    for degree in range(10):
        u = unrejected[:, degree == DEGREES].ravel()
        # Moments of the uniform law: 1/2 and 1/12 with variance 1/180.
        assert abs(u.mean() - 1 / 2) < 4 * math.sqrt(1 / 12 / u.size)
        assert abs(((u - 0.5) ** 2).mean() - 1 / 12) < 4 * math.sqrt(1 / 180 / u.size)
        assert stats.kstest(u, "uniform").pvalue > 1e-4


def test_coefficients_of_a_degree_have_the_same_law_for_each_m(unrejected):
    u = unrejected[:, 1:]
    bound = 4 * np.sqrt([1 / 12 / len(u), 1 / 180 / len(u)])
    assert np.abs(u.mean(axis=0) - 1 / 2).max() < bound[0]
    assert np.abs(((u - 0.5) ** 2).mean(axis=0) - 1 / 12).max() < bound[1]


def test_coefficients_are_uncorrelated(unrejected):
    # 4950 pairs: the largest of them stays below 5 standard errors but once in 300 trials.
    correlation = np.corrcoef(stats.norm.ppf(unrejected), rowvar=False) - np.eye(100)
    assert np.abs(correlation).max() < 5 / math.sqrt(len(unrejected))


def test_radii_have_the_same_law_in_each_direction():
    # Gaussian coefficients make the radius a Gaussian variable with the addition theorem's variance.
    scale, n = 50.0, 4000
    model = ShellModel(0.0, 20000.0, 0.0, (1e9,) * 9, (scale,) * 9, 0.0)
    coefficients, _ = model.draw_many(3, range(n))
    radii = coefficients @ real_spherical_harmonics(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, -2, 3.0]])).T
    variance = scale**2 * 99 / (4 * math.pi)
    np.testing.assert_allclose(radii.var(axis=0), variance, rtol=4 * math.sqrt(2 / n))
    np.testing.assert_allclose(radii.mean(axis=0), 20000 / math.sqrt(4 * math.pi), atol=4 * math.sqrt(variance / n))


# Rejection


def test_a_law_of_small_balls_is_rejected_as_often_as_their_volume_says():
    minimum = 4 * math.pi / 3 * 2000.0**3
    model = ShellModel(-3000.0, 10000.0, 0.5, (4.0,), (0.0,), minimum)
    coefficients, rejections = model.draw_many(5, range(4000))
    smallest = 2000.0 * math.sqrt(4 * math.pi)
    accepted = stats.norm.sf(math.log((smallest + 3000.0) / 10000.0) / 0.5)
    assert coefficients[:, 0].min() >= smallest * (1 - 1e-12)
    # Rejections before the first success are geometric.
    mean, spread = (1 - accepted) / accepted, math.sqrt(1 - accepted) / accepted
    assert abs(rejections.mean() - mean) < 4 * spread / math.sqrt(4000)
    assert abs((rejections == 0).mean() - accepted) < 4 * math.sqrt(accepted * (1 - accepted) / 4000)


def test_a_law_that_shifts_balls_is_rejected_as_often_as_radii_vanish():
    # P = a + b . u is positive while |b| < a, and |b|^2 has a chi-square law of 3 degrees of freedom.
    z00, scale = 10000.0, 3500.0
    model = ShellModel(0.0, z00, 0.0, (1e9,), (scale,), 0.0)
    _, rejections = model.draw_many(5, range(4000))
    share = (rejections == 0).mean()
    # At 642 directions, none farther than 5.5 degrees from any other, slightly more passes.
    low, high = (stats.chi2.cdf((z00 / math.sqrt(3) / scale / cosine) ** 2, 3) for cosine in (1.0, 0.9955))
    error = 4 * math.sqrt(low * (1 - low) / 4000)
    assert low < 0.7 and low - error < share < high + error


def test_accepted_shells_have_positive_radii_and_are_not_too_small():
    rough = ShellModel(-3818.24, 9000.0, 0.5, NU, tuple(2 * s for s in SCALES), 10 * 128.0**3)
    coefficients, rejections = rough.draw_many(2, range(1000))
    assert rejections.sum() > 100
    assert (coefficients @ real_spherical_harmonics(icosphere(3)[0]).T).min() > 0
    assert star_moments(coefficients).volume_nm3.min() >= 10 * 128.0**3


def test_a_law_without_valid_shells_ends_in_an_error():
    with pytest.raises(InputError, match=f"no valid shell in {MAXIMUM_REJECTIONS} trials of item 4,"):
        ShellModel(-1e6, 1.0, 0.1, (4.0,), (1.0,), 0.0).draw(1, 4)


# Same item


def test_a_shell_is_the_same_bit_for_bit_alone_and_in_any_batch():
    indices = [*range(300), 2**32 - 1]
    coefficients, rejections = MODEL.draw_many(2025, indices)
    assert rejections.any()
    order = np.random.default_rng(0).permutation(len(indices))
    again, counts = MODEL.draw_many(2025, [indices[i] for i in order])
    np.testing.assert_array_equal(again, coefficients[order])
    np.testing.assert_array_equal(counts, rejections[order])
    for i in (0, 17, 300, *np.flatnonzero(rejections)[:3]):
        shell = MODEL.draw(2025, indices[i])
        np.testing.assert_array_equal(shell.coefficients_nm, coefficients[i])
        assert shell.rejections == rejections[i]


def test_other_seeds_and_items_give_other_shells():
    drawn = [MODEL.draw(seed, index).coefficients_nm for seed, index in ((1, 0), (2, 0), (1, 1))]
    for k in range(3):
        assert not np.any(drawn[k] == drawn[k - 1])


# The built-in law


def test_built_in_law_gives_particles_as_in_the_paper():
    model = ShellModel.from_bundle(load_bundle("nmc811-radial"))
    coefficients, rejections = model.draw_many(1, range(2000))
    moments = star_moments(coefficients)
    sphericity = math.pi ** (1 / 3) * (6 * moments.volume_nm3) ** (2 / 3) / moments.area_nm2
    assert sphericity.min() > 0.6
    assert rejections.mean() < 0.05
    size = np.abs(coefficients).mean(axis=0)
    by_degree = [size[n == DEGREES].mean() for n in range(10)]
    assert all(finer < coarser for coarser, finer in itertools.pairwise(by_degree))
    # Beyond degree 4 the spread of the radius, by the addition theorem, is below 2 % of its mean.
    beyond = (coefficients[:, 25:] ** 2).sum(axis=1) / (4 * math.pi)
    assert np.median(np.sqrt(beyond) / (coefficients[:, 0] / math.sqrt(4 * math.pi))) < 0.02


def test_sizes_before_rejection_have_the_quantiles_given_for_the_paper():
    model = ShellModel.from_bundle(load_bundle("nmc811-radial"))
    for normal, diameter in ((0.0, 5.1e3), (stats.norm.ppf(0.9), 9.9e3)):
        z00 = model.location_nm + model.scale_nm * math.exp(model.sigma * normal)
        assert z00 / math.sqrt(math.pi) == pytest.approx(diameter, rel=0.01)


# Shells


def test_ball_has_its_measures():
    shell = ball(1000.0)
    assert shell.volume_nm3 == pytest.approx(4 * math.pi / 3 * 1e9)
    assert shell.area_nm2 == pytest.approx(4 * math.pi * 1e6)
    assert shell.largest_radius_nm == pytest.approx(1000.0)
    np.testing.assert_allclose(shell.centre_of_mass_nm, 0, atol=1e-9)
    np.testing.assert_allclose(shell.radius(np.array([[3.0, 4.0, 12.0]])), 1000.0)


def test_shifted_ball_has_its_centre_of_mass():
    # To first order P = a + b cos(theta) is a ball around (b, 0, 0).
    shell = Shell(np.array([1000.0 * math.sqrt(4 * math.pi), 0.0, 1.0 * math.sqrt(4 * math.pi / 3), 0.0]))
    np.testing.assert_allclose(shell.centre_of_mass_nm, [1.0, 0, 0], atol=1e-5)


def test_no_direction_exceeds_the_largest_radius():
    directions = np.random.default_rng(1).standard_normal((100_000, 3))
    for index in range(5):
        shell = MODEL.draw(3, index)
        reached = shell.radius(directions).max()
        assert reached <= shell.largest_radius_nm < 1.1 * reached


def test_voxels_are_those_whose_centres_lie_inside():
    shell = MODEL.draw(3, 0)
    voxel = shell.largest_radius_nm / 12.3
    inside, origin = shell.voxelize(voxel)
    assert inside.shape == (26, 26, 26)
    centres = np.stack(np.meshgrid(*[o + voxel * np.arange(26) for o in origin], indexing="ij"), axis=-1)
    distance = np.sqrt((centres**2).sum(axis=-1))
    np.testing.assert_array_equal(inside, distance <= shell.radius(centres.reshape(-1, 3)).reshape(inside.shape))
    faces = [inside[0], inside[-1], inside[:, 0], inside[:, -1], inside[..., 0], inside[..., -1]]
    assert not any(face.all() for face in faces)


def test_voxels_of_half_the_size_split_each_voxel_into_eight():
    shell = ball(999.0)
    coarse, first = shell.voxelize(250.0)
    fine, second = shell.voxelize(125.0)
    assert fine.shape == tuple(2 * n for n in coarse.shape)
    np.testing.assert_allclose(np.array(second), np.array(first) - 62.5)


def test_share_of_voxels_tends_to_the_volume():
    shell = MODEL.draw(3, 1)
    voxel = shell.largest_radius_nm / 60
    # The error of a lattice count is a small part of the voxels on the surface.
    assert shell.voxelize(voxel)[0].sum() * voxel**3 == pytest.approx(shell.volume_nm3, rel=2e-3)


def test_mesh_lies_on_the_surface_and_encloses_the_volume():
    shell = MODEL.draw(3, 2)
    vertices, faces = shell.mesh(5)
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), shell.radius(vertices))
    assert np.linalg.det(vertices[faces]).sum() / 6 == pytest.approx(shell.volume_nm3, rel=2e-3)
    assert shell.mesh(3)[0].shape == (642, 3)


# Failure


def test_a_bundle_of_another_model_is_refused():
    with pytest.raises(BundleError, match="found model 'cba', expected 'particle-radial' or 'particle-net'"):
        ShellModel.from_bundle(load_bundle("cba-cathode-2025"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_nm": -1.0}, "scale_nm: found -1.0"),
        ({"sigma": math.inf}, "sigma: found inf"),
        ({"location_nm": math.nan}, "location_nm: found nan"),
        ({"nu": (0.0,) * 9}, "nu: found"),
        ({"harmonic_scale_nm": (1.0,)}, "harmonic_scale_nm: found 1 values, expected 9"),
        ({"harmonic_scale_nm": (-1.0,) * 9}, "harmonic_scale_nm: found"),
        ({"minimum_volume_nm3": -1.0}, "minimum_volume_nm3: found -1.0"),
    ],
)
def test_impossible_laws_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(MODEL, **changes)


@pytest.mark.parametrize(("seed", "index", "name"), [(-1, 0, "seed"), (1, 2**32, "index"), (1, 0.5, "index")])
def test_impossible_keys_are_refused(seed, index, name):
    with pytest.raises(InputError, match=f"{name}: found"):
        MODEL.draw(seed, index)


@pytest.mark.parametrize("voxel", [0.0, -5.0, math.nan, 2001.0])
def test_voxels_larger_than_the_shell_are_refused(voxel):
    with pytest.raises(InputError, match="voxel_size_nm: found"):
        ball(1000.0).voxelize(voxel)
