"""Random numbers against NumPy's Generator, an implementation of the same laws on the same stream."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from nmcdist.models.draws import Stream

N = 200_000  # 52 normal numbers of them lie beyond 3.65, 91 exponential ones beyond 7.70
EDGES = {"normal": 3.6541528853610088, "exponential": 7.69711747013105}


def both(seed):
    key = np.random.SeedSequence(seed, spawn_key=(3, 1))
    return Stream(key), np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(3, 1))))


def test_uniform_numbers_are_numpys():
    ours, theirs = both(1)
    assert np.array_equal(ours.uniform(1001, 3), theirs.random((1001, 3)))


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_normal_and_exponential_numbers_are_numpys_but_for_rounding(law):
    ours, theirs = both(2)
    found, expected = getattr(ours, law)(N), getattr(theirs, f"standard_{law}")(N)
    assert np.count_nonzero(np.abs(expected) > EDGES[law]) > 20
    assert found == pytest.approx(expected, rel=3e-14, abs=0)
    # Both have taken the same number of words.
    assert np.array_equal(ours.uniform(5), theirs.random(5))


def test_single_precision_normal_numbers_are_numpys_but_for_rounding():
    ours, theirs = both(3)
    found, expected = ours.normal32(N + 1), theirs.standard_normal(N + 1, dtype=np.float32)
    assert found.dtype == np.float32
    assert np.count_nonzero(np.abs(expected) > EDGES["normal"]) > 20
    assert found == pytest.approx(expected, rel=2e-7, abs=0)
    # The half of a word that is left waits for the next, however many numbers of whichever law are drawn.
    for count in [4, 1, 2, 3, 255, 1, 1024, 0, 7] * 50:
        assert ours.normal32(count) == pytest.approx(theirs.standard_normal(count, dtype=np.float32), rel=2e-7, abs=0)
        assert np.array_equal(ours.uniform(count % 3), theirs.random(count % 3))


@pytest.mark.parametrize("shape", [0.05, 0.7, 1.0, 1.5, 10.25, 197.2])
def test_gamma_numbers_are_numpys_but_for_rounding(shape):
    ours, theirs = both(4)
    # A power 1 / shape multiplies what its base is rounded by.
    expected = theirs.standard_gamma(shape, N)
    some = expected > 1e-290
    assert ours.gamma(shape, N)[some] == pytest.approx(expected[some], rel=1e-13 * max(1, 1 / shape), abs=0)


def test_students_numbers_are_numpys_but_for_rounding():
    ours, theirs = both(5)
    freedom = np.tile([0.8, 2.0, 4.0, 6.0, 40.0], N // 5)
    assert ours.student(freedom) == pytest.approx(theirs.standard_t(freedom), rel=1e-13, abs=0)


@pytest.mark.parametrize("mean", [0.0, 0.3, 9.9, 10.0, 47.0, 3000.0, 1e7])
def test_poisson_numbers_are_numpys(mean):
    ours, theirs = both(6)
    assert [ours.poisson(mean) for _ in range(3000)] == theirs.poisson(mean, 3000).tolist()


def test_tails_follow_the_laws():
    """A million numbers each: 261 beyond the normal edge and 454 beyond the exponential one are expected."""
    ours, _ = both(7)
    normal, exponential = ours.normal(1_000_000), ours.exponential(1_000_000)
    beyond = np.abs(normal[np.abs(normal) > EDGES["normal"]])
    below = stats.norm.sf(EDGES["normal"])
    assert stats.kstest(beyond, lambda x: 1 - stats.norm.sf(x) / below).pvalue > 1e-4
    late = exponential[exponential > EDGES["exponential"]] - EDGES["exponential"]
    assert stats.kstest(late, stats.expon.cdf).pvalue > 1e-4
    for count, share in ((len(beyond), 2 * below), (len(late), math.exp(-EDGES["exponential"]))):
        assert abs(count - 1e6 * share) < 4 * math.sqrt(1e6 * share)


def test_the_counter_carries():
    """NumPy's Philox with the words of its counter about to overflow."""
    ours, theirs = both(8)
    full = 2**64 - 1
    ours._state[2:6] = [full, full, 5, 0]
    state = theirs.bit_generator.state
    state["state"]["counter"] = np.array([full, full, 5, 0], dtype=np.uint64)
    theirs.bit_generator.state = state
    assert [Fraction(x) for x in ours.uniform(9)] == [Fraction(x) for x in theirs.random(9)]


def test_arrivals_have_poissons_law_and_never_fall_with_the_mean():
    keys = [np.random.SeedSequence(entropy=7, spawn_key=(k,)) for k in range(4000)]
    for mean in (0.3, 4.0, 60.0):
        counts = np.array([Stream(key).arrivals(mean) for key in keys])
        assert abs(counts.mean() - mean) < 4 * np.sqrt(mean / 4000)
        # The variance of a Poisson variance: (mean + 2 mean^2) / n.
        assert abs(counts.var() - mean) < 4 * np.sqrt((mean + 2 * mean**2) / 4000)
    few, many = (np.array([Stream(key).arrivals(mean) for key in keys[:500]]) for mean in (3.0, 5.0))
    assert (few <= many).all() and (few < many).any()


def test_branches_of_a_stream_are_philox_from_another_counter():
    key = np.random.SeedSequence(entropy=7, spawn_key=(3,))
    stream = Stream(key)
    stream.uniform(5)
    theirs = np.random.Generator(np.random.Philox(key=key.generate_state(2, np.uint64), counter=[0, 0, 0, 4]))
    assert np.array_equal(stream.branch(4).uniform(100), theirs.random(100))
    assert np.array_equal(stream.branch(0).uniform(100), Stream(key).uniform(100))
