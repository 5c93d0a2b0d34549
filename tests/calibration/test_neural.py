"""Training of the neural generator: unbiased statistics, sections, reproducible steps, bundles and refusals."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

from nmcdist.bundle import load_bundle
from nmcdist.calibration.neural.sections import Sections
from nmcdist.cli.entry import cli
from nmcdist.errors import BundleError, ImageError, InputError
from nmcdist.models.neural import generate_neural
from nmcdist.virtual.freezing import freeze
from tests.conftest import BUNDLE, recipe_with

torch = pytest.importorskip("torch")

from nmcdist.calibration.neural.critic import Critic, steepness  # noqa: E402
from nmcdist.calibration.neural.fit import fit_neural  # noqa: E402
from nmcdist.calibration.neural.net import Generator, sites  # noqa: E402
from nmcdist.calibration.neural.statistics import Target, averages, mismatch, sliced_distance  # noqa: E402
from nmcdist.calibration.neural.training import Recipe, train  # noqa: E402
from nmcdist.calibration.neural.turned import TurnedConv3d  # noqa: E402

SHARES = np.array([0.5, 0.3, 0.2])
TINY = {"noises": (1, 1), "channels": ((4, 4), (4, 4)), "edge": 40, "batch": 4}
TINY_ALIKE = TINY | {"channels": ((6, 6), (6, 6)), "isotropic": True}


def independent(count, edge, shares=SHARES, seed=1):
    """Indicators of pixels that do not depend on each other."""
    labels = np.random.default_rng(seed).choice(len(shares), size=(count, edge, edge), p=shares)
    return torch.nn.functional.one_hot(torch.from_numpy(labels), len(shares)).movedim(-1, 1).float()


def blobs(edge=48, seed=1):
    """A volume of three phases in cubes of 3 voxels."""
    labels = np.random.default_rng(seed).choice(3, size=(edge // 3,) * 3, p=SHARES).astype(np.uint8)
    return labels.repeat(3, 0).repeat(3, 1).repeat(3, 2)


class TestStatistics:
    def test_averages_are_those_of_independent_pixels(self):
        """400 sections of 24 pixels; the shares of pairs and of four are products, within 4 standard errors."""
        covariance, patterns = averages(independent(400, 24))
        reach = covariance.shape[-1] - 1
        pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
        pixels = 400 * 24**2
        for row, (a, b) in enumerate(pairs):
            own, product = covariance[row].numpy(), SHARES[a] * SHARES[b]
            assert own[reach, 0] == pytest.approx(SHARES[a] if a == b else 0.0, abs=4 * 0.5 / np.sqrt(pixels))
            own[reach, 0] = product
            assert np.abs(own - product).max() < 6 * np.sqrt(product / pixels)  # the largest of 276
        products = np.einsum("a,b,c,d->abcd", *[SHARES] * 4).ravel()
        for each in patterns:
            assert each.numpy() == pytest.approx(products, abs=4 * np.sqrt(products.max() * 4 / pixels))
            assert float(each.sum()) == pytest.approx(1.0, abs=1e-5)

    def test_covariances_and_patterns_are_those_of_brute_force(self):
        sections = independent(2, 24)
        labels = sections.argmax(dim=1).numpy()
        covariance, patterns = averages(sections)
        reach = covariance.shape[-1] - 1
        for down, across in ((0, 1), (2, 0), (-3, 4)):
            moved = np.roll(labels, (-down, -across), axis=(1, 2))
            both = ((labels == 1) & (moved == 2)).mean(), ((labels == 2) & (moved == 1)).mean()
            assert float(covariance[4, reach + down, across]) in (pytest.approx(both[0]), pytest.approx(both[1]))
        four = labels[:, :-2, :-2], labels[:, :-2, 2:], labels[:, 2:, :-2], labels[:, 2:, 2:]
        found = np.bincount(np.ravel_multi_index(four, (3,) * 4).ravel(), minlength=81)
        assert patterns[1].numpy() == pytest.approx(found / found.sum(), abs=1e-6)

    def test_the_mismatch_of_equal_laws_is_zero_in_the_mean(self):
        """60 batches of 8 sections of 24 pixels: within 4 standard errors; a plain square would be far above."""
        target = exact_target(24)
        found = np.array([float(mismatch(independent(8, 24, seed=k), target)) for k in range(60)])
        error = found.std(ddof=1) / np.sqrt(len(found))
        assert abs(found.mean()) < 4 * error
        assert float(mismatch(independent(8, 24, (0.4, 0.4, 0.2)), target)) > 10 * found.std()

    def test_the_sliced_distance_sees_what_shares_do_not(self):
        random = torch.Generator().manual_seed(1)
        alike = float(sliced_distance(independent(8, 40, seed=2), independent(8, 40, seed=3), random))
        lumps = independent(8, 20, seed=2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert float(sliced_distance(lumps, independent(8, 40, seed=3), random)) > 5 * alike


def exact_target(edge):
    """The target of independent pixels in closed form."""
    plain = Target.of(independent(2, edge))
    reach = plain.covariance.shape[-1] - 1
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    covariance = torch.tensor([SHARES[a] * SHARES[b] for a, b in pairs]).float()[:, None, None]
    covariance = covariance.expand_as(plain.covariance).clone()
    covariance[:, reach, 0] = torch.tensor([SHARES[a] if a == b else 0.0 for a, b in pairs])
    products = torch.from_numpy(np.einsum("a,b,c,d->abcd", *[SHARES] * 4).ravel()).float()
    scale = torch.tensor([np.sqrt(SHARES[a] * (1 - SHARES[a]) * SHARES[b] * (1 - SHARES[b])) for a, b in pairs])
    return Target(covariance, [products] * len(plain.patterns), plain.weight, scale.float())


class TestSections:
    def test_lamellae_show_in_two_planes_of_three(self):
        volume = np.broadcast_to((np.arange(48) // 4 % 2)[:, None, None], (48, 48, 48)).astype(np.uint8)
        sections, random = Sections.of_volumes([volume]), np.random.default_rng(1)
        normal, down, across = (sections.windows(axis, 20, 40, random) for axis in range(3))
        assert all(len(np.unique(window)) == 1 for window in normal)
        # Rows and columns follow z, y, x: lamellae normal to z change from row to row.
        assert (down == down[:, :, :1]).all()
        assert (across == across[:, :, :1]).all()
        assert (np.diff(down[:, :, 0], axis=1) != 0).any(axis=1).all()

    def test_turned_windows_have_all_planes_and_turns(self):
        """Of 400 windows: lamellae normal to z are not seen in a third, and run either way in halves of the others."""
        volume = np.broadcast_to((np.arange(48) // 4 % 2)[:, None, None], (48, 48, 48)).astype(np.uint8)
        windows = Sections.of_volumes([volume]).turned_windows(400, 40, np.random.default_rng(1))
        even = (windows == windows[:, :1, :1]).all(axis=(1, 2))
        along_rows = (windows == windows[:, :, :1]).all(axis=(1, 2)) & ~even
        along_columns = (windows == windows[:, :1]).all(axis=(1, 2)) & ~even
        assert (even | along_rows | along_columns).all()
        assert np.array([even.mean(), along_rows.mean(), along_columns.mean()]) == pytest.approx(
            1 / 3, abs=4 * np.sqrt(2 / 9 / 400)
        )

    def test_what_cannot_be_learned_from_is_refused(self):
        with pytest.raises(InputError, match=r"sections: found \(48, 48, 30\) voxels, expected at least 40"):
            Sections.of_volumes([blobs()[:, :, :30]])
        with pytest.raises(InputError, match="sections: found one phase, expected two or more"):
            Sections.of_volumes([np.zeros((48, 48, 48), np.uint8)])
        with pytest.raises(InputError, match=r"labels.tif: found no voxel of phase 1, expected some of each"):
            Sections.of_volumes([2 * blobs()], "labels.tif")
        with pytest.raises(InputError, match="found one of 48 pixels along an edge, expected at least 60"):
            train(Sections.of_volumes([blobs()]), Recipe(edge=60))


def test_the_gradient_penalty_is_the_squared_gradient():
    sections = torch.rand(3, 2, 5, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    weights = torch.arange(50.0).reshape(2, 5, 5) / 50
    scores = (sections * weights).sum(dim=(1, 2, 3))[:, None]
    assert float(steepness(scores.expand(-1, 4), sections)) == pytest.approx(float((weights**2).sum()))


def test_the_critic_tells_planes_apart():
    torch.manual_seed(1)
    sections = independent(1, 40).expand(3, -1, -1, -1)
    scores = Critic(3)(sections, torch.tensor([0, 1, 2]))
    assert scores.shape == (3, 1)
    assert len(set(scores.flatten().tolist())) == 3


def turned(values):
    """The last three axes, turned: z to y, y to x, x to z."""
    return np.moveaxis(values, -1, -3)


class TestAlikeAxes:
    NOISES, CHANNELS, SHAPE = (1, 2), ((6, 3), (9, 6)), (6, 6, 6)

    def net(self):
        torch.manual_seed(1)
        return Generator(self.NOISES, self.CHANNELS, 3, isotropic=True).double()

    def test_turned_noise_draws_the_turned_volume(self):
        """For random weights, biases and noise; a mirrored one draws another volume."""
        net, rng = self.net(), np.random.default_rng(1)
        with torch.no_grad():
            for name, values in net.named_parameters():
                if name.endswith(("offset", "bias")):
                    values.copy_(torch.from_numpy(rng.normal(0, 0.1, values.shape)))
        low = (4, 4, 4)
        fields = [rng.normal(size=(1, n, *size))
                  for n, (_, size) in zip(self.NOISES, sites(2, low, self.SHAPE), strict=True)]  # fmt: skip

        def drawn(change):
            noise = [torch.from_numpy(np.ascontiguousarray(change(field))) for field in fields]
            return net(noise, low, self.SHAPE).detach().numpy()

        plain = drawn(lambda field: field)
        assert plain.std(axis=(2, 3, 4)).min() > 0.1
        assert drawn(turned) == pytest.approx(turned(plain), abs=1e-12)
        assert drawn(lambda field: turned(turned(field))) == pytest.approx(turned(turned(plain)), abs=1e-12)
        mirrored = drawn(lambda field: field.swapaxes(-1, -2))
        assert np.abs(mirrored - plain.swapaxes(-1, -2)).max() > 0.1

    def test_first_weights_keep_the_size_of_channels(self):
        """He's rule keeps the second moment from layer to layer; within a quarter, as channels are not many."""
        torch.manual_seed(2)
        layer = TurnedConv3d(2, 12, 300, 3)
        image = torch.relu(torch.randn(1, 14, 9, 9, 9))
        found = torch.nn.functional.conv3d(image, layer.weight, layer.bias).detach()
        assert float((found.relu() ** 2).mean() / (image**2).mean()) == pytest.approx(1.0, rel=0.25)

    def test_its_bundle_holds_all_turned_weights(self):
        arrays = self.net().arrays()
        assert {name: array.shape for name, array in arrays.items() if name.startswith("weight")} == {
            "weight_0_0": (6, 1 + 6, 3, 3, 3), "weight_0_1": (3, 6, 3, 3, 3), "weight_1_0": (9, 2, 3, 3, 3),
            "weight_1_1": (6, 9, 3, 3, 3), "weight_out": (3, 3, 1, 1, 1),
        }  # fmt: skip
        first, second, third = arrays["weight_1_0"].reshape(3, 3, 2, 3, 3, 3)
        assert np.array_equal(second, turned(first))
        assert np.array_equal(third, turned(second))

    def test_channels_that_are_no_triples_are_refused(self):
        with pytest.raises(ValueError, match="channels: found 4 and 6, expected multiples of 3"):
            TurnedConv3d(1, 4, 6, 3)


class TestTraining:
    @pytest.mark.parametrize("how", [TINY, TINY_ALIKE])
    def test_a_tiny_net_learns_shares_and_lags(self, how):
        """Cubes of 3 voxels; before the training the net draws other shares."""
        history = []
        sections = Sections.of_volumes([blobs()])
        net = train(sections, Recipe(**how, steps=40, critic_steps=20), history.append)
        assert [facts["step"] for facts in history] == list(range(1, 61))
        assert all("critic" in facts for facts in history[40:])
        first, last = (np.mean([h["statistics"] + h["filters"] for h in part]) for part in (history[:3], history[-10:]))
        assert last < 0.25 * first
        shares = np.array([[h[f"share_{k}"] for k in range(3)] for h in history[-10:]]).mean(axis=0)
        assert np.abs(shares - np.bincount(blobs().ravel()) / 48**3).max() < 0.1
        assert net.arrays()["weight_1_0"].dtype == np.float32

    def test_a_seed_gives_the_same_weights(self):
        sections, short = Sections.of_volumes([blobs()]), {"steps": 2, "critic_steps": 2}
        one, same, other = (train(sections, Recipe(**TINY, **short, seed=k)).arrays() for k in (1, 1, 2))
        assert all(np.array_equal(one[name], same[name]) for name in one)
        assert not np.array_equal(one["weight_0_0"], other["weight_0_0"])

    def test_its_settings_do_not_stay(self):
        before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.initial_seed()
        train(Sections.of_volumes([blobs()]), Recipe(**TINY, steps=1, critic_steps=0))
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.initial_seed()) == before


@pytest.mark.parametrize("changes", [{"name": "../x"}, {"name": "A"}, {"licence": "\u202e"}])
def test_an_impossible_name_or_licence_is_refused_before_the_training(changes):
    sections, steps = Sections.of_volumes([blobs()]), []
    with pytest.raises(BundleError, match=next(iter(changes))):
        fit_neural(sections, 40.0, Recipe(**TINY, steps=1), about="cubes", progress=steps.append, **changes)
    assert not steps


def test_a_bundle_says_what_it_was_trained_on_and_what_it_cannot_do():
    sections = Sections.of_volumes([blobs()])
    bundle = fit_neural(sections, 40.0, Recipe(**TINY, steps=2, critic_steps=1), about="cubes", licence="CC0-1.0")
    method = bundle.calibration.method
    assert (bundle.model, bundle.calibration.data, bundle.parameters.voxel_size_nm) == ("neural", "cubes", 40.0)
    assert "in 2 steps, and with a critic in 1" in method
    (found,) = re.findall(r"fractions are .* instead of (.*), and the two-point", method)
    wanted = np.bincount(blobs().ravel()) / 48**3
    assert [float(share) for share in found.split(", ")] == pytest.approx(wanted, abs=0.03)
    assert "Cannot meet: bodies that are long against 14 voxels" in method
    assert generate_neural(bundle, (9, 9, 9), 40.0, 1).shape == (9, 9, 9)


class TestCommand:
    @pytest.fixture
    def labels(self, tmp_path):
        np.save(tmp_path / "labels.npy", blobs())
        return tmp_path / "labels.npy"

    def run(self, labels, out, *more):
        size = ["--voxel-size-nm", "40", "--axes", "zyx"]
        arguments = ["calibrate", "baseline", "--from", str(labels), "--out", str(out), *size, *more]
        return CliRunner().invoke(cli, arguments)

    def test_it_trains_and_says_how_far_it_is(self, labels, tmp_path):
        done = self.run(labels, tmp_path / "net", "--kind", "neural", "--steps", "2")
        assert done.exit_code == 0, done.output
        assert "2 steps, of about half a CPU second each" in done.stderr
        assert '"step": 2.0' in done.stderr
        assert "Cannot meet: bodies that are long" in done.stdout
        bundle = load_bundle(tmp_path / "net")
        assert (bundle.model, bundle.calibration.data) == ("neural", "labels.npy")
        assert bundle.array_records["bias_out"].shape == (3,)

    def test_labels_of_the_solid_make_two_phases(self, labels, tmp_path):
        done = self.run(labels, tmp_path / "net", "--kind", "neural", "--steps", "1", "--solid", "1,2")
        assert done.exit_code == 0, done.output
        assert load_bundle(tmp_path / "net").array_records["bias_out"].shape == (2,)

    def test_steps_of_what_is_not_trained_are_refused(self, labels, tmp_path):
        done = self.run(labels, tmp_path / "net", "--kind", "fibres", "--steps", "5")
        assert isinstance(done.exception, InputError)
        assert str(done.exception) == "--steps: found 5, expected none with the kind fibres, which is not trained"

    def test_isotropy_of_what_is_not_trained_is_refused(self, labels, tmp_path):
        done = self.run(labels, tmp_path / "net", "--kind", "fibres", "--isotropic")
        assert str(done.exception) == "--isotropic: found with the kind fibres, expected neural"

    def test_an_isotropic_medium_is_one_sample(self, labels, tmp_path):
        done = self.run(labels, tmp_path / "net", "--kind", "neural", "--steps", "1", "--isotropic")
        assert done.exit_code == 0, done.output
        assert "all planes as one, turned and mirrored" in done.stdout

    def test_refused_before_the_training(self, labels, tmp_path):
        done = self.run(labels, labels / "net", "--kind", "neural", "--steps", "1")
        assert isinstance(done.exception, BundleError)
        assert str(done.exception) == f"{labels}/net: cannot be made (Not a directory)"
        done = self.run(labels, tmp_path / "net", "--kind", "neural", "--steps", "1", "--solid", "0,1,2")
        assert isinstance(done.exception, InputError)
        assert f"{labels}: found no voxel of phase 0" in str(done.exception)
        assert "of about half a CPU second" not in done.stderr
        assert not (tmp_path / "net").exists()

    def test_a_virtual_store_is_refused(self, tmp_path):
        virtual, recipe = tmp_path / "v.zarr", recipe_with(descriptors=None, storage={"chunk": 16, "shard": None})
        freeze(recipe, load_bundle(BUNDLE), virtual)
        arguments = ["calibrate", "baseline", "--kind", "neural", "--from", virtual, "--out", tmp_path / "net"]
        done = CliRunner().invoke(cli, list(map(str, arguments)))
        assert str(done.exception) == f"{virtual}: is a virtual store, expected a finished one: `nmcdist run` makes it"

    def test_many_labels_are_no_phases(self, tmp_path):
        np.save(tmp_path / "grains.npy", np.arange(48**3).reshape(48, 48, 48))
        done = self.run(tmp_path / "grains.npy", tmp_path / "net", "--kind", "neural")
        assert isinstance(done.exception, ImageError)
        assert "found labels from 0 to 110591, expected phases from 0 to at most 15" in str(done.exception)
