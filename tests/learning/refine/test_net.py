"""The net against PyTorch, windows and tiles against each other, and bundles that are no nets."""

import itertools

import numpy as np
import pytest

from nmcdist.bundle import Bundle, SuperresParameters, load_bundle, save_bundle
from nmcdist.bundle.schema import Calibration, validated
from nmcdist.errors import BundleError
from nmcdist.learning.refine.fitting import layers_of, module_of, scores_of
from nmcdist.learning.refine.net import Net, in_space, indicators
from nmcdist.learning.refine.windows import refined, with_rim
from nmcdist.pytorch import torch

PHASES = ("pore", "carbon_binder", "graphite")
CALIBRATION = Calibration(data="none", method="none", date="")


def module(layers=2, channels=5, seed=1):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return module_of(len(PHASES), layers, channels)


def net(**size):
    return Net(layers_of(module(**size)), PHASES, 40.0, 50.0)


def bundle():
    return net().bundle("a-net", "A net", "centre", "cba-cathode-2025", CALIBRATION)


def labels(*shape, seed=3):
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def test_scores_are_those_of_pytorch():
    seen = labels(9, 8, 11)
    with torch.no_grad():
        expected = scores_of(module(), torch.from_numpy(indicators(seen, 3)[None]), 3)[0].numpy()
    found = net().scores(seen)
    assert found.shape == (3, 10, 8, 14)
    assert found.dtype == np.float32
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)  # some 200 terms in single precision


def test_the_parts_of_a_voxel_lie_where_they_belong():
    channels = np.random.default_rng(1).random((24, 2, 3, 4), np.float32)
    found = in_space(channels, 3)
    for phase, dz, dy, dx in itertools.product(range(3), (0, 1), (0, 1), (0, 1)):
        number = 8 * phase + 4 * dz + 2 * dy + dx
        assert np.array_equal(found[phase, dz::2, dy::2, dx::2], channels[number])


@pytest.mark.parametrize("how", ["likeliest", "drawn"])
def test_windows_and_tiles_agree_bit_for_bit(how):
    volume, shape = labels(13, 9, 17), (13, 9, 17)

    def read(box):
        return volume[tuple(slice(*span) for span in box)]

    def window(box, tile):
        return refined(net(), read, shape, box, how, 7, 2, tile)

    whole = window(((0, 26), (0, 18), (0, 34)), 32)
    assert len(np.unique(whole)) > 1
    assert np.array_equal(whole, window(((0, 26), (0, 18), (0, 34)), 5))
    assert np.array_equal(whole[3:22, 1:18, 7:8], window(((3, 22), (1, 18), (7, 8)), 4))
    if how == "drawn":
        others = [refined(net(), read, shape, ((0, 26), (0, 18), (0, 34)), how, *key) for key in ((8, 2), (7, 3))]
        assert all((whole != other).any() for other in others)


@pytest.mark.parametrize("rim", [1, 4, 11])
def test_volumes_are_mirrored_at_their_faces(rim):
    volume = labels(4, 3, 6)
    found = with_rim(
        lambda box: volume[tuple(slice(*span) for span in box)], volume.shape, ((0, 4), (0, 3), (0, 6)), rim
    )
    assert np.array_equal(found, np.pad(volume, rim, "symmetric"))


def test_a_mirrored_volume_is_refined_to_the_mirror_image_by_a_symmetric_net():
    layers = []
    for weights, bias in net().layers[:-1]:
        layers.append((weights + weights[..., ::-1], bias))
    weights, bias = net().layers[-1]
    parts = weights.reshape(3, 2, 2, 2, *weights.shape[1:])
    layers.append(((parts + parts[:, :, :, ::-1]).reshape(weights.shape), 0 * bias))
    mirrored, volume = Net(tuple(layers), PHASES, 40.0, 50.0), labels(6, 7, 8)
    np.testing.assert_allclose(
        mirrored.scores(volume[..., ::-1])[..., ::-1], mirrored.scores(volume), rtol=0, atol=1e-5
    )


def test_a_net_survives_its_bundle(tmp_path):
    read = Net.of(load_bundle(save_bundle(bundle(), tmp_path / "b")))
    assert (read.phases, read.fine_voxel_nm, read.coarse_voxel_nm, read.reach) == (PHASES, 40.0, 80.0, 2)
    assert read.correlation_nm == 50.0
    assert all(np.array_equal(a, b) for one, other in zip(read.layers, net().layers, strict=True)
               for a, b in zip(one, other, strict=True))  # fmt: skip


class TestHostileBundles:
    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"fine_voxel_nm": 20.0}, "fine_voxel_nm: found 20, expected half of coarse_voxel_nm = 80"),
            ({"correlation_nm": 10.0}, "correlation_nm: found 10, expected 0.5 to 8 times fine_voxel_nm"),
            ({"correlation_nm": 400.0}, "correlation_nm: found 400, expected 0.5 to 8 times fine_voxel_nm"),
        ],
    )
    def test_lengths(self, changes, fault):
        lengths = {"coarse_voxel_nm": 80.0, "fine_voxel_nm": 40.0, "correlation_nm": 50.0, **changes}
        with pytest.raises(ValueError, match=fault):
            SuperresParameters(**lengths)

    @pytest.mark.parametrize(
        ("arrays", "fault"),
        [
            ({"weight_0": None}, "expected weight_0, bias_0, weight_1"),
            ({"bias_7": (3,)}, "expected weight_0, bias_0, weight_1"),
            ({"weight_0": (5, 3, 3, 3)}, r"weight_0: found shape \(5, 3, 3, 3\), expected \(channels, 2 to 16 phases"),
            ({"weight_0": (5, 17, 3, 3, 3)}, r"weight_0: found shape \(5, 17, 3, 3, 3\)"),
            ({"weight_0": (5, 3, 5, 3, 3)}, r"weight_0: found shape .*, expected \(5, 3, 3, 3, 3\)"),
            ({"weight_1": (65, 5, 3, 3, 3)}, "weight_1: found shape .*, expected 1 to 64 channels"),
            ({"weight_1": (5, 4, 3, 3, 3)}, r"weight_1: found shape .*, expected \(5, 5, 3, 3, 3\)"),
            ({"bias_1": (4,)}, r"bias_1: found shape \(4,\), expected \(5,\)"),
            ({"weight_2": (23, 5, 1, 1, 1)}, r"weight_2: found shape .*, expected \(24, 5, 1, 1, 1\)"),
        ],
    )
    def test_arrays(self, arrays, fault):
        shapes = {name: array.shape for name, array in bundle().arrays.items()} | arrays
        shapes = {name: shape for name, shape in shapes.items() if shape is not None}
        with pytest.raises(ValueError, match=fault):
            bundle().parameters.check_arrays(shapes)
        with pytest.raises(BundleError, match=fault):
            Bundle.of("b", "B", bundle().parameters, licence="CC0-1.0",
                      arrays={name: np.zeros(shape, "f4") for name, shape in shapes.items()})  # fmt: skip

    @pytest.mark.parametrize("phases", [(), ("a", "b"), ("a", "b", "b")])
    def test_names_of_the_phases(self, phases):
        content = bundle().model_dump(by_alias=True)
        content["texts"]["phases"] = phases
        with pytest.raises(BundleError, match=r"texts.phases: found .*, expected 3 different names"):
            Net.of(validated(content, "b").with_arrays(bundle().arrays))

    def test_another_model(self):
        with pytest.raises(BundleError, match="found model 'cba', expected 'superres'"):
            Net.of(load_bundle("cba-cathode-2025"))

    def test_huge_weights_give_labels_all_the_same(self):
        layers = tuple((np.full_like(weights, 3e38), bias) for weights, bias in net().layers)
        volume = labels(4, 4, 4)
        for how in ("likeliest", "drawn"):
            found = refined(
                Net(layers, PHASES, 40.0, 50.0), lambda box: volume[tuple(slice(*s) for s in box)], (4, 4, 4),
                ((0, 8), (0, 8), (0, 8)), how, 1, 0,
            )  # fmt: skip
            assert found.max() <= 2
