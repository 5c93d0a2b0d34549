import numpy as np
import pytest

from nmcdist.errors import InputError
from nmcdist.learning.volumes import along_axes, phase_fractions, summary

pytest.importorskip("torch")


def test_fractions_are_shares_of_cells_and_add_up():
    volume = np.random.default_rng(1).integers(0, 3, (40, 40, 40)).astype(np.uint8)
    found = phase_fractions(volume)
    assert found.shape == (2, 20, 20, 20)
    assert found[1, 3, 4, 5] == np.mean(volume[6:8, 8:10, 10:12] == 2)
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), [(volume == 1).mean(), (volume == 2).mean()], rtol=1e-6)


def test_each_axis_comes_first_once():
    volume = np.zeros((8, 8, 8), dtype=np.uint8)
    volume[:, 2, :] = 1
    along = along_axes([volume])
    np.testing.assert_array_equal(along[1, 0].mean(axis=(1, 2)), np.eye(8)[2])
    np.testing.assert_array_equal(along[0, 0].mean(axis=(1, 2)), np.full(8, 1 / 8))
    with pytest.raises(InputError, match="expected three equal edges"):
        along_axes([np.zeros((8, 8, 6), dtype=np.uint8)])


def test_a_net_learns_two_properties_at_once_and_comes_back_from_its_arrays():
    from nmcdist.learning.cnn import Net

    random = np.random.default_rng(2)
    share = random.uniform(0, 1, (90, 2))
    volumes = random.uniform(0, 1, (90, 2, 8, 8, 8)) < share[:, :, None, None, None]
    fractions = volumes.astype(np.float32)
    mean = fractions.mean(axis=(2, 3, 4))
    y = np.column_stack([mean[:, 0] ** 2, 5 * mean[:, 1] - mean[:, 0]])
    y[::7, 1] = np.nan
    net = Net.fit(fractions[:60], y[:60], np.arange(60), seed=1, epochs=15)
    found, variance = net.predict(fractions[60:])
    error = np.nanmean((found - y[60:]) ** 2, axis=0)
    assert (1 - error / np.nanvar(y[60:], axis=0) > 0.8).all()
    assert (error < 4 * variance[0]).all()
    again = Net.from_arrays(net.arrays())
    np.testing.assert_array_equal(again.predict(fractions[60:])[0], found)
    same, twin = (Net.fit(fractions[:60], y[:60], np.arange(60), seed=1, epochs=1) for _ in range(2))
    np.testing.assert_array_equal(same.predict(fractions)[0], twin.predict(fractions)[0])


def test_summaries_tell_layers_from_scattered_voxels():
    random = np.random.default_rng(3)
    scattered = (random.uniform(size=(1, 2, 8, 8, 8)) < 0.5).astype(np.float32)
    layers = np.zeros((1, 2, 8, 8, 8), dtype=np.float32)
    layers[:, :, 4:] = 1
    assert (summary(layers)[0, 4:] > 0.1).all()
    assert (np.abs(summary(scattered)[0, 4:]) < 4 * 0.25 / np.sqrt(448)).all()
