"""Layers of nets: against PyTorch and by definition, the same in windows, and bit for bit on other machines."""

import os
import subprocess
import sys

import numpy as np
import pytest

from nmcdist.geometry.convolution import added, convolved, pooled, repeated, softmax

RNG = np.random.default_rng(8)


def drawn(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 3, 3), (1, 1, 1), (2, 5, 4)])
@pytest.mark.parametrize(("ci", "co"), [(1, 1), (3, 5), (4, 8)])
def test_a_convolution_is_that_of_pytorch(kernel, ci, co):
    torch = pytest.importorskip("torch")
    image, weights, bias = drawn(ci, 6, 9, 21), drawn(co, ci, *kernel), drawn(co)
    wanted = torch.nn.functional.conv3d(*(torch.from_numpy(each.astype(float)) for each in (image, weights, bias)))
    bound = 4 * np.finfo(np.float32).eps * np.sqrt(ci * np.prod(kernel)) * 10
    assert np.abs(convolved(image, weights, bias, rectified=False) - wanted.numpy()).max() < bound
    assert np.abs(convolved(image, weights, bias) - wanted.clamp(min=0).numpy()).max() < bound


def test_a_convolution_of_small_whole_numbers_is_exact():
    """Sums of whole numbers below 2^24 are exact in single precision."""
    image, weights = (RNG.integers(-9, 10, shape).astype(np.float32) for shape in ((2, 4, 5, 33), (3, 2, 3, 3, 3)))
    found = convolved(image, weights, np.zeros(3, np.float32), rectified=False)
    for at in ((0, 0, 0, 0), (2, 1, 2, 30), (1, 0, 1, 17)):
        o, z, y, x = at
        assert found[at] == (image[:, z : z + 3, y : y + 3, x : x + 3] * weights[o]).sum(dtype=np.int64)


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 3, 3), (1, 1, 1)])
def test_windows_agree_bit_for_bit(kernel):
    image, weights, bias = drawn(4, 5, 12, 70), drawn(5, 4, *kernel), drawn(5)
    whole = convolved(image, weights, bias)
    for y, x, height, width in ((0, 0, 7, 31), (3, 5, 9, 40), (2, 33, 5, 37)):
        part = convolved(image[:, :, y : y + height, x : x + width], weights, bias)
        assert (part == whole[:, :, y : y + part.shape[2], x : x + part.shape[3]]).all()


def test_pooling_and_repeating_are_inverse_on_blocks():
    image = drawn(3, 2, 4, 6)
    assert (pooled(repeated(image, (1, 2, 2)), (1, 2, 2)) == image).all()
    wanted = image.astype(float).reshape(3, 1, 2, 2, 2, 3, 2).mean(axis=(2, 4, 6))
    assert np.abs(pooled(image, (2, 2, 2)) - wanted).max() < 1e-6


def test_pooling_without_a_rim_is_that_of_the_middle():
    image = drawn(3, 2, 8, 10)
    assert (pooled(image, (1, 2, 2), rim=1) == pooled(image[:, :, 1:-1, 1:-1], (1, 2, 2))).all()


def test_what_is_added_is_a_repeated_image_and_the_middle_of_the_fine_one():
    fine, coarse = drawn(3, 2, 12, 14), drawn(3, 2, 4, 5)
    assert (added(fine, coarse) == fine[:, :, 2:-2, 2:-2] + repeated(coarse, (1, 2, 2))).all()


def test_results_are_put_where_they_are_wanted():
    image, weights, bias, room = drawn(2, 1, 8, 8), drawn(5, 2, 1, 3, 3), drawn(5), np.empty((5, 1, 6, 6), np.float32)
    assert convolved(image, weights, bias, out=room) is room
    assert (room == convolved(image, weights, bias)).all()


def test_probabilities_sum_to_one_and_large_scores_do_not_overflow():
    scores = 500 * drawn(4, 3, 5)
    found = softmax(scores)
    exact = np.exp(scores.astype(float) - scores.max(axis=0))
    assert np.abs(found - exact / exact.sum(axis=0)).max() < 1e-6
    assert np.abs(found.sum(axis=0) - 1).max() < 1e-6


SCRIPT = """
import hashlib, numpy as np
from nmcdist.geometry.convolution import convolved, pooled, softmax
image = (np.arange(4 * 3 * 20 * 83) % 257 / np.float32(97) - 1).astype('f4').reshape(4, 3, 20, 83)
weights = (np.arange(6 * 4 * 27) % 101 / np.float32(53) - 1).astype('f4').reshape(6, 4, 3, 3, 3)
found = convolved(image, weights, np.linspace(-1, 1, 6).astype('f4'))
for each in (found, pooled(found, (1, 2, 3)), softmax(found)):
    print(hashlib.sha256(each.tobytes()).hexdigest())
"""


def test_other_instructions_give_the_same_bits(tmp_path):
    """A CPU without AVX: numba then compiles for SSE2, with other vectors and without fused multiplications."""
    found = set()
    for k, variables in enumerate(({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""})):
        env = {**os.environ, **variables, "NUMBA_CACHE_DIR": str(tmp_path / str(k))}
        found.add(subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, check=True).stdout)
    assert len(found) == 1
