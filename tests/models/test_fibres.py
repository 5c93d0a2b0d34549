"""Fibres, refereed by Miles' formulas, laws of directions, and the distance of every voxel to every segment."""

import tracemalloc

import numpy as np
import pytest
from scipy.integrate import quad

from nmcdist.bundle import Bundle, FibreParameters, load_bundle, save_bundle
from nmcdist.descriptors import intrinsic_volumes
from nmcdist.errors import BundleError, InputError
from nmcdist.models import fibres
from nmcdist.models.body_theory import fibre_densities, fibres_for, sphere_densities, spheres_for
from nmcdist.models.capsules import paint_capsules

SPACING, SIDE, WINDOWS, STEP = 125.0, 16_000.0, 4, 2.0  # nm
BENT = FibreParameters(
    radius_mean_nm=80.0, radius_spread=0.2, intensity_per_nm3=6e-9, length_nm=3000.0, persistence_length_nm=1500.0,
    anisotropy=2.0, sheath_nm=30.0, profile_knots_nm=(0.0, 1500.0, 4000.0), profile_factors=(1.0, 0.3, 0.8),
)  # fmt: skip


def bundle_of(parameters):
    return Bundle.of("test", "Test", parameters, licence="CC0-1.0")


def covered(parameters, index, more_nm=(0.0,), side=SIDE):
    """Mask of the voxels in fibres that are thicker by each length, at a wide spacing, which samples much space."""
    n = int(side / SPACING)
    low = np.full(3, SPACING / 2)
    found = fibres.segments(parameters, low, low + (n - 1) * SPACING, 21, index)
    for more in more_nm:
        mask = np.zeros((n, n, n), np.uint8)
        paint_capsules(mask, found.start_nm, found.end_nm, found.radius_nm + more, 1, SPACING, (0, 0, 0))
        yield mask


def check(values, expected, within=0.01):
    """Compare a mean with theory: within four standard errors, and within one percent."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert np.mean(values) == pytest.approx(expected, abs=4 * error)
    assert np.mean(values) == pytest.approx(expected, rel=within)


@pytest.mark.parametrize(
    "more",
    [
        {"length_nm": 2000.0},
        {"length_nm": 1500.0, "radius_spread": 0.3, "anisotropy": 3.0},
        {"length_nm": 3000.0, "persistence_length_nm": 2400.0},
    ],
)
def test_volume_and_surface_agree_with_theory(more):
    """The surface is the growth of the volume with the radius: 4 windows of 16 um, 2 million points each."""
    parameters = fibres_for(0.37, 7.2e-3, **more)
    shares = np.array([[m.mean() for m in covered(parameters, i, (-STEP, 0.0, STEP))] for i in range(WINDOWS)])
    expected = fibre_densities(parameters)
    check(shares[:, 1], expected.volume_fraction)
    check((shares[:, 2] - shares[:, 0]) / (2 * STEP), expected.surface_area)


def test_volume_and_surface_of_voxels_agree_with_theory():
    """Radii of 5 and 10 voxels, 24 windows of 1.6 um; the surface is extrapolated to voxels of no size.

    Crofton's formula on voxels misses short chords, at the edges where fibres meet: a share that falls with the voxel.
    """
    parameters = fibres_for(0.25, 5e-3, length_nm=500.0)
    bundle, voxel = bundle_of(parameters), parameters.radius_mean_nm / 5
    found = []
    for index in range(24):
        coarse = fibres.generate_fibres(bundle, (100,) * 3, voxel, 22, index) == 1
        fine = fibres.generate_fibres(bundle, (200,) * 3, voxel / 2, 22, index) == 1
        surfaces = [intrinsic_volumes(m, h).surface_area for m, h in ((coarse, voxel), (fine, voxel / 2))]
        found.append((fine.mean(), 2 * surfaces[1] - surfaces[0]))
    volume, surface = np.array(found).T
    expected = fibre_densities(parameters)
    check(volume, expected.volume_fraction, 0.02)
    check(surface, expected.surface_area, 0.02)


def test_sheath_fills_what_thicker_fibres_add():
    parameters = fibres_for(0.25, 6e-3, length_nm=1500.0).model_copy(update={"sheath_nm": 40.0})
    shape = (int(SIDE / SPACING),) * 3
    drawn = [fibres.generate_fibres(bundle_of(parameters), shape, SPACING, 23, i) for i in range(WINDOWS)]
    check([(labels == fibres.FIBRE).mean() for labels in drawn], fibre_densities(parameters).volume_fraction)
    check(
        [(labels != fibres.PORE).mean() for labels in drawn], fibre_densities(parameters, sheath=True).volume_fraction
    )


def test_profile_thins_fibres_along_z():
    """Fibres in the plane across z: a section at height h is a stadium, so V(z) is known."""
    radius, length = 300.0, 1500.0
    parameters = FibreParameters(
        radius_mean_nm=radius, intensity_per_nm3=1.2e-9, length_nm=length, anisotropy=1e6,
        profile_knots_nm=(4000.0, 6000.0), profile_factors=(1.0, 0.2),
    )  # fmt: skip
    masks = [next(covered(parameters, i, side=12_000.0)) for i in range(8)]
    for z in (1000.0, 4000.0, 4875.0, 5000.0, 9000.0):

        def section(h, z=z):
            factor = np.interp(z + h, (4000.0, 6000.0), (1.0, 0.2))
            return factor * (2 * np.sqrt(radius**2 - h**2) * length + np.pi * (radius**2 - h**2))

        at = (int(z / SPACING) + 0.5) * SPACING
        expected = 1 - np.exp(-1.2e-9 * quad(lambda h, z=at: section(h, z), -radius, radius)[0])
        shares = [mask[int(z / SPACING)].mean() for mask in masks]
        assert np.mean(shares) == pytest.approx(expected, abs=4 * np.std(shares, ddof=1) / np.sqrt(len(shares)))


def test_directions_follow_their_law():
    """The density of the cosine with z is proportional to (1 + (beta^2 - 1) t^2)^(-3/2): Schladitz et al. (2006)."""
    for beta in (1.0, 3.0):
        parameters = FibreParameters(
            radius_mean_nm=50.0, intensity_per_nm3=3e-9, length_nm=400.0, anisotropy=beta
        )  # fmt: skip
        found = fibres.segments(parameters, np.zeros(3), np.full(3, 15_000.0), 24, 0)
        t = (found.end_nm - found.start_nm)[:, 0] / 400.0

        def density(t, beta=beta):
            return (1 + (beta**2 - 1) * t**2) ** -1.5

        for power in (2, 4):
            expected = quad(lambda t, p=power: t**p * density(t), 0, 1)[0] / quad(density, 0, 1)[0]
            assert (t**power).mean() == pytest.approx(expected, abs=4 * np.std(t**power) / np.sqrt(len(t)))


def test_a_curved_fibre_forgets_its_direction_exponentially():
    parameters = FibreParameters(
        radius_mean_nm=40.0, intensity_per_nm3=1e-9, length_nm=2000.0, persistence_length_nm=500.0
    )
    found = fibres.segments(parameters, np.zeros(3), np.full(3, 15_000.0), 25, 0)
    step = 2000.0 / 32
    along = (found.end_nm - found.start_nm) / step
    joined = (found.end_nm[:-1] == found.start_nm[1:]).all(axis=1)
    assert np.linalg.norm(along, axis=1) == pytest.approx(1.0)
    assert (along[:-1] * along[1:]).sum(axis=1)[joined] == pytest.approx(np.exp(-step / 500.0))
    whole = np.array([joined[k : k + 16].all() for k in range(len(joined) - 16)])
    cosines = (along[:-17] * along[16:-1]).sum(axis=1)[whole][::16]
    assert len(cosines) > 1000
    assert cosines.mean() == pytest.approx(np.exp(-16 * step / 500.0), abs=4 * cosines.std() / np.sqrt(len(cosines)))


def test_painted_voxels_are_those_near_a_segment():
    random = np.random.default_rng(5)
    start, end = random.uniform(-600, 900, (60, 3)), random.uniform(-600, 900, (60, 3))
    end[:3] = start[:3]  # balls
    end[3:6, 1:] = start[3:6, 1:]  # along z
    end[6:9, [0, 2]] = start[6:9, [0, 2]]  # along y
    end[9:12, :2] = start[9:12, :2]  # along x
    end[12:15, 0] = start[12:15, 0]  # across z
    radius = random.uniform(5, 60, 60)
    shape, voxel, origin = (31, 27, 35), 23.0, (-11, 4, -3)
    mask = np.zeros(shape, np.uint8)
    paint_capsules(mask, start, end, radius, 7, voxel, origin)
    axes = [(np.arange(o, o + n) + 0.5) * voxel for o, n in zip(origin, shape, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    expected = np.zeros(shape, bool)
    for a, b, r in zip(start, end, radius, strict=True):
        way = b - a
        t = np.clip((points - a) @ way / max(way @ way, 1e-300), 0, 1)
        expected |= np.linalg.norm(points - a - t[..., None] * way, axis=-1) <= r
    assert 0.05 < expected.mean() < 0.9
    assert np.array_equal(mask == 7, expected)


def test_windows_of_one_realisation_agree():
    bundle = bundle_of(BENT)
    whole = fibres.generate_fibres(bundle, (70, 60, 50), 30.0, 26, 3, (-20, 5, 40))
    assert set(np.unique(whole)) == {0, 1, 2}
    part = fibres.generate_fibres(bundle, (20, 30, 11), 30.0, 26, 3, (10, 20, 60))
    assert np.array_equal(part, whole[30:50, 15:45, 20:31])
    # The centre of each third voxel of 30 nm is that of a voxel of 90 nm.
    coarse = fibres.generate_fibres(bundle, (5, 5, 5), 90.0, 26, 3, (0, 2, 14))
    assert np.array_equal(coarse, whole[21:36:3, 2:17:3, 3:18:3])
    assert not np.array_equal(fibres.generate_fibres(bundle, (20, 30, 11), 30.0, 26, 4, (10, 20, 60)), part)


def test_a_saved_bundle_draws_the_same(tmp_path):
    bundle = bundle_of(BENT)
    read = load_bundle(save_bundle(bundle, tmp_path / "bent"))
    assert read.parameters == BENT
    drawn = [fibres.generate_fibres(b, (20, 20, 20), 40.0, 28) for b in (bundle, tmp_path / "bent")]
    assert np.array_equal(*drawn)


def test_parameters_for_a_fraction_and_a_surface():
    for more in ({"length_nm": 300.0}, {"length_nm": 5000.0, "radius_spread": 0.4, "sheath_nm": 10.0}):
        densities = fibre_densities(fibres_for(0.4, 5e-3, **more))
        assert (densities.volume_fraction, densities.surface_area) == pytest.approx((0.4, 5e-3))
    assert fibres_for(0.4, 5e-3, 1e9).radius_mean_nm == pytest.approx(2 * 0.6 * -np.log(0.6) / 5e-3, rel=1e-6)


def test_short_fibres_are_balls():
    balls = spheres_for(0.3, 6e-3, 0.2)
    short = FibreParameters(**balls.model_dump(), length_nm=1e-6)
    assert list(vars(fibre_densities(short)).values()) == pytest.approx(list(vars(sphere_densities(balls)).values()))
    turned = fibre_densities(short.model_copy(update={"anisotropy": 2.0}))
    assert np.isnan([turned.mean_curvature, turned.euler_number]).all()


@pytest.mark.parametrize("parameters", [BENT, fibres_for(0.37, 7.2e-3, length_nm=20_000.0)])
def test_memory_is_as_planned(parameters):
    bundle = bundle_of(parameters)
    fibres.generate_fibres(bundle, (4, 4, 4), 40.0, 27)
    tracemalloc.start()
    fibres.generate_fibres(bundle, (50, 50, 50), 40.0, 27)
    peak = tracemalloc.get_traced_memory()[1] - 50**3
    tracemalloc.stop()
    planned = fibres.draw_bytes(parameters, (50, 50, 50), 40.0)
    assert peak < planned < 20 * peak + 2**20


def test_bad_values_are_refused():
    with pytest.raises(BundleError, match="found model 'cba', expected 'fibres'"):
        fibres.generate_fibres("cba-cathode-2025", (4, 4, 4), 20.0, 1)
    with pytest.raises(InputError, match=r"volume_fraction: found 1\.2, expected one number from"):
        fibres_for(1.2, 1e-3, 1000.0)
    with pytest.raises(InputError, match=r"persistence_length_nm: found 500, expected at least 10 radii .*, 819\.31$"):
        fibres_for(0.37, 7.2e-3, 4000.0, persistence_length_nm=500.0)
    bundle = bundle_of(BENT)
    for changes, match in (
        (
            {"profile_factors": (1.0, 0.5)},
            "profile_factors: found 2 numbers, expected one per knot, of which there are 3",
        ),
        ({"profile_knots_nm": (0.0, 2.0, 1.0)}, "profile_knots_nm: found .*, expected ascending positions"),
        ({"length_nm": 1e6}, "length_nm: found 1e.06, expected at most 100 persistence lengths, 150000"),
        ({"radius_spread": 1e-9}, "expected 0, or a number from 1e-4 to 1"),
    ):
        with pytest.raises(BundleError, match=match):
            bundle.with_parameters(**changes)
