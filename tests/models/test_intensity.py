"""Seeds whose intensity depends on the distance from the centre: against integrals, thinning and brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from nmcdist.bundle import load_bundle, save_bundle
from nmcdist.errors import BundleError
from nmcdist.models.grains import GrainModel, poisson_seeds
from nmcdist.models.intensity import IntensityProfile
from nmcdist.models.particle import ParticleModel

CONSTANT = 1.44e-8
GROWING = IntensityProfile((0.0, 1500.0, 4000.0), (0.5e-8, 0.9e-8, 3.0e-8))
KNOTS = {"grain_intensity_knots_nm": (0.0, 3000.0), "grain_intensity_factors": (0.4, 1.6)}


@st.composite
def profiles(draw):
    knots = sorted(draw(st.sets(st.integers(0, 8000), min_size=1, max_size=6)))
    factors = draw(st.lists(st.floats(0.1, 10.0), min_size=len(knots), max_size=len(knots)))
    return IntensityProfile(tuple(map(float, knots)), tuple(CONSTANT * f for f in factors))


def integral(profile, radius):
    inner = [k for k in profile.knots if 0 < k < radius]
    law = lambda r: 4 * math.pi * r * r * profile.at(r)  # noqa: E731
    edges = [0.0, *inner, radius]
    return sum(integrate.quad(law, a, b)[0] for a, b in itertools.pairwise(edges))


class TestAgainstTheory:
    @settings(max_examples=60, deadline=None)
    @given(profiles(), st.floats(1.0, 12000.0))
    def test_the_mass_of_a_ball_is_the_integral_of_the_intensity(self, profile, radius):
        assert profile.seeds_within(radius) == pytest.approx(integral(profile, radius), rel=1e-9)

    @settings(max_examples=60, deadline=None)
    @given(profiles(), st.lists(st.floats(0.0, 1e6), min_size=2, max_size=50))
    def test_radii_invert_the_mass_and_are_never_swapped(self, profile, masses):
        masses = np.sort(masses)
        radii = profile.radii_of(masses)
        assert (np.diff(radii) >= 0).all()
        assert profile.seeds_within(radii) == pytest.approx(masses, rel=1e-9, abs=1e-9)

    def test_radii_are_those_of_a_root_finder(self):
        for mass in (0.5, 20.0, 3000.0, 5e5):
            expected = optimize.brentq(lambda r, m=mass: integral(GROWING, r) - m, 0.0, 5e4, xtol=1e-9)
            assert GROWING.radii_of(np.array([mass]))[0] == pytest.approx(expected, rel=1e-10)

    def test_neighbouring_masses_keep_their_order(self):
        """Masses that differ in the last digit, 20,000 of them about a knot."""
        start = float(GROWING.seeds_within(1500.0))
        masses = start + np.arange(-10_000, 10_000) * np.spacing(start)
        assert (np.diff(GROWING.radii_of(masses)) >= 0).all()

    def test_counts_in_shells_are_poisson_with_the_integral_as_mean(self):
        """300 particles; mean, 4 standard errors, and variance (fourth moment of Poisson's law) by shell."""
        n, edges = 300, np.array([0.0, 600.0, 1200.0, 1800.0, 2400.0, 3000.0])
        counts = np.array([np.histogram(poisson_seeds(GROWING, 3000.0, 21, i)[1], edges)[0] for i in range(n)])
        means = np.diff(GROWING.seeds_within(edges))
        assert (np.abs(counts.mean(axis=0) - means) < 4 * np.sqrt(means / n)).all()
        assert (np.abs(counts.var(axis=0) - means) < 4 * np.sqrt((means + 2 * means**2) / n)).all()

    def test_directions_are_uniform(self):
        points, radii = poisson_seeds(GROWING, 5000.0, 12, 0)
        assert len(points) > 8000
        for axis in range(3):
            assert stats.kstest((points[:, axis] / radii + 1) / 2, stats.uniform.cdf).pvalue > 1e-4


class TestAgainstThinning:
    def test_distances_are_those_of_a_thinned_constant_process(self):
        """About 30,000 points each; the law of the distances and the mean number, 4 standard errors."""
        n, radius, rng = 12, 4000.0, np.random.default_rng(5)
        thinned = []
        for i in range(n):
            _, radii = poisson_seeds(GROWING.highest, radius, 31, i)
            thinned.append(radii[rng.random(len(radii)) * GROWING.highest < GROWING.at(radii)])
        drawn = [poisson_seeds(GROWING, radius, 32, i)[1] for i in range(n)]
        one, other = np.concatenate(thinned), np.concatenate(drawn)
        assert min(len(one), len(other)) > 20_000
        assert abs(len(one) - len(other)) < 4 * math.sqrt(len(one) + len(other))
        assert stats.ks_2samp(one, other).pvalue > 1e-4


class TestAgainstTheConstantLaw:
    def test_one_knot_is_a_constant(self):
        flat = IntensityProfile((700.0,), (CONSTANT,))
        points, radii = poisson_seeds(flat, 2500.0, 3, 4)
        expected, expected_radii = poisson_seeds(CONSTANT, 2500.0, 3, 4)
        assert radii == pytest.approx(expected_radii, rel=1e-12)
        assert points == pytest.approx(expected, rel=1e-6)

    def test_a_bundle_without_knots_has_the_constant_law(self):
        model = GrainModel.from_bundle(load_bundle("nmc811-radial"))
        assert model.profile is None
        assert model.spacing_nm == model.widest_spacing_nm == pytest.approx(model.intensity_per_nm3 ** (-1 / 3))


@pytest.fixture(params=["radial", "net"])
def model(request):
    bundle = load_bundle("nmc811-radial" if request.param == "radial" else "nmc811-stereological")
    return GrainModel.from_bundle(bundle.with_parameters(**KNOTS))


class TestModels:
    def test_a_larger_window_only_appends(self, model):
        small, large = model.draw(2500.0, 3, 4), model.draw(4000.0, 3, 4)
        assert 400 < len(small.gammas) < len(large.gammas) - 2000
        for name in ("seeds_nm", "diagonals", "offsets_nm2", "gammas"):
            few, many = getattr(small, name), getattr(large, name)
            assert few.tobytes() == many[: len(few)].tobytes()

    def test_spacings_are_those_of_the_densest_and_the_sparsest_seeds(self, model):
        intensity = model.intensity_per_nm3
        assert model.spacing_nm == pytest.approx((1.6 * intensity) ** (-1 / 3))
        assert model.widest_spacing_nm == pytest.approx((0.4 * intensity) ** (-1 / 3))

    def test_particles_are_denser_where_the_seeds_are(self):
        """8 particles: grains per volume within and beyond 1.5 um, kept grains being one per seed of a Voronoi law."""
        voronoi = dict.fromkeys(
            ("radial_scale_inner", "radial_scale_outer", "tangential_scale_inner", "tangential_scale_outer"), 1.0
        )
        bundle = load_bundle("nmc811-radial").with_parameters(
            **KNOTS, **voronoi, scale_noise=0.0, offset_range_nm2=0.0, shell_sigma=0.05, shell_scale_nm=12000.0
        )
        law = ParticleModel.from_bundle(bundle)
        profile, found = law.grains.profile, []
        for i in range(8):
            particle = law.draw(9, i)
            away = np.linalg.norm(particle.centroids_nm[particle.kept], axis=1)
            found.append(np.histogram(away, [0.0, 1000.0, 1500.0])[0])
        means = np.diff(profile.seeds_within(np.array([0.0, 1000.0, 1500.0])))
        # Centres of mass lie a little off their seeds: towards where seeds are sparser, by less than 5 % of the count.
        assert (np.abs(np.sum(found, axis=0) - 8 * means) < 4 * np.sqrt(8 * means) + 0.05 * 8 * means).all()
        assert law.step_nm == pytest.approx(law.grains.spacing_nm / 4)


class TestBundles:
    def test_knots_travel_and_change_the_hash(self, tmp_path):
        plain = load_bundle("nmc811-radial")
        bundle = plain.with_parameters(**KNOTS)
        assert bundle.content_hash != plain.content_hash
        read = load_bundle(save_bundle(bundle, tmp_path / "b"))
        assert read.parameters.grain_intensity_knots_nm == (0.0, 3000.0)
        assert read.values["grain_intensity_factors"].provenance == "assumed"

    @pytest.mark.parametrize(
        ("knots", "factors", "message"),
        [
            ((0.0, 1.0), (1.0,), r"found 1 numbers, expected one per knot, of which there are 2"),
            ((5.0, 5.0), (1.0, 2.0), "expected ascending distances"),
            ((-1.0,), (1.0,), "greater than or equal to 0"),
            ((0.0,), (0.0,), "greater than 0"),
            ((0.0,), (math.inf,), "finite number"),
            ((0.0, 1.0), (1.0, 101.0), "expected a ratio of at most 100"),
            (5.0, (1.0,), "takes"),
        ],
    )
    def test_impossible_ones_are_refused_in_one_line(self, knots, factors, message):
        with pytest.raises(BundleError, match=message) as caught:
            load_bundle("nmc811-radial").with_parameters(
                grain_intensity_knots_nm=knots, grain_intensity_factors=factors
            )
        assert "\n" not in str(caught.value)
