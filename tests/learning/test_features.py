import numpy as np
import pytest

from nmcdist.errors import InputError
from nmcdist.learning.features import feature_names, features
from nmcdist.learning.hull import Hull
from nmcdist.learning.intervals import coverage, interval_factor
from nmcdist.learning.targets import TARGETS


def test_sets_hold_what_the_dataset_has(volumes):
    assert feature_names(volumes, "parameters") == ("mu", "graphite_fraction")
    cheap = feature_names(volumes, "cheap")
    assert len(cheap) == 3 * 2 + 3 * 3  # fractions and surfaces, coverages at the three lags within 700 nm
    more = set(feature_names(volumes, "all")) - set(cheap)
    assert more == {f"1/geodesic_tortuosity[{phase}]" for phase in ("pore", "carbon_binder", "graphite", "solid")}


def test_values_are_those_of_the_dataset(volumes):
    names = ("mu", "volume_fraction[graphite]", "two_point_coverage[pore, 275 nm]", "1/geodesic_tortuosity[pore]")
    found = features(volumes, names)
    coverages = volumes["two_point_coverage"].sel(phase="pore")
    np.testing.assert_array_equal(found[:, 0], volumes["mu"])
    np.testing.assert_array_equal(found[:, 1], volumes["volume_fraction"].sel(phase="graphite"))
    np.testing.assert_allclose(found[:, 2], (coverages[:, 1] + coverages[:, 2]) / 2)
    np.testing.assert_allclose(found[:, 3], (1 / volumes["geodesic_tortuosity"][:, 0]).mean("axis"))
    along = features(volumes, names, by_axis=True).reshape(-1, 3, 4)
    np.testing.assert_allclose(along[:, :, 3], 1 / volumes["geodesic_tortuosity"][:, 0])
    np.testing.assert_array_equal(along[:, 0, :3], along[:, 2, :3])


def test_a_path_that_does_not_exist_is_infinitely_long(volumes):
    assert (features(volumes, ("1/geodesic_tortuosity[graphite]",)) == 0).all()


def test_features_that_are_missing_or_unknown_are_named(volumes):
    for name in ("euler_number_6[pore]", "volume_fraction[gold]", "import os", "volume_fraction[pore"):
        with pytest.raises(InputError, match="feature"):
            features(volumes, (name,))
    with pytest.raises(InputError, match=r"feature 'geodesic_tortuosity\[graphite\]': found no finite number"):
        features(volumes, ("geodesic_tortuosity[graphite]",))


def test_a_volume_that_does_not_conduct_has_no_logarithm(volumes):
    target = TARGETS["conductivity_solid"]
    values = target.values(volumes, by_axis=False)
    learned = target.learned(values)
    assert np.isnan(learned[values == 0]).all() and (values == 0).any()
    np.testing.assert_allclose(target.physical(learned[values > 0]), values[values > 0])
    with pytest.raises(InputError, match="found no m_factor"):
        TARGETS["m_factor_pore"].values(volumes.drop_vars("m_factor"), by_axis=True)


def test_hull_flags_points_away_from_the_training_and_few_others():
    random = np.random.default_rng(3)
    train, same = random.uniform(0, 1, (2, 300, 3))
    hull = Hull.of(train)
    assert hull.outside(same).mean() < 0.02
    assert not hull.outside(train).any()
    assert hull.outside(same + np.array([0, 0, 1.5])).all()
    hole = Hull.of(train[np.linalg.norm(train - 0.5, axis=1) > 0.4])
    assert hole.outside(np.array([[0.5, 0.5, 0.5]]))[0]
    np.testing.assert_array_equal(Hull.from_arrays(hull.arrays()).outside(same), hull.outside(same))


def test_intervals_hold_their_share_of_normal_and_of_other_residuals():
    random = np.random.default_rng(4)
    for draw in (random.standard_normal, random.standard_exponential):
        factor = interval_factor(draw(400), np.ones(400))
        new = draw(4000)
        inside = coverage(new, np.full(4000, -factor), np.full(4000, factor))
        assert inside == pytest.approx(0.9, abs=4 * np.sqrt(0.09 * (1 / 4000 + 1 / 400)))
