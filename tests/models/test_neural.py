"""The neural generator: by definition, against PyTorch, the same in windows, and its noise."""

import tracemalloc
from functools import cache

import numpy as np
import pytest

from nmcdist.bundle import Bundle, NeuralParameters, load_bundle, save_bundle
from nmcdist.descriptors import intrinsic_volumes
from nmcdist.errors import BundleError, InputError
from nmcdist.models import neural, theory
from nmcdist.models.neural import Net, draw_bytes, generate_neural, reach, white_noise

VOXEL_NM = 40.0


def arrays_of(noises, channels, phases=3, seed=1):
    """Random weights of a net whose channels keep their size, the finest level first."""
    rng, arrays, above = np.random.default_rng(seed), {}, [*(last for _, last in channels[1:]), 0]
    for level, (n, more, (first, last)) in enumerate(zip(noises, above, channels, strict=True)):
        for layer, (ci, co) in enumerate(((n + more, first), (first, last))):
            arrays[f"weight_{level}_{layer}"] = rng.normal(0, np.sqrt(2 / 27 / ci), (co, ci, 3, 3, 3))
            arrays[f"bias_{level}_{layer}"] = rng.normal(0, 0.1, co)
    arrays["weight_out"] = rng.normal(size=(phases, channels[0][1], 1, 1, 1))
    scale = {name: np.float32(array) for name, array in arrays.items()}
    return {**scale, "bias_out": np.zeros(phases, np.float32)}


def bundle_of(arrays):
    return Bundle.of("net", "A net", NeuralParameters(voxel_size_nm=VOXEL_NM), licence="CC0-1.0", arrays=arrays)


def balanced(arrays, noises):
    """The arrays with a bias that gives each phase the same mean score."""
    net = Net.of(bundle_of(arrays))
    found = net.scores((0, 0, 0), (32, 32, 32), lambda level, *place: white_noise(9, 0, level, noises[level], *place))
    return {**arrays, "bias_out": -found.mean(axis=(1, 2, 3))}


NOISES, CHANNELS = (1, 2, 2), ((4, 3), (5, 4), (4, 4))
BUNDLE = bundle_of(balanced(arrays_of(NOISES, CHANNELS), NOISES))


def drawn(shape, seed=5, index=2, origin=(0, 0, 0), bundle=BUNDLE):
    return generate_neural(bundle, shape, VOXEL_NM, seed, index, origin)


class TestWindows:
    """One endless realisation, however it is cut."""

    @pytest.mark.parametrize(
        ("shape", "origin"),
        [
            ((9, 20, 31), (-4, 2, -33)),
            ((1, 1, 1), (30, 0, 20)),
            ((17, 33, 5), (-9, -7, 61)),
            ((50, 3, 99), (-9, 9, -35)),
        ],
    )
    def test_a_window_is_the_block_of_the_whole(self, shape, origin):
        low = (-9, -7, -35)
        whole = drawn((70, 40, 101), origin=low)
        z, y, x = (slice(a - b, a - b + n) for a, b, n in zip(origin, low, shape, strict=True))
        assert np.array_equal(drawn(shape, origin=origin), whole[z, y, x])
        assert (np.bincount(whole.ravel(), minlength=3) > 0.01 * whole.size).all()

    def test_blocks_of_work_leave_no_trace(self, monkeypatch):
        whole = drawn((40, 41, 43), origin=(-11, 3, 7))
        monkeypatch.setattr(neural, "_BLOCK", 13)
        monkeypatch.setattr(
            neural, "thread_map", lambda function, items: [function(item) for item in list(items)[::-1]]
        )
        assert np.array_equal(drawn((40, 41, 43), origin=(-11, 3, 7)), whole)

    @pytest.mark.parametrize("change", [{"seed": 6}, {"index": 3}, {"origin": (64, 0, 0)}])
    def test_another_seed_index_or_place_draws_other_voxels(self, change):
        one, other = drawn((24, 24, 24)), drawn((24, 24, 24), **change)
        shares = [np.bincount(each.ravel(), minlength=3) / each.size for each in (one, other)]
        by_chance = (shares[0] * shares[1]).sum()
        assert abs((one == other).mean() - by_chance) < 0.15  # a window holds a few hundred independent pieces


def test_scores_are_those_of_the_definition():
    """Layer by layer at single voxels, in double precision, from noise by place."""
    net = Net.of(BUNDLE)

    @cache
    def noise_at(level, place):
        return tuple(white_noise(5, 2, level, NOISES[level], place, (1, 1, 1))[:, 0, 0, 0].astype(float))

    @cache
    def channels(level, layer, place):
        if layer < 0:
            above = () if level + 1 == len(NOISES) else channels(level + 1, 1, tuple(p // 2 for p in place))
            return noise_at(level, place) + above
        weights, bias = (part.astype(float) for part in net.layers[level][layer])
        total = bias.copy()
        for shift in np.ndindex(3, 3, 3):
            near = tuple(p + s - 1 for p, s in zip(place, shift, strict=True))
            total += weights[:, :, *shift] @ np.array(channels(level, layer - 1, near))
        return tuple(np.maximum(total, 0))

    def noise(level, low, shape):
        return white_noise(5, 2, level, NOISES[level], low, shape)

    low, shape = (-3, 5, -2), (4, 3, 5)
    found = net.scores(low, shape, noise)
    for at in ((0, 0, 0), (3, 2, 4), (1, 0, 3)):
        place = tuple(a + b for a, b in zip(low, at, strict=True))
        wanted = net.out[0][:, :, 0, 0, 0].astype(float) @ np.array(channels(0, 1, place)) + net.out[1]
        assert found[:, *at] == pytest.approx(wanted, abs=1e-5)
    assert np.array_equal(drawn(shape, origin=low), found.argmax(axis=0))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scores_are_those_of_pytorch(axis):
    """Slabs in all three orientations, in which the trainer draws sections."""
    torch = pytest.importorskip("torch")
    from nmcdist.calibration.neural.net import ORDERS, Generator, sites

    order = ORDERS[axis]
    back = np.argsort(order)
    low, shape = (-3, 6, 1), (2, 17, 22)
    rng = np.random.default_rng(3)
    fields = [rng.normal(size=(n, *size)).astype(np.float32)
              for n, (_, size) in zip(NOISES, sites(len(NOISES), low, shape), strict=True)]  # fmt: skip
    trained = Generator(NOISES, CHANNELS, 3)
    trained.load(BUNDLE.arrays)
    with torch.no_grad():
        wanted = trained([torch.from_numpy(each)[None] for each in fields], low, shape, axis)[0].numpy()
    turned = [each.transpose(0, *(1 + back)) for each in fields]
    at, size = (tuple(each[k] for k in back) for each in (low, shape))
    found = Net.of(BUNDLE).scores(at, size, lambda level, low, shape: turned[level])
    assert np.abs(found.transpose(0, *(1 + np.array(order))) - wanted).max() < 1e-5
    assert set(trained.arrays()) == set(BUNDLE.arrays)
    assert all(np.array_equal(array, BUNDLE.arrays[name]) for name, array in trained.arrays().items())


class TestNoise:
    def test_it_is_standard_normal_and_independent(self):
        """55,296 numbers of each channel: moments and correlations with neighbours, within 4 standard errors."""
        found = np.stack([white_noise(1, 0, level, 2, (-20, -7, 3), (48, 32, 36)) for level in (0, 1)])
        rows = found.reshape(4, -1).astype(float)
        error = 1 / np.sqrt(rows.shape[1])
        assert np.abs(rows.mean(axis=1)).max() < 4 * error
        assert np.abs((rows**2).mean(axis=1) - 1).max() < 4 * np.sqrt(2) * error
        assert np.abs((rows**4).mean(axis=1) - 3).max() < 4 * np.sqrt(96) * error
        assert np.abs(np.corrcoef(rows) - np.eye(4)).max() < 4 * error
        for axis in (2, 3, 4):
            a, b = (np.moveaxis(found, axis, 0)[s].ravel() for s in (slice(1, None), slice(-1)))
            assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(len(a))

    def test_it_is_a_function_of_the_place(self):
        whole = white_noise(1, 0, 0, 3, (-20, -7, 3), (48, 20, 30))
        part = white_noise(1, 0, 0, 3, (-3, -5, 15), (7, 13, 2))
        assert np.array_equal(part, whole[:, 17:24, 2:15, 12:14])


def test_the_reach_is_that_of_the_farthest_sites_that_change_a_voxel():
    net = Net.of(BUNDLE)

    def scores(changed=None):
        def noise(level, low, shape):
            field = white_noise(1, 0, level, NOISES[level], low, shape)
            if level == 2 and changed is not None and low[0] <= changed < low[0] + shape[0]:
                field[:, changed - low[0]] += 3
            return field

        return net.scores((3, 0, 0), (1, 1, 1), noise)

    plain = scores()
    seen = [site for site in range(-10, 12) if not np.array_equal(scores(site), plain)]
    assert 4 * (seen[-1] - seen[0] + 1) <= reach(BUNDLE) <= 4 * (seen[-1] - seen[0] + 2)


def test_the_bytes_that_are_planned_are_enough():
    """And not three times too many: a plan that is far too large refuses runs that would fit."""
    shapes = {name: array.shape for name, array in BUNDLE.arrays.items()}
    shape = (70, 64, 130)
    drawn(shape)  # which compiles kernels, and memory for that is not part of the plan
    tracemalloc.start()
    drawn(shape)
    peak = tracemalloc.get_traced_memory()[1] - np.prod(shape)
    tracemalloc.stop()
    needed = draw_bytes(shapes, shape, 1)
    assert needed / 3 < peak < needed
    assert draw_bytes(shapes, (1000, 1000, 1000), 2) == 2 * needed


def test_the_built_in_net_draws_the_shares_of_the_additive_and_joined_pores():
    """One window of 96^3 voxels: shares by theory, within the bound of `benchmarks.neural` at 8 um."""
    volume = generate_neural("neural-cba-40nm", (96, 96, 96), VOXEL_NM, seed=500)
    wanted = theory.volume_fractions(load_bundle("cba-cathode-2025").cba())
    found = [(volume > 0).mean(), (volume == 2).mean()]
    assert found == pytest.approx([wanted["solid"], wanted["graphite"]], abs=0.02)
    assert intrinsic_volumes(volume == 0, VOXEL_NM).euler_number_26 < 0


def test_the_built_in_net_treats_the_axes_alike():
    """Noise turned about the diagonal of the cube gives the turned scores."""
    net, noises = Net.of(load_bundle("neural-cba-40nm")), (1, 1, 2, 4, 4)
    low, shape = (3, -5, 8), (6, 9, 12)

    def plain(level, low, shape):
        return white_noise(5, 2, level, noises[level], low, shape)

    def turned(level, low, shape):
        first, size = ((each[1], each[2], each[0]) for each in (low, shape))
        return plain(level, first, size).transpose(0, 3, 1, 2)

    wanted = net.scores(low, shape, plain).transpose(0, 3, 1, 2)
    first, size = ((each[2], each[0], each[1]) for each in (low, shape))
    found = net.scores(first, size, turned)
    assert found == pytest.approx(wanted, abs=1e-4 * float(np.abs(wanted).max()))
    assert not np.allclose(net.scores(first, size, plain), wanted, atol=0.1 * np.abs(wanted).max())


class TestRefusals:
    def test_another_voxel_size(self):
        with pytest.raises(InputError, match="voxel_size_nm: found 20, expected 40, that of the bundle's arrays"):
            generate_neural(BUNDLE, (4, 4, 4), 20.0, seed=1)

    def test_a_bundle_of_another_model(self):
        with pytest.raises(BundleError, match="found model 'cba', expected 'neural'"):
            generate_neural("cba-cathode-2025", (4, 4, 4), 40.0, seed=1)

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (
                {"bias_out": None},
                r"arrays: found \[.*\], expected weight_L_K and bias_L_K of 2 layers at 1 to 6 levels",
            ),
            ({"weight_9_0": (3, 3)}, "arrays: found"),
            (
                {"weight_0_0": (4, 5, 3, 3)},
                r"arrays.weight_0_0: found shape \(4, 5, 3, 3\), expected \(1 to 128, 1 to 128",
            ),
            ({"weight_0_0": (4, 4, 3, 3, 3)}, "arrays.weight_0_0: found 4 inputs, expected more than 4"),
            (
                {"weight_1_1": (4, 6, 3, 3, 3)},
                r"arrays.weight_1_1: found shape \(4, 6, 3, 3, 3\), expected \(1 to 128, 5,",
            ),
            ({"weight_2_0": (4, 500, 3, 3, 3)}, r"arrays.weight_2_0: found shape \(4, 500, 3, 3, 3\), expected"),
            ({"weight_2_0": (4, 2, 3, 3, 5)}, r"arrays.weight_2_0: found shape"),
            ({"bias_2_0": (7,)}, r"arrays.bias_2_0: found shape \(7,\), expected \(4\)"),
            ({"weight_out": (17, 3, 1, 1, 1), "bias_out": (17,)}, "weight_out: found 17 phases, expected 2 to 16"),
            ({"weight_out": (1, 3, 1, 1, 1), "bias_out": (1,)}, "weight_out: found 1 phases, expected 2 to 16"),
        ],
    )
    def test_arrays_of_no_such_net(self, change, fault):
        arrays = {**BUNDLE.arrays, **{name: np.zeros(shape, "f4") for name, shape in change.items() if shape}}
        for name in (name for name, shape in change.items() if shape is None):
            del arrays[name]
        with pytest.raises(BundleError, match=fault) as caught:
            bundle_of(arrays)
        assert len(str(caught.value).splitlines()) == 1

    def test_more_levels_than_any_that_is_drawn(self):
        with pytest.raises(BundleError, match="at 1 to 6 levels"):
            bundle_of(arrays_of((1,) * 7, ((2, 2),) * 7))

    def test_a_bundle_on_disk_that_claims_other_shapes(self, tmp_path):
        folder = save_bundle(BUNDLE, tmp_path / "net")
        text = (folder / "bundle.json").read_text()
        old = '"shape": [\n        4,\n        5,\n        3,\n        3,\n        3\n      ]'
        assert old in text
        (folder / "bundle.json").write_text(text.replace(old, old.replace("4", "2000000000", 1), 1))
        with pytest.raises(BundleError, match=r"weight_0_0: found shape \(2000000000, 5, 3, 3, 3\)"):
            load_bundle(folder)
