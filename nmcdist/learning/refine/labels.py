r"""From the scores of a net to labels: the likeliest, or drawn ones that keep the probabilities.

The likeliest label is smooth where the net is unsure, so it loses surface. Drawn labels do not: with a standard
Gaussian field G that is smooth over a voxel or two, the label of a voxel with probabilities :math:`p_0, p_1, \ldots` is
the k with

.. math:: p_0 + \ldots + p_{k-1} \le \Phi(G) < p_0 + \ldots + p_k .

:math:`\Phi(G)` is uniform, so each label has its probability, and neighbours are drawn alike. Independent draws would
be noise. The field depends on the seed and the position alone, so windows agree.
"""

import numpy as np

from nmcdist.geometry.elementary import exp
from nmcdist.jit import kernel
from nmcdist.models import streams
from nmcdist.models.fields import mixed_field, mixture_of
from nmcdist.models.quantiles import erf

Place = tuple[int, int, int]


def likeliest(scores: np.ndarray) -> np.ndarray:
    """Return the label with the largest score, the first of equal ones; uint8.

    Parameters
    ----------
    scores : ndarray of float32, shape (phases, nz, ny, nx)
    """
    out = np.empty(scores.shape[1:], np.uint8)
    _likeliest(np.ascontiguousarray(scores).reshape(len(scores), -1), out.reshape(-1))
    return out


def drawn(
    scores: np.ndarray, correlation_nm: float, voxel_size_nm: float, seed: int, index: int, origin: Place
) -> np.ndarray:  # fmt: skip
    """Return labels that are drawn with the probabilities of the scores; uint8.

    Parameters
    ----------
    scores : ndarray of float32, shape (phases, nz, ny, nx)
    correlation_nm : float
        Length l of the covariance exp(-(h / l)^2) of the field.
    voxel_size_nm : float
    seed, index : int
        Key of the field.
    origin : tuple of int
        Absolute index (z, y, x) of the first voxel.
    """
    nz, ny, nx = scores.shape[1:]
    scales = mixture_of([correlation_nm], [1.0])
    field = mixed_field(scales, (nz, ny, nx), voxel_size_nm, seed, index, origin, streams.REFINEMENT)
    out = np.empty((nz, ny, nx), np.uint8)
    _draw(np.ascontiguousarray(scores).reshape(len(scores), -1), field.reshape(-1), out.reshape(-1))
    return out


@kernel
def _likeliest(scores: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):
        best = 0
        for phase in range(1, len(scores)):
            if scores[phase, i] > scores[best, i]:
                best = phase
        out[i] = best


@kernel
def _draw(scores: np.ndarray, field: np.ndarray, out: np.ndarray) -> None:
    weights = np.empty(len(scores))
    for i in range(len(out)):
        most = scores[0, i]
        for phase in range(1, len(scores)):
            most = max(most, scores[phase, i])
        total = 0.0
        for phase in range(len(scores)):
            weights[phase] = exp(np.float64(scores[phase, i]) - np.float64(most))
            total += weights[phase]
        half = 0.5 * erf(abs(np.float64(field[i])) * 0.7071067811865476)
        left = total * (0.5 + half if field[i] > 0.0 else 0.5 - half)
        label = 0
        while label < len(scores) - 1 and left >= weights[label]:
            left -= weights[label]
            label += 1
        out[i] = label
