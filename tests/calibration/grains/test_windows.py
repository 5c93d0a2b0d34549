"""Windows of sections: against brute force, and against the tessellation itself at turned points."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from nmcdist.bundle import ArrayRecord, Bundle, ParticleParameters, load_bundle
from nmcdist.calibration.grains import windows
from nmcdist.calibration.grains.sections import Section
from nmcdist.calibration.grains.tessellation_fit import Tessellation2D
from nmcdist.calibration.grains.windows import Measured, Places, complete_grains, net_inputs, ranked, seeds_around
from nmcdist.errors import ImageError
from nmcdist.geometry.tessellation import radial_matrices
from nmcdist.models.grains import nearest
from nmcdist.models.intensity import IntensityProfile
from nmcdist.models.markers import marker_law

PIXEL = 50.0


def everywhere(count, size, distance=40.0):
    """Windows off the axes, so that a mixed-up axis shows."""
    return Places(np.tile([0.8 * distance, -0.6 * distance], (count, 1)), np.ones((count, size, size), bool))


def some_grains(places, seed=0, intensity=0.0018):
    rng = np.random.default_rng(seed)
    seeds = seeds_around(places, intensity, rng)
    matrices = radial_matrices(seeds.near, rng.uniform(1, 3, (len(seeds.near), 3)), np.zeros(len(seeds.near)))
    entries = np.column_stack([matrices[:, a, b] for a, b in windows.ENTRIES])
    return seeds, matrices, entries, rng.uniform(0, 30, len(seeds.near))


def all_costs(places, b, seeds, matrices, offsets):
    """Costs of all grains of a window at all its pixels, read off Eq. (8)."""
    rows = slice(seeds.starts[b], seeds.starts[b + 1])
    along, across = (c + np.arange(places.size) - (places.size - 1) / 2 for c in places.centres[b])
    x = np.stack([*np.meshgrid(along, across, indexing="ij"), np.zeros((places.size,) * 2)], axis=-1).reshape(-1, 1, 3)
    d = x - seeds.near[rows]
    return np.einsum("pia,iab,pib->pi", d, matrices[rows], d) - offsets[rows]


def test_the_grains_of_lowest_cost_are_those_of_brute_force():
    places = everywhere(3, 40)
    seeds, matrices, entries, offsets = some_grains(places)
    found = ranked(places, seeds, entries, offsets, 4)
    for b in range(3):
        costs = all_costs(places, b, seeds, matrices, offsets)
        order = np.argsort(costs, axis=1)[:, :4] + seeds.starts[b]
        assert (found[b, :, 0] == order[:, 0]).all()
        # Beyond the winner, a grain that is not among the 24 nearest to the middle of a tile may be missed.
        assert (found[b] == order).mean() > 0.999


def test_seeds_are_as_many_as_the_intensity_says():
    places, intensity, n = everywhere(1, 32), 0.0018, 400
    rng = np.random.default_rng(3)
    counts = [len(seeds_around(places, intensity, rng).near) for _ in range(n)]
    reach = windows.REACH * intensity ** (-1 / 3)
    expected = intensity * (32 + 2 * reach) ** 2 * 2 * reach
    assert np.mean(counts) == pytest.approx(expected, abs=4 * math.sqrt(expected / n))


def test_seeds_that_vary_are_as_many_as_the_integral_says():
    """Near the plane, beside the window: 400 draws, by distance from the centre, bound 4 standard errors."""
    places, n = everywhere(1, 32, 30.0), 400
    profile = IntensityProfile((0.0, 50.0), (0.0008, 0.003))
    rng, edges, counts = np.random.default_rng(3), np.array([20.0, 26.0, 34.0, 42.0]), []
    for _ in range(n):
        near = seeds_around(places, profile, rng).near
        inside = (np.abs(near - [24.0, -18.0, 0.0]) < [16.0, 16.0, 8.0]).all(axis=1)
        counts.append(np.histogram(np.linalg.norm(near[inside], axis=1), edges)[0])
    box = np.random.default_rng(4).uniform([8.0, -34.0, -8.0], [40.0, -2.0, 8.0], (400_000, 3))
    away = np.linalg.norm(box, axis=1)
    means = np.histogram(away, edges, weights=profile.at(away))[0] * 32 * 32 * 16 / len(box)
    assert (np.abs(np.mean(counts, axis=0) - means) < 4 * np.sqrt(means / n) + 0.01 * means).all()


def test_neighbours_are_as_far_as_those_of_a_poisson_process():
    """The mean distance of the 12th, of seeds near the plane: its closed form, 60 windows, bound 4 standard errors."""
    intensity, means = 0.0018, []
    spacing, rng = intensity ** (-1 / 3), np.random.default_rng(1)
    for _ in range(60):
        seeds = seeds_around(everywhere(1, 32), intensity, rng)
        displacements = seeds.inputs[:, :60].reshape(-1, 12, 5)[:, :, :3]
        distances = np.sqrt((displacements**2).sum(axis=2))
        assert (np.diff(distances, axis=1) >= -1e-5).all()
        means.append(float(distances[np.abs(seeds.near[:, 2]) < spacing / 2, -1].mean()))
    expected = math.gamma(12 + 1 / 3) / math.gamma(12) * (4 / 3 * math.pi * intensity) ** (-1 / 3)
    assert np.mean(means) == pytest.approx(expected, abs=4 * np.std(means) / math.sqrt(60))


def net_bundle_with(arrays):
    content = load_bundle("nmc811-radial").model_dump(by_alias=True)
    shared = {n: value for n, value in content["parameters"].items() if n in ParticleParameters.model_fields}
    values = {
        "length_unit_nm": (PIXEL, "nm"), "diagonal_low": (1.0, "1"), "diagonal_high": (10.0, "1"),
        "offset_low": (0.0, "length_unit^2"), "offset_high": (50.0, "length_unit^2"),
    }  # fmt: skip
    own = {n: {"value": v, "unit": unit, "provenance": "assumed"} for n, (v, unit) in values.items()}
    records = {name: ArrayRecord.of(array, "1", "fitted") for name, array in arrays.items()}
    changes = {"name": "net", "model": "particle-net", "parameters": {**shared, **own}, "arrays": records}
    return Bundle.model_validate({**content, **changes}).with_arrays(arrays)


@pytest.mark.parametrize("own_noise", [True, False])
@pytest.mark.parametrize("sees_distance", [True, False])
def test_the_generator_in_training_is_the_net_that_particles_are_drawn_with(sees_distance, own_noise):
    import torch

    from nmcdist.calibration.grains.networks import MarkerGenerator

    torch.manual_seed(4)
    net = MarkerGenerator(
        8.0, sees_distance=sees_distance, own_noise=own_noise, widths=(32, 16), diagonal_range=(1.0, 10.0),
        offset_range=(0.0, 50.0),
    )  # fmt: skip
    with torch.no_grad():
        net.layers[-1].weight *= 45
    seeds = 20 * np.random.default_rng(0).standard_normal((200, 3))
    rows = nearest(seeds, 12)[0]
    rng = np.random.default_rng(8)
    frames, inputs = net_inputs(seeds, seeds, np.arange(200), rows, rng)
    rng = np.random.default_rng(8)
    turns, noise = rng.random(200), rng.random((200, 2))
    diagonals, offsets = (x.detach().numpy() for x in net(torch.from_numpy(inputs)))
    law = marker_law(net_bundle_with(net.arrays()))
    expected = law.markers(PIXEL * seeds, rows, np.column_stack([noise, turns]))
    assert diagonals == pytest.approx(expected[0], abs=2e-4)
    assert offsets == pytest.approx(expected[1] / PIXEL**2, abs=2e-3)
    assert np.ptp(diagonals, axis=0).min() > 1.0
    matrices = np.einsum("nka,nk,nkb->nab", frames, diagonals, frames)
    assert matrices == pytest.approx(radial_matrices(seeds, expected[0], expected[2]), abs=1e-3)


def a_section(seed=0, size=121, grains=90):
    rng = np.random.default_rng(seed)
    seeds = rng.uniform(-70, 70, (grains, 2)) * PIXEL
    tessellation = Tessellation2D(seeds, rng.uniform(0.5, 2, (grains, 2)), rng.uniform(0, 2e4, grains))
    centre = (size // 2 + 3.0, size // 2 - 2.0)
    labels = tessellation.labels((size, size), PIXEL, centre)
    y, x = np.indices((size, size))
    labels[(y - size // 2) ** 2 + (x - size // 2) ** 2 > 55**2] = 0
    return Section("a", labels, PIXEL, centre), tessellation


def test_a_turned_window_shows_the_tessellation_at_turned_points():
    section, tessellation = a_section()
    measured = Measured.of([section], [tessellation], 4.0)
    places, seeds, matrices, offsets = measured.turned_windows(6, 24, np.random.default_rng(5))
    labels = ranked(places, seeds, matrices, offsets, 1)[:, :, 0] - seeds.starts[:-1, None]
    assert places.counted.all()
    assert not places.centres[:, 1].any()
    for b in range(6):
        angle = turn_of(seeds, tessellation, b)
        along = places.centres[b, 0] + np.arange(24) - 11.5
        y, x = np.meshgrid(along, np.arange(24) - 11.5, indexing="ij")
        points = np.stack([np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x], -1).reshape(
            -1, 2
        )
        d = PIXEL * points[:, None] - tessellation.seeds_nm
        costs = np.einsum("pia,iab,pib->pi", d, tessellation.matrices(), d) - tessellation.offsets_nm2
        assert (labels[b] == costs.argmin(axis=1)).mean() > 0.999  # ties, of rounding
        near = np.rint(points + section.centre_px).astype(int)
        assert (section.labels[near[:, 0], near[:, 1]] > 0).all()


def test_augmentation_changes_the_markers_of_each_window_within_the_share():
    section, tessellation = a_section()
    measured = Measured.of([section], [tessellation], 4.0)
    plain, changed = (measured.turned_windows(3, 24, np.random.default_rng(5), share)[3] for share in (0.0, 0.2))
    n = len(tessellation.seeds_nm)
    ratio = changed[:n] / plain[:n]
    assert 0.8 <= np.nanmin(ratio) < 0.85
    assert 1.15 < np.nanmax(ratio) <= 1.2


def test_a_window_of_pixels_is_a_piece_of_the_image():
    section, tessellation = a_section()
    places, labels = Measured.of([section], [tessellation], 4.0).windows(8, 40, np.random.default_rng(1))
    depth = ndimage.distance_transform_edt(section.mask)
    padded, deep = np.pad(section.labels, 60), np.pad(depth, 60)
    seen = [set(np.unique(window)) - {0} for window in labels]
    assert sum(map(len, seen)) == len(set.union(*seen))
    for b in range(8):
        top, left = np.rint(places.centres[b] + section.centre_px - 19.5).astype(int) + 60
        piece = padded[top : top + 40, left : left + 40]
        assert ((labels[b] > 0) == (piece > 0)).all()
        assert len({*zip(labels[b].ravel(), piece.ravel(), strict=True)}) == len(np.unique(piece))
        assert (places.counted[b] == (deep[top : top + 40, left : left + 40] > 4.0)).all()


def turn_of(seeds, tessellation, b):
    first = seeds.near[seeds.starts[b], :2]
    before, after = math.atan2(*tessellation.seeds_nm[0][::-1]), math.atan2(first[1], first[0])
    return before - after


def test_windows_lie_at_all_distances_and_angles_that_have_room():
    section, tessellation = a_section()
    places, _ = Measured.of([section], [tessellation], 4.0).windows(2000, 16, np.random.default_rng(0))
    distance = np.hypot(*places.centres.T)
    assert distance.min() < 4
    assert 45 < distance.max() < 56
    turns = np.arctan2(*places.centres.T)
    quarters = np.histogram(turns, bins=4, range=(-math.pi, math.pi))[0] / 2000
    # The centre is 3.6 pixels off the middle of a disk of radius 51, so that there is up to 7 % more room on one side.
    assert quarters.min() > 0.93 * 0.25 - 4 * math.sqrt(0.25 * 0.75 / 2000)
    assert quarters.max() < 1.07 * 0.25 + 4 * math.sqrt(0.25 * 0.75 / 2000)
    assert not places.counted.all()
    assert places.counted[:, 8, 8].all()


def test_windows_lie_in_each_section_and_ring_as_often_as_there_is_room():
    section, tessellation = a_section()
    rows, columns = np.indices(section.labels.shape)
    ring = np.hypot(rows - section.centre_px[0], columns - section.centre_px[1]) // 20
    half = np.where(rows < section.centre_px[0], section.labels, 0)
    smaller = Section("half", half, section.pixel_size_nm, section.centre_px)
    measured = Measured.of([smaller, section], [tessellation] * 2, 4.0)
    places, _ = measured.windows(3000, 16, np.random.default_rng(4))
    expected = sum(np.bincount(ring[depth > 4].astype(int), minlength=3) for depth in measured.depths)
    share = expected / expected.sum()
    # The middle of a window is half a pixel before the pixel that was drawn.
    found = np.bincount((np.hypot(*(places.centres + 0.5).T) // 20).astype(int), minlength=3) / 3000
    assert (np.abs(found - share) < 4 * np.sqrt(share * (1 - share) / 3000)).all()
    upper = (places.centres[:, 0] + 0.5 < 0).mean()
    of_upper = sum((depth[: int(section.centre_px[0]) + 1] > 4).sum() for depth in measured.depths) / expected.sum()
    assert abs(upper - of_upper) < 4 * math.sqrt(of_upper * (1 - of_upper) / 3000)


def test_large_labels_are_grains_of_their_own_in_every_window():
    section, _ = a_section()
    high = section.labels.astype(np.int64) + 2**31 - 200
    large = replace(section, labels=np.where(section.labels > 0, high, 0).astype(np.int32))
    cut = [Measured.of([s], [], 3.0).windows(20, 16, np.random.default_rng(4))[1] for s in (section, large)]
    for labels in cut:
        assert labels.min() >= 0
        assert sum(len(np.unique(window[window > 0])) for window in labels) == len(np.unique(labels[labels > 0]))
    assert np.array_equal(*(np.unique(labels, return_inverse=True)[1] for labels in cut))


def test_sections_without_room_are_refused():
    section, tessellation = a_section()
    with pytest.raises(ImageError, match="found none with room for a window of 200 pixels"):
        Measured.of([section], [tessellation], 4.0).turned_windows(1, 200, np.random.default_rng(0))
    with pytest.raises(ImageError, match="found none with room for a window of 16 pixels"):
        Measured.of([section], [tessellation], 400.0).windows(1, 16, np.random.default_rng(0))


def test_complete_grains_are_those_that_nothing_cuts():
    rng = np.random.default_rng(2)
    places = everywhere(2, 40)
    seeds, _, entries, offsets = some_grains(places, 7)
    labels = ranked(places, seeds, entries, offsets, 1)[:, :, 0].reshape(2, 40, 40)
    counted = ndimage.binary_opening(rng.random((2, 40, 40)) > 0.02, np.ones((1, 3, 3)))
    complete, visible = complete_grains(labels, counted, len(seeds.near))
    seen = 0
    for i in range(len(seeds.near)):
        mine = labels == i
        seen += (mine & counted).any()
        around = np.array([ndimage.binary_dilation(m) for m in mine])
        padded = np.pad(counted, ((0, 0), (1, 1), (1, 1)))
        wide = np.array([ndimage.binary_dilation(m) for m in np.pad(mine, ((0, 0), (1, 1), (1, 1)))])
        assert complete[i] == (mine.any() and not (wide & ~padded).any()), around.sum()
    assert visible == seen
    assert complete.any()


def test_places_are_taken_by_rows():
    places = Places(np.arange(8.0).reshape(4, 2), np.zeros((4, 8, 8), bool))
    assert places[np.array([2, 0])].centres.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert (len(places), places.size) == (4, 8)
