"""Fitted 2D tessellations: labels and gradients against brute force, recovery, phantoms with missing pixels, errors."""

import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import logsumexp
from scipy.stats import ks_2samp

from nmcdist.bundle import load_bundle
from nmcdist.calibration.grains import tessellation_fit as module
from nmcdist.calibration.grains.tessellation_fit import Softmax, Tessellation2D, fit_tessellation
from nmcdist.descriptors.sections import chord_lengths, describe_section
from nmcdist.errors import ImageError, InputError
from nmcdist.models.particle import ParticleModel

PIXEL = 50.0


def random_tessellation(n, reach_nm, seed):
    """Seeds all over a square, D in [1, 10], r in [0, 50] squared pixels: the ranges of the published model."""
    rng = np.random.default_rng(seed)
    seeds = rng.uniform(-reach_nm, reach_nm, (n, 2))
    return Tessellation2D(seeds, rng.uniform(1, 10, (n, 2)), rng.uniform(0, 50 * PIXEL**2, n))


def costs_of(seeds, diagonals, offsets, points):
    """Costs by angles, shape (points, grains): another way to the same formula."""
    angle = np.arctan2(seeds[:, 1], seeds[:, 0])
    d = points[:, None] - seeds
    turned = np.hypot(d[..., 0], d[..., 1]) * np.exp(1j * (np.arctan2(d[..., 1], d[..., 0]) - angle))
    return diagonals[:, 0] * turned.real**2 + diagonals[:, 1] * turned.imag**2 - offsets


def pixel_places(shape, pixel, centre):
    return (np.indices(shape).reshape(2, -1).T - np.asarray(centre)) * pixel


def with_missing(section, share, seed):
    rng = np.random.default_rng(seed)
    return np.where((section > 0) & (rng.random(section.shape) < share), -1, section)


def fitted_image(fit, shape, centre=None):
    return fit.grains[fit.tessellation.labels(shape, PIXEL, centre) - 1]


@pytest.fixture(scope="module")
def phantom():
    model = ParticleModel.from_bundle(load_bundle("nmc811-radial"))
    return lambda index: model.draw(1, index).section(PIXEL)


@pytest.fixture(scope="module")
def truth(phantom):
    return phantom(7)


@pytest.fixture(scope="module")
def image(truth):
    return with_missing(truth, 0.1, 5)


@pytest.fixture(scope="module")
def fit(image):
    return fit_tessellation(image, PIXEL)


@pytest.fixture(scope="module")
def softmax(phantom):
    rows = module._checked_image(with_missing(phantom(2), 0.1, 1))[1]
    return Softmax.of_image(rows, np.array([37.0, 40.0]))


@pytest.fixture(scope="module")
def parameters(softmax):
    noise = np.random.default_rng(2).normal(size=(softmax.targets.max() + 1, 5))
    return module._guess(softmax) + 0.3 * noise


class TestLabels:
    @pytest.mark.parametrize(("shape", "pixel", "centre"), [((60, 45), 50.0, (20.0, 31.5)), ((41, 80), 17.0, None)])
    def test_brute_force(self, shape, pixel, centre):
        tessellation = random_tessellation(150, 1500.0, 3)
        tessellation = Tessellation2D(
            np.concatenate([tessellation.seeds_nm, [[0.0, 0.0]]]),
            np.concatenate([tessellation.diagonals, [[2.0, 7.0]]]),
            np.concatenate([tessellation.offsets_nm2, [1e5]]),
        )
        points = pixel_places(shape, pixel, centre or (20.0, 39.5))
        costs = costs_of(tessellation.seeds_nm, tessellation.diagonals, tessellation.offsets_nm2, points)
        labels = tessellation.labels(shape, pixel, centre)
        assert labels.dtype == np.int32
        assert np.array_equal(labels.ravel(), costs.argmin(axis=1) + 1)

    def test_scale_and_constant_of_the_costs_change_nothing(self):
        one = random_tessellation(80, 1500.0, 4)
        two = Tessellation2D(one.seeds_nm, 4.0 * one.diagonals, 4.0 * one.offsets_nm2 - 8192.0)
        assert np.array_equal(one.labels((50, 50), PIXEL), two.labels((50, 50), PIXEL))

    def test_matrices_have_the_radius_as_an_axis(self):
        tessellation = random_tessellation(50, 1000.0, 5)
        radius = tessellation.seeds_nm / np.linalg.norm(tessellation.seeds_nm, axis=1, keepdims=True)
        matrices, d = tessellation.matrices(), tessellation.diagonals
        assert np.allclose(np.einsum("nij,nj->ni", matrices, radius), d[:, :1] * radius, rtol=1e-12)
        assert np.allclose(np.linalg.det(matrices), d.prod(axis=1), rtol=1e-12)


class TestAugmented:
    def test_factors(self):
        one = random_tessellation(4000, 1000.0, 6)
        two = one.augmented(0.2, np.random.default_rng(7))
        factors = np.concatenate([two.diagonals / one.diagonals, (two.offsets_nm2 / one.offsets_nm2)[:, None]], axis=1)
        assert np.array_equal(two.seeds_nm, one.seeds_nm)
        assert (abs(factors - 1) <= 0.2 + 1e-12).all()
        # Uniform and independent: four standard errors of 4,000 draws.
        assert (abs(factors.mean(axis=0) - 1) < 4 * 0.4 / math.sqrt(12 * 4000)).all()
        assert (abs(factors.var(axis=0) / (0.4**2 / 12) - 1) < 4 * math.sqrt(0.8 / 4000)).all()
        assert (abs(np.corrcoef(factors.T)[np.triu_indices(3, 1)]) < 4 / math.sqrt(4000)).all()

    def test_a_pure_function_of_the_generator(self):
        one = random_tessellation(30, 1000.0, 6)
        two, three = (one.augmented(0.2, np.random.default_rng(7)) for _ in range(2))
        assert np.array_equal(two.diagonals, three.diagonals)
        assert np.array_equal(one.augmented(0.0, np.random.default_rng(7)).offsets_nm2, one.offsets_nm2)

    def test_a_fitted_tessellation_stays_alike(self, fit, truth):
        before = fitted_image(fit, truth.shape)
        after = fit.grains[fit.tessellation.augmented(0.2, np.random.default_rng(1)).labels(truth.shape, PIXEL) - 1]
        assert 0.01 < (before != after)[truth > 0].mean() < 0.1


class TestLoss:
    @pytest.mark.parametrize("temperature", [0.5, 3.0])
    def test_against_the_softmax_of_all_grains(self, softmax, parameters, temperature):
        softmax.refresh(parameters)
        costs = costs_of(parameters[:, :2], np.exp(parameters[:, 2:4]), parameters[:, 4], softmax.places)
        logits = -costs / temperature
        expected = logsumexp(logits, axis=1) - logits[np.arange(len(costs)), softmax.targets]
        assert softmax.loss(parameters, temperature)[0] == pytest.approx(expected.sum(), rel=1e-4)

    @pytest.mark.parametrize("temperature", [0.5, 3.0])
    def test_gradient_against_differences(self, softmax, parameters, temperature):
        softmax.refresh(parameters)
        gradient = softmax.loss(parameters, temperature)[1]
        step = 1e-5
        for i, k in np.ndindex(parameters.shape):
            there, back = parameters.copy(), parameters.copy()
            there[i, k] += step
            back[i, k] -= step
            slope = (softmax.loss(there, temperature)[0] - softmax.loss(back, temperature)[0]) / (2 * step)
            assert gradient[i, k] == pytest.approx(slope, rel=1e-5, abs=1e-4), (i, k)

    def test_lists_hold_the_grains_of_lowest_cost(self, softmax, parameters):
        softmax.refresh(parameters)
        corners = softmax.corners[:, None] + np.array([[0, 0], [0, 3], [3, 0], [3, 3]])
        costs = costs_of(parameters[:, :2], np.exp(parameters[:, 2:4]), parameters[:, 4], corners.reshape(-1, 2))
        lowest = costs.reshape(len(corners), 4, -1).min(axis=1)
        for b in range(len(corners)):
            own = set(softmax.targets[softmax.starts[b] : softmax.starts[b + 1]].tolist())
            others = [i for i in np.argsort(lowest[b]).tolist() if i not in own][: module.RIVALS]
            listed = softmax.lists[b, : softmax.lengths[b]].tolist()
            assert set(listed[: len(own)]) == own
            assert listed[len(own) :] == others

    def test_descent_starts_at_the_moments_of_rectangles(self):
        """The variance of a rectangle is its squared edge over 12."""
        rows = np.zeros((40, 41), np.int32)
        rows[5:11, 14:27], rows[30:32, 16:25] = 1, 2
        guess = module._guess(Softmax.of_image(rows, np.array([19.5, 20.0])))
        assert np.allclose(guess[:, :2], [[-12.0, 0.0], [11.0, 0.0]])
        assert np.allclose(np.exp(guess[:, 2:4]), [[12 / 36, 12 / 169], [12 / 4, 12 / 81]])


class TestRecovery:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_of_a_known_tessellation(self, seed):
        image = random_tessellation(260, 2500.0, seed).labels((100, 100), PIXEL)
        fit = fit_tessellation(image, PIXEL)
        assert len(fit.grains) > 100
        assert fit.matched >= 0.99

    @pytest.mark.parametrize("index", [8, 11, 7])
    def test_of_a_phantom_with_missing_pixels(self, phantom, index):
        section = phantom(index)
        image = with_missing(section, 0.1, index)
        fit = fit_tessellation(image, PIXEL)
        found = fitted_image(fit, section.shape)
        assert fit.matched >= 0.99
        assert fit.matched == (found == image)[image > 0].mean()
        assert fit.lost_grains == 0
        assert fit.area_error < 0.01
        assert fit.boundary_distance_nm < 0.05 * PIXEL
        missing = image == -1
        nearest = cKDTree(np.argwhere(image > 0)).query(np.argwhere(missing))[1]
        by_nearest = (image[image > 0][nearest] == section[missing]).mean()
        assert (found == section)[missing].mean() > by_nearest + 0.1

    def test_of_the_descriptors_of_sections(self, fit, truth):
        found = np.where(truth > 0, fitted_image(fit, truth.shape), 0)
        one, two = describe_section(truth, PIXEL), describe_section(found, PIXEL)
        for name in ("area_nm2", "elongation", "angle_to_radius"):
            assert ks_2samp(one[name], two[name], nan_policy="omit", method="asymp").statistic < 0.03, name
        assert ks_2samp(chord_lengths(truth, PIXEL), chord_lengths(found, PIXEL), method="asymp").statistic < 0.01

    def test_of_boundaries_blurred_by_wrong_pixels(self, truth):
        """Half of the pixels show the grain of a neighbour: the fit is nearer to the truth than the image is."""
        rng = np.random.default_rng(8)
        places = np.indices(truth.shape) + rng.integers(-1, 2, (2, *truth.shape))
        moved = truth[tuple(np.clip(places, 0, len(truth) - 1))]
        wrong = (rng.random(truth.shape) < 0.5) & (truth > 0) & (moved > 0)
        image = np.where(wrong, moved, truth)
        fit = fit_tessellation(image, PIXEL)
        seen = truth > 0
        assert (fitted_image(fit, truth.shape) == truth)[seen].mean() > (image == truth)[seen].mean() + 0.02

    def test_costs_are_scaled_and_shifted(self, fit):
        assert np.log(fit.tessellation.diagonals).mean() == pytest.approx(0, abs=1e-12)
        assert fit.tessellation.offsets_nm2.min() == 0


class TestInvariance:
    def test_pixels_that_are_missing_or_outside_have_no_say(self, phantom):
        image = with_missing(phantom(8), 0.1, 3)
        one, two = fit_tessellation(image, PIXEL), fit_tessellation(np.where(image < 0, 0, image), PIXEL)
        for name in ("seeds_nm", "diagonals", "offsets_nm2"):
            assert np.array_equal(getattr(one.tessellation, name), getattr(two.tessellation, name)), name
        assert (one.matched, one.area_error, one.boundary_distance_nm) == (
            two.matched, two.area_error, two.boundary_distance_nm,
        )  # fmt: skip

    def test_turned_image(self, phantom):
        image = with_missing(phantom(11), 0.1, 4)
        one, two = fit_tessellation(image, PIXEL, steps=150), fit_tessellation(np.rot90(image), PIXEL, steps=150)
        assert two.matched == pytest.approx(one.matched, abs=0.002)
        back = np.rot90(fitted_image(two, image.shape[::-1]), -1)
        assert (back == fitted_image(one, image.shape))[image != 0].mean() > 0.99

    def test_centre_goes_with_the_image(self, phantom):
        image = phantom(8)
        wider = np.pad(image, ((0, 8), (12, 0)))
        middle = (len(image) - 1) / 2
        one, two = fit_tessellation(image, PIXEL), fit_tessellation(wider, PIXEL, (middle, middle + 12))
        assert np.array_equal(fitted_image(one, image.shape), fitted_image(two, image.shape))

    def test_unit_of_length(self, phantom):
        one, two = (fit_tessellation(phantom(2), pixel) for pixel in (50.0, 100.0))
        assert np.allclose(two.tessellation.seeds_nm, 2 * one.tessellation.seeds_nm, rtol=1e-12)
        assert np.allclose(two.tessellation.offsets_nm2, 4 * one.tessellation.offsets_nm2, rtol=1e-12)
        assert two.boundary_distance_nm == 2 * one.boundary_distance_nm

    @pytest.mark.parametrize("dtype", [np.uint8, np.int64])
    def test_names_of_grains(self, phantom, dtype):
        image = phantom(2)
        grains = np.unique(image[image > 0])
        names = np.random.default_rng(9).permutation(np.arange(1, 250))[: len(grains)]
        names.sort()
        renamed = np.concatenate([[0], names])[np.searchsorted(grains, image) + (image > 0)].astype(dtype)
        one, two = fit_tessellation(image, PIXEL), fit_tessellation(renamed, PIXEL)
        assert np.array_equal(two.grains, names)
        assert np.array_equal(one.grains, grains)
        assert np.array_equal(one.tessellation.seeds_nm, two.tessellation.seeds_nm)


class TestMeasures:
    def test_boundary_distance_of_a_moved_boundary(self):
        one, two = np.ones((8, 20), np.int32), np.ones((8, 20), np.int32)
        one[:, 9:], two[:, 12:] = 2, 2
        assert module._boundary_distance(one, two) == 3.0

    def test_boundary_distance_without_boundaries(self):
        one, two = np.ones((8, 20), np.int32), np.ones((8, 20), np.int32)
        assert module._boundary_distance(one, two) == 0.0
        two[:, 12:] = 2
        assert module._boundary_distance(one, two) == math.inf

    def test_boundary_distance_against_a_distance_transform(self, fit, image):
        """On the grid of half pixels, where edges are points."""
        rows = module._checked_image(image)[1]
        other = ndimage.shift(rows, (1, 2), order=0)
        grids = []
        for labels in (rows, other):
            edges = np.zeros(2 * np.array(rows.shape) - 1, bool)
            seen = rows > 0
            edges[1::2, ::2] = (labels[1:] != labels[:-1]) & seen[1:] & seen[:-1]
            edges[::2, 1::2] = (labels[:, 1:] != labels[:, :-1]) & seen[:, 1:] & seen[:, :-1]
            grids.append(edges)
        away = [0.5 * ndimage.distance_transform_edt(~edges) for edges in grids]
        expected = 0.5 * (away[1][grids[0]].mean() + away[0][grids[1]].mean())
        assert module._boundary_distance(rows, other) == pytest.approx(expected, rel=1e-12)

    def test_areas_and_lost_grains(self):
        rows = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [3, -1, 0, -1]], np.int32)
        fitted = np.array([[1, 1, 1, 1], [1, 1, 2, 2], [2, 3, 3, 3]], np.int32)
        matched, area_error, lost = module._compare(rows, fitted)
        assert matched == 6 / 9
        assert area_error == pytest.approx((2 / 4 + 1 / 4 + 1) / 3)
        assert lost == 1

    def test_single_grain(self):
        image = np.zeros((11, 11), np.int32)
        image[3:8, 3:8] = 4
        fit = fit_tessellation(image, PIXEL)
        assert (fit.matched, fit.boundary_distance_nm, fit.area_error, fit.lost_grains) == (1.0, 0.0, 0.0, 0)
        assert fit.grains.tolist() == [4]

    def test_grains_of_one_pixel(self):
        image = np.arange(1, 26).reshape(5, 5)
        assert fit_tessellation(image, PIXEL).matched == 1.0


class TestErrors:
    @pytest.mark.parametrize(
        ("labels", "kind", "message"),
        [
            (np.ones((4, 4)), InputError, "labels: found float64 of 2 dimensions"),
            (np.ones((4, 4), bool), InputError, "labels: found bool"),
            (np.ones((2, 4, 4), int), InputError, "labels: found int64 of 3 dimensions"),
            (np.zeros((4, 4), int), ImageError, "labels: found no grain"),
            (np.zeros((0, 4), int), ImageError, "labels: found no grain"),
            (np.full((4, 4), -1), ImageError, "labels: found no grain"),
            (np.full((4, 4), -2), ImageError, "labels: found -2"),
        ],
    )
    def test_images(self, labels, kind, message):
        with pytest.raises(kind, match=message):
            fit_tessellation(labels, PIXEL)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"pixel_size_nm": 0.0}, "pixel_size_nm: found 0"),
            ({"pixel_size_nm": -50.0}, "pixel_size_nm: found -50"),
            ({"pixel_size_nm": math.nan}, "pixel_size_nm: found nan"),
            ({"centre_px": (2.0, 5.6)}, "centre_px: found .*, expected a place in the image"),
            ({"centre_px": (-1.0, 2.0)}, "centre_px: found .*, expected a place in the image"),
            ({"centre_px": (2.0,)}, "centre_px: found shape"),
            ({"centre_px": (2.0, math.nan)}, "centre_px: found nan"),
            ({"steps": 0}, "steps: found 0"),
            ({"steps": 1.5}, "steps: found 1.5"),
            ({"temperatures": (1.0, 0.0)}, "temperatures: found"),
            ({"temperatures": 1.0}, "temperatures: found shape"),
        ],
    )
    def test_arguments(self, changes, message):
        arguments = {"labels": np.ones((5, 5), int), "pixel_size_nm": PIXEL} | changes
        with pytest.raises(InputError, match=message):
            fit_tessellation(**arguments)

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ((np.zeros((0, 2)), np.ones((0, 2)), np.zeros(0)), "seeds_nm: found none"),
            ((np.zeros((1, 3)), np.ones((1, 2)), np.zeros(1)), "seeds_nm: found shape"),
            ((np.zeros((1, 2)), np.ones((2, 2)), np.zeros(1)), "diagonals: found shape"),
            ((np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(1)), "diagonals: found 0"),
            ((np.zeros((1, 2)), np.ones((1, 2)), np.array([math.nan])), "offsets_nm2: found nan"),
        ],
    )
    def test_tessellations(self, arrays, message):
        with pytest.raises(InputError, match=message):
            Tessellation2D(*arrays)

    def test_rendering_and_augmenting(self):
        tessellation = random_tessellation(5, 100.0, 1)
        with pytest.raises(InputError, match="shape: found"):
            tessellation.labels((4, 4, 4), PIXEL)
        with pytest.raises(InputError, match="pixel_size_nm: found 0"):
            tessellation.labels((4, 4), 0.0)
        for share in (-0.1, 1.0, math.nan):
            with pytest.raises(InputError, match="share: found"):
                tessellation.augmented(share, np.random.default_rng(1))
