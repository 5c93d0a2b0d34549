"""Permeability against closed forms, published sphere packs, and a direct solution of the same equations."""

import math

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from nmcdist.descriptors import permeability, refine_permeability, solve_permeability
from nmcdist.errors import InputError
from nmcdist.threads import set_thread_count, thread_count


def slit(gap: int, wall: int = 2) -> np.ndarray:
    phase = np.zeros((7, gap + 2 * wall, 5), bool)
    phase[:, wall : wall + gap] = True
    return phase


def spheres(edge: int, fraction: float, centres: list[tuple[float, float, float]]) -> tuple[np.ndarray, float]:
    """Return what is outside of periodic spheres in a unit cube, and their radius."""
    radius = (3 * fraction / (4 * math.pi * len(centres))) ** (1 / 3)
    at, outside = (np.arange(edge) + 0.5) / edge, np.ones((edge,) * 3, bool)
    for centre in centres:
        z, y, x = ((at - c + 0.5) % 1 - 0.5 for c in centre)
        outside &= z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 > radius**2
    return outside, radius


@pytest.mark.parametrize("boundary", ["open", "periodic", "walls"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("gap", [1, 2, 5])
def test_slits_are_exact(boundary, axis, gap):
    """h^2 / 12 times the porosity; of a slit with walls at its ends too, only the order is known."""
    phase = np.moveaxis(slit(gap), 0, axis)
    found = solve_permeability(phase, 10.0, axis, boundary, flux_spread=1e-5)
    expected = (10.0 * gap) ** 2 / 12 * phase.mean()
    if boundary == "walls":
        assert 0 < found.permeability_nm2 < expected
    else:
        assert found.permeability_nm2 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("edges", [(10.0, 10.0, 20.0), (20.0, 5.0, 10.0), (8.0, 30.0, 10.0)])
def test_slits_of_voxels_that_are_no_cubes_are_exact(edges):
    for axis, across in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        phase = np.zeros((6, 6, 6), bool)
        phase[tuple(slice(1, 4) if k == across else slice(None) for k in range(3))] = True
        found = solve_permeability(phase, edges, axis, "periodic", flux_spread=1e-6).permeability_nm2
        assert found == pytest.approx((3 * edges[across]) ** 2 / 12 * 0.5, rel=1e-5)


@pytest.mark.parametrize(("across", "bound"), [(8, 0.02), (16, 0.005)])
def test_square_pipes_meet_their_series(across, bound):
    phase = np.zeros((6, across + 4, across + 4), bool)
    phase[:, 2:-2, 2:-2] = True
    odd = np.arange(1, 101, 2)
    shape = 1 - 192 / math.pi**5 * (np.tanh(odd * math.pi / 2) / odd**5).sum()
    assert permeability(phase, 1.0) == pytest.approx(across**2 / 12 * shape * phase[0].mean(), rel=bound)


def test_a_circular_pipe_meets_poiseuille():
    at = np.arange(36) - 17.5
    phase = np.repeat((at[:, None] ** 2 + at**2 < 16**2)[None], 6, axis=0)
    assert permeability(phase, 1.0) == pytest.approx(math.pi * 16**4 / 8 / 36**2, rel=0.01)


# Drag of a sphere in an array over that of a single one: Zick and Homsy, J. Fluid Mech. 115 (1982) 13, Table 2.
SIMPLE_CUBIC = {0.125: 4.292, 0.216: 7.442, 0.343: 15.4}


@pytest.mark.parametrize("fraction", SIMPLE_CUBIC)
def test_simple_cubic_spheres_have_the_published_drag(fraction):
    phase, radius = spheres(64, fraction, [(0.0, 0.0, 0.0)])
    found = solve_permeability(phase, 1 / 64, 1, "periodic")
    assert found.permeability_nm2 == pytest.approx(1 / (6 * math.pi * radius * SIMPLE_CUBIC[fraction]), rel=0.02)
    assert found.flux_spread <= 1e-3 and found.converged


# Series of Sangani and Acrivos, Int. J. Multiphase Flow 8 (1982) 343, for body-centred cubic arrays.
BODY_CENTRED = (
    1.0, 1.575834, 2.483254, 3.233022, 4.022864, 4.650320, 5.281412, 5.826374, 6.258376, 6.544504, 6.878396, 7.190839,
    7.268068, 7.304025, 7.301217, 7.236410, 7.298014, 7.369849, 7.109497, 6.228418, 5.235796, 4.476874, 3.541982,
    2.939353, 3.935484, 5.179097, 3.959872, 2.227627, 3.393390, 4.491369, 2.200686,
)  # fmt: skip


@pytest.mark.parametrize(
    ("edge", "bound"), [(64, 0.02), pytest.param(128, 0.01, marks=pytest.mark.slow)], ids=["64", "128"]
)
def test_body_centred_cubic_spheres_have_the_published_drag(edge, bound):
    for fraction in (0.125, 0.343):
        phase, radius = spheres(edge, fraction, [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5)])
        reach = (fraction / (math.pi * math.sqrt(3) / 8)) ** (1 / 3)
        drag = sum(q * reach**n for n, q in enumerate(BODY_CENTRED))
        found = permeability(phase, 1 / edge, 0, "periodic")
        assert found == pytest.approx(1 / (2 * 6 * math.pi * radius * drag), rel=bound)


@pytest.mark.slow
@pytest.mark.parametrize("fraction", SIMPLE_CUBIC)
def test_simple_cubic_spheres_on_fine_voxels(fraction):
    phase, radius = spheres(128, fraction, [(0.0, 0.0, 0.0)])
    expected = 1 / (6 * math.pi * radius * SIMPLE_CUBIC[fraction])
    assert permeability(phase, 1 / 128, 0, "periodic") == pytest.approx(expected, rel=0.01)


def direct(phase: np.ndarray, edges: tuple[float, float, float], boundary: str) -> float:
    """Return the permeability along z from the equations written out one by one, and solved directly.

    Unknowns are kept in dictionaries of faces and cells; nothing is shared with the solver under test.
    """
    shape, periodic = phase.shape, boundary == "periodic"

    def cell(at):
        if periodic:
            return "fluid" if phase[tuple(a % n for a, n in zip(at, shape, strict=True))] else "solid"
        if any(not 0 <= at[d] < shape[d] for d in (1, 2)):
            return "mirror" if boundary == "open" else "solid"
        return "reservoir" if not 0 <= at[0] < shape[0] else "fluid" if phase[at] else "solid"

    def moved(at, d, by):
        return tuple(a + by * (k == d) for k, a in enumerate(at))

    def home(at):
        return tuple(a % n for a, n in zip(at, shape, strict=True)) if periodic else at

    def flows(d, at):
        kinds = {cell(moved(at, d, -1)), cell(at)}
        return "fluid" in kinds and kinds <= {"fluid", "reservoir"}

    faces = [(d, at) for d in range(3) for at in np.ndindex(*(n + (not periodic and k == d) for k, n in
             enumerate(shape))) if flows(d, at)]  # fmt: skip
    cells = [at for at in np.ndindex(*shape) if phase[at]]
    number = {key: n for n, key in enumerate([*faces, *cells])}
    rows, columns, values, right = [], [], [], np.zeros(len(number))

    def put(row, column, value):
        rows.append(row), columns.append(column), values.append(value)

    for row, (d, at) in enumerate(faces):
        low, high = moved(at, d, -1), at
        share = 0.5 if "reservoir" in (cell(low), cell(high)) else 1.0
        right[row] = share * (d == 0)
        for e in range(3):
            for by in (-1, 1):
                other = home(moved(at, e, by))
                link = (1.0 if e == d else share) / edges[e] ** 2
                if e == d and cell(low if by < 0 else high) == "reservoir":
                    continue
                if flows(d, moved(at, e, by)):
                    put(row, number[d, other], -link)
                elif e != d:
                    kinds = [cell(moved(side, e, by)) for side in (low, high) if cell(side) != "reservoir"]
                    if "fluid" not in kinds:
                        count, back = 1, moved(at, e, -by)
                        while flows(d, back) and count < shape[e]:
                            count, back = count + 1, moved(back, e, -by)
                        link *= {"solid": 6 * count / (3 * count - 2), "reservoir": 2.0, "mirror": 0.0}[kinds[0]]
                put(row, row, link)
        for side, sign in ((low, -1), (high, 1)):
            if cell(side) == "fluid":
                put(row, number[home(side)], sign / edges[d])
                put(number[home(side)], row, sign / edges[d])
    if periodic:  # pressures are known up to a constant
        put(len(number) - 1, len(number) - 1, 1.0)
    solution = spsolve(coo_matrix((values, (rows, columns))).tocsc(), right)
    plane = [n for n, (d, at) in enumerate(faces) if d == 0 and at[0] == 1]
    return float(solution[plane].sum() / (shape[1] * shape[2]))


@pytest.mark.parametrize("boundary", ["open", "periodic", "walls"])
@pytest.mark.parametrize("edges", [(1.0, 1.0, 1.0), (1.0, 0.5, 2.0)])
def test_a_random_medium_equals_a_direct_solution(boundary, edges):
    """Blocks of 2 x 2 x 2 voxels, a third of them solid, so that corners of all kinds occur; odd sizes."""
    random = np.random.default_rng(11)
    blocks = random.random((5, 4, 4)) < 0.67
    phase = np.repeat(np.repeat(np.repeat(blocks, 2, 0), 2, 1), 2, 2)[:9, :7, :8]
    from nmcdist.geometry.percolation import flowing

    flow = flowing(phase, boundary == "periodic")
    assert flow is not None
    found = solve_permeability(phase, edges, 0, boundary, flux_spread=1e-6)
    assert found.permeability_nm2 == pytest.approx(direct(flow, edges, boundary), rel=1e-5)


def test_threads_do_not_change_a_bit():
    phase, _ = spheres(48, 0.3, [(0.2, 0.4, 0.1)])
    before = thread_count()
    try:
        set_thread_count(1)
        one = permeability(phase, 1.0)
        set_thread_count(2)
        assert permeability(phase, 1.0) == one
    finally:
        set_thread_count(before)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_a_solver_that_is_stopped_says_so(iterations):
    """And gives what it has: an iteration of MINRES brings half of the flow or more."""
    phase, _ = spheres(16, 0.3, [(0.0, 0.0, 0.0)])
    found = solve_permeability(phase, 1.0, 0, "periodic", max_iterations=iterations, flux_spread=1e-7)
    assert (found.converged, found.iterations) == (False, iterations)
    assert 0.5 < found.permeability_nm2 / permeability(phase, 1.0, 0, "periodic") < 1.5


class TestPercolation:
    def test_closed_pores_give_zero(self):
        phase = np.ones((6, 6, 6), bool)
        phase[3] = False
        assert permeability(phase, 1.0) == 0 and permeability(phase, 1.0, 1) > 0

    def test_fluid_that_rubs_on_nothing_has_no_bound(self):
        fluid = np.ones((6, 5, 7), np.bool_)
        assert [permeability(fluid, 10.0, 0, boundary) for boundary in ("open", "periodic")] == [math.inf, math.inf]
        assert permeability(fluid, 10.0, 0, "walls") > 0

    def test_in_a_periodic_volume_a_channel_must_meet_itself(self):
        """A straight channel does; two that end beside each other at the faces do not; a tilted one does, sideways."""
        phase = np.zeros((4, 4, 4), bool)
        phase[:, 1, 1] = True
        assert permeability(phase, 1.0, 0, "periodic") > 0
        broken = np.zeros((4, 4, 4), bool)
        broken[:2, 1, 1] = broken[2:, 3, 3] = True
        assert permeability(broken, 1.0, 0, "periodic") == 0
        tilted = np.zeros((4, 4, 4), bool)
        for z in range(4):
            tilted[z, z, 1] = tilted[z, (z + 1) % 4, 1] = True
        assert permeability(tilted, 1.0, 0, "periodic") > 0


class TestRefinement:
    def test_the_limit_of_a_square_pipe_is_its_series(self):
        """Errors fall nearly with the square of the edge, so that three refinements of 4 voxels give 0.1 %."""
        phase = np.zeros((2, 6, 6), bool)
        phase[:, 1:-1, 1:-1] = True
        found = refine_permeability(phase, 1.0)
        odd = np.arange(1, 101, 2)
        shape = 1 - 192 / math.pi**5 * (np.tanh(odd * math.pi / 2) / odd**5).sum()
        assert found.permeability_nm2 == pytest.approx(16 / 12 * shape * phase[0].mean(), rel=1e-3)
        assert found.order == pytest.approx(2, abs=0.25)
        assert 0 < found.error_nm2 < 0.01 * found.permeability_nm2

    def test_what_is_exact_at_once_has_no_error(self):
        found = refine_permeability(slit(3), 1.0)
        assert found.error_nm2 < 1e-5 * found.permeability_nm2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"phase": np.zeros((3, 3, 3))}, "phase"),
        ({"voxel_size_nm": 0.0}, "voxel_size_nm"),
        ({"voxel_size_nm": (1.0, 2.0)}, "voxel_size_nm"),
        ({"axis": 3}, "axis"),
        ({"boundary": "closed"}, "boundary"),
        ({"refinement": 0}, "refinement"),
        ({"flux_spread": -1.0}, "flux_spread"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(InputError, match=named):
        solve_permeability(**{"phase": np.ones((3, 3, 3), bool), "voxel_size_nm": 1.0, **arguments})


def test_refinements_must_double():
    with pytest.raises(InputError, match="refinements"):
        refine_permeability(np.ones((3, 3, 3), bool), 1.0, refinements=(1, 2, 3))
