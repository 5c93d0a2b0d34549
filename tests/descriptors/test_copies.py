"""Copied cubes, refereed by comparing all pairs of cubes."""

from itertools import product

import numpy as np
import pytest

from nmcdist.descriptors.copies import copied_share, largest_copy
from nmcdist.errors import InputError


def cubes(volume, edges):
    counts = [n - e + 1 for n, e in zip(volume.shape, edges, strict=True)]
    parts = (
        volume[z : z + edges[0], y : y + edges[1], x : x + edges[2]] for z, y, x in product(*map(range, counts))
    )  # fmt: skip
    return [part.tobytes() for part in parts if part.min() != part.max()]


@pytest.mark.parametrize("shape", [(9, 8, 7), (1, 9, 8), (9, 1, 8)])
@pytest.mark.parametrize("edge", [2, 3, 4])
def test_share_equals_that_of_all_pairs(shape, edge):
    rng = np.random.default_rng(edge)
    labels, image = ((rng.random(s) < 0.1).astype(np.uint8) for s in ((8, 9, 7), shape))
    labels[2:7, 2:7, 2:7][: min(5, shape[0]), : min(5, shape[1])] = image[:5, :5, :5]
    edges = [1 if n == 1 else edge for n in shape]
    known = set(cubes(image, edges))
    drawn = cubes(labels, edges)
    assert copied_share(labels, image, edge) == pytest.approx(np.mean([cube in known for cube in drawn]))


def test_largest_copy_is_the_cube_that_was_pasted():
    rng = np.random.default_rng(1)
    labels, image = rng.integers(0, 2, (2, 20, 20, 20)).astype(np.uint8)
    assert largest_copy(labels, image) in (2, 3)  # 8 voxels have 256 patterns, 27 have 10^8
    labels[3:12, 4:13, 5:14] = image[10:19, 1:10, 2:11]
    assert largest_copy(labels, image) == 9
    assert largest_copy(image, image) == 20
    assert largest_copy(np.zeros_like(image), image) == 0


def test_mirror_images_are_no_copies():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 2, (7, 7, 7)).astype(np.uint8)
    for axes in ((0,), (1,), (2,), (0, 1, 2)):
        assert copied_share(np.flip(image, axes).copy(), image, 7) == 0
    assert copied_share(image.transpose(1, 0, 2).copy(), image, 7) == 0


def test_impossible_arguments_are_refused():
    volume = np.zeros((4, 4, 4), dtype=np.uint8)
    with pytest.raises(InputError, match="edge: found 1, expected a whole number from 2"):
        copied_share(volume, volume, 1)
    with pytest.raises(InputError, match=r"labels: found uint8 of shape \(4, 4\), expected a volume of uint8"):
        largest_copy(volume[0], volume)
