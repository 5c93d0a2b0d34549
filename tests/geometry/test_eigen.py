"""Eigenvalues of small symmetric matrices against LAPACK and against matrices made of known ones."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nmcdist.geometry.eigen import eigen_symmetric

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_values_and_vectors_are_those_of_lapack(k):
    half = RNG.standard_normal((300, k, k))
    matrices = half + half.transpose(0, 2, 1)
    values, vectors = eigen_symmetric(matrices)
    assert values == pytest.approx(np.linalg.eigvalsh(matrices)[:, ::-1], abs=1e-13)
    assert np.einsum("nij,nkj->nik", vectors, vectors) == pytest.approx(np.tile(np.eye(k), (300, 1, 1)), abs=1e-13)
    assert np.einsum("nij,nkj->nki", matrices, vectors) == pytest.approx(values[:, :, None] * vectors, abs=1e-12)


def test_thin_ellipsoids_keep_their_axes():
    """Axes of 1 : 1e4 have moments of 1 : 1e8."""
    turns = Rotation.random(200, rng=3).as_matrix()
    moments = 10.0 ** RNG.uniform(-8, 0, (200, 3))
    matrices = np.einsum("nai,ni,nbi->nab", turns, moments, turns)
    matrices = (matrices + matrices.transpose(0, 2, 1)) / 2
    values, vectors = eigen_symmetric(matrices)
    assert values == pytest.approx(-np.sort(-moments), rel=1e-7)
    largest = turns[np.arange(200), :, moments.argmax(axis=1)]
    parallel = np.abs((vectors[:, 0] * largest).sum(axis=1))
    gap = 1 - np.sort(moments)[:, 1] / moments.max(axis=1)
    assert (1 - parallel <= 1e-12 / gap).all()


@pytest.mark.parametrize(
    ("matrix", "values"),
    [
        (np.zeros((3, 3)), [0, 0, 0]),
        (np.eye(3), [1, 1, 1]),
        (np.diag([1.0, 3.0, 2.0]), [3, 2, 1]),
        (np.ones((3, 3)), [3, 0, 0]),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [1, -1]),
        (np.array([[1e200, 1e199], [1e199, 1e-200]]), [1.00990195135928e200, -9.90195135927845e197]),
    ],
)
def test_special_matrices(matrix, values):
    found, vectors = eigen_symmetric(matrix[None])
    assert found[0] == pytest.approx(values, rel=1e-13, abs=1e-15)
    assert vectors[0] @ vectors[0].T == pytest.approx(np.eye(len(matrix)), abs=1e-15)


def test_the_argument_stays_as_it_is():
    matrix = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    eigen_symmetric(matrix)
    assert matrix.tolist() == [[[2.0, 1.0], [1.0, 2.0]]]
