"""What `describe_cba` gathers, against the function of each family, on a volume that differs along its axes."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nmcdist import describe_cba, descriptors
from nmcdist.descriptors.cba_quantities import quantities

VOXEL_NM, MAX_LAG_NM, MAX_RADIUS_NM = 40.0, 320.0, 160.0
AXES = {"z": 0, "y": 1, "x": 2}
CONDUCTIVITIES = {"pore": {0: 1.0}, "solid": {2: 1.0, 1: 0.01}}


@pytest.fixture(scope="module")
def volume():
    """Labels whose structure is long in x and short in z, with a wall of graphite across z that has one hole."""
    field = gaussian_filter(np.random.default_rng(3).normal(size=(30, 34, 38)), (1.2, 2.0, 4.0))
    labels = np.digitize(field, np.quantile(field, [0.5, 0.75])).astype(np.uint8)
    labels[14][labels[14] == 0] = 2
    labels[14, 3:9, 3:9] = 0
    return labels


@pytest.fixture(scope="module")
def described(volume):
    return describe_cba(volume, VOXEL_NM, max_lag_nm=MAX_LAG_NM, max_radius_nm=MAX_RADIUS_NM)


def mask_of(volume, phase):
    return {"pore": volume == 0, "carbon_binder": volume == 1, "graphite": volume == 2, "solid": volume > 0}[phase]


def densities(mask):
    return descriptors.intrinsic_volumes(mask, VOXEL_NM)


def solved(volume, conduction, axis):
    return descriptors.solve_conduction(volume, CONDUCTIVITIES[conduction], axis=AXES[axis])


def tortuosity(mask, axis):
    return descriptors.geodesic_tortuosity(mask, axis=AXES[axis])


def sizes(mask):
    radii = np.arange(0.0, MAX_RADIUS_NM + 1, VOXEL_NM)
    return descriptors.pore_size_distribution(mask, VOXEL_NM, radii_nm=radii)


OF_PHASE = {
    "volume_fraction": descriptors.volume_fraction,
    **{
        name: lambda mask, name=name: getattr(densities(mask), name)
        for name in ("surface_area", "mean_curvature_6", "mean_curvature_26", "euler_number_6", "euler_number_26")
    },
    "two_point_coverage": lambda mask: descriptors.two_point_coverage(mask, VOXEL_NM, MAX_LAG_NM).coverage,
    "pore_size_distribution": lambda mask: sizes(mask).fraction,
    "r_max_nm": lambda mask: sizes(mask).r_max_nm,
    "constrictivity_mean": lambda mask: np.mean([descriptors.constrictivity(mask, VOXEL_NM, a) for a in range(3)]),
    "geodesic_tortuosity_mean": lambda mask: np.nanmean([tortuosity(mask, a) for a in AXES]),
}
OF_PHASE_AND_AXIS = {
    "r_min_nm": lambda mask, axis: descriptors.bottleneck_radius(mask, VOXEL_NM, AXES[axis]),
    "constrictivity": lambda mask, axis: descriptors.constrictivity(mask, VOXEL_NM, axis=AXES[axis]),
    "geodesic_tortuosity": tortuosity,
    "percolates": lambda mask, axis: descriptors.percolates(mask, AXES[axis]),
}
OF_CONDUCTION = {"m_factor_mean": lambda v, problem: np.mean([solved(v, problem, a).m_factor for a in AXES])}
OF_CONDUCTION_AND_AXIS = {
    "effective_conductivity": lambda *which: solved(*which).effective_conductivity,
    "tau_eff": lambda *which: solved(*which).effective_tortuosity,
    "m_factor": lambda *which: solved(*which).m_factor,
    "flux_spread": lambda *which: solved(*which).flux_spread,
    "conducts": lambda *which: solved(*which).percolates,
}


def test_every_variable_is_compared():
    compared = [*OF_PHASE, *OF_PHASE_AND_AXIS, *OF_CONDUCTION, *OF_CONDUCTION_AND_AXIS]
    assert sorted(compared) == sorted(quantities())


@pytest.mark.parametrize("name", OF_PHASE)
def test_variable_of_a_phase(volume, described, name):
    for phase in described.phase.values:
        expected = OF_PHASE[name](mask_of(volume, phase))
        np.testing.assert_allclose(described[name].sel(phase=phase), expected, rtol=1e-12, err_msg=phase)


@pytest.mark.parametrize("name", OF_PHASE_AND_AXIS)
def test_variable_of_a_phase_along_an_axis(volume, described, name):
    for phase in described.phase.values:
        found = described[name].sel(phase=phase)
        expected = [OF_PHASE_AND_AXIS[name](mask_of(volume, phase), axis) for axis in AXES]
        np.testing.assert_allclose([float(found.sel(axis=axis)) for axis in AXES], expected, rtol=1e-12, err_msg=phase)


@pytest.mark.parametrize("name", OF_CONDUCTION)
def test_variable_of_a_conduction_problem(volume, described, name):
    for problem in CONDUCTIVITIES:
        assert float(described[name].sel(conduction=problem)) == pytest.approx(OF_CONDUCTION[name](volume, problem))


@pytest.mark.parametrize("name", OF_CONDUCTION_AND_AXIS)
def test_variable_of_a_conduction_problem_along_an_axis(volume, described, name):
    for problem in CONDUCTIVITIES:
        found = [float(described[name].sel(conduction=problem, axis=axis)) for axis in AXES]
        expected = [OF_CONDUCTION_AND_AXIS[name](volume, problem, axis) for axis in AXES]
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=problem)


@pytest.mark.parametrize("name", ["r_min_nm", "constrictivity", "geodesic_tortuosity", "effective_conductivity",
                                  "m_factor", "tau_eff", "flux_spread"])  # fmt: skip
def test_swapped_axes_would_be_seen(described, name):
    """Otherwise the comparisons above would say nothing of the order of the axes."""
    z, y, x = described[name].transpose("axis", ...).values
    for one, other in ((z, y), (y, x), (z, x)):
        assert not np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("name", ["percolates", "conducts"])
def test_flags_differ_between_axes(described, name):
    z, _, x = described[name].transpose("axis", ...).values
    assert not np.array_equal(z, x)
