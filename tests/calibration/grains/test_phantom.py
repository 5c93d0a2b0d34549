"""Phantoms: what they are named for, sections by brute force, and scans that give their sections back."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from nmcdist.bundle import load_bundle
from nmcdist.calibration import ebsd
from nmcdist.calibration.grains.counts import count_grains
from nmcdist.calibration.grains.phantom import phantom_bundles, phantom_sections, write_scan
from nmcdist.calibration.grains.sections import Section, read_section
from nmcdist.errors import BundleError, InputError
from nmcdist.geometry.frames import radial_matrices
from nmcdist.models.grains import GrainModel
from nmcdist.models.particle import ParticleModel
from nmcdist.models.shell import ShellModel

SEED = 5
COUNT = 4
RADII = {
    "radial": 4800.0, "stout": 3900.0, "isotropic": 4800.0, "tangential": 4800.0, "outward": 4800.0, "two-sizes": 4800.0
}  # fmt: skip


@pytest.fixture(scope="module")
def bundles():
    return phantom_bundles()


@pytest.fixture(scope="module")
def sections(bundles):
    return {name: phantom_sections(bundle, SEED, COUNT) for name, bundle in bundles.items()}


@pytest.fixture(scope="module")
def section(sections):
    return sections["stout"][0]


@pytest.fixture(scope="module")
def scan_path(section, tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "stout.ang"
    write_scan(path, section, seed=2)
    return path


@pytest.fixture(scope="module")
def scan(scan_path):
    return ebsd.read(scan_path)


def angles_by_radius(sections, edges):
    """Return for each range of |c| the mean angle to the radius in degrees, and its standard error."""
    angle, radius = (
        np.concatenate([section.describe()[name].values for section in sections])
        for name in ("angle_to_radius", "radius_nm")
    )
    found = []
    for low, high in pairwise(edges):
        values = np.degrees(angle[(radius >= low) & (radius < high) & np.isfinite(angle)])
        found.append((values.mean(), values.std() / math.sqrt(len(values))))
    return np.array(found).T


def clusters_of(section, reach):
    """Number the clusters of measured pixels of each grain whose rows and columns differ by at most `reach`."""
    points = np.argwhere(section.labels > 0)
    grains = section.labels[tuple(points.T)]
    norm = np.inf if reach > 1 else 1
    pairs = cKDTree(points).query_pairs(reach + 0.1, p=norm, output_type="ndarray")
    pairs = pairs[grains[pairs[:, 0]] == grains[pairs[:, 1]]]
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(points), len(points)))
    clusters = np.zeros(section.labels.shape, int)
    clusters[tuple(points.T)] = connected_components(graph, directed=False)[1] + 1
    return clusters


def same_partition(one, other):
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


# --- the three phantoms ---


def test_radial_grains_point_to_the_centre_outside_of_the_core(sections):
    mean, error = angles_by_radius(sections["radial"], [800, 2000, 3500, 6000])
    assert (mean + 4 * error < 30).all()


def test_stout_grains_prefer_the_radius_less_and_less_outwards(sections):
    mean, error = angles_by_radius(sections["stout"], [700, 1500, 2500, 5000])
    assert (mean + 4 * error < 45).all()
    assert mean[2] - mean[0] > 4 * math.hypot(error[0], error[2])
    radial = angles_by_radius(sections["radial"], [2500, 5000])
    assert mean[2] - radial[0, 0] > 4 * math.hypot(error[2], radial[1, 0])


def test_isotropic_grains_prefer_nothing_anywhere(sections):
    mean, error = angles_by_radius(sections["isotropic"], [0, 1500, 2500, 3500, 6000])
    assert (np.abs(mean - 45) < 4 * error).all()


def test_tangential_grains_lie_across_the_radius(sections):
    mean, error = angles_by_radius(sections["tangential"], [1000, 2500, 6000])
    assert (mean - 4 * error > 50).all()  # 45 degrees without a preferred direction
    assert mean[1] > mean[0]


def test_outward_grains_are_denser_near_the_surface(sections):
    """Grains per area go with the intensity to 2/3: 1.5 times as many at 4 um as at 2 um, where shapes are alike."""
    counts = count_grains(sections["outward"], np.array([1500.0, 2500.0, 3500.0, 4500.0]))
    per_area = counts.grains.sum(axis=0) / counts.areas_nm2.sum(axis=0)
    expected = ((0.5 + 1.5 * 4.0 / 4.8) / (0.5 + 1.5 * 2.0 / 4.8)) ** (2 / 3)
    error = expected * math.sqrt((1 / counts.grains.sum(axis=0))[[0, 2]].sum())
    assert abs(per_area[2] / per_area[0] - expected) < 4 * error


def test_grains_of_two_sizes_are_of_two_sizes(bundles):
    """One particle: offsets take two values, a quarter of them large; volumes spread more than Voronoi cells'."""
    law = GrainModel.from_bundle(bundles["two-sizes"])
    offsets = law.draw(4000.0, SEED).offsets_nm2
    values, counts = np.unique(offsets, return_counts=True)
    assert len(values) == 2 and values[0] == 0
    n = len(offsets)
    assert abs(counts[1] / n - 0.25) < 4 * math.sqrt(0.25 * 0.75 / n)
    particle = ParticleModel.from_bundle(bundles["two-sizes"]).draw(SEED, 0)
    volumes = particle.volumes_nm3[particle.volumes_nm3 > 0]
    assert volumes.std() / volumes.mean() > 2 * 0.42  # Poisson-Voronoi cells have 0.42


def test_sections_are_of_hundreds_of_grains_and_about_200_pixels(sections):
    for name, several in sections.items():
        for one in several:
            across = 2 * math.sqrt(one.mask.sum() / math.pi)
            assert 0.6 < across * 25.0 / RADII[name] < 1.6
            assert 200 < one.labels.max() < 1500


@pytest.mark.parametrize("name", RADII)
def test_shells_have_the_size_and_the_spread_that_is_said(bundles, name):
    model, n = ShellModel.from_bundle(bundles[name]), 400
    radii = np.array([model.draw(SEED, i).coefficients_nm[0] for i in range(n)]) / (2 * math.sqrt(math.pi))
    # Z_00 = location + scale exp(sigma N(0, 1)).
    p = bundles[name].parameters
    scores = np.log((2 * math.sqrt(math.pi) * radii - p.shell_location_nm) / p.shell_scale_nm) / 0.1
    assert abs(scores.mean()) < 4 / math.sqrt(n)
    assert scores.std() == pytest.approx(1.0, abs=4 / math.sqrt(2 * n))
    assert np.median(radii) == pytest.approx(RADII[name], rel=4 * 1.2533 * 0.124 / math.sqrt(n))
    assert radii.std() / RADII[name] == pytest.approx(0.12, abs=4 * 0.124 / math.sqrt(2 * n) + 0.01)


@pytest.mark.parametrize("name, factor", [("radial", 1.0), ("stout", 1.8), ("isotropic", 1.0)])
def test_particles_have_as_many_grains_as_their_volume_asks_for(bundles, name, factor):
    particle = ParticleModel.from_bundle(bundles[name]).draw(SEED, 0)
    expected = factor * 1.44e-8 * particle.shell.volume_nm3
    # Seeds without a cell are none in a hundred; the number of centres of mass varies less than that of seeds.
    assert particle.kept.sum() == pytest.approx(expected, abs=4 * math.sqrt(expected) + 0.01 * expected)


# --- sections ---


def test_sections_depend_on_seed_and_number_alone(bundles, section):
    again = phantom_sections(bundles["stout"], SEED, 1)[0]
    np.testing.assert_array_equal(again.labels, section.labels)
    assert again.centre_px == section.centre_px
    other = phantom_sections(bundles["stout"], SEED + 1, 1)[0]
    assert other.labels.shape != section.labels.shape or (other.labels != section.labels).any()


def test_a_section_is_the_same_in_whatever_series_it_comes(bundles, sections):
    last = phantom_sections(bundles["stout"], SEED, 1, start=COUNT - 1)[0]
    assert last.name == sections["stout"][-1].name == f"particle {COUNT - 1}"
    np.testing.assert_array_equal(last.labels, sections["stout"][-1].labels)


@pytest.mark.parametrize("height", [0.0, 0.5])
def test_labels_are_cells_of_lowest_cost_at_pixels_placed_from_the_centre(bundles, height):
    bundle = bundles["stout"]
    section = phantom_sections(bundle, SEED, 1, pixel_size_nm=400.0, missing=0.0, height=height)[0]
    particle = ParticleModel.from_bundle(bundle).draw(SEED, 0)
    z = height * particle.coefficients_nm[0] / math.sqrt(4 * math.pi)
    rows, columns = section.labels.shape
    y, x = (section.origin_nm[a] + 400.0 * np.arange(n) for a, n in enumerate((rows, columns)))
    points = np.stack(np.broadcast_arrays(z, *np.meshgrid(y, x, indexing="ij")), axis=-1).reshape(-1, 3)
    seeds = particle.seeds_nm.astype(float)
    near = np.abs(seeds[:, 0] - z) < 2000.0
    d = points[:, None] - seeds[near]
    matrices = radial_matrices(seeds[near], particle.diagonals[near], particle.gammas[near])
    costs = np.einsum("pia,iab,pib->pi", d, matrices, d, optimize=True) - particle.offsets_nm2[near]
    cells = np.flatnonzero(near)[costs.argmin(axis=1)].reshape(rows, columns)
    cells = np.where(particle.kept[cells], cells + 1, 0)
    cells[np.hypot(*np.meshgrid(y, x, indexing="ij")) > math.sqrt(particle.reach_nm**2 - z**2)] = 0
    assert same_partition(section.labels, cells)
    np.testing.assert_array_equal(section.labels > 0, cells > 0)


def test_missing_pixels_are_as_many_as_asked_for_and_nothing_else_changes(bundles, section):
    whole = phantom_sections(bundles["stout"], SEED, 1, missing=0.0)[0]
    assert (whole.labels >= 0).all()
    np.testing.assert_array_equal(whole.mask, section.mask)
    seen = section.labels > 0
    assert same_partition(np.where(seen, whole.labels, 0), np.where(seen, section.labels, 0))
    n = section.mask.sum()
    assert (section.labels == -1).sum() / n == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / n))


def test_grains_are_numbered_without_gaps(sections):
    for several in sections.values():
        for one in several:
            np.testing.assert_array_equal(np.unique(one.labels), np.arange(-1, one.labels.max() + 1))
            assert one.labels.dtype == np.int32


def test_the_centre_is_that_of_a_square_image(section):
    rows, columns = section.labels.shape
    assert rows == columns
    assert rows % 2 == 0
    assert section.centre_px == ((rows - 1) / 2, (rows - 1) / 2)


def test_sections_above_the_centre_are_smaller(bundles, section):
    # A ball's is smaller by 1 - h^2; shells are no balls.
    above = phantom_sections(bundles["stout"], SEED, 1, height=0.8)[0]
    assert above.mask.sum() / section.mask.sum() == pytest.approx(0.36, abs=0.15)


@pytest.mark.parametrize(
    "options",
    [{"missing": 1.0}, {"missing": -0.1}, {"missing": "0.1"}, {"height": 1.0}, {"height": math.nan}, {"count": -1},
     {"count": 1.5}, {"start": -1}, {"pixel_size_nm": 0.0}, {"seed": -1}],
)  # fmt: skip
def test_impossible_arguments_are_refused(bundles, options):
    with pytest.raises(InputError, match=next(iter(options))):
        phantom_sections(bundles["stout"], **{"seed": 1, "count": 1, **options})


def test_bundles_without_a_marker_law_are_refused():
    with pytest.raises(BundleError, match="marker law"):
        phantom_sections(load_bundle("cba-cathode-2025"), 1, 1)


# --- scans ---


def test_a_scan_gives_its_section_back(section, scan_path):
    found = read_section(scan_path)
    measured = section.labels > 0
    clusters = clusters_of(section, 2)
    in_both = measured & (found.labels > 0)
    assert same_partition(np.where(in_both, found.labels, 0), np.where(in_both, clusters, 0))
    # Measured pixels that are lost stand alone outside the edge.
    assert in_both.sum() >= 0.999 * measured.sum()
    # Outside is never taken for a grain; the edge is uncertain by what is missing there.
    assert not (found.labels[section.labels == 0] > 0).any()
    assert (found.mask != section.mask).sum() < 0.01 * section.mask.sum()
    assert found.pixel_size_nm == pytest.approx(section.pixel_size_nm)


def test_what_a_scan_divides_are_pieces_of_grains_that_lie_apart(sections):
    for several in sections.values():
        for one in several:
            clusters, grains = clusters_of(one, 2), one.labels.max()
            largest = [np.bincount(clusters[one.labels == grain]).max() for grain in range(1, grains + 1)]
            assert clusters.max() <= 1.02 * grains
            assert sum(largest) >= 0.997 * (one.labels > 0).sum()


def test_segments_of_a_scan_are_the_pieces_of_grains(section, scan):
    assert same_partition(ebsd.segment(scan, misorientation_deg=5.0), clusters_of(section, 1))


def test_missing_pixels_and_the_outside_have_no_solution(section, scan, scan_path):
    np.testing.assert_array_equal(scan.indexed, section.labels > 0)
    table = np.loadtxt(scan_path)
    unsolved = section.labels.ravel() <= 0
    np.testing.assert_allclose(table[unsolved, :3], 4 * math.pi, atol=1e-4)
    assert (table[unsolved, 6] == -1).all()
    assert (table[~unsolved, 6] >= 0.3).all()
    assert scan.phases == (ebsd.Phase("NMC811", "D3x"),)


def test_rows_and_columns_of_a_scan_are_y_and_x(tmp_path):
    labels = np.zeros((5, 8), np.int32)
    labels[1:4, 2:7] = 1
    labels[2, 5] = -1
    write_scan(tmp_path / "a.ang", Section("a", labels, 40.0, (2.0, 4.0)))
    found = read_section(tmp_path / "a.ang")
    np.testing.assert_array_equal(found.labels, labels)
    assert found.pixel_size_nm == pytest.approx(40.0)
    assert found.centre_px == (2.0, 4.0)


def rotations(scan):
    """Return the orientations by scipy's Euler angles; identity where there is none."""
    return Rotation.from_euler("ZXZ", np.where(scan.indexed[..., None], scan.euler, 0.0).reshape(-1, 3))


def test_noise_of_orientations_has_the_size_that_is_said(section, scan):
    # Of disjoint pairs in one grain: the difference of two turns has a mean square angle of 2 x 3 x noise^2, and the
    # square of the angle, over 2 noise^2, follows chi^2 of 3 degrees of freedom with variance 6.
    every = np.arange(scan.euler.shape[0] * scan.euler.shape[1]).reshape(scan.shape)
    first, second = every[:, :-1:2], every[:, 1::2]
    same = (section.labels.ravel()[first] == section.labels.ravel()[second]) & (section.labels.ravel()[first] > 0)
    turns = rotations(scan)
    angles = np.degrees((turns[first[same]].inv() * turns[second[same]]).magnitude())
    n = len(angles)
    assert n > 3000
    assert (angles**2).mean() / (2 * 0.5**2) == pytest.approx(3.0, abs=4 * math.sqrt(6 / n))


def test_without_noise_a_grain_has_one_orientation_and_neighbours_are_far_apart(section, tmp_path):
    write_scan(tmp_path / "a.ang", section, orientation_noise_deg=0.0)
    scan = ebsd.read(tmp_path / "a.ang")
    quaternions = scan.quaternions()
    pairs = {
        (section.labels[i, j], section.labels[k, m]): (quaternions[i, j], quaternions[k, m])
        for dy, dx in ((0, 1), (1, 0))
        for i, j in np.ndindex(section.labels.shape[0] - dy, section.labels.shape[1] - dx)
        for k, m in [(i + dy, j + dx)]
        if min(section.labels[i, j], section.labels[k, m]) > 0
    }
    same = np.array([a == b for a, b in pairs])
    first, second = (np.array(side) for side in zip(*pairs.values(), strict=True))
    angles = ebsd.misorientations(first, second, "D3x")
    assert angles[same].max() < 0.01
    assert angles[~same].min() > 14.99


def test_crystals_have_no_preferred_orientation(sections, tmp_path):
    # Of uniform rotations Z(phi1) X(Phi) Z(phi2), cos(Phi) is uniform on [-1, 1] and the other angles on a circle.
    one = sections["isotropic"][0]
    write_scan(tmp_path / "a.ang", one, orientation_noise_deg=0.0, seed=4)
    euler = ebsd.read(tmp_path / "a.ang").euler.reshape(-1, 3)
    euler = euler[[np.flatnonzero(one.labels == grain)[0] for grain in range(1, one.labels.max() + 1)]]
    n = len(euler)
    assert abs(np.cos(euler[:, 1]).mean()) < 4 / math.sqrt(3 * n)
    for angle in (euler[:, 0], euler[:, 2]):
        assert abs(np.exp(1j * angle).mean()) < 4 / math.sqrt(n)


def test_the_choice_of_axes_in_the_crystal_does_not_matter_for_misorientations():
    rng = np.random.default_rng(8)
    first, second = Rotation.random(200, rng=rng), Rotation.random(200, rng=rng)
    turn = Rotation.from_euler("z", 30, degrees=True)
    by_a = ebsd.misorientations(first.as_quat(scalar_first=True), second.as_quat(scalar_first=True), "D3x")
    turned = ((q * turn.inv()).as_quat(scalar_first=True) for q in (first, second))
    np.testing.assert_allclose(by_a, ebsd.misorientations(*turned, "D3y"), atol=1e-6)


def test_scans_are_the_same_bytes_for_the_same_seed(section, scan_path, tmp_path):
    write_scan(tmp_path / "same.ang", section, seed=2)
    write_scan(tmp_path / "other.ang", section, seed=3)
    assert (tmp_path / "same.ang").read_bytes() == scan_path.read_bytes()
    assert (tmp_path / "other.ang").read_bytes() != scan_path.read_bytes()


@pytest.mark.parametrize(
    "options", [{"orientation_noise_deg": -1.0}, {"orientation_noise_deg": math.nan}, {"seed": -1}]
)
def test_impossible_scans_are_refused(section, tmp_path, options):
    with pytest.raises(InputError, match=next(iter(options))):
        write_scan(tmp_path / "a.ang", section, **options)
    assert not list(tmp_path.iterdir())
