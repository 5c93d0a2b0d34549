"""The rule that keeps sections through the centre, refereed by drawn grains and by phantoms; rates with their n."""

import math

import numpy as np
import pytest

from nmcdist.calibration.grains.central import central_sections, radial_preference
from nmcdist.calibration.grains.phantom import phantom_bundles, phantom_sections
from nmcdist.calibration.grains.sections import Section
from nmcdist.errors import ImageError

CENTRAL, EACH = 7, 1
HEIGHTS = (0.6, 0.7, 0.8)


def boxes(*grains, size=61):
    """Return a section of upright boxes: row and column of the middle from the centre, half height and half width."""
    labels = np.zeros((size, size), np.int32)
    half = size // 2
    for number, (y, x, tall, wide) in enumerate(grains, 1):
        labels[half + y - tall : half + y + tall + 1, half + x - wide : half + x + wide + 1] = number
    return Section("boxes", labels, 50.0, (half, half))


def share(tall, wide):
    """(e1 - e2) / (e1 + e2) of a box, positive if it is tall: e = (edge^2) / 12."""
    a, b = 2 * tall + 1, 2 * wide + 1
    return (a * a - b * b) / (a * a + b * b)


def needles(preference, count, rng, size=101):
    """Return a section of boxes on a grid, of which as many more as asked for lie along the radius than across."""
    half, step = size // 2, 6
    labels = np.zeros((size, size), np.int32)
    places = [(y, x) for y in range(-42, 43, step) for x in range(-42, 43, step) if (y or x) and abs(y) != abs(x)]
    for number, k in enumerate(rng.choice(len(places), count, replace=False), 1):
        y, x = places[k]
        along = rng.random() < 0.5 * (1 + preference)
        tall, wide = (2, 0) if (abs(y) > abs(x)) == along else (0, 2)
        labels[half + y - tall : half + y + tall + 1, half + x - wide : half + x + wide + 1] = number
    return Section(f"needles {preference}", labels, 50.0, (half, half))


# --- the preference of one section ---


def test_preference_of_drawn_grains_is_that_of_their_boxes():
    # On the axes, where the angle is 0 or 90 degrees; the farthest pixel is a corner of the last box.
    section = boxes((10, 0, 4, 1), (-12, 0, 1, 2), (0, 20, 2, 2), (0, -15, 0, 3))
    values = np.array([share(4, 1), share(1, 2), 0.0, share(3, 0)])
    weights = 1 - np.array([10, 12, 20, 15]) / (math.hypot(22, 2) + 1)
    weights /= weights.sum()
    mean = weights @ values
    error = math.sqrt(4 / 3 * (weights**2) @ (values - mean) ** 2)
    assert radial_preference(section) == pytest.approx((mean, error))


def test_preference_does_not_depend_on_turns_mirrors_and_pixel_size():
    section = needles(0.3, 60, np.random.default_rng(1))
    expected = radial_preference(section)
    for labels in (section.labels.T, section.labels[::-1], np.rot90(section.labels)):
        assert radial_preference(Section("turned", labels, 20.0, (50, 50))) == pytest.approx(expected)


def test_a_grain_on_the_centre_prefers_nothing_and_one_grain_has_no_error():
    assert radial_preference(boxes((0, 0, 4, 1))) == (0.0, math.inf)


def test_standard_errors_are_those_of_independent_grains():
    rng, n = np.random.default_rng(2), 400
    measured = np.array([radial_preference(needles(0.2, 80, rng)) for _ in range(n)])
    spread, error = measured[:, 0].std(ddof=1), math.sqrt((measured[:, 1] ** 2).mean())
    # The standard error of a standard deviation is its share 1 / sqrt(2 n); 80 of 168 places are drawn without
    # replacement, which does not matter, as orientations are drawn for each.
    assert spread / error == pytest.approx(1.0, abs=4 / math.sqrt(2 * n))


def test_a_section_without_a_grain_is_named():
    with pytest.raises(ImageError, match="section 'boxes': found no grain"):
        central_sections([boxes()])


# --- the rule, on drawn grains ---


def drawn(*preferences, count=120, seed=3):
    rng = np.random.default_rng(seed)
    return [needles(preference, count, rng) for preference in preferences]


@pytest.mark.parametrize("sign", [1, -1])
def test_weak_sections_are_dropped_in_whatever_order_they_come(sign):
    sections = drawn(*(sign * p for p in (0.9, 0.1, 0.8, 0.85, 0.0, 0.9, 0.8, -0.1, 0.9)))
    kept, dropped = central_sections(sections)
    assert [sections.index(section) for section in dropped] == [1, 4, 7]
    assert [sections.index(section) for section in kept] == [0, 2, 3, 5, 6, 8]
    assert central_sections(sections[::-1]) == (kept[::-1], dropped[::-1])
    assert central_sections(kept) == (kept, [])


def test_most_sections_may_be_off_the_centre():
    sections = drawn(*[0.9] * 4, *[0.3] * 4, *[0.1] * 4)
    assert central_sections(sections) == (sections[:4], sections[4:])


def test_few_grains_are_no_reason_to_drop_a_section():
    sections = [*drawn(*[0.8] * 6), *drawn(0.3, count=8), *drawn(0.3)]
    assert central_sections(sections) == (sections[:7], sections[7:])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_small_sets_are_no_trouble(count):
    sections = drawn(*[0.8] * count)
    assert central_sections(sections) == (sections, [])


def test_sections_without_a_preference_are_all_kept():
    sets = [drawn(*[0.0] * 16, count=60, seed=seed) for seed in range(40)]
    assert sum(len(central_sections(sections)[1]) for sections in sets) == 0  # of 640


# --- the rule, on phantoms: heights in mean radii of the shells ---


@pytest.fixture(scope="module")
def phantoms():
    """Central sections of each phantom, and others above the centre."""
    return {
        name: (
            phantom_sections(bundle, 21, CENTRAL),
            [
                section
                for k, height in enumerate(HEIGHTS)
                for section in phantom_sections(bundle, 21, EACH, height=height, start=CENTRAL + EACH * k)
            ],
        )
        for name, bundle in phantom_bundles().items()
    }


@pytest.mark.parametrize("name", ["radial", "stout"])
def test_sections_at_most_of_the_radius_are_told_from_central_ones(phantoms, name):
    central, others = phantoms[name]
    assert central_sections([*others, *central]) == (central, others)  # 7 and 3


@pytest.mark.parametrize("name", ["radial", "stout", "isotropic"])
def test_no_central_section_is_dropped(phantoms, name):
    central = phantoms[name][0]
    assert central_sections(central) == (central, [])


def test_an_isotropic_phantom_loses_no_section(phantoms):
    central, others = phantoms["isotropic"]
    assert central_sections([*central, *others]) == ([*central, *others], [])


def test_an_isotropic_phantom_has_no_preference(phantoms):
    measured = np.array([radial_preference(section) for part in phantoms["isotropic"] for section in part])
    scores = measured[:, 0] / measured[:, 1]
    assert np.abs(scores).max() < 4  # of 10
    assert abs(scores.sum()) < 4 * math.sqrt(len(scores))
