"""Proposals and answers on a laboratory whose properties are known in closed form."""

import numpy as np
import pytest

from nmcdist.bundle import load_bundle
from nmcdist.design.answers import answers, free_parameters, nearest, posterior
from nmcdist.design.emulator import Emulator
from nmcdist.design.goal import Aim, Quantity, Target, distance, front
from nmcdist.design.proposals import Proposer
from nmcdist.design.space import Space
from nmcdist.models import theory

BUNDLE = load_bundle("cba-cathode-2025")
SPACE = Space(("graphite_fraction", "mu", "eta_per_nm"), (0.02, 0.0, 0.006), (0.2, 1.2, 0.025), (False, False, True))
VOLUME, SURFACE = Quantity("volume_fraction_solid", False), Quantity("surface_area_solid", False)


def laboratory(place):
    """Return volume fraction and surface area of the solid by theory (Miles and the Gaussian kinematic formula)."""
    point = SPACE.point(place)
    intensity = theory.intensity_for_graphite_fraction(BUNDLE.cba(), point.pop("graphite_fraction"))
    p = BUNDLE.with_parameters(lambda_X_per_nm3=intensity, **point).cba()
    return np.array([theory.volume_fractions(p)["solid"], theory.solid_surface(p)])


def campaign(proposer, count, results_of=laboratory, order=None):
    """Run a campaign; `order` says how far behind the results of each evaluation come."""
    places, results = np.zeros((0, SPACE.dimensions)), np.zeros((0, 2))
    for number in range(count):
        place = proposer.propose(number, places, results)
        places = np.vstack([places, place])
        results = np.vstack([results, results_of(place)])
    return places, results


def targets(volume, surface):
    return (Target(VOLUME, volume, 0.002), Target(SURFACE, surface, 0.02 * surface))


@pytest.mark.parametrize("truth", [(0.11, 0.58, 0.5), (0.05, 1.0, 0.2), (0.17, 0.3, 0.8)])
def test_a_closed_form_laboratory_is_solved_in_40_evaluations(truth):
    volume, surface = laboratory(np.array([(truth[0] - 0.02) / 0.18, truth[1] / 1.2, truth[2]]))
    goal = targets(volume, surface)
    proposer = Proposer(SPACE, goal, "thompson", initial=12, lag=4, seed=3)
    places, results = campaign(proposer, 40)
    best = answers(SPACE, goal, Emulator.fit((VOLUME, SURFACE), places, results), 1, 3)[0]
    found = laboratory(best.place)
    assert abs(found[0] / volume - 1) < 0.002
    assert abs(found[1] / surface - 1) < 0.002


def test_further_answers_meet_the_targets_too_and_lie_apart():
    """Two targets leave one of three parameters free; the uncertain points of a few evaluations do not count."""
    goal = targets(*laboratory(np.array([0.5, 0.5, 0.5])))
    places, results = campaign(Proposer(SPACE, goal, "thompson", initial=12, lag=4, seed=3), 30)
    for answer in answers(SPACE, goal, Emulator.fit((VOLUME, SURFACE), places, results), 4, 3)[1:]:
        assert distance(goal, laboratory(answer.place)) < 2.0
    noise = np.random.default_rng(1).normal(0, 0.02, results.shape) * results
    emulator = Emulator.fit((VOLUME, SURFACE), places[:12], (results + noise)[:12])
    first, *others = answers(SPACE, goal, emulator, 4, 3)
    limit = max(1.0, 1.5 * distance(goal, first.mean, first.deviation**2))
    sample = posterior(SPACE, goal, emulator, 3)
    best = np.sort(distance(goal, *emulator.predict(np.unique(sample, axis=0))))
    for answer in others:
        assert distance(goal, answer.mean, answer.deviation**2) <= max(limit, best[3]) * 1.001  # places are rounded
        assert np.abs(answer.place - first.place).max() > 0.01


def test_proposals_depend_on_results_far_enough_back_only():
    goal = targets(0.4, 0.008)
    proposer = Proposer(SPACE, goal, "thompson", initial=8, lag=4, seed=3)
    places, results = campaign(proposer, 16)
    spoilt = results.copy()
    spoilt[12:] = 99.0
    assert np.array_equal(proposer.propose(16, places, results), proposer.propose(16, places, spoilt))
    spoilt[11] = 0.9
    assert not np.array_equal(proposer.propose(16, places, results), proposer.propose(16, places, spoilt))
    assert proposer.needs(16) == 12
    assert proposer.needs(7) == 0


def test_failed_evaluations_are_left_out():
    goal = targets(0.4, 0.008)
    proposer = Proposer(SPACE, goal, "thompson", initial=8, lag=1, seed=3)
    places, results = campaign(proposer, 12)
    failed, kept = results.copy(), np.arange(12) != 5
    failed[5] = np.nan
    emulator = Emulator.fit((VOLUME, SURFACE), places, failed)
    without = Emulator.fit((VOLUME, SURFACE), places[kept], results[kept])
    np.testing.assert_allclose(emulator.predict(places)[0], without.predict(places)[0], rtol=1e-9)


def test_reachable_and_unreachable_targets_are_told_apart():
    proposer = Proposer(SPACE, targets(0.4, 0.008), "sobol", initial=24, lag=0, seed=3)
    places, results = campaign(proposer, 24)
    emulator = Emulator.fit((VOLUME, SURFACE), places, results)
    inside = results[5]
    assert nearest(SPACE, targets(*inside), emulator, 1).is_reachable
    far = nearest(SPACE, targets(0.95, inside[1]), emulator, 1)
    assert not far.is_reachable
    grid = SPACE.sobol(4096, 9)
    best = min(distance(targets(0.95, inside[1]), laboratory(place)) for place in grid[:400])
    assert distance(targets(0.95, inside[1]), laboratory(far.answer.place)) < best * 1.1


def test_a_parameter_that_the_targets_do_not_fix_is_named():
    # Volume alone is a target: it does not depend on the correlation length.
    proposer = Proposer(SPACE, (Target(VOLUME, 0.4, 0.005),), "sobol", initial=48, lag=0, seed=3)
    places, results = campaign(proposer, 48)
    emulator = Emulator.fit((VOLUME,), places, results[:, :1])
    sample = posterior(SPACE, (Target(VOLUME, 0.4, 0.005),), emulator, 2)
    assert sample.shape == (1000, 3)
    assert "eta_per_nm" in free_parameters(SPACE, sample)
    true = np.array([laboratory(place)[0] for place in sample[::20]])
    assert np.abs(true - 0.4).max() < 0.03


def test_the_front_is_what_brute_force_finds():
    values = np.random.default_rng(4).normal(size=(300, 3))
    beaten = [any((other >= row).all() and (other > row).any() for other in values) for row in values]
    assert np.array_equal(front(values), ~np.array(beaten))


def test_answers_along_a_front_trade_one_aim_for_the_other():
    # More solid and less surface: the front runs from mu = 0 with much solid to no solid.
    aims = (Aim(VOLUME, "maximise"), Aim(SURFACE, "minimise"))
    proposer = Proposer(SPACE, aims, "thompson", initial=16, lag=2, seed=3)
    places, results = campaign(proposer, 32)
    found = answers(SPACE, aims, Emulator.fit((VOLUME, SURFACE), places, results), 5, 1)
    true = np.array([laboratory(each.place) for each in found])
    assert (np.diff(true[:, 0]) > 0).all() and (np.diff(true[:, 1]) > 0).all()
    # Surface falls with the inverse correlation length, which the volume does not know: the front lies at its least.
    assert max(each.place[2] for each in found) < 0.1


def test_a_logarithmic_quantity_is_censored_at_its_floor():
    quantity = Quantity("m_factor_solid", True)
    assert quantity.learned(np.array([0.0, 0.1])).tolist() == [-5.0, -1.0]
    assert Target(quantity, 0.1, 0.2).width == pytest.approx(np.log10(1.2))
