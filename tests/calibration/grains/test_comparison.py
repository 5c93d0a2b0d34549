"""Intervals of distances and grains per volume: against independent implementations and brute force."""

import math

import numpy as np
import pytest
from scipy import stats

from nmcdist.bundle import load_bundle
from nmcdist.calibration.grains import comparison, laws
from nmcdist.calibration.grains.comparison import grains_per_volume, jackknife, pooled
from nmcdist.calibration.grains.distances import distances
from nmcdist.calibration.grains.recipe import GrainRecipe
from nmcdist.calibration.grains.results import CountInSections
from nmcdist.calibration.grains.samples import grain_samples
from nmcdist.models.intensity import IntensityProfile
from nmcdist.models.particle import ParticleModel


def samples(rng, count, shift=0.0):
    return [
        {"elongation": rng.random(60) + shift + 0.2 * rng.standard_normal(), "radius_nm": rng.random(60)}
        for _ in range(count)
    ]


class TestJackknife:
    def test_is_that_of_the_textbook(self):
        """Quenouille and Tukey's, with scipy's distance: sqrt((n - 1) / n sum (d_k - mean)^2), times Student's t."""
        rng = np.random.default_rng(1)
        found, truth = samples(rng, 6, 0.1), samples(rng, 6)
        left = []
        for k in range(6):
            a, b = (
                np.concatenate([s["elongation"] for j, s in enumerate(part) if j != k]) for part in (found, truth)
            )  # fmt: skip
            left.append(stats.ks_2samp(a, b).statistic)
        expected = stats.t.ppf(0.975, 5) * math.sqrt(5 / 6 * ((np.array(left) - np.mean(left)) ** 2).sum())
        assert jackknife(found, truth)["elongation"].ks == pytest.approx(expected)

    def test_intervals_hold_the_distance_of_the_laws(self):
        """The area between uniform laws 0.5 apart, sections shifted by 0.1 each way: 95 %, 200 sets of 6, 4 errors."""
        rng, n, held = np.random.default_rng(2), 200, 0
        for _ in range(n):
            found, truth = samples(rng, 6, 0.5), samples(rng, 6)
            whole = distances(pooled(found), pooled(truth))["elongation"].wasserstein_own
            unit = pooled(truth)["elongation"].std()
            held += abs(whole - 0.5) < unit * jackknife(found, truth)["elongation"].wasserstein
        assert held / n == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / n))

    @pytest.mark.parametrize("count", [1, 2])
    def test_there_is_none_with_two_sections(self, count):
        rng = np.random.default_rng(3)
        assert jackknife(samples(rng, count), samples(rng, count)) == {}


class TestGrainsPerVolume:
    def test_are_those_of_brute_force(self):
        rng = np.random.default_rng(4)
        some, true = (
            [{"volume_nm3": rng.uniform(1e7, 3e7, n), "radius_nm": rng.uniform(0, 2500, n)} for n in sizes]
            for sizes in ((400, 380, 420, 410), (200, 190, 230, 205))
        )
        rows = grains_per_volume(some, true)
        assert [(row.from_nm, row.to_nm) for row in rows] == [(0.0, 1000.0), (1000.0, 2000.0)]
        for row in rows:
            sums = []
            for part in (some, true):
                inside = [s["volume_nm3"][(s["radius_nm"] >= row.from_nm) & (s["radius_nm"] < row.to_nm)] for s in part]
                sums.append(sum(map(len, inside)) / sum(v.sum() for v in inside) * 1e9)
            assert row.generated == pytest.approx(sums[0])
            assert row.truth == pytest.approx(sums[1])
            assert row.ratio == pytest.approx(sums[0] / sums[1])
            assert row.error > abs(row.ratio - 1)  # one law of volumes

    def test_two_particles_have_no_error(self):
        rng = np.random.default_rng(5)
        two = [{"volume_nm3": rng.random(50) + 1, "radius_nm": rng.uniform(0, 1500, 50)} for _ in range(2)]
        assert grains_per_volume(two, two)[0].error is None


def test_short_axes_are_those_of_each_grain_alone():
    """All grains of a small particle, each by its own voxels and by a singular value decomposition."""
    bundle = load_bundle("nmc811-radial").with_parameters(shell_scale_nm=2 * math.sqrt(math.pi) * 1500 + 3818.24)
    model = ParticleModel.from_bundle(bundle)
    found = grain_samples(model, 3, 1, 100.0)["short_axis_angle"]
    particle = model.draw(3, 0)
    labels, origin = particle.voxelize(100.0), np.array(particle.grid(100.0)[1])
    expected = []
    for grain in np.unique(labels[labels > 0]):
        points = origin + 100.0 * np.argwhere(labels == grain)
        middle = points.mean(axis=0)
        # A cube has the moment of its voxels along every axis, which turns no axis.
        axis = np.linalg.svd(points - middle, full_matrices=True)[2][-1]
        expected.append(math.acos(min(abs(axis @ middle) / np.linalg.norm(middle), 1.0)))
    sure = ~np.isnan(found)
    assert sure.mean() > 0.9
    assert found[sure] == pytest.approx(np.array(expected)[sure], abs=1e-4)


class TestLaws:
    """Which law is taken, by rows of grains by distance."""

    CONSTANT, BETTER = [1.3, 0.9], [1.02, 0.99]

    def chosen(self, monkeypatch, of, error=0.05, **recipe):
        rows = {
            law: [
                CountInSections(from_nm=0.0, to_nm=1.0, measured=1.0, generated=ratio, ratio=ratio, error=error)
                for ratio in ratios
            ]
            for law, ratios in of.items()
        }  # fmt: skip
        monkeypatch.setattr(laws, "InSections", lambda *arguments: type("C", (), {"counts": lambda self, b: rows[b]})())
        monkeypatch.setattr(laws, "choose_knots", lambda sections: type("K", (), {"criteria": (3.0, 1.0)})())
        return laws.choose([], GrainRecipe(**recipe), {law: law for law in of})

    def test_the_constant_one_where_grains_do_not_contradict_it(self, monkeypatch):
        choice = self.chosen(monkeypatch, {"constant": [1.04, 0.96], "by-distance": [1.0, 1.0]})
        assert choice.law == "constant"
        assert "do not contradict" in choice.why

    def test_the_one_by_distance_where_they_do_and_it_is_nearer(self, monkeypatch):
        choice = self.chosen(monkeypatch, {"constant": self.CONSTANT, "by-distance": self.BETTER})
        assert (choice.law, choice.criteria) == ("by-distance", (3.0, 1.0))
        assert "in 2 bins" in choice.why

    def test_the_constant_one_where_the_other_is_no_nearer(self, monkeypatch):
        assert self.chosen(monkeypatch, {"constant": self.BETTER, "by-distance": self.CONSTANT}).law == "constant"
        choice = self.chosen(monkeypatch, {"constant": self.CONSTANT, "by-distance": self.CONSTANT})
        assert choice.law == "constant"

    def test_the_constant_one_where_sections_are_too_few_to_tell(self, monkeypatch):
        choice = self.chosen(monkeypatch, {"constant": self.CONSTANT, "by-distance": self.BETTER}, error=None)
        assert choice.law == "constant"
        assert "few sections" in choice.why

    def test_what_is_asked_for_alone_is_taken(self, monkeypatch):
        assert self.chosen(monkeypatch, {"by-distance": self.CONSTANT}, intensity="by-distance").law == "by-distance"
        assert self.chosen(monkeypatch, {"constant": self.CONSTANT}, intensity="constant").law == "constant"

    @pytest.mark.parametrize(
        ("recipe", "knots", "expected"),
        [
            ({}, (0.0,), ["constant"]),
            ({}, (0.0, 9.0), ["constant", "by-distance"]),
            ({"intensity": "constant"}, (0.0, 9.0), ["constant"]),
            ({"intensity": "by-distance"}, (0.0,), ["by-distance"]),
            ({"method": "adversarial"}, (0.0, 9.0), ["constant"]),
        ],
    )
    def test_those_are_fitted_that_are_asked_for_and_differ(self, monkeypatch, recipe, knots, expected):
        profile = IntensityProfile(knots, tuple(1.0 for _ in knots))
        monkeypatch.setattr(laws, "choose_knots", lambda sections: type("K", (), {"profile": profile})())
        assert list(laws.laws_to_fit([], GrainRecipe(**recipe))) == expected


def test_distances_of_the_truth_in_space_are_within_their_aims():
    """The truth as the model, 3 particles of 1.5 um: nothing is further than 4 times the mean of the noise floor."""
    bundle = load_bundle("nmc811-radial").with_parameters(
        shell_scale_nm=2 * math.sqrt(math.pi) * 1500 + 3818.24, shell_sigma=0.05
    )
    rows, counts = comparison.InSpace(bundle, {}, 2, particles=3).compare(bundle)
    assert {"flatness", "short_axis_angle", "volume_nm3"} <= {row.descriptor for row in rows}
    for row in rows:
        assert row.ks < 4 * row.floor_ks, row
        assert row.error_ks > 0
    assert all(abs(row.ratio - 1) <= row.error for row in counts)


def test_grains_in_space_are_compared_in_the_same_shells():
    """Grains larger outside, shells whose radius varies by 20 %: two particles each have the same volume.

    Whole grains stand for it, of which those at the surface, half of all at most, are in or out: 4 standard errors.
    In shells of their own, particles of these keys differ in volume by factors of 2.4 and 4.7.
    """
    bundle = load_bundle("nmc811-radial").with_parameters(
        shell_scale_nm=2 * math.sqrt(math.pi) * 1500 + 3818.24, shell_sigma=0.12,
        grain_intensity_knots_nm=(0.0, 1500.0), grain_intensity_factors=(2.0, 0.5),
    )  # fmt: skip
    drawn = []
    real = grain_samples

    def kept(*arguments, **options):
        drawn.append(real(*arguments, **options))
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "grain_samples", kept)
        space = comparison.InSpace(bundle, {}, 2, particles=2)
        truth, own = drawn[:2], len(drawn)
        space.compare(bundle)
    for one, other in zip(truth, drawn[own:], strict=True):
        volumes = one["volume_nm3"]
        assert abs(other["volume_nm3"].sum() - volumes.sum()) < 4 * math.sqrt(len(volumes)) * volumes.mean()
        assert not np.array_equal(other["volume_nm3"], volumes)
