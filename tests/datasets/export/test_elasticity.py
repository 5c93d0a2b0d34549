"""Linear elasticity on exported grains, solved by scikit-fem from the file that it reads."""

import meshio
import numpy as np
import pytest
import skfem
from scipy.sparse import diags_array
from scipy.sparse.linalg import cg
from skfem.helpers import ddot, sym_grad, trace

from nmcdist.datasets import export_labels
from nmcdist.geometry.elements import volume_mesh
from nmcdist.geometry.graded import GradedLattice
from tests.geometry.test_surfaces import voronoi

VOXEL_NM = 50.0


@skfem.BilinearForm
def stiffness(u, v, w):
    e, f = sym_grad(u), sym_grad(v)
    return w.lame * trace(e) * trace(f) + 2 * w.shear * ddot(e, f)


class Body:
    """Linear elastic tetrahedra with the two moduli of Lame for each."""

    def __init__(self, mesh, lame, shear):
        self.basis = skfem.Basis(mesh, skfem.ElementVector(skfem.ElementTetP1()), intorder=0)
        each = self.basis.with_element(skfem.ElementTetP0())
        fields = {"lame": each.interpolate(lame), "shear": each.interpolate(shear)}
        self.matrix = stiffness.assemble(self.basis, **fields)

    def solve(self, fixed, values):
        """Return the displacements of the nodes, (3, n), where `fixed`, a mask of that shape, has given values."""
        u, free = np.zeros(self.basis.N), np.ones(self.basis.N, dtype=bool)
        u[self.basis.nodal_dofs[fixed]] = values[fixed]
        free[self.basis.nodal_dofs[fixed]] = False
        inner = self.matrix[free][:, free]
        u[free], failed = cg(inner, -(self.matrix @ u)[free], rtol=1e-11, M=diags_array(1 / inner.diagonal()))
        assert not failed
        self.energy = 0.5 * u @ (self.matrix @ u)
        return u[self.basis.nodal_dofs]


@pytest.fixture(scope="module", params=["tetrahedra", 9000])
def grains(request, tmp_path_factory):
    """A particle of some 30 grains, as scikit-fem reads it."""
    labels = voronoi(40, (22, 22, 22), 9.5)
    path = tmp_path_factory.mktemp("particle") / "particle.msh"
    export_labels(labels, VOXEL_NM, (0.0, 0.0, 0.0), "msh", path, elements=request.param, interface_pairs=True)
    return labels, skfem.Mesh.load(path)


def test_the_file_has_the_grains_and_the_faces_between_them(grains):
    labels, mesh = grains
    present = np.unique(labels[labels > 0]).tolist()
    assert sorted(mesh.subdomains) == [f"GRAIN_{label:05d}" for label in present]
    sizes = np.abs(np.linalg.det((mesh.p[:, mesh.t[1:]] - mesh.p[:, mesh.t[:1]]).transpose(2, 1, 0))) / 6
    for label in present:
        volume = sizes[mesh.subdomains[f"GRAIN_{label:05d}"]].sum()
        assert volume == pytest.approx((labels == label).sum() * VOXEL_NM**3, rel=0.01)
    assert sorted(mesh.boundaries["OUTER"]) == mesh.boundary_facets().tolist()
    pairs = [name for name in mesh.boundaries if name.startswith("INTERFACE_")]
    assert sum(len(mesh.boundaries[name]) for name in pairs) == len(mesh.boundaries["INTERFACES"])
    name = max(pairs, key=lambda name: len(mesh.boundaries[name]))
    of_cell = {cell: group for group, cells in mesh.subdomains.items() for cell in cells.tolist()}
    sides = {tuple(sorted(of_cell[cell][-5:] for cell in mesh.f2t[:, face])) for face in mesh.boundaries[name]}
    assert sides == {tuple(name.split("_")[1:])}


def test_the_patch_test_is_exact(grains):
    """A linear displacement of the outer nodes is that of all nodes."""
    mesh = skfem.MeshTet(grains[1].p / VOXEL_NM, grains[1].t)
    ones = np.ones(mesh.nelements)
    gradient = np.array([[1.0, 0.2, -0.3], [0.5, -0.7, 0.1], [0.0, 0.4, 0.6]]) * 1e-3
    exact = gradient @ mesh.p
    outer = np.zeros(exact.shape, dtype=bool)
    outer[:, np.unique(mesh.facets[:, mesh.boundary_facets()])] = True
    found = Body(mesh, 1.2 * ones, 0.8 * ones).solve(outer, exact)
    assert not outer.all()
    assert np.abs(found - exact).max() < 1e-7 * np.abs(exact).max()


@pytest.mark.parametrize("elements", ["tetrahedra", 6500])
def test_a_laminate_is_exact(tmp_path, elements):
    """Layers of two stiffnesses under uniaxial strain: the stress is that of the harmonic mean of their moduli."""
    labels = np.ones((12, 8, 15), dtype=np.int32)
    labels[:, :, 4:11] = 2
    path = export_labels(labels, 1.0, (0.5, 0.5, 0.5), "vtu", tmp_path / "a.vtu", elements=elements)
    read = meshio.read(path)
    grain = read.cell_data["grain"][0]
    mesh = skfem.MeshTet(np.ascontiguousarray(read.points.T), np.ascontiguousarray(read.cells_dict["tetra"].T))
    lame, shear = np.array([0.0, 1.5, 20.0])[grain], np.array([0.0, 1.0, 6.0])[grain]
    ends = np.isclose(mesh.p, 0.0) | np.isclose(mesh.p, np.array([[15.0], [8.0], [12.0]]))
    values = np.zeros(mesh.p.shape)
    values[0] = np.where(np.isclose(mesh.p[0], 15.0), 0.03, 0.0)  # stretched along x, no strain across
    body = Body(mesh, lame, shear)
    body.solve(ends, values)
    modulus = 15 / (8 / (1.5 + 2) + 7 / (20 + 12))
    assert body.energy == pytest.approx(0.5 * modulus * (0.03 / 15) ** 2 * labels.size, rel=1e-9)


def core_in_shell(radius):
    """Label a ball: a core (2) of half the radius, in voxels, in a shell (1)."""
    count = 2 * int(np.ceil(radius)) + 2
    squared = ((np.indices((count,) * 3) - (count - 1) / 2) ** 2).sum(axis=0)
    return (squared < radius**2).astype(np.int32) + (squared < (radius / 2) ** 2)


def energy_of_core_in_shell(bulk, shear, ratio):
    """Return the elastic energy of a ball of radius 1 whose surface moves by r: u = A r inside, B r + C / r^2 outside.

    The displacement and the radial stress are continuous (Hashin, J. Appl. Mech. 29, 143, 1962).
    """
    jump = [[0, 1, 1], [-1, 1, ratio**-3], [-3 * bulk[1], 3 * bulk[0], -4 * shear[0] * ratio**-3]]
    _, b, c = np.linalg.solve(jump, [1.0, 0.0, 0.0])
    return 2 * np.pi * (3 * bulk[0] * b - 4 * shear[0] * c)


@pytest.mark.parametrize("graded", [False, True])
def test_the_energy_converges_to_that_of_a_stiff_core_in_a_shell(graded):
    """From above, because displacements on coarse cells are too stiff."""
    bulk, shear, ratio = np.array([1.0, 10.0]), np.array([0.5, 5.0]), 0.5
    exact, errors = energy_of_core_in_shell(bulk, shear, ratio), []
    for radius in (4.0, 6.0, 9.0):
        labels, ball = core_in_shell(radius), 4 / 3 * np.pi * radius**3
        elements = GradedLattice.of(labels).fewest if graded else "tetrahedra"
        volumes = np.array([0.0, ball * (1 - ratio**3), ball * ratio**3])
        made = volume_mesh(labels, 1 / radius, elements=elements, volumes=volumes)
        points = made.points - (np.array(labels.shape) - 1) / 2 / radius
        mesh = skfem.MeshTet(np.ascontiguousarray(points.T), np.ascontiguousarray(made.cells.T))
        outer = np.zeros(points.T.shape, dtype=bool)
        outer[:, np.unique(made.outer)] = True
        grain = made.grains - 1
        body = Body(mesh, (bulk - 2 / 3 * shear)[grain], shear[grain])
        body.solve(outer, points.T)
        errors.append(body.energy / exact - 1)
    assert errors == sorted(errors, reverse=True)
    assert 0 < errors[2] < 0.4 * errors[0] < 0.4 * 0.045
