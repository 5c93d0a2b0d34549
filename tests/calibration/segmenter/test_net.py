"""Nets in kernels: against PyTorch on the same weights, by definition, and the same in any window."""

import numpy as np
import pytest
from scipy import signal

from nmcdist.calibration.segmenter.net import Memory
from nmcdist.calibration.segmenter.tiles import box_probabilities, mirrored, padded
from tests.calibration.segmenter.conftest import random_net

WIDTHS = [(4, 6, 8), (3, 5), (2, 3, 4, 5), ()]


class Plain:
    """An image that is read as it is."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def read(self, z, y, x):
        return self.values[z, y, x]


def image(*shape):
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("planes", [3, 5])
def test_kernels_give_what_pytorch_gives(widths, planes):
    torch = pytest.importorskip("torch")
    from nmcdist.calibration.segmenter.networks import scores

    net = random_net(widths, planes=planes)
    seen = image(planes, *(n + 2 * net.halo for n in (2 * net.step, 3 * net.step)))
    found = net.scores(seen)
    exact = {name: torch.from_numpy(each.astype(np.float64)) for name, each in net.weights.items()}
    if widths:
        wanted = scores(exact, widths, torch.from_numpy(seen[None].astype(np.float64)))[0].numpy()
    else:  # a LeNet gives the score of one patch
        patches = [seen[:, y : y + 36, x : x + 36] for y in range(8) for x in range(12)]
        wanted = scores(exact, widths, torch.from_numpy(np.stack(patches).astype(np.float64)))
        wanted = wanted[:, :, 0, 0].T.reshape(found.shape).numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 200 * np.finfo(np.float32).eps * np.abs(wanted).max()


def test_a_unet_of_two_resolutions_by_definition():
    """With scipy's correlations in double precision, on the grid of the whole window."""
    net = random_net((3, 5))
    seen = image(3, 8 + 2 * net.halo, 8 + 2 * net.halo).astype(np.float64)

    def layer(name, planes, rectified=True):
        weight, bias = (net.weights[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        out = [
            sum(signal.correlate(p, w, "valid") for p, w in zip(planes, kernel, strict=True)) + b
            for kernel, b in zip(weight, bias, strict=True)
        ]
        return np.maximum(out, 0) if rectified else np.array(out)

    fine = layer("down0b", layer("down0a", seen))  # begins at pixel 2
    coarse = (fine[:, ::2, ::2] + fine[:, 1::2, ::2] + fine[:, ::2, 1::2] + fine[:, 1::2, 1::2]) / 4
    coarse = layer("down1b", layer("down1a", coarse))  # begins at coarse pixel 1 + 2
    up = layer("up0", coarse, rectified=False).repeat(2, 1).repeat(2, 2)  # begins at pixel 6
    merged = layer("merge0", up + fine[:, 4:-4, 4:-4])  # begins at pixel 7
    wanted = layer("out", merged[:, 1:-1, 1:-1], rectified=False)  # the halo is 8
    assert net.halo == 8
    assert np.abs(net.scores(seen.astype(np.float32)) - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("widths", WIDTHS)
def test_the_halo_is_what_a_net_sees_to_within_a_step(widths):
    net = random_net(widths)
    seen = image(3, *(net.step + 2 * net.halo,) * 2)
    before, first = net.scores(seen), None
    for row in range(net.halo):
        changed = seen.copy()
        changed[:, row] += 1
        if (net.scores(changed) != before).any():
            first = row
            break
    assert first is not None
    assert first < net.step


@pytest.mark.parametrize("widths", WIDTHS)
def test_boxes_of_any_size_agree_bit_for_bit(widths):
    net, whole = random_net(widths), Plain(image(4, 45, 53))
    wanted = box_probabilities(net, whole, (slice(0, 4), slice(0, 45), slice(0, 53)))
    for box in ((1, 3, 7, 20, 30, 53), (0, 1, 44, 45, 0, 1), (3, 4, 0, 45, 11, 24), (2, 4, 5, 37, 3, 50)):
        part = tuple(slice(a, b) for a, b in zip(box[::2], box[1::2], strict=True))
        assert (box_probabilities(net, whole, part) == wanted[(slice(None), *part)]).all()


@pytest.mark.parametrize("planes", [1, 5])
def test_a_net_of_more_or_fewer_slices_sees_those_around_the_middle(planes):
    net, whole = random_net((4, 6), planes=planes), Plain(image(7, 20, 20))
    before = box_probabilities(net, whole, (slice(3, 4), slice(0, 20), slice(0, 20)))
    for z in range(7):
        changed = Plain(whole.values.copy())
        changed.values[z] += 1
        after = box_probabilities(net, changed, (slice(3, 4), slice(0, 20), slice(0, 20)))
        assert (after != before).any() == (abs(z - 3) <= planes // 2)


@pytest.mark.parametrize("widths", WIDTHS)
def test_memory_of_earlier_windows_changes_nothing(widths):
    net, memory = random_net(widths), Memory()
    for shape in ((40, 56), (32, 48), (64, 40), (40, 56)):
        seen = image(3, *(n // net.step * net.step + 2 * net.halo for n in shape))
        assert (net.scores(seen, memory) == net.scores(seen)).all()


def test_probabilities_of_all_classes_sum_to_one_and_are_not_all_alike():
    net = random_net((4, 6, 8))
    found = box_probabilities(net, Plain(image(3, 40, 40)), (slice(0, 3), slice(0, 40), slice(0, 40)))
    assert np.abs(found.astype(int).sum(axis=0) - 255).max() <= 2
    assert len(np.unique(found.argmax(axis=0))) == 3


def test_the_mirror_is_that_of_numpy():
    values = np.arange(5)
    for rim in (1, 4, 5, 13):
        assert (values[mirrored(np.arange(-rim, 5 + rim), 5)] == np.pad(values, rim, mode="symmetric")).all()
    net = random_net((4, 6))
    window = image(3, 7, 9)
    wide = padded(window, net)
    assert (wide[:, : 7 + 2 * net.halo, : 9 + 2 * net.halo]
            == np.pad(window, ((0, 0), (net.halo,) * 2, (net.halo,) * 2), mode="symmetric")).all()  # fmt: skip
