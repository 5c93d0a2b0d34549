"""Smooth windows and losses: against the descriptors of sections, finite differences, and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from nmcdist.calibration.grains.losses import Mismatch, discriminator_loss, energy_distance, generator_loss
from nmcdist.calibration.grains.soft import CHANNELS, SoftWindows, _shape_features, matrix_entries, measured_features
from nmcdist.calibration.grains.windows import complete_grains
from nmcdist.descriptors.sections import describe_section
from nmcdist.geometry.tessellation import radial_matrices
from tests.calibration.grains.test_windows import everywhere, some_grains


def tensors(entries, offsets):
    return torch.from_numpy(entries.astype(np.float32)), torch.from_numpy(offsets.astype(np.float32))


@pytest.fixture(scope="module")
def windows():
    places = everywhere(3, 48, distance=50.0)
    seeds, _, entries, offsets = some_grains(places)
    return SoftWindows(places, seeds, *tensors(entries, offsets), temperature=8.0)


def test_matrix_entries_are_those_of_the_radial_matrices():
    rng = np.random.default_rng(0)
    seeds, diagonals, turns = rng.standard_normal((50, 3)), rng.uniform(1, 5, (50, 3)), rng.random(50)
    expected = radial_matrices(seeds, diagonals, turns)
    from nmcdist.calibration.grains.windows import ENTRIES
    from nmcdist.geometry.frames import radial_frames

    found = matrix_entries(torch.from_numpy(diagonals), torch.from_numpy(radial_frames(seeds, turns)))
    assert found.numpy() == pytest.approx(np.column_stack([expected[:, a, b] for a, b in ENTRIES]))


def test_shares_are_a_softmax_and_their_rounding_is_the_tessellation(windows):
    assert windows.shares.sum(dim=-1).numpy() == pytest.approx(1.0, abs=1e-6)
    assert (windows.shares.argmax(dim=-1) == 0).all()
    assert set(np.unique(windows.hard.numpy().round(6))) == {0.0, 1.0}


def test_a_grain_in_the_very_centre_has_no_direction():
    """Its shape is 0, and finite is the gradient of what follows from it."""
    moments = torch.tensor([[4.0, 0, 0, 1, 0, 1]], requires_grad=True)  # 2 x 2 pixels about the centre
    found = _shape_features(moments, torch.zeros(1, 2))
    assert found.tolist()[0] == pytest.approx([math.log(4), 0, 0, 1e-3])
    found.sum().backward()
    assert torch.isfinite(moments.grad).all()


def test_features_are_those_of_the_sections_descriptors(windows):
    """Elongation and angle follow from the two entries of the shape."""
    found = windows.features().numpy()
    expected = []
    complete, _ = complete_grains(windows.labels, windows.places.counted, len(windows.seeds.near))
    for b, labels in enumerate(windows.labels):
        origin = windows.places.centres[b] - 23.5
        described = describe_section(labels.astype(np.int32) + 1, 1.0, origin)
        for grain in range(described.sizes["grain"]):
            one = described.isel(grain=grain)
            if complete[int(one.label) - 1] and float(one.area_nm2) >= 4:
                expected.append([float(one[n]) for n in ("area_nm2", "elongation", "angle_to_radius", "radius_nm")])
    area, elongation, angle, radius = np.array(expected).T
    assert len(found) == len(expected) > 60
    length = np.hypot(found[:, 1], found[:, 2])
    assert np.exp(found[:, 0]) == pytest.approx(area, rel=1e-5)
    assert 1 - np.sqrt((1 - length) / (1 + length)) == pytest.approx(elongation, abs=2e-4)
    assert found[:, 3] == pytest.approx(radius, rel=1e-4)
    # Not where the direction is undefined, nor at the centre, where the features' radius is cut off.
    clear = (length > 0.05) & (radius > 1)
    turn = np.abs(np.arctan2(found[:, 2], found[:, 1])) / 2
    assert turn[clear] == pytest.approx(angle[clear], abs=5e-3)


def test_features_of_measured_windows_are_those_of_generated_ones_with_the_same_pixels(windows):
    found = measured_features(windows.places, windows.labels)
    assert found.numpy() == pytest.approx(windows.features().numpy(), abs=1e-4)


def test_gradients_of_shares_are_those_of_finite_differences():
    places = everywhere(1, 16, distance=20.0)
    seeds, _, entries, offsets = some_grains(places, 3)
    entries, offsets = tensors(entries, offsets)

    def area(values):
        shares = SoftWindows(places, seeds, entries, values, temperature=8.0)
        return shares.shares[shares.rows == grain].sum()

    grain = int(SoftWindows(places, seeds, entries, offsets, 8.0).labels[0, 8, 8])
    offsets.requires_grad_(True)
    area(offsets).backward()
    step = torch.zeros_like(offsets)
    step[grain] = 0.05
    with torch.no_grad():
        numeric = (area(offsets + step) - area(offsets - step)) / 0.1
    assert float(offsets.grad[grain]) == pytest.approx(float(numeric), rel=0.02)
    assert float(numeric) > 0


def test_images_show_the_largest_grains_the_largest_first(windows):
    images = windows.images(windows.hard.detach()).numpy()
    assert images.shape == (3, CHANNELS, 48, 48)
    areas = images.sum(axis=(2, 3))
    for b, labels in enumerate(windows.labels):
        largest = np.sort(np.unique(labels, return_counts=True)[1])[::-1][:CHANNELS]
        assert areas[b].tolist() == largest.tolist()
    assert images.max(axis=1).sum() == areas.sum()  # no pixel is in two channels


def test_visible_grains_are_counted_a_pixel(windows):
    seen = sum(len(np.unique(labels)) for labels in windows.labels)
    assert windows.visible_per_pixel == pytest.approx(seen / (3 * 48 * 48))


def gap(d):
    """E|X - Y| for two normal laws of variance 1 whose means are d apart."""
    return 2 * math.exp(-(d**2) / 4) / math.sqrt(math.pi) + d * (1 - 2 * stats.norm.cdf(-d / math.sqrt(2)))


@pytest.mark.parametrize("d", [0.0, 0.7])
def test_the_energy_distance_is_unbiased(d):
    """Of normal laws, against its closed form: 400 estimates from 20 and 30 values, bound 4 standard errors."""
    torch.manual_seed(2)
    found = torch.tensor([energy_distance(torch.randn(20, 1), torch.randn(30, 1) + d) for _ in range(400)])
    expected = 2 * gap(d) - 2 * gap(0.0)
    assert float(found.mean()) == pytest.approx(expected, abs=4 * float(found.std()) / 20)


def test_the_mismatch_is_a_sum_of_energy_distances():
    """With distances in units of 0.35 standard deviations, as they are given and not fitted."""
    torch.manual_seed(1)
    truth, found = torch.randn(500, 4) * torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.randn(300, 4)
    scale = truth.std(dim=0) * torch.tensor([1.0, 1.0, 1.0, 0.35])
    x, y = found / scale, truth / scale
    expected = energy_distance(x, y) + 0.5 * sum(energy_distance(x[:, k : k + 1], y[:, k : k + 1]) for k in range(3))
    assert float(Mismatch(truth)(found, truth)) == pytest.approx(float(expected), rel=1e-4)


def test_the_mismatch_of_a_law_from_itself_is_zero_in_the_mean():
    """400 pairs of 30 and 40 grains, bound 4 standard errors; a step of the law is far outside of it."""
    torch.manual_seed(3)
    law = torch.randn(2000, 4) * torch.tensor([1.0, 0.2, 3.0, 4.0])
    mismatch = Mismatch(law)

    def mean_and_error(step):
        pairs = [(law[torch.randint(2000, (30,))] + step, law[torch.randint(2000, (40,))]) for _ in range(400)]
        found = torch.tensor([mismatch(x, y) for x, y in pairs])
        return float(found.mean()), float(found.std()) / 20

    mean, error = mean_and_error(0.0)
    assert abs(mean) < 4 * error
    assert mean_and_error(torch.tensor([0.0, 0.1, 0.0, 0.0]))[0] > 10 * error


def test_the_mismatch_sees_each_column():
    torch.manual_seed(1)
    truth = torch.randn(3000, 4)
    mismatch = Mismatch(truth)
    same = float(mismatch(torch.randn(3000, 4), truth))
    for column in range(4):
        moved = torch.randn(3000, 4)
        moved[:, column] += 0.5
        assert float(mismatch(moved, truth)) > 5 * abs(same) + 0.01


def test_least_squares_of_the_game():
    measured, generated = torch.tensor([1.0, 0.5]), torch.tensor([0.0, 0.4])
    assert float(discriminator_loss(measured, generated)) == pytest.approx(0.125 + 0.08)
    assert float(generator_loss(generated, "least-squares")) == pytest.approx((1 + 0.36) / 2)
    assert float(generator_loss(generated, "printed")) == pytest.approx(-0.08)
