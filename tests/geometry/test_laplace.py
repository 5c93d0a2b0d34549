"""Which cells carry current, and how they are laid out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nmcdist.geometry import laplace

HALF_RESISTANCES = np.array([np.inf, 0.5, 50.0], np.float32)


def undone(resistance, shape):
    """Back from the two colours to one array, margin left out."""
    z, y, x = np.indices(shape)
    return resistance[(z + y + x) % 2, z + 1, y + 1, x // 2 + 1]


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.floats(0.2, 0.95), st.integers(0, 2**32 - 1))
def test_cells_kept_are_those_that_a_labelling_joins_to_both_ends(shape, density, seed):
    random = np.random.default_rng(seed)
    codes = np.where(random.random(shape) < density, random.integers(1, 3, shape), 0).astype(np.uint8)
    cluster, _ = ndimage.label(codes)
    carries = np.isin(cluster, np.setdiff1d(np.intersect1d(cluster[0], cluster[-1]), [0]))
    resistance = laplace.percolating_resistances(codes, HALF_RESISTANCES)
    if resistance is None:
        assert not carries.any()
    else:
        assert np.array_equal(undone(resistance, shape), np.where(carries, HALF_RESISTANCES[codes], np.inf))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (6, 5, 4)])
def test_margin_holds_electrodes_and_walls(shape):
    resistance = laplace.percolating_resistances(np.ones(shape, np.uint8), HALF_RESISTANCES)
    nz, ny, nx = shape
    assert resistance.shape == (2, nz + 2, ny + 2, (nx + 1) // 2 + 2)
    assert (resistance == 0.5).sum() == nz * ny * nx
    electrodes = resistance == 0.0
    assert electrodes[:, 0].sum() == electrodes[:, -1].sum() == ny * nx
    assert electrodes.sum() == 2 * ny * nx
    assert np.isinf(resistance).sum() == resistance.size - nz * ny * nx - 2 * ny * nx


def test_no_path_is_no_solution():
    codes = np.ones((5, 4, 4), np.uint8)
    codes[2] = 0
    assert laplace.solve(codes, HALF_RESISTANCES, 1e-3, 10) is None


def test_fluxes_run_through_every_plane_and_both_electrodes():
    codes = np.random.default_rng(0).integers(1, 3, (12, 9, 7)).astype(np.uint8)
    solution = laplace.solve(codes, HALF_RESISTANCES, 1e-6, 100)
    assert solution.converged
    assert solution.fluxes.shape == (13,)
    # Power over squared drop and mean flux over drop are both the conductance; they differ by the solver's error.
    assert solution.fluxes == pytest.approx(solution.conductance, rel=2e-6)
