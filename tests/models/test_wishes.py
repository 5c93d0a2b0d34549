"""Bundles from wishes: closed forms, sizes of drawn shells and grains, and what is out of reach."""

import math
import re

import numpy as np
import pytest

from nmcdist.bundle import ShellParameters, load_bundle
from nmcdist.errors import BundleError, InputError, NmcdistError
from nmcdist.geometry.sphere import star_volumes
from nmcdist.models import theory
from nmcdist.models.electrode import pack_particles
from nmcdist.models.grains import GrainModel
from nmcdist.models.particle import ParticleModel
from nmcdist.models.particle_sizes import grain_diameter_nm, median_diameter_nm
from nmcdist.models.particle_wishes import for_elongation
from nmcdist.models.shell import ShellModel
from nmcdist.models.trials import measure_grains
from nmcdist.models.wishes import bundle_from, fulfilled

CBA, RADIAL, NET, CT = "cba-cathode-2025", "nmc811-radial", "nmc811-stereological", "nmc-ct-2018"


def diameters_um(bundle, seed, count):
    return ShellModel.from_bundle(bundle).draw_many(seed, range(count))[0][:, 0] / np.sqrt(np.pi) / 1000


class TestParticles:
    def test_without_rejections_the_median_is_a_closed_form(self):
        law = {"shell_location_nm": 3000.0, "shell_sigma": 0.1, "shell_harmonic_scale_nm": (1.0,) * 9}
        p = load_bundle(RADIAL).with_parameters(**law, shell_minimum_volume_nm3=0.0).particle()
        assert median_diameter_nm(p) == pytest.approx((3000 + 12800) / math.sqrt(math.pi), rel=1e-14)

    @pytest.mark.parametrize("name", [RADIAL, "nmc-ct-2018"])
    def test_drawn_shells_have_the_median_that_was_asked_for(self, name):
        found = np.sort(diameters_um(fulfilled(load_bundle(name), {"median_diameter_um": 8.0}), 5, 2000))
        # 4 standard errors of a median of 2000 draws are 4 sqrt(2000) / 2 = 90 ranks.
        assert found[910] < 8.0 < found[1090]

    def test_shells_of_another_size_have_the_same_forms(self):
        base = load_bundle(RADIAL)
        big = fulfilled(base, {"median_diameter_um": 2e-3 * median_diameter_nm(base.particle())})
        small, large = (ShellModel.from_bundle(b).draw_many(3, range(200)) for b in (base, big))
        np.testing.assert_allclose(large[0], 2 * small[0], rtol=1e-12)
        assert np.array_equal(large[1], small[1])

    @pytest.mark.parametrize("name", [RADIAL, NET])
    def test_grains_of_another_size_have_the_same_forms(self, name):
        base = load_bundle(name)
        fine = fulfilled(base, {"grain_diameter_nm": 0.5 * grain_diameter_nm(base.particle())})
        assert grain_diameter_nm(fine.particle()) == pytest.approx(0.5 * grain_diameter_nm(base.particle()), rel=1e-13)
        coarse, small = (GrainModel.from_bundle(b).draw(r, 4) for b, r in ((base, 2000.0), (fine, 1000.0)))
        np.testing.assert_allclose(small.seeds_nm, coarse.seeds_nm / 2, rtol=1e-5)
        np.testing.assert_allclose(small.diagonals, coarse.diagonals, rtol=1e-3)
        np.testing.assert_allclose(small.offsets_nm2, coarse.offsets_nm2 / 4, rtol=1e-3, atol=1.0)

    def test_drawn_grains_have_the_volume_that_was_asked_for(self):
        wishes = {"median_diameter_um": 3.0, "grain_diameter_nm": 350.0}
        trial = measure_grains(fulfilled(load_bundle(RADIAL), wishes), seed=8)
        assert trial.grains > 1000
        # A grain's volume scatters by less than its mean; of 1000 grains, a diameter by less than 1.1 %.
        assert trial.diameter_of_mean_nm == pytest.approx(350, rel=4 * 0.011)
        assert 0.94 < trial.mean_diameter_nm / trial.diameter_of_mean_nm < 1

    def test_a_profile_of_the_intensity_is_met_on_a_particle_of_median_size(self):
        base = load_bundle(RADIAL).with_parameters(
            grain_intensity_knots_nm=(0.0, 2000.0), grain_intensity_factors=(1.0, 3.0)
        )
        made = fulfilled(base, {"grain_diameter_nm": 300.0})
        radius = median_diameter_nm(made.particle()) / 2
        rows = [len(ParticleModel.from_bundle(made).grains.draw(radius, seed).gammas) for seed in range(4)]
        mean = 4 * (2 * radius / 300.0) ** 3
        assert abs(sum(rows) - mean) < 4 * math.sqrt(mean)
        assert made.particle().grain_intensity_factors == (1.0, 3.0)

    def test_an_elongation_is_found_and_measured_on_other_particles(self):
        base = fulfilled(load_bundle(RADIAL), {"median_diameter_um": 3.0})
        made = fulfilled(base, {"elongation": 0.4})
        before, after = base.parameters, made.parameters
        product = [p.radial_scale_outer * p.tangential_scale_outer**2 for p in (before, after)]
        assert product[0] == pytest.approx(product[1], rel=1e-12)
        # Elongations of grains scatter by about 0.15; the search and this measurement have their own 1500 grains.
        trial = measure_grains(made, seed=12)
        assert trial.grains > 1500
        assert trial.elongation == pytest.approx(0.4, abs=4 * 0.15 * math.sqrt(2 / 1500))

    def test_elongations_out_of_reach_are_refused_with_the_range(self, monkeypatch):
        def quick(bundle, seed):
            p = bundle.parameters
            return type(
                "Trial", (), {"elongation": 0.2 + 0.1 * math.log(p.radial_scale_outer / p.tangential_scale_outer)}
            )

        monkeypatch.setattr("nmcdist.models.trials.measure_grains", quick)
        for wanted in (0.1, 0.9):
            with pytest.raises(InputError, match=r"elongation: found 0\.[19], expected 0\.200 to 0\.339, the mean"):
                for_elongation(load_bundle(RADIAL), wanted)
        ratio = for_elongation(load_bundle(RADIAL), 0.3)
        assert ratio["radial_scale_outer"] / ratio["tangential_scale_outer"] == pytest.approx(math.e, rel=0.01)


class TestAdditive:
    def test_the_closed_forms_give_what_was_asked_for(self):
        wishes = {"surface_per_um": 12.0, "solid_fraction": 0.45, "large_pore_fraction": 0.2, "graphite_fraction": 0.15}
        p = fulfilled(load_bundle(CBA), wishes).cba()
        assert theory.graphite_fraction(p) == pytest.approx(0.15, rel=1e-12)
        assert theory.large_pore_fraction(p) == pytest.approx(0.2, rel=1e-12)
        assert theory.volume_fractions(p)["solid"] == pytest.approx(0.45, rel=1e-12)
        assert theory.solid_surface(p) == pytest.approx(0.012, rel=1e-12)

    def test_the_ends_of_the_range_that_a_message_gives_are_those_of_the_theory(self):
        base = load_bundle(CBA)
        for mu, word in ((30.0, "graphite's"), (-30.0, "less than")):
            solid = theory.volume_fractions(base.with_parameters(mu=mu).cba())["solid"]
            with pytest.raises(InputError, match=rf"solid_fraction: found .*{word} {solid:.4g}"):
                fulfilled(base, {"solid_fraction": 0.9 if mu < 0 else 0.05})
        least = 1000 * theory.solid_surface(base.with_parameters(eta_per_nm=1e-30).cba())
        with pytest.raises(InputError, match=rf"surface_per_um: found 1, expected more than {least:.4g}"):
            fulfilled(base, {"surface_per_um": 1.0})


@pytest.fixture(scope="module")
def made():
    wishes = {"nmc_fraction": 0.4, "median_diameter_um": 3.0, "graphite_fraction": 0.15, "solid_fraction": 0.45}
    return bundle_from(load_bundle(CT), "mine", wishes, {"shell_sigma": 0.2}, additive=load_bundle(CBA))


class TestElectrodes:
    def test_shells_and_additive_are_those_of_their_bundles_but_for_the_wishes(self, made):
        p = made.parameters
        shells = fulfilled(load_bundle(CT), {"median_diameter_um": 3.0}, {"shell_sigma": 0.2}).parameters
        assert all(getattr(p, name) == getattr(shells, name) for name in ShellParameters.model_fields)
        assert (theory.graphite_fraction(p.additive()), p.nmc_fraction) == (pytest.approx(0.15, rel=1e-12), 0.4)
        assert theory.volume_fractions(p.additive())["solid"] == pytest.approx(0.45, rel=1e-12)
        chosen = {name for name, record in made.values.items() if record.provenance == "chosen"}
        lengths = {"shell_location_nm", "shell_scale_nm", "shell_harmonic_scale_nm", "shell_minimum_volume_nm3"}
        assert chosen == lengths | {"shell_sigma", "lambda_X_per_nm3", "mu", "nmc_fraction"}
        assert made.values["eta_per_nm"].source.startswith(f"{CBA}: Table 2")
        assert made.values["shell_nu"].source.startswith(f"{CT}: family by likelihood")

    def test_a_box_of_the_size_that_is_told_has_about_50_particles(self, made):
        edge = 1000 * float(re.search(r"50 of them fill a box of about ([0-9.]+) um", made.description)[1])
        counts = [len(pack_particles(made.parameters, np.full(3, edge), 60, k).centre_nm) for k in range(6)]
        volumes = star_volumes(ShellModel.of(made.parameters).draw_many(61, range(2000))[0])
        spread = volumes.std() / volumes.mean()
        # The counts scatter as the sum of 50 volumes does; the edge follows from the mean of 400 shells.
        error = spread * math.sqrt(50 / 6 + 50**2 / 400)
        assert abs(np.mean(counts) - 50) < 4 * error

    def test_an_electrode_may_change_its_share_its_sizes_and_its_additive(self, made):
        other = bundle_from(made, "other", {"nmc_fraction": 0.5})
        assert other.parameters == made.parameters.model_copy(update={"nmc_fraction": 0.5})
        dense = load_bundle(CBA).with_parameters(mu=-0.2)
        assert bundle_from(made, "dense", {"nmc_fraction": 0.4}, additive=dense).parameters.mu == -0.2

    @pytest.mark.parametrize("base, additive, wishes, said", [
        (CT, CBA, {"median_diameter_um": 3.0}, "found an additive and no nmc_fraction, expected both"),
        (CT, CBA, {"nmc_fraction": 0.7}, "nmc_fraction: found 0.7, expected one number from 0.01 to 0.6"),
        (CT, CBA, {"nmc_fraction": 0.5, "grain_diameter_nm": 400.0}, "grain_diameter_nm: not a wish for a bundle of"),
        (CT, RADIAL, {"nmc_fraction": 0.5}, "found model 'particle-radial', expected 'cba'"),
        (CBA, CBA, {"nmc_fraction": 0.5}, "found model 'cba', expected 'particle-radial'"),
        (CT, None, {"nmc_fraction": 0.5}, "nmc_fraction: not a wish for a bundle of model 'particle-radial'"),
    ])  # fmt: skip
    def test_impossible_electrodes_are_refused(self, base, additive, wishes, said):
        with pytest.raises(NmcdistError, match=said):
            bundle_from(load_bundle(base), "mine", wishes, additive=additive and load_bundle(additive))


@pytest.mark.parametrize("base, wishes, settings, said", [
    (CBA, {"elongation": 0.3}, {}, "elongation: not a wish for a bundle of model 'cba'"),
    (RADIAL, {"solid_fraction": 0.3}, {}, "solid_fraction: not a wish for a bundle of model 'particle-radial'"),
    (CBA, {"graphite_fraction": 1.0}, {}, r"graphite fraction: found 1.0, expected a number in \(0, 1\)"),
    (CBA, {"solid_fraction": 0.4}, {"mu": 0.3}, "mu: found a value beside the wish solid_fraction"),
    (RADIAL, {"median_diameter_um": 0.0}, {}, "median_diameter_um: found 0.0, expected one number from 0.01"),
    (NET, {"elongation": 0.3}, {}, "elongation: found model 'particle-net', expected model 'particle-radial'"),
])  # fmt: skip
def test_impossible_wishes_are_refused(base, wishes, settings, said):
    with pytest.raises(InputError, match=said):
        fulfilled(load_bundle(base), wishes, settings)


def test_settings_are_checked_like_parameters():
    with pytest.raises(BundleError, match="unknown parameter 'mus'; did you mean mu"):
        fulfilled(load_bundle(CBA), {}, {"mus": 1.0})
    with pytest.raises(InputError, match="found no wish and no parameter to set"):
        bundle_from(load_bundle(CBA), "mine", {})
    with pytest.raises(BundleError, match="name: found 'my own'"):
        bundle_from(load_bundle(CBA), "my own", {"graphite_fraction": 0.1})


class TestBundles:
    def test_a_bundle_says_what_was_chosen_and_what_was_found(self):
        base = load_bundle(RADIAL)
        made = bundle_from(base, "large", {"median_diameter_um": 9.0}, {"scale_noise": 0.2}, "2026-01-02")
        chosen = {name for name, record in made.values.items() if record.provenance == "chosen"}
        assert chosen == {"scale_noise", "shell_location_nm", "shell_scale_nm", "shell_harmonic_scale_nm",
                          "shell_minimum_volume_nm3"}  # fmt: skip
        assert made.values["scale_noise"].source == "set by name"
        assert made.values["shell_scale_nm"].source == "follows from median_diameter_um = 9"
        assert made.values["grain_intensity_per_nm3"] == base.values["grain_intensity_per_nm3"]
        said = made.calibration.method
        assert said.startswith("asked for: scale_noise = 0.2, median_diameter_um = 9. Check: 400 fresh shells")
        value, error = (float(part.split()[0]) for part in said.split("diameter of ")[1].split(" um ± "))
        assert abs(value - 9) < 4 * error

    def test_a_bundle_with_arrays_keeps_them(self):
        base = load_bundle(NET)
        made = fulfilled(base, {"median_diameter_um": 4.0})
        assert set(made.arrays) == set(base.arrays)
