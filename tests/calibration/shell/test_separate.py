"""Separation against brute force, two balls in closed form, and a known packing."""

import numpy as np
import pytest
from scipy import ndimage

from nmcdist.calibration.shell.basins import Basins, find_basins
from nmcdist.calibration.shell.choose import choose_ratio, judge_rule
from nmcdist.calibration.shell.counts import count_labels
from nmcdist.calibration.shell.packing import overlap, packed, score
from nmcdist.calibration.shell.paper_rule import crofton_areas, paper_merged
from nmcdist.calibration.shell.parts import connected_parts
from nmcdist.calibration.shell.separate import Separated, Watershed
from nmcdist.errors import ImageError

CUBIC = (1.0, 1.0, 1.0)
SHAPE = (30, 30, 56)


def rows_of_balls(radii):
    rows = np.zeros((len(radii), 100))
    rows[:, 0] = np.sqrt(4 * np.pi) * np.array(radii)
    return rows


def two_balls(radii=(10.0, 8.0), distance=14.0, spacing=CUBIC):
    centres = np.array([[15.0, 15.0, 18.0], [15.0, 15.0, 18.0 + distance]]) / spacing
    shape = tuple(int(n / s) for n, s in zip(SHAPE, spacing, strict=True))
    return packed(shape, rows_of_balls(radii), centres, spacing)


def test_packed_balls_are_divided_where_they_lie_equally_deep():
    labels = two_balls((10.02, 10.02), 14.2)  # no voxel centre lies on a sphere, or between
    z, y, x = np.indices(SHAPE)
    one, two = ((z - 15) ** 2 + (y - 15) ** 2 + (x - c) ** 2 for c in (18, 32.2))
    assert np.array_equal(labels > 0, np.minimum(one, two) <= 10.02**2)
    assert np.array_equal(labels == 1, (one <= two) & (one <= 10.02**2))


class TestTwoBalls:
    """Balls of radii 10 and 8 at 14: their spheres meet in a circle of radius sqrt(100 - (116/14 ...)^2)."""

    distance, radii = 14.0, (10.0, 8.0)

    @property
    def neck(self):
        plane = (self.distance**2 + self.radii[0] ** 2 - self.radii[1] ** 2) / (2 * self.distance)
        return np.sqrt(self.radii[0] ** 2 - plane**2)

    @pytest.mark.parametrize("spacing", [CUBIC, (0.5, 1.0, 2.0)])
    def test_peaks_and_neck_are_those_of_the_spheres(self, spacing):
        phase = two_balls(self.radii, self.distance, spacing) > 0
        graph = Watershed.of(phase, spacing).graph
        assert len(graph.peaks) == 3
        # A distance map of voxels is off by up to a voxel.
        assert graph.peaks[1:] == pytest.approx(sorted(self.radii, reverse=True), abs=1.0)
        assert graph.saddles == pytest.approx([self.neck], abs=max(spacing))

    def test_they_are_merged_below_their_ratio_only(self):
        water = Watershed.of(two_balls(self.radii, self.distance) > 0, CUBIC)
        ratio = float(water.graph.ratios[0])
        assert ratio == pytest.approx(self.neck / self.radii[1], abs=0.1)
        assert water.mapping(ratio + 0.01).tolist() == [0, 1, 2]
        assert water.mapping(ratio - 0.01).tolist() == [0, 1, 1]

    def test_a_high_h_leaves_one_basin(self):
        assert len(find_basins(two_balls() > 0, CUBIC, h=6.0).peaks) == 2

    def test_the_basins_are_the_balls(self):
        true = two_balls()
        found = find_basins(true > 0, CUBIC)
        shared = overlap(true, found.labels)
        sizes = [np.bincount(labels.reshape(-1))[1:] for labels in (true, found.labels)]
        result = score(1.0, shared, sizes[0], np.ones(2, bool), sizes[1], np.ones(2, bool))
        assert result.mean_iou > 0.95
        assert (result.split, result.merged, result.found) == (0.0, 0.0, 2)


def test_basins_are_connected_and_cover_the_phase():
    phase = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((40, 41, 42)), 2.5) > 0
    basins = find_basins(phase, CUBIC)
    assert np.array_equal(basins.labels > 0, phase)
    for label, box in enumerate(ndimage.find_objects(basins.labels), 1):
        assert ndimage.label(basins.labels[box] == label, np.ones((3, 3, 3)))[1] == 1


def test_peaks_saddles_and_contacts_are_those_of_brute_force():
    """Beside a distance transform of scipy, for which nothing is outside beyond the image either."""
    phase = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((20, 21, 22)), 2.0) > 0
    basins, saddles, faces = find_basins(phase, CUBIC), {}, {}
    distance = np.pad(ndimage.distance_transform_edt(phase), 1)
    padded = np.pad(basins.labels, 1)
    for place in np.argwhere(padded > 0):
        for step in np.argwhere(np.ones((3, 3, 3))) - 1:
            there = tuple(place + step)
            pair = int(padded[tuple(place)]), int(padded[there])
            if pair[1] > pair[0]:
                saddles[pair] = max(saddles.get(pair, 0.0), min(distance[tuple(place)], distance[there]))
                faces[pair] = faces.get(pair, 0) + (np.abs(step).sum() == 1)
    assert basins.peaks[1:] == pytest.approx(ndimage.maximum(distance, padded, range(1, len(basins.peaks))), rel=1e-6)
    pairs = [tuple(pair) for pair in basins.touching.pairs.tolist()]
    assert dict(zip(pairs, basins.touching.saddles.tolist(), strict=True)) == pytest.approx(saddles, rel=1e-6)
    assert dict(zip(pairs, basins.touching.faces.sum(axis=1).tolist(), strict=True)) == faces


def test_basins_are_those_of_a_flood_from_the_deepest_voxel():
    """Brute force: voxels in the order of their depth join the flooded neighbour of the steepest rise."""
    phase = ndimage.gaussian_filter(np.random.default_rng(7).standard_normal((18, 19, 20)), 1.5) > -0.3
    distance = ndimage.distance_transform_edt(phase).astype(np.float32)
    flooded, count = {}, 0
    for place in sorted(map(tuple, np.argwhere(phase).tolist()), key=lambda p: (-distance[p], p)):
        rises = {}
        for step in np.argwhere(np.ones((3, 3, 3))) - 1:
            there = tuple((np.array(place) + step).tolist())
            if there in flooded:
                rises[there] = (distance[there] - distance[place]) / np.sqrt(np.float32((step**2).sum()))
        if rises:
            flooded[place] = flooded[max(rises, key=rises.get)]
        else:
            count += 1
            flooded[place] = count
    found = find_basins(phase, CUBIC, h=0.0)
    pairs = {(found.labels[place], label) for place, label in flooded.items()}
    assert len(pairs) == count == len(found.peaks) - 1


def test_no_basin_rises_less_than_h_above_a_neighbour():
    phase = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((40, 41, 42)), 2.0) > 0
    counts = []
    for h in (0.0, 0.25, 0.7):
        basins = find_basins(phase, CUBIC, h)
        rises = basins.peaks[basins.touching.pairs].min(axis=1) - basins.touching.saddles
        assert (rises >= h).all()
        counts.append(len(basins.peaks))
    assert counts[0] > counts[1] > counts[2]


def test_counts_of_regions_are_those_of_brute_force():
    labels = np.random.default_rng(4).integers(0, 4, (6, 7, 8)).astype(np.int32)
    found = Separated.of(labels, 3, (2.0, 3.0, 5.0), edge=4).regions
    padded = np.pad(labels, 1, constant_values=-1)
    for label in (1, 2, 3):
        places = np.argwhere(labels == label)
        assert found.voxels[label - 1] == len(places)
        assert found.centre[label - 1] == pytest.approx(places.mean(axis=0))
        assert not found.is_whole[label - 1]
        area, contact = 0.0, 0.0
        for axis, face in enumerate((15.0, 10.0, 6.0)):
            for way in (-1, 1):
                other = np.roll(padded, way, axis)[1:-1, 1:-1, 1:-1][labels == label]
                area += face * ((other != label) & (other >= 0)).sum()
                contact += face * ((other != label) & (other > 0)).sum()
        assert found.area[label - 1] == pytest.approx(area)
        assert found.contact_area[label - 1] == pytest.approx(contact)


class TestPaperRule:
    def test_area_of_a_ball(self):
        """Cauchy and Crofton in 13 directions; a ball of radius 12 is off by its voxels and the 13 directions."""
        labels = (two_balls((12.0, 1.0), 40.0, CUBIC) == 1).astype(np.int32)
        assert crofton_areas(labels, 1, CUBIC)[0] == pytest.approx(4 * np.pi * 144, rel=0.03)

    def test_small_regions_join_the_neighbour_with_most_faces(self):
        labels = np.zeros((12, 12, 30), np.int32)
        labels[2:10, 2:10, 2:10] = 1
        labels[2:10, 2:10, 12:20] = 2
        labels[5, 5, 10], labels[5, 5, 11] = 3, 3  # touches both with one face each: the lower number
        labels[1, 1, 28] = 4  # alone
        counts, touching = count_labels(labels, 4)
        basins = Basins(labels, np.zeros(5, np.float32), counts, touching)
        assert paper_merged(basins, CUBIC).tolist() == [0, 1, 2, 1, 0]

    @pytest.mark.parametrize("edge", [3, 4, 9])
    def test_parts_of_a_label_are_separated(self, edge):
        """The parts are those of scipy, in blocks too, and in the order of their first voxels."""
        labels = np.random.default_rng(5).integers(0, 3, (9, 8, 7))
        found, number = connected_parts(labels, edge=edge)
        _, first = np.unique(found, return_index=True)
        assert (np.diff(first[-number:]) > 0).all()
        assert number == found.max() == sum(ndimage.label(labels == label)[1] for label in (1, 2))
        assert np.array_equal(found > 0, labels > 0)
        for label in (1, 2):
            parts, count = ndimage.label(labels == label)
            pairs = np.unique(np.stack([parts[labels == label], found[labels == label]]), axis=1)
            assert pairs.shape[1] == count
            assert len(np.unique(pairs[1])) == count


@pytest.fixture(scope="module")
def truth():
    stream = np.random.default_rng(6)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centres = 14 + 16.0 * grid + stream.uniform(-1, 1, (27, 3))
    return packed((60,) * 3, rows_of_balls(stream.uniform(8.5, 9.5, 27)), centres, CUBIC)


def shared_with(true, found):
    return overlap(true, found.labels).joined(found.numbers)


class TestKnownPacking:
    """27 balls of radius 9 at 16 on a lattice, moved by up to a voxel: necks of ratio sqrt(81 - 64) / 9 = 0.46."""

    def test_it_is_found_again(self, truth):
        choice = choose_ratio(Watershed.of(truth > 0, CUBIC))
        assert choice.is_settled
        found = Watershed.of(truth > 0, CUBIC).separated(choice.ratio)
        sizes, kept = np.bincount(truth.reshape(-1))[1:], np.ones(27, bool)
        result = score(choice.ratio, shared_with(truth, found), sizes, kept, found.regions.voxels, found.kept(200))
        assert (result.found, result.split, result.merged, result.share_over_08) == (27, 0.0, 0.0, 1.0)
        assert found.regions.is_whole.all()

    def test_too_low_a_ratio_merges_and_the_score_says_so(self, truth):
        found = Watershed.of(truth > 0, CUBIC).separated(0.3)
        sizes, kept = np.bincount(truth.reshape(-1))[1:], np.ones(27, bool)
        low = score(0.3, shared_with(truth, found), sizes, kept, found.regions.voxels, found.kept(200))
        assert low.merged > 0.5
        assert low.mean_iou < 0.5

    def test_the_paper_rule_finds_it_too(self, truth):
        assert judge_rule(Watershed.of(truth > 0, CUBIC), None).score.share_over_08 == 1.0


@pytest.mark.parametrize("value", [False, True])
def test_one_phase_is_refused(value):
    with pytest.raises(ImageError, match="expected two phases"):
        find_basins(np.full((5, 5, 5), value), CUBIC)
