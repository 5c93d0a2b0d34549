"""Grains of a label array, refereed by closed forms, stochastic geometry, brute force and scipy's Voronoi diagram."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, ndimage, spatial
from scipy.special import elliprg

from nmcdist.descriptors.grains import COLUMNS, PACKING, describe_grains, describe_packing, grain_contacts
from nmcdist.descriptors.intrinsic import direction_weights
from nmcdist.errors import InputError
from nmcdist.geometry.tessellation import rasterize_gbpd

small_labels = arrays(np.int32, st.tuples(*[st.integers(1, 7)] * 3), elements=st.sampled_from([0, 1, 2, 3, 9]))
HALF_SPACE = [d for d in itertools.product((-1, 0, 1), repeat=3) if d > (0, 0, 0)]


def crossing_area(direction):
    """Area that a change of label along a direction stands for, for voxels of edge 1."""
    return 2 * direction_weights()[np.count_nonzero(direction)] / np.linalg.norm(direction)


def seen_share(normals):
    """Share of a plane's area that the 13 directions see."""
    return np.abs(normals @ np.array(HALF_SPACE).T) @ np.array([crossing_area(d) for d in HALF_SPACE])


def body(inside, shape=(48, 48, 48)):
    """Label 5 where a function of z, y, x from the middle of the array (a little off a voxel) is true."""
    at = np.indices(shape) - (np.array(shape) / 2 + [0.13, -0.21, 0.37])[:, None, None, None]
    return np.where(inside(*at), 5, 0)


def random_rotation(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def brute_contacts(labels):
    """Count pairs of different labels in each of the 13 directions by shifted copies."""
    padded = np.pad(labels, 1)
    found = {}
    for d in HALF_SPACE:
        here = tuple(slice(max(0, -k), n - max(0, k)) for k, n in zip(d, padded.shape, strict=True))
        there = tuple(slice(max(0, k), n - max(0, -k)) for k, n in zip(d, padded.shape, strict=True))
        for pair in zip(padded[here].ravel().tolist(), padded[there].ravel().tolist(), strict=True):
            if pair[0] != pair[1]:
                counts = found.setdefault((min(pair), max(pair)), [0, 0, 0])
                counts[np.count_nonzero(d) - 1] += 1
    return found


def poisson_voronoi(side, margin, resolution, index):
    """Return seeds of intensity 1 in a box, those that lie `margin` inside, and labels (row + 1)."""
    rng = np.random.default_rng([40, index])
    seeds = rng.random((rng.poisson(side**3), 3)) * side
    matrices, step = np.tile(np.eye(3), (len(seeds), 1, 1)), 1 / resolution
    shape = (side * resolution,) * 3
    labels = rasterize_gbpd(seeds, matrices, np.full(len(seeds), 0.3), shape, step, (step / 2,) * 3) + 1
    return seeds, ((seeds > margin) & (seeds < side - margin)).all(axis=1), labels


class TestClosedForms:
    def test_box(self):
        """A box of a x b x c has axes sqrt(5 / 3) times its sides: a side's variance is a^2 / 12."""
        labels = np.zeros((20, 30, 40), np.int64)
        labels[3:10, 5:25, 8:20] = 7
        grain = describe_grains(labels, 10.0, origin_nm=(-100.0, -150.0, -60.0)).isel(grain=0)
        assert grain.label == 7
        assert grain.volume_nm3 == 7 * 20 * 12 * 1000
        assert grain.equivalent_diameter_nm == pytest.approx((6 * 1680000 / np.pi) ** (1 / 3), rel=1e-12)
        centroid = np.array([-100 + 60, -150 + 145, -60 + 135])
        assert grain.centroid_nm.values == pytest.approx(centroid, abs=1e-9)
        assert grain.radius_nm == pytest.approx(np.linalg.norm(centroid), rel=1e-12)
        lengths = np.sqrt(5 / 3) * 10 * np.array([20, 12, 7])
        assert grain.principal_axis_lengths_nm.values == pytest.approx(lengths, rel=1e-12)
        assert grain.elongation == pytest.approx(1 - 12 / 20)
        assert grain.flatness == pytest.approx(1 - 7 / 12)
        # The longest axis is y; outwards of a centroid at y = -5 is -y.
        assert grain.principal_direction.values == pytest.approx([0, -1, 0], abs=1e-12)
        assert grain.angle_to_radius == pytest.approx(np.arccos(5 / np.linalg.norm(centroid)))
        assert (grain.pieces, grain.neighbours, grain.is_surface, grain.boundary_area_nm2) == (1, 0, True, 0)

    def test_ball(self):
        """Of radius 20 voxels: the surface layer holds 0.15 of the voxels, each in or out by its centre.

        That scatters the volume by about sqrt(S) / 3 voxels, 0.07 %, lengths by a third of that; the area by
        under 1 % + radius^-1.5, as for the intrinsic volumes.
        """
        grain = describe_grains(body(lambda z, y, x: z * z + y * y + x * x <= 400), 3.0).isel(grain=0)
        assert grain.volume_nm3 == pytest.approx(4 / 3 * np.pi * 60**3, rel=4 * 7e-4)
        assert grain.principal_axis_lengths_nm.values == pytest.approx(np.full(3, 120), rel=4 * 7e-4)
        assert grain.surface_area_nm2 == pytest.approx(4 * np.pi * 60**2, rel=0.01 + 20**-1.5)
        assert grain.elongation < 4 * 7e-4
        assert grain.boundary_fraction == 0

    @pytest.mark.parametrize("seed", range(5))
    def test_turned_ellipsoid(self, seed):
        """Half-axes 20, 12, 8: volume and axes as for the ball, with S^0.5 / 3 / V = 0.2 %; area of Carlson's form."""
        half, turn = np.array([20.0, 12.0, 8.0]), random_rotation([51, seed])

        def inside(z, y, x):
            u = np.tensordot(turn.T, np.stack([z, y, x]), 1)
            return sum((u[k] / half[k]) ** 2 for k in range(3)) <= 1

        grain = describe_grains(body(inside), 2.0, origin_nm=(1000.0, 0.0, 0.0)).isel(grain=0)
        a, b, c = 2 * half
        area = 4 * np.pi * a * b * c * elliprg(a**-2, b**-2, c**-2)
        assert grain.volume_nm3 == pytest.approx(4 / 3 * np.pi * a * b * c, rel=4 * 2e-3)
        assert grain.principal_axis_lengths_nm.values == pytest.approx(2 * np.array([a, b, c]), rel=4 * 2e-3)
        assert grain.surface_area_nm2 == pytest.approx(area, rel=0.01 + 8**-1.5)
        assert abs(grain.principal_direction.values @ turn[:, 0]) > np.cos(0.01)
        centroid = grain.centroid_nm.values
        cosine = abs(turn[:, 0] @ centroid) / np.linalg.norm(centroid)
        assert grain.angle_to_radius == pytest.approx(np.arccos(cosine), abs=0.01)

    def test_checkerboard_of_boxes(self):
        """Cubes of n voxels: along an axis n^2 pairs cross a face; 4 n (n - 1) and 4 (n - 1)^2 along diagonals."""
        n = 6
        cube = np.arange(1, 28).reshape(3, 3, 3)
        labels = cube.repeat(n, 0).repeat(n, 1).repeat(n, 2)
        grains, contacts = describe_grains(labels, 5.0), grain_contacts(labels, 5.0)
        between = (contacts.label[:, 0] > 0) & (contacts.faces > 0)
        area = (
            n * n * crossing_area((1, 0, 0))
            + 4 * n * (n - 1) * crossing_area((1, 1, 0))
            + 4 * (n - 1) ** 2 * crossing_area((1, 1, 1))
        )
        assert between.sum() == 54
        assert (contacts.faces[between] == n * n).all()
        assert contacts.area_nm2[between] == pytest.approx(np.full(54, 25 * area))
        sides = np.abs(np.indices((3, 3, 3)) - 1).sum(axis=0).ravel()
        assert (grains.neighbours.values == 6 - sides).all()
        assert (grains.is_surface.values == (sides > 0)).all()
        middle = grains.isel(grain=13)
        assert (middle.surface_area_nm2, middle.boundary_fraction) == (0, 1)
        packing = describe_packing(grains, contacts)
        assert (packing.grains, packing.clusters, packing.largest_cluster, packing.split_grains) == (27, 1, 27, 0)
        assert packing.grain_volume_nm3 == (18 * 5) ** 3
        assert packing.surface_grain_share == 26 / 27
        assert packing.neighbours_mean == 108 / 27

    def test_ball_in_a_box(self):
        labels = body(lambda z, y, x: z * z + y * y + x * x <= 400) + 1
        contacts = grain_contacts(labels, 3.0)
        area = contacts.area_nm2[(contacts.label == [1, 6]).all(axis=1)]
        assert area == pytest.approx([4 * np.pi * 60**2], rel=0.01 + 20**-1.5)
        assert describe_grains(labels, 3.0).neighbours.values.tolist() == [1, 1]

    def test_planes_of_any_direction(self):
        """A disk of radius 40 between two half balls: 0.927 to 1.023 of its area, 1 on average over directions.

        At its rim, a band half a voxel diagonal wide, pairs may end outside: up to sqrt(3) / 40 of the area.
        """
        at = np.indices((84, 84, 84)) - np.array([41.7, 41.4, 41.6])[:, None, None, None]
        ball = (at**2).sum(axis=0) <= 1600
        for normal in np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0.3, 0.5, 0.8], [0.1, -0.7, 0.2]]):
            unit = normal / np.linalg.norm(normal)
            contacts = grain_contacts(np.where(ball, 1 + (np.tensordot(unit, at, 1) > 0.1), 0), 1.0)
            area = contacts.area_nm2[(contacts.label == [1, 2]).all(axis=1)].item()
            assert area == pytest.approx(np.pi * 1600 * seen_share(unit), rel=np.sqrt(3) / 40)
        directions = np.random.default_rng(52).normal(size=(20_000, 3))
        shares = seen_share(directions / np.linalg.norm(directions, axis=1, keepdims=True))
        assert shares.mean() == pytest.approx(1, abs=4 * shares.std() / np.sqrt(len(shares)))
        assert (shares.min() >= 0.926, shares.max() <= 1.024) == (True, True)

    def test_clusters_and_pieces(self):
        """Two grains in touch, a third in two pieces far from them, joined to a fourth by an edge of voxels only."""
        labels = np.zeros((3, 6, 20), int)
        labels[1, 1:3, 1:4], labels[1, 1:3, 4:6] = 11, 12
        labels[1, 1:3, 10:12], labels[1, 4, 15] = 13, 13
        labels[1, 5, 16] = 14
        grains, contacts = describe_grains(labels, 1.0), grain_contacts(labels, 1.0)
        assert grains.pieces.values.tolist() == [1, 1, 2, 1]
        assert grains.largest_piece_share.values.tolist() == [1, 1, 4 / 5, 1]
        assert grains.neighbours.values.tolist() == [1, 1, 0, 0]
        packing = describe_packing(grains, contacts)
        assert (packing.clusters, packing.largest_cluster, packing.split_grains) == (3, 2, 1)


class TestPoissonVoronoi:
    """Cells of 1 seed a volume, those whose seed lies in an inner window: every cell counts alike, complete."""

    @pytest.fixture(scope="class")
    @staticmethod
    def cells():
        """Six realisations, 8 voxels to a mean spacing, about 512 cells of inner seeds each."""
        found = []
        for index in range(6):
            seeds, inner, labels = poisson_voronoi(14, 3, 8, index)
            found.append((seeds, inner, labels, describe_grains(labels, 1 / 8, (1 / 16,) * 3)))
        return found

    @staticmethod
    def per_window(cells, column):
        """Return a sum over inner cells for each realisation."""
        return np.array([grains[column].values[inner[grains.label.values - 1]].sum() for _, inner, _, grains in cells])

    def test_mean_cell_volume(self, cells):
        """1 / mu over 3,082 cells, whose variance is 0.179 / mu^2: 4 standard errors. Voxels add no bias."""
        number = np.array([inner.sum() for _, inner, _, _ in cells])
        mean = self.per_window(cells, "volume_nm3").sum() / number.sum()
        assert number.sum() > 3000
        assert mean == pytest.approx(1, abs=4 * np.sqrt(0.179 / number.sum()))

    def test_boundary_per_volume(self, cells):
        """2.910 mu^(1/3), less what pairs of voxels miss beside triple lines, which the theory gives exactly.

        A pair at distance r lies in different cells with probability 1 - p(r), so the expected estimate is
        the mean of 2 (1 - p(r)) / r over the directions: 2.745 at 8 voxels to a spacing. p(r) = mu times the
        integral of exp(-mu |B(x, |x|) u B(x, |x - r|)|), here in bipolar coordinates.
        """

        def apart(r):
            def density(difference, total):
                a, b = (total + difference) / 2, (total - difference) / 2
                cosines = (r * r + a * a - b * b) / (2 * r * a), (r * r + b * b - a * a) / (2 * r * b)
                caps = [np.pi * s**3 * (2 + c) * (1 - c) ** 2 / 3 for s, c in zip((a, b), cosines, strict=True)]
                union = 4 / 3 * np.pi * (a**3 + b**3) - sum(caps)
                return np.exp(-union) * np.pi * a * b / r

            same, _ = integrate.dblquad(density, r, 6, -r * (1 - 1e-12), r * (1 - 1e-12), epsabs=1e-9)
            return 1 - same

        # The same integral gives Miles' constant, 4 (pi / 6)^(1/3) Gamma(5/3) = 2.910, as pairs close in.
        assert 2 * apart(0.004) / 0.004 == pytest.approx(2.910, abs=0.005)
        ranges = {kind: np.sqrt(kind) / 8 for kind in (1, 2, 3)}
        number = {1: 3, 2: 6, 3: 4}
        expected = sum(number[k] * direction_weights()[k] * 2 * apart(r) / r for k, r in ranges.items())
        assert expected == pytest.approx(2.745, abs=1e-3)
        found = self.per_window(cells, "boundary_area_nm2") / 2 / 8**3
        assert found.mean() == pytest.approx(expected, abs=4 * found.std(ddof=1) / np.sqrt(len(found)))

    def test_neighbours_are_the_facets_of_the_voronoi_diagram(self, cells):
        """48 pi^2 / 35 + 2 = 15.535 faces over 3,082 cells (sd 3.3); voxels miss the small ones, about 4 h mu^(1/3).

        scipy gives the facets of the same cells with their areas. Voxels see 99 % of those above a square of two
        voxels (0.0625), at least 95 % of all the facets they see exist, and what they miss is 1 % of the area.
        """
        exact, voxel, areas, seen, false = [], [], [], [], 0
        for seeds, inner, labels, grains in cells:
            diagram = spatial.Voronoi(seeds)
            pairs, vertices = np.sort(diagram.ridge_points, axis=1), diagram.ridge_vertices
            exact += np.bincount(pairs.ravel(), minlength=len(seeds))[inner].tolist()
            voxel += grains.neighbours.values[inner[grains.label.values - 1]].tolist()
            contacts = grain_contacts(labels, 1 / 8)
            touching = {tuple(p) for p in (contacts.label[(contacts.faces > 0)] - 1).tolist()}
            mine = np.flatnonzero(inner[pairs].any(axis=1))
            for k in mine:
                corners = diagram.vertices[vertices[k]]
                around = corners - corners[0]
                areas.append(np.linalg.norm(np.cross(around[1:-1], around[2:]).sum(axis=0)) / 2)
                seen.append(tuple(pairs[k].tolist()) in touching)
            real = {tuple(p) for p in pairs[mine].tolist()}
            false += sum(inner[list(p)].any() and p not in real for p in touching if p[0] >= 0)
        exact, areas, seen = np.array(exact), np.array(areas), np.array(seen)
        constant = 48 * np.pi**2 / 35 + 2
        assert exact.mean() == pytest.approx(constant, abs=4 * exact.std() / np.sqrt(len(exact)))
        assert seen[areas > 0.0625].mean() > 0.99
        assert false < 0.05 * seen.sum()
        area_missed = areas[~seen].sum()
        assert area_missed < 0.01 * areas.sum()
        assert constant - 5 / 8 < np.mean(voxel) < constant

    def test_missed_faces_vanish_with_the_voxel_size(self):
        """Faces missed are in proportion to the voxel: extrapolated from 8 and 16 to the spacing, all are there.

        1,542 cells of three realisations against scipy's facets of the same cells, so that only what is second
        order in the voxel (0.1 faces, a fifth of what 8 voxels miss) is left.
        """
        means, exact = [], []
        for resolution in (8, 16):
            faces = []
            for index in range(3):
                seeds, inner, labels = poisson_voronoi(14, 3, resolution, index)
                grains = describe_grains(labels, 1 / resolution)
                faces += grains.neighbours.values[inner[grains.label.values - 1]].tolist()
                if resolution == 8:
                    ridges = spatial.Voronoi(seeds).ridge_points
                    exact += np.bincount(ridges.ravel(), minlength=len(seeds))[inner].tolist()
            means.append(np.mean(faces))
        assert 2 * means[1] - means[0] == pytest.approx(np.mean(exact), abs=0.1)


class TestBruteForce:
    @settings(max_examples=100, deadline=None)
    @given(small_labels)
    def test_contacts(self, labels):
        expected = brute_contacts(labels)
        contacts = grain_contacts(labels, 2.0)
        assert [tuple(p) for p in contacts.label.tolist()] == sorted(expected)
        counts = np.array([expected[p] for p in sorted(expected)]).reshape(-1, 3)
        assert contacts.faces.tolist() == counts[:, 0].tolist()
        areas = [crossing_area(d) for d in ((1, 0, 0), (1, 1, 0), (1, 1, 1))]
        assert contacts.area_nm2 == pytest.approx(4 * counts @ areas)

    @settings(max_examples=100, deadline=None)
    @given(small_labels)
    def test_table(self, labels):
        grains, pairs = describe_grains(labels, 2.0, (1.0, -2.0, 0.5)), brute_contacts(labels)
        present = np.unique(labels[labels > 0])
        assert grains.label.values.tolist() == present.tolist()
        for label, grain in zip(present.tolist(), (grains.isel(grain=k) for k in range(len(present))), strict=True):
            at = np.argwhere(labels == label) * 2.0 + [1.0, -2.0, 0.5]
            covariance = np.cov(at.T, ddof=0).reshape(3, 3) + np.eye(3) * 4 / 12
            assert grain.volume_nm3 == 8 * len(at)
            assert grain.centroid_nm.values == pytest.approx(at.mean(axis=0), abs=1e-12)
            lengths = 2 * np.sqrt(5 * np.linalg.eigvalsh(covariance)[::-1])
            assert grain.principal_axis_lengths_nm.values == pytest.approx(lengths, rel=1e-9)
            v = grain.principal_direction.values
            assert np.isnan(v).any() or covariance @ v == pytest.approx((lengths[0] ** 2 / 20) * v, abs=1e-9)
            pieces, number = ndimage.label(labels == label)
            assert grain.pieces == number
            assert grain.largest_piece_share == np.bincount(pieces.ravel())[1:].max() / len(at)
            touching = {p for p, counts in pairs.items() if label in p and counts[0] > 0}
            assert grain.neighbours == sum(p[0] > 0 for p in touching)
            assert grain.is_surface == ((0, label) in touching)

    @settings(max_examples=60, deadline=None)
    @given(small_labels)
    def test_clusters(self, labels):
        """Grains of one component of all grains' voxels are one cluster; grains in pieces may join components."""
        grains, contacts = describe_grains(labels, 1.0), grain_contacts(labels, 1.0)
        components, _ = ndimage.label(labels > 0)
        sets = [set(labels[components == k].tolist()) for k in range(1, components.max() + 1)]
        clusters = []
        for members in sets:
            joined = [c for c in clusters if c & members]
            clusters = [c for c in clusters if not c & members] + [members.union(*joined)]
        packing = describe_packing(grains, contacts)
        assert packing.clusters == len(clusters)
        assert packing.largest_cluster == max(map(len, clusters), default=0)


class TestInvariance:
    @settings(max_examples=40, deadline=None)
    @given(small_labels, st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
    def test_quarter_turns_and_mirrors(self, labels, order, mirrored):
        axes = [k for k in range(3) if mirrored[k]]
        first = describe_grains(labels, 3.0)
        turned = describe_grains(np.flip(labels.transpose(order), axes), 3.0)
        sign = np.where(mirrored, -1, 1)
        assert np.allclose(turned.centroid_nm, first.centroid_nm.values[:, order] * sign, rtol=0, atol=1e-9)
        for name in set(COLUMNS) - {"centroid_nm", "principal_direction"}:
            assert np.allclose(turned[name], first[name], rtol=1e-9, atol=1e-6, equal_nan=True), name

    def test_moved_labels(self):
        labels = np.random.default_rng(53).integers(0, 5, (6, 7, 8))
        first = describe_grains(labels, 2.0, (0.0, 0.0, 0.0))
        moved = describe_grains(np.pad(labels, ((900, 0), (3, 4), (5, 1))), 2.0, (-1800.0, -6.0, -10.0))
        for name in COLUMNS:
            assert np.allclose(moved[name], first[name], rtol=1e-10, atol=1e-9), name

    def test_renamed_grains(self):
        labels = np.random.default_rng(54).integers(0, 6, (6, 7, 8))
        names = np.array([0, 9, 2_000_000_000, 40, 3, 17])
        order = np.argsort(names[1:])
        first, other = describe_grains(labels, 2.0), describe_grains(names[labels], 2.0)
        assert other.label.values.tolist() == sorted(names[1:].tolist())
        for name in COLUMNS:
            assert np.allclose(other[name], first[name].values[order], rtol=1e-12), name
        assert describe_packing(other, grain_contacts(names[labels], 2.0)).grain_boundary_area_nm2 == pytest.approx(
            float(describe_packing(first, grain_contacts(labels, 2.0)).grain_boundary_area_nm2), rel=1e-12
        )

    def test_turned_particle(self):
        """A ball of 900 Voronoi cells, turned at random: the same grains, but for the voxels they are seen by.

        A cell's volume scatters by up to sqrt(S) / 3 voxels, S its surface in voxels (260 for the mean cell of
        512): 1 %. Means over 900 grains lie within 4 standard errors of the paired differences.
        """
        side, reach, step = 13, 6.0, 1 / 8
        rng = np.random.default_rng(55)
        seeds = rng.random((rng.poisson(side**3), 3)) * side - side / 2
        shape, origin = (100,) * 3, (-49.5 * step,) * 3

        def measure(points):
            eye = np.tile(np.eye(3), (len(points), 1, 1))
            labels = rasterize_gbpd(points, eye, np.zeros(len(points)), shape, step, origin, reach=reach) + 1
            grains, contacts = describe_grains(labels, step, origin), grain_contacts(labels, step)
            return grains.swap_dims(grain="label"), describe_packing(grains, contacts)

        (first, one), (turned, two) = measure(seeds), measure(seeds @ random_rotation(56).T)
        large = first.label.values[(first.volume_nm3 > 0.5).values]
        a, b = first.sel(label=large), turned.sel(label=large)
        assert np.sqrt(np.mean((b.volume_nm3 / a.volume_nm3 - 1) ** 2)) < 0.015
        for name in ("volume_nm3", "radius_nm", "elongation", "angle_to_radius", "neighbours", "boundary_area_nm2"):
            difference = (b[name] - a[name]).values
            assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(difference)), name
        for name in ("grains", "grain_volume_nm3", "outer_area_nm2", "surface_grain_share", "neighbours_mean"):
            assert two[name] == pytest.approx(float(one[name]), rel=0.02), name


class TestOutput:
    def test_every_variable_says_what_it_is(self):
        labels = np.ones((2, 3, 4), int)
        grains = describe_grains(labels, 1.0)
        packing = describe_packing(grains, grain_contacts(labels, 1.0))
        assert (list(grains), list(packing)) == (list(COLUMNS), list(PACKING))
        for variable in (*grains.values(), *packing.values()):
            assert all(variable.attrs[key] for key in ("units", "long_name", "estimator", "source"))

    def test_undefined_directions_are_nan(self):
        cube = describe_grains(np.ones((4, 4, 4), int), 1.0).isel(grain=0)
        assert np.isnan(cube.principal_direction).all()
        assert np.isnan(cube.angle_to_radius)
        central = describe_grains(np.ones((3, 4, 9), int), 1.0).isel(grain=0)
        assert np.isnan(central.angle_to_radius)
        assert not np.isnan(central.principal_direction).any()

    def test_contacts_at_hand_are_taken(self):
        labels = np.random.default_rng(57).integers(0, 4, (5, 6, 7))
        contacts = grain_contacts(labels, 2.0)
        assert describe_grains(labels, 2.0, contacts=contacts).identical(describe_grains(labels, 2.0))

    def test_no_grains(self):
        labels = np.zeros((3, 3, 3), np.int32)
        grains, contacts = describe_grains(labels, 1.0), grain_contacts(labels, 1.0)
        packing = describe_packing(grains, contacts)
        assert grains.sizes["grain"] == len(contacts.faces) == packing.grains == packing.largest_cluster == 0
        assert np.isnan(packing.surface_grain_share)

    def test_many_pairs_grow_the_table(self):
        """More pairs than the table begins with: 3,000 voxels, each a grain of its own."""
        labels = np.random.default_rng(58).permutation(3000).reshape(10, 15, 20) + 1
        contacts, expected = grain_contacts(labels, 1.0), brute_contacts(labels)
        assert [tuple(p) for p in contacts.label.tolist()] == sorted(expected)
        assert contacts.faces.tolist() == [expected[p][0] for p in sorted(expected)]


class TestBadInput:
    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.ones((4, 4), int), r"labels: found shape \(4, 4\), expected three"),
            (np.ones((0, 4, 4), int), r"labels: found shape \(0, 4, 4\)"),
            (np.ones((2, 2, 2)), "labels: found dtype float64"),
            (np.ones((2, 2, 2), bool), "labels: found dtype bool"),
            (np.full((2, 2, 2), -1), "labels: found -1, expected 0"),
            (np.full((2, 2, 2), 2**31), "labels: found 2147483648"),
        ],
    )
    def test_labels(self, labels, message):
        for function in (describe_grains, grain_contacts):
            with pytest.raises(InputError, match=message):
                function(labels, 1.0)

    @pytest.mark.parametrize("size", [0, -1.0, np.inf, np.nan])
    def test_voxel_size(self, size):
        for function in (describe_grains, grain_contacts):
            with pytest.raises(InputError, match="voxel_size_nm: found"):
                function(np.ones((2, 2, 2), int), size)

    @pytest.mark.parametrize("origin", [(0, 0), (0, 0, np.nan), 3.0])
    def test_origin(self, origin):
        with pytest.raises(InputError, match=r"origin_nm: found .*, expected (\(3,\)|finite numbers)"):
            describe_grains(np.ones((2, 2, 2), int), 1.0, origin)

    def test_contacts_of_other_labels(self):
        labels = np.ones((2, 2, 2), int)
        with pytest.raises(InputError, match="contacts: found pairs of other labels"):
            describe_grains(labels, 1.0, contacts=grain_contacts(labels + 1, 1.0))
