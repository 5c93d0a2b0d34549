"""Pairs of voxel sizes, the choice of the correlation length, and trainings of tiny nets."""

import itertools
import json

import numpy as np
import pytest
import yaml

from nmcdist.bundle import load_bundle
from nmcdist.cli import main
from nmcdist.errors import NmcdistError, RecipeError
from nmcdist.faults import load_checked
from nmcdist.learning.refine.fitting import fitted
from nmcdist.learning.refine.net import Net
from nmcdist.learning.refine.pairs import pair
from nmcdist.learning.refine.recipe import SuperresRecipe
from nmcdist.learning.refine.training import train_superres, unbiased
from nmcdist.models.cba import generate_cba

BUNDLE = "cba-cathode-2025"
TINY = {
    "name": "tiny-net", "bundle": BUNDLE, "voxel_size_nm": 20.0, "net": {"layers": 1, "channels": 4}, "steps": 3,
    "window": 12, "seed": 5,
}  # fmt: skip


def recipe(**changes):
    return SuperresRecipe.model_validate({**TINY, **changes})


class TestPairs:
    def test_centre_is_the_same_realisation_at_coarse_voxel_centres(self):
        bundle = load_bundle(BUNDLE)
        coarse, fine = pair(bundle, 10, 2, 20.0, "centre", 3, 4)
        assert np.array_equal(coarse, generate_cba(bundle, (14, 14, 14), 40.0, 3, 4, (-2, -2, -2)))
        assert np.array_equal(fine, generate_cba(bundle, (20, 20, 20), 20.0, 3, 4))

    def test_coarse_voxels_lie_on_their_eight_parts(self):
        """Any other place agrees less: 110,592 voxels of one realisation."""
        coarse, fine = pair(load_bundle(BUNDLE), 24, 1, 20.0, "centre", 3, 4)

        def agreement(shift):
            near = np.roll(coarse, shift, (0, 1, 2))[1:-1, 1:-1, 1:-1].repeat(2, 0).repeat(2, 1).repeat(2, 2)
            return (near == fine).mean()

        others = [agreement(shift) for shift in itertools.product((-1, 0, 1), repeat=3) if any(shift)]
        assert agreement((0, 0, 0)) > max(others) + 0.03

    def test_majority_of_the_parts(self):
        coarse, fine = pair(load_bundle(BUNDLE), 8, 1, 20.0, "majority", 3, 4)
        assert coarse.shape == (10, 10, 10)
        for z, y, x in np.ndindex(8, 8, 8):
            counts = np.bincount(fine[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel(), minlength=3)
            assert coarse[z + 1, y + 1, x + 1] == counts.argmax()


@pytest.mark.parametrize(
    ("errors", "length"),
    [((3.0, 1.0, -1.0), 2.0 * 2**0.5), ((3.0, 2.0, 1.0), 4.0), ((-1.0, -2.0, -3.0), 1.0), ((2.0, 0.0, -1.0), 2.0)],
)
def test_length_without_error_of_the_surface(errors, length):
    assert unbiased((1.0, 2.0, 4.0), errors) == pytest.approx(length)


def test_the_same_seed_gives_the_same_net():
    def windows(step):
        return pair(load_bundle(BUNDLE), 8, 1, 20.0, "centre", 1, step)

    nets = [fitted(windows, 3, 1, 4, 2, 1e-2, seed) for seed in (1, 1, 2)]
    same = [all(np.array_equal(a[0], b[0]) for a, b in zip(nets[0], other, strict=True)) for other in nets[1:]]
    assert same == [True, False]


def test_a_net_learns_what_interpolation_cannot():
    """The left half of each voxel has the label of the left neighbour, which is another in half of 512 voxels."""
    random = np.random.default_rng(1)

    def windows(step):
        coarse = random.integers(0, 2, (10, 10, 10)).astype(np.uint8)
        inner, before = coarse[1:-1, 1:-1, 1:-1], coarse[1:-1, 1:-1, :-2]
        fine = inner.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        fine[:, :, ::2] = before.repeat(2, 0).repeat(2, 1)
        return coarse, fine

    net = Net(fitted(windows, 2, 1, 8, 150, 0.03, 1), ("a", "b"), 1.0, 1.0)
    coarse, fine = windows(0)
    assert (net.scores(coarse).argmax(axis=0) == fine).mean() > 0.99


def test_training_writes_a_bundle_and_what_it_found(tmp_path):
    told = []
    results = train_superres(recipe(), tmp_path, tmp_path / "out", told.append)
    bundle = load_bundle(tmp_path / "out/bundle")
    net = Net.of(bundle)
    assert (net.phases, net.fine_voxel_nm, net.reach) == (("pore", "carbon_binder", "graphite"), 20.0, 1)
    assert (bundle.texts["coarse"], bundle.texts["trained_on"]) == (("centre",), (BUNDLE,))
    assert json.loads((tmp_path / "out/results.json").read_text()) == results
    assert results["agreement"]["trilinear"] > results["agreement"]["nearest"] > 0.9
    assert net.correlation_nm == results["correlation_nm"]
    assert told[-1]["step"] == 3


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"net": {"layers": 9}}, "net.layers: found 9"),
            ({"net": {"channels": 65}}, "net.channels: found 65"),
            ({"factor": 3}, "factor: found 3"),
            ({"steps": 0}, "steps: found 0"),
            ({"coarse": "mean"}, "coarse: found 'mean'"),
            ({"voxel_size_nm": True}, "voxel_size_nm"),
            ({"name": "A b"}, "name: found 'A b'"),
            ({"epochs": 3}, "epochs"),
        ],
    )
    def test_recipe(self, tmp_path, changes, fault):
        (tmp_path / "r.yaml").write_text(yaml.safe_dump({**TINY, **changes}))
        with pytest.raises(RecipeError, match=fault) as caught:
            load_checked(tmp_path / "r.yaml", SuperresRecipe)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize("size", [0.1, 1e6])
    def test_windows_that_show_nothing_or_never_end(self, tmp_path, size):
        with pytest.raises(RecipeError, match=r"voxel_size_nm: found .*, expected one of 1 to 10,000 times"):
            train_superres(recipe(voxel_size_nm=size), tmp_path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_structures_that_need_terabytes(self, tmp_path, monkeypatch):
        monkeypatch.setattr("nmcdist.learning.refine.training.machine_memory", lambda: 1 << 40)
        with pytest.raises(RecipeError, match=r"voxel_size_nm: found 8000, at which .* needs 3\.\d TiB of memory"):
            train_superres(recipe(voxel_size_nm=8000.0, window=32), tmp_path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_steps_that_do_not_fit(self, tmp_path, monkeypatch):
        """Values of eight layers with 64 channels on 96 to 110 voxels along an edge, and scores of the fine ones."""
        monkeypatch.setattr("nmcdist.learning.refine.training.machine_memory", lambda: 8 << 30)
        most = recipe(voxel_size_nm=20.0, window=96, net={"layers": 8, "channels": 64})
        wanted = 32 * (64 * sum(edge**3 for edge in range(96, 112, 2)) + 3 * 192**3)
        with pytest.raises(RecipeError, match=rf"window, net: found 96 .* needs {wanted / 2**30:.1f} GiB of memory"):
            train_superres(most, tmp_path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("name", "fault"),
        [("nmc811-radial", "found model 'particle-radial'"), ("none", "found neither"), ("s3://b/x", "is a URL")],
    )
    def test_bundle(self, tmp_path, name, fault):
        with pytest.raises(NmcdistError, match=fault):
            train_superres(recipe(bundle=name), tmp_path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_folder_that_exists(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/mine.txt").write_text("mine")
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(TINY))
        monkeypatch.setattr(
            "sys.argv", ["nmcdist", "train", "superres", f"{tmp_path}/r.yaml", "--out", f"{tmp_path}/out"]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert "holds other files, expected a new or an empty folder" in capsys.readouterr().err
