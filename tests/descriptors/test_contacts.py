"""Contacts between phases, refereed by closed forms and by counting."""

import math

import numpy as np
import pytest

from nmcdist.descriptors.contacts import active_area, connected_fractions, interface_area, triple_line_length
from nmcdist.descriptors.intrinsic import intrinsic_volumes
from nmcdist.errors import InputError


def sectors(edges, side, line, seed):
    """Return three sectors of 120 degrees that meet along a line, and the line's length between voxel centres."""
    rng, edges = np.random.default_rng([71, seed]), np.array(edges)
    count = np.round(side / edges).astype(int)
    across = np.linalg.svd(line[None])[2][1:]
    centre = (count - 1) / 2 * edges + rng.uniform(-5, 5, 3)
    one, two = np.moveaxis((np.stack(np.indices(count), axis=-1) * edges - centre) @ across.T, -1, 0)
    turn = (np.arctan2(two, one) + rng.uniform(0, 2 * np.pi)) % (2 * np.pi)
    labels = np.minimum(turn // (2 * np.pi / 3), 2).astype(int)
    runs = line != 0
    ends = np.sort(np.stack([-centre, (count - 1) * edges - centre])[:, runs] / line[runs], axis=0)
    return labels, ends[1].min() - ends[0].max()


class TestTripleLines:
    @pytest.mark.parametrize(("edges", "most"), [((10.0, 10.0, 10.0), 0.08), ((20.0, 10.0, 10.0), 0.3)])
    def test_straight_lines_in_many_directions(self, edges, most):
        """40 random lines and the axes: each within what is documented, the mean of the random within 2 %.

        The mean has a standard error of 0.3 % on cubes and of 1.2 % on these boxes; 4 of them are added.
        """
        drawn = np.random.default_rng(72).normal(size=(40, 3))
        found = []
        for seed, line in enumerate(np.vstack([np.eye(3), drawn / np.linalg.norm(drawn, axis=1, keepdims=True)])):
            labels, length = sectors(edges, 400.0, line, seed)
            volume = math.prod((n - 1) * edge for n, edge in zip(labels.shape, edges, strict=True))
            found.append(triple_line_length(labels, (0, 1, 2), edges) * volume / length)
        assert np.abs(np.array(found) - 1).max() < most
        random = np.array(found[3:])
        assert random.mean() == pytest.approx(1, abs=0.02 + 4 * random.std() / np.sqrt(len(random)))

    def test_other_phases_do_not_count(self):
        labels, _ = sectors((10.0, 10.0, 10.0), 200.0, np.array([0.0, 0.0, 1.0]), 1)
        assert triple_line_length(labels, (0, 1, 5), 10.0) == 0
        assert triple_line_length(labels, (2, 0, 1), 10.0) == triple_line_length(labels, (0, 1, 2), 10.0) > 0


class TestInterfaces:
    @pytest.mark.parametrize("edges", [(10.0, 10.0, 10.0), (20.0, 10.0, 10.0)])
    def test_ball_cut_in_halves(self, edges):
        """Half a sphere of 200 nm to the outside for each half, and a disc between them, all within 4 %.

        The disc lies across x, where planes are 7 % too small on cubes and 10 % on boxes; the pairs of voxels at its
        rim that see the outside between the halves are another 5 %.
        """
        axes = [(np.arange(round(500 / e)) + 0.5) * e - 250 for e in edges]
        labels = (sum(np.square(c) for c in np.ix_(*axes)) <= 200**2).astype(int)
        labels[(labels == 1) & (axes[2] > 0)] = 2
        volume = math.prod((n - 1) * edge for n, edge in zip(labels.shape, edges, strict=True))
        areas = [interface_area(labels, pair, edges) * volume for pair in ((0, 1), (0, 2), (1, 2))]
        assert areas[:2] == pytest.approx([2 * math.pi * 200**2] * 2, rel=0.04)
        assert areas[2] == pytest.approx(math.pi * 200**2, rel=0.16)

    def test_interfaces_of_a_phase_add_up_to_its_surface(self):
        labels = np.random.default_rng(73).integers(0, 3, (9, 10, 11))
        edges = (20.0, 10.0, 13.0)
        together = interface_area(labels, (0, 1), edges) + interface_area(labels, (0, 2), edges)
        assert together == pytest.approx(intrinsic_volumes(labels == 0, edges).surface_area)


class TestConnection:
    PHASE = np.zeros((6, 5, 5), bool)
    PHASE[:, 0, 0] = True  # joins both faces
    PHASE[:3, 2, 2] = True  # from the first face
    PHASE[4:, 4, 4] = True  # from the last
    PHASE[3, 2:4, 0] = True  # an island
    PHASE[1, 1, 1] = True  # meets the first column at an edge only

    def test_shares(self):
        found = connected_fractions(self.PHASE)
        assert found == pytest.approx((9 / 14, 8 / 14, 6 / 14))
        assert connected_fractions(np.zeros((3, 3, 3), bool)) == (0, 0, 0)

    def test_only_connected_parts_are_active(self):
        labels = np.ones((12, 8, 8), int)
        labels[:, 4:] = 2
        whole = active_area(labels, (1, 2), 10.0)
        assert whole == pytest.approx(interface_area(labels, (1, 2), 10.0))
        labels[6] = 0  # neither reaches across: the first phase counts before the gap, the second behind it
        assert active_area(labels, (1, 2), 10.0) == 0
        labels[6, 4:] = 2  # the second phase is whole again, the first ends before the gap
        half = interface_area(np.where(np.arange(12)[:, None, None] > 5, 2 * (labels == 2), labels), (1, 2), 10.0)
        assert active_area(labels, (1, 2), 10.0) == pytest.approx(half)


@pytest.mark.parametrize("phases", [(1, 1), (1, 2, 3), "12", (1, 2.5), None])
def test_phases_are_different_labels(phases):
    with pytest.raises(InputError, match=r"phases: found .*, expected 2 different labels"):
        interface_area(np.zeros((3, 3, 3), int), phases, 10.0)
